"""A design problem: its variables, what they stand for, and what is rejected before anything is built."""

import math
from dataclasses import replace

import pytest

from madnas.errors import UsageError
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.program.problem import BUDGETS, Problem, Ratio
from madnas.program.space import customise, load_space
from tests.program.spaces import SHIPPED, network_of, objective_of, random_points

MACS = {"macs": 10**9}


def problem_of(name, **options):
    return Problem(load_space(name), MACS, **options)


class TestVariables:
    def test_bottleneck(self):
        variables = {variable.name: variable for variable in problem_of("bottleneck").variables}
        per_group = ["out", "hidden", "kernel", "depth"]
        assert list(variables) == ["stem", *(f"{key}{group}" for group in range(1, 6) for key in per_group)]
        assert variables["stem"].values == (8, 16, 24, 32)
        assert variables["out3"].values == tuple(range(8, 2049, 8))
        assert variables["hidden3"].values == tuple(range(8, 2049, 8))  # a tenth of 8 to the whole of 2048
        assert variables["kernel3"].values == (3, 5)
        assert variables["depth1"].values == (1, 2, 3)
        assert variables["depth2"].values == tuple(range(1, 61))
        assert {name for name, variable in variables.items() if not variable.logarithmic} == {
            f"depth{group}" for group in range(1, 6)
        }

    def test_mlp_has_neither_stem_nor_kernels(self):
        assert [variable.name for variable in problem_of("mlp").variables] == ["out1", "depth1", "out2", "depth2"]

    def test_head_is_a_variable_where_it_is_a_range(self):
        space = load_space("mobilenet")
        assert "head" not in Problem(space, MACS).index
        ranged = Problem(replace(space, head=replace(space.head, conv=(60, 100))), MACS)
        assert ranged.variables[-1].name == "head"
        assert ranged.variables[-1].values == (64, 72, 80, 88, 96)
        assert ranged.network([variable.values[0] for variable in ranged.variables]).head.conv == 64

    @pytest.mark.parametrize("name", SHIPPED)
    def test_values_ascend_and_the_grid_is_their_product(self, name):
        problem = problem_of(name)
        assert all(list(v.values) == sorted(set(v.values)) for v in problem.variables)
        assert problem.grid_size() == math.prod(len(v.values) for v in problem.variables)
        assert [problem.index[v.name] for v in problem.variables] == list(range(len(problem.variables)))

    def test_hidden_reaches_the_end_of_its_range(self):
        # 0.29 * 100 is 28.999999999999996 in floats; 29 of 100 is allowed all the same.
        space = replace(load_space("bottleneck"), out=(100, 100), hidden_ratio=(0.1, 0.29), multiple=1)
        hidden = Problem(space, MACS).variables[2]
        assert (hidden.name, hidden.values[0], hidden.values[-1]) == ("hidden1", 10, 29)


def test_network_of_a_point():
    values = [24, 96, 40, 5, 1, 384, 40, 5, 6, 384, 64, 3, 9, 1024, 104, 3, 10, 1024, 104, 5, 12]
    widths = [(96, 40, 5, 2, 1), (384, 40, 5, 2, 6), (384, 64, 3, 2, 9), (1024, 104, 3, 1, 10), (1024, 104, 5, 2, 12)]
    groups = tuple(
        Group("bottleneck", out, depth, hidden, kernel=kernel, stride=stride, shortcut="pool")
        for out, hidden, kernel, stride, depth in widths
    )
    expected = NetworkSpec("mine", (3, 224, 224), groups, Head(1000), Stem(24))
    assert problem_of("bottleneck").network(values, "mine") == expected


def test_space_passes_on_what_is_not_a_variable():
    space = customise(load_space("mobilenet-se"), resolution=160, classes=7, head_conv=320)
    spec = network_of(Problem(space, MACS), [variable.values[0] for variable in Problem(space, MACS).variables])
    assert spec.input == (3, 160, 160)
    assert spec.head == Head(7, 320, "silu")
    assert spec.stem == Stem(16, act="silu")
    assert {(group.se, group.act, group.shortcut) for group in spec.groups} == {("deepmad", "silu", "pool")}


