"""The plain evaluator on batches equals the closed forms on one network after the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.specfile import check_spec
from madnas.program.evaluator import Evaluator
from madnas.program.problem import BUDGETS, Problem
from madnas.program.space import load_space
from tests.program.spaces import SHIPPED, keeps_ratios, meets, network_of, objective_of, random_points

GUIDELINES = st.sets(st.sampled_from([1, 2, 3])).map(frozenset)


def points(problem):
    """A strategy for batches of one to four points of the problem's grid."""
    sizes = [len(variable.values) for variable in problem.variables]
    row = st.tuples(*(st.integers(0, size - 1) for size in sizes))
    values = [variable.values for variable in problem.variables]
    return st.lists(row.map(lambda at: [v[i] for v, i in zip(values, at, strict=True)]), min_size=1, max_size=4)


@pytest.mark.parametrize("name", SHIPPED)
@settings(max_examples=40)
@given(data=st.data(), guidelines=GUIDELINES, penalty=st.sampled_from([None, 0.0, 2.5]))
def test_batch_equals_row_by_row(name, data, guidelines, penalty):
    limits = {"macs": 10**9, "params": 10**7, "activations": 10**6, "layers": 50}
    problem = Problem(load_space(name), limits, 0.3, depth_penalty=penalty, guidelines=guidelines)
    batch = data.draw(points(problem))
    evaluate = Evaluator(problem)
    found = evaluate(np.array(batch))
    assert evaluate.limits == [f"budget[{budget}]" for budget in limits] + ["rho"]
    assert found.usage.shape == (5, len(batch))
    for index, row in enumerate(batch):
        spec = network_of(problem, row)
        check_spec(spec)
        costs = count(spec)
        assert found.objective[index] == pytest.approx(objective_of(problem, spec), rel=1e-12)
        for limit, budget in enumerate(BUDGETS):
            assert found.usage[limit, index] == getattr(costs, budget) / limits[budget] - 1
        assert found.usage[4, index] == pytest.approx(analyse(spec).rho / 0.3 - 1, rel=1e-12, abs=1e-12)
        assert bool(found.ratios[index]) is keeps_ratios(problem, spec)
        assert bool(found.feasible[index]) is meets(problem, spec)


@pytest.mark.parametrize("name", SHIPPED)
def test_feasible_points_are_those_that_meet_everything(name):
    """With limits at the medians of random networks, so that each of them decides about some."""
    free = Problem(load_space(name), {"macs": 1}, guidelines=frozenset({1, 2}))
    batch = random_points(free, 400)
    specs = [network_of(free, row) for row in batch]
    limits = {budget: int(np.median([getattr(count(spec), budget) for spec in specs])) for budget in ("macs", "params")}
    rho = float(np.median([analyse(spec).rho for spec in specs]))
    problem = Problem(free.space, limits, rho, guidelines=frozenset({1, 2}))
    found = Evaluator(problem)(batch)
    expected = [meets(problem, spec) for spec in specs]
    assert found.feasible.tolist() == expected
    exceeded = (found.usage > 0).mean(axis=1)
    assert ((exceeded > 0.4) & (exceeded < 0.6)).all()


def test_a_limit_that_is_met_exactly_is_met():
    free = Problem(load_space("bottleneck"), {"macs": 1})
    row = random_points(free, 1)
    costs, rho = count(network_of(free, row[0])), analyse(network_of(free, row[0])).rho
    for slack, meets_all in ((0, True), (-1, False)):
        for budget in BUDGETS:
            problem = Problem(free.space, {budget: getattr(costs, budget) + slack})
            assert bool((Evaluator(problem)(row).usage <= 0).all()) is meets_all
    # rho is a quotient: the float itself is met, the next one below is not.
    for limit, meets_all in ((rho * (1 + 1e-12), True), (rho * (1 - 1e-12), False)):
        problem = Problem(free.space, {"macs": 10**15}, limit)
        assert bool((Evaluator(problem)(row).usage <= 0).all()) is meets_all


def test_without_rho_there_is_no_such_limit():
    problem = Problem(load_space("mlp"), {"params": 10**6})
    assert Evaluator(problem).limits == ["budget[params]"]
    assert Evaluator(problem)(random_points(problem, 3)).usage.shape == (1, 3)


def test_uneven_depths_beyond_floats_are_infinitely_bad():
    problem = Problem(load_space("bottleneck"), {"macs": 10**18})
    row = [v.values[-1] for v in problem.variables]
    row[problem.index["depth3"]] = 1  # variance of (60, 1, 60, 60): 653; of (60, 1, 1, 60): 870
    assert np.isfinite(Evaluator(problem)(np.array([row])).objective[0])
    row[problem.index["depth4"]] = 1
    assert Evaluator(problem)(np.array([row])).objective[0] == -np.inf


def test_all_networks_of_a_problem_without_weights_on_depth_have_an_objective():
    """Two groups leave one depth outside the first, whose variance is a number rather than a column."""
    space = load_space("mlp")
    problem = Problem(space, {"params": 10**6}, depth_penalty=10.0)
    found = Evaluator(problem)(random_points(problem, 5))
    assert found.objective.shape == (5,)
