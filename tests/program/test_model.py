"""The Pyomo model: built without a solver, equal to the closed form at whole numbers, with the documented parts."""

import math
import subprocess
import sys

import pytest
from pyomo.core import Constraint, Objective, Var, maximize, minimize, value

from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.named import get
from madnas.program.model import build
from madnas.program.problem import BUDGETS, Problem
from madnas.program.space import customise, load_space
from madnas.theory.objective import variance
from tests.program.spaces import SHIPPED, TINY, network_of, objective_of, random_points, tiny_space

LIMITS = {"macs": 10**9, "params": 10**7, "activations": 10**6, "layers": 50}


def put(model, problem, row):
    """Set the model's variables to a point of the grid."""
    for variable, number in zip(problem.variables, row, strict=True):
        model.x[variable.name].set_value(math.log(number) if variable.logarithmic else float(number))
    if hasattr(model, "imbalance"):
        depths = [number for variable, number in zip(problem.variables, row, strict=True) if not variable.logarithmic]
        model.imbalance.set_value(float(variance([int(depth) for depth in depths[1:]])), skip_validation=True)


def squeezed_too_little(problem, spec):
    """By how much the model undercounts (params, macs): it squeezes to (hidden - 31) / 4, not to a multiple of 8."""
    params = macs = 0.0
    for group in spec.groups:
        if group.se == "deepmad":
            less = max(group.hidden // 4 // 8 * 8, 8) - (group.hidden - 31) / 4
            assert less >= 0
            params += group.depth * less * (2 * group.hidden + 2)
            macs += group.depth * less * 2 * group.hidden
    return params, macs


def small_variance(problem, number, seed=0):
    """Random points with depths 3 to 5 after the first group, where the penalty is a number of ordinary size."""
    batch = random_points(problem, number, seed)
    for column, variable in enumerate(problem.variables):
        if variable.name.startswith("depth"):
            batch[:, column] = 3 + batch[:, column] % 3 if variable.values[-1] > 3 else 1 + batch[:, column] % 2
    return batch


def test_building_needs_no_solver():
    code = """
import sys
from madnas.program.model import build
from madnas.program.problem import Problem
from madnas.program.space import customise, load_space
build(Problem(load_space("bottleneck"), {"macs": 10**9}, 0.3))
assert "pyomo" in sys.modules
assert not {"casadi", "torch", "pyomo.environ"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("guidelines", [{1, 2, 3}, {2, 3}, {1, 3}, {1, 2}], ids=str)
def test_value_is_the_closed_form_at_whole_numbers(name, guidelines):
    problem = Problem(load_space(name), LIMITS, 0.3, guidelines=frozenset(guidelines))
    model = build(problem)
    ratios = {ratio.name: ratio for ratio in problem.ratios}
    for row in small_variance(problem, 10):
        put(model, problem, row)
        spec = network_of(problem, row)
        costs, structure = count(spec), analyse(spec)
        assert value(model.objective) == pytest.approx(objective_of(problem, spec), rel=1e-12)
        params, macs = squeezed_too_little(problem, spec)
        missing = {"params": params, "macs": macs}
        for budget in BUDGETS:
            exact = getattr(costs, budget) - missing.get(budget, 0.0)
            if budget != "activations" or not params:
                assert value(model.budget[budget].body) == pytest.approx(exact / LIMITS[budget], rel=1e-12)
        assert value(model.rho.body) == pytest.approx(math.log(structure.rho), rel=1e-12)
        assert value(model.rho.upper) == math.log(0.3)
        for key, ratio in ratios.items():
            assert value(model.ratio[key].body) == pytest.approx(
                math.log(row[ratio.top] / row[ratio.bottom]), abs=1e-13
            )
        if hasattr(model, "uniform_depth"):
            assert value(model.uniform_depth.body) == pytest.approx(0.0, abs=1e-12)  # imbalance is the variance


def test_squeezed_width_makes_costs_a_close_lower_bound():
    """On the published 29M, the model's costs with SE are below the true ones by less than 2 %."""
    spec = get("deepmad-29m")
    space = customise(load_space("mobilenet-se"), strides=(1, 2, 2, 2, 2))
    problem = Problem(space, {"macs": 10**9, "params": 10**7})
    groups = [(group.out, group.hidden, group.kernel, group.depth) for group in spec.groups]
    row = [spec.stem.out, *(number for group in groups for number in group)]
    model = build(problem)
    for variable, number in zip(problem.variables, row, strict=True):
        at = math.log(number) if variable.logarithmic else float(number)
        model.x[variable.name].set_value(at, skip_validation=True)  # its stem is wider than the space's
    costs = count(spec)
    for budget, limit in problem.budgets.items():
        true, counted = getattr(costs, budget), limit * value(model.budget[budget].body)
        assert 0 < (true - counted) / true < 0.02


STRUCTURE = {
    # variables: stem, then per group out, (hidden,) kernel, depth, and the imbalance; ratios: channels, hidden.
    "basic": (1 + 5 * 3 + 1, 5),
    "basic-cifar": (1 + 3 * 3 + 1, 3),
    "bottleneck": (1 + 5 * 4 + 1, 10),
    "mlp": (2 * 2, 0),
    "mobilenet": (1 + 5 * 4 + 1, 10),
    "mobilenet-se": (1 + 5 * 4 + 1, 10),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_parts_have_the_documented_names_and_numbers(name):
    problem = Problem(load_space(name), {"macs": 10**9, "params": 10**7}, 0.3)
    model = build(problem)
    variables, ratios = STRUCTURE[name]
    assert len(list(model.component_data_objects(Var))) == variables
    assert list(model.x) == [variable.name for variable in problem.variables]
    assert list(model.budget) == ["macs", "params"]
    assert len(model.ratio) == ratios == len(problem.ratios)
    assert hasattr(model, "imbalance") is hasattr(model, "uniform_depth") is (name != "mlp")
    assert len(list(model.component_data_objects(Constraint))) == 2 + 1 + ratios + (name != "mlp")
    objective = next(model.component_data_objects(Objective))
    assert objective.name == "objective"
    assert objective.sense == maximize
    assert model.problem is problem


def test_bounds_are_those_of_the_values():
    problem = Problem(load_space("bottleneck"), {"macs": 10**9})
    model = build(problem)
    for variable in problem.variables:
        low, high = model.x[variable.name].bounds
        if variable.logarithmic:
            assert (math.exp(low), math.exp(high)) == pytest.approx((variable.values[0], variable.values[-1]))
        else:
            assert (low, high) == (variable.values[0], variable.values[-1])


def test_ratios_are_linear_with_the_logarithms_as_bounds():
    model = build(Problem(load_space("bottleneck"), {"macs": 10**9}))
    channels, hidden = model.ratio["channels2"], model.ratio["hidden_ratio2"]
    assert (value(channels.lower), value(channels.upper)) == pytest.approx((0.0, math.log(4)))
    assert (value(hidden.lower), value(hidden.upper)) == pytest.approx((math.log(0.1), 0.0))
    loose = build(Problem(load_space("bottleneck"), {"macs": 10**9}, guidelines=frozenset({1, 2})))
    assert loose.ratio["channels2"].lower is None


def test_what_is_not_asked_is_not_there():
    model = build(Problem(load_space("bottleneck"), {"params": 10**7}))
    assert list(model.budget) == ["params"]
    assert not hasattr(model, "rho")
    assert not hasattr(build(Problem(load_space("bottleneck"), {"params": 1}, depth_penalty=0.0)), "imbalance")


@pytest.mark.parametrize("penalty", [10.0, 1.0, 1e-3, 1e-12], ids=lambda penalty: f"beta {penalty:g}")
@pytest.mark.parametrize("name", ["bottleneck", "basic", "mobilenet-se"])
def test_cap_of_the_imbalance_cuts_off_no_optimum(name, penalty):
    """A network at the cap loses more than the widest and deepest of the space has."""
    problem = Problem(load_space(name), {"macs": 1}, depth_penalty=penalty)
    largest = problem.network([variable.values[-1] for variable in problem.variables])
    cap = build(problem).imbalance.ub
    assert penalty * math.exp(cap) > analyse(largest).weighted_entropy(problem.weights)


@pytest.mark.parametrize("name", TINY)
def test_two_groups_have_a_constant_penalty(name, tmp_path):
    """With one depth besides the first Q is 1 whatever the depths: beta is lost, and there is nothing to even out."""
    problem = Problem(tiny_space(name, tmp_path), {"params": 10**6}, depth_penalty=7.0)
    model = build(problem)
    assert hasattr(model, "imbalance") is (len(problem.space.strides) > 2)
    for row in random_points(problem, 5):
        put(model, problem, row)
        assert value(model.objective) == pytest.approx(objective_of(problem, network_of(problem, row)), rel=1e-12)


class TestGoals:
    def test_least_limit(self):
        problem = Problem(load_space("bottleneck"), LIMITS, 0.3)
        for goal in ("macs", "rho", "scale"):
            model = build(problem, goal)
            row = small_variance(problem, 1)[0]
            put(model, problem, row)
            spec = network_of(problem, row)
            objective = next(model.component_data_objects(Objective))
            assert objective.sense == minimize
            assert not hasattr(model, "uniform_depth")
            if goal == "macs":
                assert math.exp(value(objective)) == pytest.approx(count(spec).macs / LIMITS["macs"])
                assert list(model.budget) == ["params", "activations", "layers"]
            elif goal == "rho":
                assert math.exp(value(objective)) == pytest.approx(analyse(spec).rho)
                assert not hasattr(model, "rho")
            else:
                model.scale.set_value(2.0)
                assert value(objective) == 2.0
                slack = {name: 2.0 - getattr(count(spec), name) / LIMITS[name] for name in LIMITS}
                assert {name: model.budget[name].uslack() for name in LIMITS} == pytest.approx(slack)
