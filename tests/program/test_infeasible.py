"""Where there is no network: what blocks, and the nearest request that solves."""

import itertools
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from madnas.errors import InfeasibleError
from madnas.network.count import count
from madnas.program.design import design
from madnas.program.evaluator import Evaluator
from madnas.program.problem import Problem
from madnas.program.search import Effort, search
from madnas.program.space import load_space
from madnas.units import parse_quantity
from tests.program.spaces import TINY, meets, network_of, tiny_space

MLP = Problem(load_space("mlp"), {"params": 100_000}, 0.1)
SE = Problem(load_space("mobilenet-se"), {"macs": 390_000_000}, 0.5)
CIFAR = Problem(load_space("basic-cifar"), {"macs": 20_000_000, "params": 200_000}, 0.2)
FEW = Effort(max_nodes=1, gap=0.5)


def options(hint):
    """The alternatives that a hint proposes, each as ``{limit: value}``."""
    text = hint.removeprefix("the nearest that solves: ")
    assert text != hint
    found = []
    for option in re.split(r"; or ", text):
        words = option.split()
        flags = dict(zip(words[::2], words[1::2], strict=True))
        assert set(flags) <= {"--macs", "--params", "--activations", "--max-layers", "--rho"}
        names = {flag: flag[2:].replace("max-layers", "layers") for flag in flags}
        found.append({names[f]: float(v) if f == "--rho" else parse_quantity(v, f) for f, v in flags.items()})
    return found


def proposed(problem, changes):
    """The problem with the proposed limits."""
    budgets = problem.budgets | {name: value for name, value in changes.items() if name != "rho"}
    return replace(problem, budgets=budgets, rho=changes.get("rho", problem.rho))


R18 = {"macs": 1_820_000_000, "params": 11_690_000}

INFEASIBLE = {
    "macs": ("bottleneck", R18 | {"macs": 10**6}, 0.3, {"macs"}),
    "params": ("mobilenet-se", {"macs": 10**9, "params": 10**5}, 0.5, {"params"}),
    "rho": ("bottleneck", R18, 1e-3, {"rho"}),
    "layers": ("bottleneck", R18 | {"layers": 3}, 0.3, {"layers"}),
    "activations": ("basic-cifar", {"macs": 10**6, "activations": 10}, 0.3, {"activations"}),
    "both budgets": ("basic-cifar", {"macs": 1000, "params": 1000}, 0.3, {"macs", "params"}),
    "both budgets of a bottleneck": ("bottleneck", {"macs": 10**6, "params": 10**4}, 0.3, {"macs", "params"}),
    "budgets and rho": ("bottleneck", {"macs": 10**6, "params": 10**4}, 1e-3, {"macs", "params", "rho"}),
    "mlp, params": ("mlp", {"params": 10}, 0.1, {"params"}),
    "mlp, layers": ("mlp", {"params": 10**5, "layers": 1}, 0.1, {"layers"}),
    "mlp, rho": ("mlp", {"params": 10**5}, 1e-5, {"rho"}),
}


LONG = ("macs", "params", "rho", "both budgets of a bottleneck")
"""Of these, those that take more than a few seconds."""


@pytest.mark.parametrize(
    ("space", "budgets", "rho", "blocking"),
    [pytest.param(*case, id=name, marks=pytest.mark.slow if name in LONG else ()) for name, case in INFEASIBLE.items()],
)
def test_infeasible_request_names_what_blocks_and_proposes_what_solves(space, budgets, rho, blocking):
    problem = Problem(load_space(space), budgets, rho)
    with pytest.raises(InfeasibleError) as caught:
        design(problem)
    message, alternatives = str(caught.value), options(str(caught.value.hint))
    assert caught.value.exit_code == 3
    assert f"no network of space {space} has" in message
    assert set(re.split(r" and |, ", re.search(r": ([^:]*) blocks?$", message).group(1))) == blocking
    assert set(alternatives[0]) == blocking
    for changes in alternatives:
        allowed = proposed(problem, changes)
        finished = design(allowed)
        assert meets(allowed, finished.spec)
        limits = problem.budgets | {"rho": problem.rho}
        assert all(value > limits[name] for name, value in changes.items())
        if len(changes) == 1:  # nearly the least: with 5 % less there is no network
            less = {name: value * 0.95 if name == "rho" else int(value * 0.95) for name, value in changes.items()}
            assert search(proposed(problem, less)).values is None


