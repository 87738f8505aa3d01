"""The search against brute force on spaces that can be listed, and the same answer on every run."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from madnas.errors import SolverError
from madnas.program.evaluator import Evaluator
from madnas.program.integer import Incumbent, IntegerSearch
from madnas.program.problem import Problem
from madnas.program.recipe import load_recipe
from madnas.program.search import Effort, search
from madnas.program.space import load_space
from tests.program.spaces import TINY, brute_force, meets, network_of, objective_of, random_problem, tiny_space

EXACT = Effort(exhaustive=0, gap=0.0, max_nodes=10_000)
"""Branch and bound until nothing is left, on a space that could be enumerated."""

SEEDS = [pytest.param(seed, marks=() if seed < 8 else pytest.mark.slow) for seed in range(100)]


@cache
def listed(name, seed):
    """A random problem over a tiny space, the best objective there is and all feasible networks."""
    with TemporaryDirectory() as folder:
        problem = random_problem(name, Path(folder), seed)
    best, feasible = brute_force(problem)
    return problem, best, frozenset(feasible)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", TINY)
class TestAgainstBruteForce:
    def test_enumeration(self, name, seed):
        problem, best, feasible = listed(name, seed)
        found = search(problem)
        assert found.evidence is None
        assert found.evaluated >= problem.grid_size()
        check(problem, found, best, feasible)
        assert found.bound == found.objective

    def test_branch_and_bound(self, name, seed):
        problem, best, feasible = listed(name, seed)
        found = search(problem, EXACT)
        assert found.evidence is not None
        check(problem, found, best, feasible)
        if feasible:
            assert found.relaxation >= best
            assert found.bound - best <= 1e-9 * abs(best)

    def test_default_effort_keeps_its_promise(self, name, seed):
        """Stopped at a gap of 0.1 %, the bound is still above every network, and the answer within the gap of it."""
        problem, best, feasible = listed(name, seed)
        found = search(problem, Effort(exhaustive=0))
        if feasible:
            assert min(found.relaxation, found.bound) >= best
            assert found.objective <= best + 1e-12 * abs(best)
            assert problem.gap(found.bound, found.objective) <= 1e-3
            assert meets(problem, network_of(problem, found.values))
        else:
            assert found.values is None


def check(problem, found, best, feasible):
    """The answer is a best network, or there is none."""
    if not feasible:
        assert found.values is None
        assert found.objective == -np.inf
        return
    assert tuple(found.values) in feasible
    assert objective_of(problem, network_of(problem, found.values)) == pytest.approx(best, rel=1e-12)
    assert found.objective == pytest.approx(best, rel=1e-12)


def test_random_problems_are_worth_solving():
    """Most of the problems above have feasible networks, and most networks are infeasible."""
    cases = [listed(name, seed) for name in TINY for seed in range(4)]
    shares = [len(feasible) / problem.grid_size() for problem, _, feasible in cases]
    assert sum(share > 0 for share in shares) >= 12
    assert sum(0 < share < 0.3 for share in shares) >= 8


@pytest.mark.parametrize("name", TINY)
def test_single_feasible_network_is_found(name, tmp_path):
    """Budgets that only the smallest network of all meets."""
    space = tiny_space(name, tmp_path)
    free = Problem(space, {"params": 1})
    smallest = [variable.values[0] for variable in free.variables]
    hidden = [i for i, variable in enumerate(free.variables) if variable.name.startswith("hidden")]
    outs = [i for i, variable in enumerate(free.variables) if variable.name.startswith("out")]
    for inner, out in zip(hidden, outs, strict=False):  # the narrowest that hidden / out allows
        low = space.hidden_ratio[0] * smallest[out]
        smallest[inner] = next(value for value in free.variables[inner].values if value >= low)
    _, costs, _ = free.evaluate(smallest)
    problem = Problem(space, {"macs": costs.macs, "params": costs.params, "layers": costs.layers})
    for effort in (Effort(), EXACT, Effort(exhaustive=0)):
        assert search(problem, effort).values.tolist() == smallest
    less = replace(problem, budgets=problem.budgets | {"params": costs.params - 1})
    for effort in (Effort(), EXACT):
        assert search(less, effort).values is None


PROBLEMS = {
    "mlp": lambda: Problem(load_space("mlp"), {"params": 100_000}, 0.1),
    "cifar": lambda: Problem(load_space("basic-cifar"), {"macs": 40_000_000, "params": 270_000}, 0.3),
}


def fingerprint(found):
    """Everything that a search found, to the last bit."""
    parts = [found.values.tolist(), found.objective.hex(), found.bound.hex(), found.relaxation.hex(), found.evaluated]
    parts += [found.evidence, sorted((name, price.hex()) for name, price in found.prices.items())]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@pytest.mark.parametrize("name", [*PROBLEMS, pytest.param("b0-rho0.5", marks=pytest.mark.slow)])
def test_same_answer_on_every_run(name):
    problem = PROBLEMS[name]() if name in PROBLEMS else load_recipe(name).problem()
    first = search(problem)
    assert fingerprint(first) == fingerprint(search(problem))


def test_the_answer_is_shaken_out_of_a_local_optimum():
    """A space of coarse steps, where rounding and three changes at a time end 2.3 % below."""
    space = replace(load_space("basic"), kernels=(3, 5, 7))
    found = search(Problem(space, {"macs": 500_000_000, "params": 3_000_000}, 1.0), Effort(max_nodes=100))
    assert found.objective > 172_000


def test_same_answer_in_another_process():
    """With another seed for the hashes of texts, and so another order of every set and, were there any, of answers."""
    code = """
