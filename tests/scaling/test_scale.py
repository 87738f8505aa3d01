"""The optimum is that of brute force, the papers' networks come out, and the rest of the answer is true."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from madnas.errors import InfeasibleError, UsageError
from madnas.network.count import count
from madnas.network.mass import nn_mass
from madnas.network.named import get
from madnas.network.specfile import check_spec, dump_spec, parse_spec
from madnas.scaling.compare import COMPOUND, compound, rivals
from madnas.scaling.family import assemble, depth_choices, width_choices, width_sites
from madnas.scaling.grid import feasible, grid
from madnas.scaling.problem import Scaling
from madnas.scaling.sample import draw, sample
from madnas.scaling.scale import scale, scored
from madnas.units import parse_quantity

BUDGET = {"macs": 3_300_000_000, "params": 21_000_000}
TIGHT = {"width_range": (Fraction(1, 2), Fraction(3, 5)), "depth_range": (Fraction(3, 5), Fraction(3, 2))}


@pytest.mark.parametrize(("macs", "params", "cap", "name"), [
    (3_300_000_000, 21_000_000, 30, "ran-i-t"), (4_600_000_000, 29_000_000, 30, "ran-i-s"),
    (8_500_000_000, 53_000_000, 42, "ran-i-b"),
])  # fmt: skip
def test_answers_are_at_least_as_massive_as_table_7(macs, params, cap, name):
    """S and B exceed the paper's own budgets, so these are given enough for them."""
    theirs = scored(get(name))
    assert theirs.counts.macs <= macs
    assert theirs.counts.params <= params
    found = scale(Scaling(get("convnext-t"), {"macs": macs, "params": params}, max_depth=cap))
    assert found.network.mass.mass >= theirs.mass.mass
    assert found.network.blocks <= cap


@pytest.mark.parametrize(("macs", "params"), [
    (3_300_000_000, 21_000_000), (4_500_000_000, 28_000_000), (8_500_000_000, 50_000_000),
])  # fmt: skip
def test_the_papers_budgets_are_kept(macs, params):
    found = scale(Scaling(get("convnext-t"), {"macs": macs, "params": params})).network
    assert found.counts.macs <= macs
    assert found.counts.params <= params
    assert count(check_spec(found.spec)) == found.counts


def networks(problem):
    """Every network of a family, one after the other."""
    widths = width_choices(problem.base, *problem.width_range, problem.multiple)
    depths = depth_choices(problem.base, *problem.depth_range)
    for wide, deep in product(widths, depths):
        yield assemble(problem.base, dict(zip(width_sites(problem.base), wide.sizes, strict=True)), deep.sizes, "one")


@pytest.mark.parametrize("name", ["convnext-t", "resnet18", "resnet50", "mobilenetv2", "densenet-121", "wrn-16-8"])
@pytest.mark.parametrize("multiple", [1, 8])
def test_the_optimum_is_that_of_brute_force(name, multiple):
    base = get(name)
    budgets = {"macs": int(0.5 * count(base).macs), "params": int(0.6 * count(base).params)}
    problem = Scaling(base, budgets, multiple=multiple, max_depth=sum(base.depths) + 3, **TIGHT)
    family = list(networks(problem))
    best = max(
        (nn_mass(spec).mass for spec in family
         if count(spec).macs <= budgets["macs"] and count(spec).params <= budgets["params"]
         and sum(spec.depths) <= problem.max_depth),
    )  # fmt: skip
    found = scale(problem)
    assert found.network.mass.mass == pytest.approx(best, rel=1e-12)
    assert found.candidates == len(family)


@pytest.mark.parametrize("name", ["convnext-t", "mobilenetv2", "densenet-121", "resnet50", "efficientnet-b0"])
def test_the_grid_scores_every_network_as_if_it_were_alone(name):
    family = grid(Scaling(get(name), BUDGET, objective="entropy"))
    for row in np.random.default_rng(0).integers(0, family.rows.shape[1], 40):
        network = scored(check_spec(family.network(int(row))))
        assert network.counts.macs == family.scores["macs"][row]
        assert network.counts.params == family.scores["params"][row]
        assert network.counts.activations == family.scores["activations"][row]
        assert network.mass.mass == pytest.approx(family.scores["nn-mass"][row])
        assert network.mass.units == family.scores["units"][row]
        assert network.structure.weighted_entropy() == pytest.approx(family.scores["entropy"][row])
        assert network.blocks == family.scores["blocks"][row]


@pytest.fixture(scope="module")
def found():
    return scale(Scaling(get("convnext-t"), BUDGET, max_depth=30), "mine")