def test_several_ways_out_come_nearest_first():
    """Too few parameters for any network of this rho can be mended by more of them, or by more rho."""
    problem = Problem(load_space("mlp"), {"params": 7_000}, 0.04)
    with pytest.raises(InfeasibleError) as caught:
        design(problem)
    alternatives = options(str(caught.value.hint))
    assert [set(changes) for changes in alternatives] in ([{"params"}, {"rho"}], [{"rho"}, {"params"}])
    limits = problem.budgets | {"rho": problem.rho}
    factors = [max(value / limits[name] for name, value in changes.items()) for changes in alternatives]
    assert factors == sorted(factors)
    for changes in alternatives:
        assert design(proposed(problem, changes)).objective > 0


@pytest.mark.parametrize("name", TINY)
def test_proposal_is_the_least_by_brute_force(name, tmp_path):
    """Below the least parameters of all networks: the proposal is that number, rounded up to three digits."""
    space = tiny_space(name, tmp_path)
    free = Problem(space, {"params": 10**9})
    grids = [variable.values for variable in free.variables]
    networks = [spec for row in itertools.product(*grids) if meets(free, spec := network_of(free, row))]
    least = min(count(spec).params for spec in networks)
    assert search(replace(free, budgets={"params": least})).values is not None
    with pytest.raises(InfeasibleError) as caught:
        design(replace(free, budgets={"params": least - 1}))
    (changes,) = options(str(caught.value.hint))
    assert least <= changes["params"] <= math.ceil(1.01 * least)


@pytest.mark.parametrize("budgets", [{"macs": 1, "params": 1}, {"params": 5, "layers": 1}])
def test_limits_far_below_any_network_get_a_proposal(budgets):
    problem = Problem(load_space("mobilenet-se"), budgets, 0.5)
    with pytest.raises(InfeasibleError) as caught:
        design(problem)
    (changes, *_) = options(str(caught.value.hint))
    assert search(proposed(problem, changes), Effort(gap=1e9)).values is not None


def test_message_says_what_was_asked():
    problem = Problem(load_space("mlp"), {"params": 10, "layers": 3}, 0.25)
    with pytest.raises(InfeasibleError, match=r"no network of space mlp has params 10, layers 3, rho 0\.25: "):
        design(problem)


def test_without_any_way_out_the_hint_is_general():
    """A space whose narrowest network has a rho that no budget mends: nothing but rho can be proposed, and is."""
    space = replace(load_space("mlp"), out=(8, 8), depth=(5, 5), input=(1, 1, 1))
    problem = Problem(space, {"params": 10**6}, 0.1)
    with pytest.raises(InfeasibleError) as caught:
        design(problem)
    (changes,) = options(str(caught.value.hint))
    assert set(changes) == {"rho"}


@pytest.mark.slow
def test_a_network_at_the_edge_of_what_is_possible_is_found():
    """The last rho but one at which this space has a network; best-first search alone gives up before it meets it."""
    problem = Problem(load_space("mobilenet-se"), {"macs": 320_000_000, "params": 3_500_000}, 0.16199)
    found = search(problem, Effort(gap=1e9))
    assert found.values is not None
    assert meets(problem, network_of(problem, found.values))


def test_rho_may_be_met_to_the_last_digit():
    """The rho of a network, asked for as its limit, admits it: as number, as array and in the recheck."""
    free = CIFAR
    answer = design(free, Effort(max_nodes=5))
    for digit in (0, 1):  # of the array's value and of the number's, which may differ in their last digit
        found = np.array([answer.solution.values, answer.solution.values])
        rho = float(Evaluator(free)(found).usage[-1, 0] + 1) * free.rho if digit else answer.structure.rho
        exact = replace(free, rho=rho)
        assert Evaluator(exact)(found).feasible.all()
        assert design(exact, Effort(max_nodes=5, gap=1e9), known=found).objective >= answer.objective * (1 - 1e-9)


def test_proposals_are_close_to_what_the_relaxation_needs():
    problem = Problem(load_space("mobilenet-se"), {"macs": 320_000_000, "params": 3_500_000}, 0.1)
    with pytest.raises(InfeasibleError) as caught:
        design(problem)
    (changes,) = options(str(caught.value.hint))
    assert 0.1617 < changes["rho"] <= 0.163  # the relaxation needs 0.16173


def test_proposal_names_only_limits_that_change():
    problem = Problem(load_space("mobilenet-se"), {"macs": 10**12, "params": 50_000}, 0.01)
    with pytest.raises(InfeasibleError) as caught:
        design(problem)
    for changes in options(str(caught.value.hint)):
        assert "macs" not in changes