@pytest.mark.parametrize("name", SHIPPED)
def test_evaluate_is_analyse_and_count(name):
    problem = problem_of(name)
    for row in random_points(problem, 20):
        objective, costs, structure = problem.evaluate([int(value) for value in row])
        spec = network_of(problem, row)
        assert (objective, costs, structure) == (objective_of(problem, spec), count(spec), analyse(spec))


class TestRatio:
    @pytest.mark.parametrize(
        ("low", "high", "top", "bottom", "holds"),
        [
            (0.1, 1.0, 8, 80, True),
            (0.1, 1.0, 8, 88, False),
            (0.1, 1.0, 104, 1040, True),  # 104 / 1040 < 0.1 in floats
            (0.1, 1.0, 80, 80, True),
            (0.1, 1.0, 88, 80, False),
            (None, 4.0, 128, 32, True),
            (None, 4.0, 136, 32, False),
            (None, 4.0, 8, 2048, True),
            (1.0, None, 8, 16, False),
            (1.0, None, 16, 16, True),
            (1.0, None, 2048, 8, True),
            (None, 0.3, 3, 10, True),
            (None, 0.3, 300001, 1000000, False),
        ],
    )
    def test_bounds_are_inclusive_and_exact_for_channels(self, low, high, top, bottom, holds):
        assert bool(Ratio("any", 0, 1, low, high).holds(top, bottom)) is holds

    def test_ratios_of_a_bottleneck(self):
        problem = problem_of("bottleneck")
        names = [variable.name for variable in problem.variables]
        found = {ratio.name: (names[ratio.top], names[ratio.bottom], ratio.low, ratio.high) for ratio in problem.ratios}
        assert len(found) == len(problem.ratios) == 10
        assert found["channels1"] == ("out1", "stem", 1.0, 4.0)
        assert found["channels4"] == ("out4", "out3", 1.0, 4.0)
        assert found["hidden_ratio4"] == ("hidden4", "out4", 0.1, 1.0)

    def test_mlp_has_none(self):
        assert problem_of("mlp").ratios == ()


class TestGuidelines:
    def test_all_hold_by_default(self):
        problem = problem_of("bottleneck")
        assert problem.weights == (1.0, 1.0, 1.0, 1.0, 8.0)
        assert problem.beta == 10.0
        assert all(ratio.low == 1.0 for ratio in problem.ratios if ratio.name.startswith("channels"))

    def test_without_1_the_last_stage_counts_alone(self):
        problem = problem_of("bottleneck", guidelines=frozenset({2, 3}), stage_weights=(1.0, 2.0, 3.0, 4.0, 5.0))
        assert problem.weights == (0.0, 0.0, 0.0, 0.0, 1.0)
        spec = network_of(problem, random_points(problem, 1)[0])
        structure = analyse(spec)
        with_penalty = structure.objective(problem.weights, problem.beta)
        assert with_penalty == pytest.approx(structure.entropies[-1] - 10 * penalty(spec), rel=1e-14)

    def test_without_2_there_is_no_penalty(self):
        problem = problem_of("bottleneck", guidelines=frozenset({1, 3}), depth_penalty=50.0)
        assert problem.beta == 0.0
        spec = network_of(problem, random_points(problem, 1)[0])
        assert objective_of(problem, spec) == analyse(spec).weighted_entropy()

    def test_without_3_channels_may_decrease_but_not_grow_faster(self):
        ratios = problem_of("bottleneck", guidelines=frozenset({1, 2})).ratios
        assert {(ratio.low, ratio.high) for ratio in ratios if ratio.name.startswith("channels")} == {(None, 4.0)}
        mobile = problem_of("mobilenet-se", guidelines=frozenset({1, 2})).ratios
        assert [ratio.name for ratio in mobile] == [f"hidden_ratio{group}" for group in range(1, 6)]

    def test_given_weights_and_penalty_replace_the_spaces(self):
        problem = problem_of("bottleneck", stage_weights=(1.0, 1.0, 1.0, 1.0, 16.0), depth_penalty=0.0)
        assert (problem.weights[-1], problem.beta) == (16.0, 0.0)
        space = replace(load_space("bottleneck"), stage_weights=(2.0,) * 5, depth_penalty=3.0)
        assert (Problem(space, MACS).weights, Problem(space, MACS).beta) == ((2.0,) * 5, 3.0)

    @pytest.mark.parametrize("name", SHIPPED)
    def test_defaults_are_those_that_score_has(self, name):
        """Of a network of the space, by a design that says nothing else, and by its file alone."""
        bare = replace(load_space(name), stage_weights=None, depth_penalty=None)
        problem = Problem(bare, MACS)
        for row in random_points(problem, 5):
            spec = network_of(problem, row)
            assert objective_of(problem, spec) == analyse(spec).objective()
        assert problem.beta == (0.0 if name == "mlp" else 10.0)