class TestAnswer:
    def test_front_holds_the_best_of_every_depth(self, found):
        problem = found.problem
        family = grid(problem)
        fits = feasible(problem, family.scores, without=("max_depth",))
        blocks = [one.blocks for one in found.front]
        assert blocks == sorted(set(family.scores["blocks"][fits].astype(int)))
        for one in found.front:
            same = fits & (family.scores["blocks"] == one.blocks)
            assert one.mass.mass == pytest.approx(family.scores["nn-mass"][same].max())
        assert found.network.mass.mass in [one.mass.mass for one in found.front]

    def test_binding_limits_gain_what_they_say(self, found):
        assert [limit.limit for limit in found.binding] == ["max_depth", "macs"]
        for binding in found.binding:
            lifted = (
                replace(found.problem, max_depth=None)
                if binding.limit == "max_depth"
                else replace(found.problem, budgets={"params": BUDGET["params"]})
            )
            better = scale(lifted).network.mass.mass
            assert better / found.network.mass.mass - 1 == pytest.approx(binding.gain)

    def test_spec_says_where_it_comes_from_and_reads_back(self, found):
        import yaml

        spec = found.network.spec
        assert spec.name == "mine"
        assert spec.provenance["base"] == "convnext-t"
        assert spec.provenance["nn_mass"] == found.network.mass.mass
        assert parse_spec(yaml.safe_load(dump_spec(spec)), "mine") == spec

    def test_same_on_every_run(self, found):
        again = scale(found.problem, "mine")
        assert again.network == found.network
        assert again.binding == found.binding


def test_the_edge_of_a_range_is_said_to_limit():
    found = scale(Scaling(get("convnext-t"), BUDGET, depth_range=(Fraction(1), Fraction(6, 5))))
    assert found.binding[0].limit == "depth_range"


def test_tolerance_lets_budgets_be_exceeded_by_that_much():
    strict = scale(Scaling(get("convnext-t"), BUDGET, max_depth=30)).network
    loose = scale(Scaling(get("convnext-t"), BUDGET, max_depth=30, tolerance=0.03)).network
    assert loose.mass.mass > strict.mass.mass
    assert loose.counts.macs <= 1.03 * BUDGET["macs"]
    assert loose.counts.params <= 1.03 * BUDGET["params"]


@pytest.mark.parametrize("objective", ["units", "entropy"])
def test_other_objectives(objective):
    problem = Scaling(get("resnet50"), {"macs": 3_000_000_000}, objective=objective, **TIGHT)
    best = max(
        scored(spec).value(objective) for spec in networks(problem) if count(spec).macs <= problem.budgets["macs"]
    )
    assert scale(problem).network.value(objective) == pytest.approx(best)


def test_fewest_params_of_at_least_a_mass():
    base = get("convnext-t")
    problem = Scaling(base, {}, objective="params", least_mass=float(nn_mass(base).mass), max_depth=30)
    found = scale(problem).network
    assert found.mass.mass >= problem.least_mass
    assert found.counts.params < count(base).params
    family = grid(problem)
    fits = (family.scores["nn-mass"] >= problem.least_mass) & (family.scores["blocks"] <= 30)
    assert found.counts.params == family.scores["params"][fits].min()


@pytest.mark.parametrize("name", ["convnext-t", "mobilenetv2", "resnet50", "densenet-121"])
@pytest.mark.parametrize("share", [0.4, 0.7, 1.1])
def test_saved_multipliers_make_the_network_again(name, share):
    base = get(name)
    spec = scale(Scaling(base, {"macs": int(share * count(base).macs)})).network.spec
    width, depth = (Fraction(spec.provenance[f"{key}_multiplier"]) for key in ("width", "depth"))
    again = grid(Scaling(base, {"macs": 1}, width_range=(width, width), depth_range=(depth, depth)))
    assert again.network(0).groups == spec.groups
    assert again.network(0).stem == spec.stem


def test_ranges_that_cannot_be_widened_are_no_error():
    found = scale(Scaling(get("convnext-t"), BUDGET, depth_range=(Fraction(1, 2), Fraction(90)), max_depth=30,
                          width_range=(Fraction(2, 5), Fraction(4, 5))))  # fmt: skip
    assert found.network.blocks <= 30


class TestErrors:
    def test_a_mass_that_no_network_reaches(self):
        problem = Scaling(get("convnext-t"), {}, objective="params", least_mass=1e9)
        with pytest.raises(InfeasibleError) as error:
            scale(problem)
        most = float(str(error.value.hint).split("is ")[1].split(":")[0].replace(",", ""))
        assert scale(replace(problem, least_mass=most)).network.mass.mass == pytest.approx(most)

    def test_the_hint_for_a_mass_within_a_budget_solves(self):
        least = float(nn_mass(get("ran-i-t")).mass)
        problem = Scaling(get("convnext-t"), {"macs": 2_000_000_000}, objective="params", least_mass=least)
        with pytest.raises(InfeasibleError) as error:
            scale(problem)
        macs = parse_quantity(str(error.value.hint).split("--macs ")[1].split(";")[0], "macs")
        assert scale(replace(problem, budgets={"macs": macs})).network.mass.mass >= least

    def test_budget_below_the_smallest_network(self):
        with pytest.raises(InfeasibleError, match="no network of convnext-t's family in these ranges has macs 1M") as e:
            scale(Scaling(get("convnext-t"), {"macs": 1_000_000}))
        needed = int(str(e.value.hint).split("--macs ")[1].split("M")[0])
        assert scale(Scaling(get("convnext-t"), {"macs": needed * 1_000_000})).network.counts.macs <= needed * 1_000_000

    @pytest.mark.parametrize(("changes", "message"), [
        ({"budgets": {}}, "scaling needs a budget"),
        ({"budgets": {"macs": 0}}, "above 0"),
        ({"budgets": {"speed": 3}}, "must be one of"),
        ({"width_range": (Fraction(2), Fraction(1))}, "--width-range"),
        ({"depth_range": (Fraction(0), Fraction(1))}, "--depth-range"),
        ({"max_depth": 0}, "--max-depth"),
        ({"multiple": 0}, "--multiple"),
        ({"tolerance": 1.5}, "--tolerance"),
        ({"objective": "beauty"}, "unknown objective"),
        ({"objective": "params"}, "--like-mass"),
        ({"base": get("vgg11")}, "without shortcuts"),
    ])  # fmt: skip
    def test_impossible_problems(self, changes, message):
        with pytest.raises(UsageError, match=message):
            Scaling(**{"base": get("convnext-t"), "budgets": BUDGET} | changes)