from tests.program.test_search import PROBLEMS, fingerprint
from madnas.program.search import search
for make in PROBLEMS.values():
    print(fingerprint(search(make())))
"""
    environment = os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert run.stdout.split() == [fingerprint(search(make())) for make in PROBLEMS.values()]


class TestKnownCandidates:
    def test_a_better_one_is_kept(self):
        problem, best, feasible = listed("tiny-basic", 1)
        known = max(feasible, key=lambda values: objective_of(problem, network_of(problem, values)))
        lazy = Effort(exhaustive=0, gap=0.9, max_nodes=1)  # would stop at anything
        found = search(problem, lazy, np.array([known]))
        assert found.objective == pytest.approx(best, rel=1e-12)
        assert found.bound >= best

    def test_an_infeasible_one_is_ignored(self):
        problem, best, _ = listed("tiny-basic", 1)
        largest = [variable.values[-1] for variable in problem.variables]
        assert not meets(problem, network_of(problem, largest))
        found = search(problem, known=np.array([largest]))
        assert found.objective == pytest.approx(best, rel=1e-12)

    def test_none_at_all(self):
        problem, _, _ = listed("tiny-basic", 1)
        assert search(problem, known=np.empty((0, len(problem.variables)))).values is not None


class TestEffort:
    def test_gap_ends_the_search(self):
        problem = PROBLEMS["mlp"]()
        loose, tight = search(problem, Effort(gap=0.02)), search(problem, Effort(gap=0.0, max_nodes=1000))
        assert problem.gap(loose.bound, loose.objective) <= 0.02
        assert loose.evidence.nodes < tight.evidence.nodes
        assert loose.bound >= tight.bound
        assert tight.objective >= loose.objective

    def test_nodes_end_the_search(self):
        problem = PROBLEMS["cifar"]()
        few, more = (search(problem, Effort(max_nodes=number, gap=0.0)) for number in (2, 20))
        assert few.evidence.nodes < more.evidence.nodes <= 4 * 20 + 2
        assert few.bound >= more.bound >= more.objective
        assert meets(problem, network_of(problem, few.values))

    def test_unknown_solver(self):
        with pytest.raises(SolverError, match="unknown solver 'scip'"):
            search(PROBLEMS["mlp"](), Effort(solver="scip"))


@pytest.mark.parametrize("budgets", [{"macs": 1}, {"params": 1}, {"layers": 1}, {"activations": 1}], ids=str)
def test_nothing_is_found_where_nothing_is(budgets):
    found = search(Problem(load_space("bottleneck"), budgets))
    assert found.values is None
    assert found.objective == -np.inf


def test_looser_limits_are_never_worse():
    """The bound of a tighter problem may not lie below the answer of a tighter one still."""
    problem = PROBLEMS["mlp"]()
    answers = [search(replace(problem, rho=rho)) for rho in (0.05, 0.1, 0.2, 0.4)]
    for tighter, looser in pairwise(answers):
        assert looser.bound >= tighter.objective
        assert looser.objective >= tighter.objective * (1 - 1e-3)


def test_climbs_that_go_together_find_what_they_find_one_after_the_other(monkeypatch):
    """From a poor start, so that many of them improve on it, at which those after them begin anew."""
    problem = Problem(load_space("basic-cifar"), {"macs": 20_000_000, "params": 300_000}, 0.5)
    start = np.array([[variable.values[0] for variable in problem.variables]])
    monkeypatch.setattr("madnas.program.integer.SHAKES", 30)
    found, told = [], []
    for lanes in (1, 7):
        monkeypatch.setattr("madnas.program.integer.LANES", lanes)
        incumbent = Incumbent()
        incumbent.offer(start, Evaluator(problem)(start))
        begin = incumbent.objective
        IntegerSearch(problem, incumbent).shake(told.append)
        assert incumbent.objective > begin
        found.append((incumbent.values.tolist(), incumbent.objective, incumbent.evaluated))
    assert found[0] == found[1]
    assert told[0] == 0 and max(told) > 90