def penalty(spec):
    """exp of the variance of the depths of all groups but the first, written out."""
    depths = [group.depth for group in spec.groups[1:]]
    mean = sum(depths) / len(depths)
    variance = sum((depth - mean) ** 2 for depth in depths) / len(depths)
    return math.exp(variance) if variance < 700 else math.inf


class TestRejected:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"budgets": {}}, "at least one budget"),
            ({"budgets": {"flops": 1}}, "unknown budget 'flops'; one of macs, params, activations, layers"),
            ({"budgets": {"macs": 0}}, "budget macs must be above 0, got 0"),
            ({"budgets": {"params": -1}}, "budget params must be above 0, got -1"),
            ({"budgets": {"params": math.nan}}, "budget params must be above 0"),
            ({"rho": 0.0}, "rho must be above 0"),
            ({"rho": -0.3}, "rho must be above 0"),
            ({"rho": math.inf}, "rho must be above 0"),
            ({"rho": math.nan}, "rho must be above 0"),
            ({"stage_weights": (1.0, 8.0)}, "2 stage weights for the 5 stages of space bottleneck"),
            ({"stage_weights": (1.0, 1.0, 1.0, 1.0, -8.0)}, "stage weights must be from 0 to"),
            ({"stage_weights": (0.0,) * 5}, "and not all 0"),
            ({"stage_weights": (1.0, 1.0, 1.0, 1.0, math.inf)}, "stage weights must be from 0 to"),
            ({"stage_weights": (1.0, 1.0, 1.0, 1.0, math.nan)}, "stage weights must be from 0 to"),
            ({"depth_penalty": -1.0}, "depth penalty must be from 0 to"),
            ({"depth_penalty": math.nan}, "depth penalty must be from 0 to"),
            ({"depth_penalty": math.inf}, "depth penalty must be from 0 to"),
        ],
        ids=str,
    )
    def test_with_a_reason(self, options, message):
        with pytest.raises(UsageError, match=message):
            Problem(**({"space": load_space("bottleneck"), "budgets": MACS} | options))

    def test_every_budget_is_a_cost(self):
        spec = network_of(problem_of("mlp"), [8, 1, 8, 1])
        assert [getattr(count(spec), name) > 0 for name in BUDGETS] == [True] * 4


class TestGap:
    @pytest.mark.parametrize(
        ("penalty", "bound", "objective", "gap"),
        [
            (0.0, 100.0, 99.0, 0.01),
            (10.0, 90.0, 89.1, 0.01),  # of the bound, as long as that is larger than the penalty
            (1000.0, -900.0, -901.0, 0.01),
            (0.0, -100.0, -101.0, 0.01),
            (0.0, 100.0, 100.0, 0.0),
            (0.0, 100.0, 100.1, 0.0),
            (0.0, 100.0, -math.inf, math.inf),
        ],
    )
    def test_is_the_share_that_may_be_missing(self, penalty, bound, objective, gap):
        assert problem_of("bottleneck", depth_penalty=penalty).gap(bound, objective) == pytest.approx(gap)