class TestSample:
    PROBLEM = Scaling(get("convnext-t"), {"macs": 4_500_000_000, "params": 28_000_000}, tolerance=0.05)

    def test_all_are_near_every_budget_and_sorted(self):
        found, drawn = sample(self.PROBLEM, 800)
        assert 700 < drawn <= 800
        assert len(found) >= 5  # the paper found five
        masses = [one.network.mass.mass for one in found]
        assert masses == sorted(masses, reverse=True)
        for one in found:
            assert abs(one.network.counts.macs / 4_500_000_000 - 1) <= 0.05
            assert abs(one.network.counts.params / 28_000_000 - 1) <= 0.05
            assert 0.25 <= one.width <= 1.6
            assert 0.6 <= one.depth <= 2.56

    def test_multipliers_make_the_network_again(self):
        for one in sample(self.PROBLEM, 300)[0]:
            again = replace(self.PROBLEM, width_range=(one.width,) * 2, depth_range=(one.depth,) * 2)
            assert grid(again).network(0).groups == one.network.spec.groups

    def test_seed_decides(self):
        assert sample(self.PROBLEM, 200, seed=1) == sample(self.PROBLEM, 200, seed=1)
        assert sample(self.PROBLEM, 200, seed=1) != sample(self.PROBLEM, 200, seed=2)


class TestRivals:
    def test_each_is_the_largest_of_its_rule(self):
        problem = Scaling(get("convnext-t"), BUDGET)
        found = {rival.rule: rival.network for rival in rivals(problem)}
        assert found["base"].spec == get("convnext-t")
        assert found["width"].spec.depths == (3, 3, 9, 3)
        assert [group.out for group in found["depth"].spec.groups] == [96, 192, 384, 768]
        for rule in ("width", "depth", "compound"):
            assert found[rule].counts.macs <= BUDGET["macs"]
            assert found[rule].counts.params <= BUDGET["params"]

    def test_a_rule_without_a_network_is_left_empty(self):
        found = {rival.rule: rival for rival in rivals(Scaling(get("convnext-t"), {"macs": 1_000_000_000}))}
        assert found["depth"].network is None
        assert found["depth"].how == "none within the limits in --depth-range"

    def test_compound_scaling_by_hand(self):
        assert COMPOUND == (1.2, 1.1, 1.15)
        spec = compound(get("convnext-t"), 1.0)
        assert spec.depths == (4, 4, 11, 4)
        assert [group.out for group in spec.groups] == [106, 211, 422, 845]
        assert spec.input == (3, 258, 258)
        assert compound(get("convnext-t"), 0.0).groups == get("convnext-t").groups


def test_convnext_groups_whose_widths_meet_at_some_multipliers():
    """96 and 97 channels are one width when scaled down; the second group then has no downsampling."""
    base = get("convnext-t")
    first, second, *rest = base.groups
    base = replace(base, name="near", groups=(first, replace(second, out=97, stride=1), *rest))
    problem = Scaling(base, {"macs": 3_000_000_000}, **TIGHT)
    found = scale(problem).network
    best = max(
        (one for one in map(scored, networks(problem)) if one.counts.macs <= 3_000_000_000),
        key=lambda one: (one.mass.mass, -one.counts.params, -one.counts.macs),
    )
    assert found.counts == best.counts
    assert found.mass.mass == best.mass.mass
    drawn = draw(problem, 50)
    assert [count(drawn.network(row)).macs for row in range(50)] == drawn.scores["macs"].tolist()


@pytest.mark.parametrize("multiple", [8, 16])
def test_pairs_whose_widths_meet_at_some_multipliers(multiple):
    problem = Scaling(get("zennet-600m-se"), {"macs": 300_000_000}, multiple=multiple)
    family = grid(problem)
    for row in np.random.default_rng(0).integers(0, family.rows.shape[1], 30):
        network = scored(check_spec(family.network(int(row))))
        assert (network.counts.macs, network.counts.params) == (
            family.scores["macs"][row],
            family.scores["params"][row],
        )
    assert scale(problem).network.counts.macs <= 300_000_000
