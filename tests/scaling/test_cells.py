"""Random-skip families: the best links are those of brute force, and no worse than the paper's at their mass."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import pytest

from madnas.errors import InfeasibleError, UsageError
from madnas.network.count import count
from madnas.network.mass import nn_mass
from madnas.network.named import get
from madnas.network.zoo.skip import TABLE_1, skip_cnn, skip_mlp
from madnas.scaling.cells import scale_cells
from madnas.scaling.problem import Scaling

TINY = skip_cnn("tiny", 4, (3, 4, 5), (2, 2, 2))


def every(base, depths):
    for depth in depths:
        for links in product(*(range(group.out * (depth - 2) + 1) for group in base.groups)):
            groups = tuple(replace(g, depth=depth, links=t) for g, t in zip(base.groups, links, strict=True))
            yield replace(base, groups=groups)


@pytest.mark.parametrize("budgets", [{"params": 3_000}, {"params": 1_900, "macs": 500_000}, {"macs": 650_000}])
def test_highest_mass_is_that_of_brute_force(budgets):
    problem = Scaling(TINY, budgets, depth_range=(Fraction(3, 4), Fraction(5, 4)))
    best = max(
        nn_mass(spec).mass
        for spec in every(TINY, (3, 4, 5))
        if all(getattr(count(spec), name) <= limit for name, limit in budgets.items())
    )
    found = scale_cells(problem)
    assert found.network.mass.mass == pytest.approx(best)
    assert all(getattr(found.network.counts, name) <= limit for name, limit in budgets.items())


@pytest.mark.parametrize("budgets", [{}, {"macs": 700_000}])
def test_fewest_params_are_those_of_brute_force(budgets):
    least = 25.0
    problem = Scaling(TINY, budgets, objective="params", least_mass=least, depth_range=(Fraction(3, 4), Fraction(5, 4)))
    best = min(
        count(spec).params
        for spec in every(TINY, (3, 4, 5))
        if nn_mass(spec).mass >= least - 1e-9
        and all(getattr(count(spec), name) <= limit for name, limit in budgets.items())
    )
    found = scale_cells(problem)
    assert found.network.counts.params == best
    assert found.network.mass.mass >= least - 1e-6


@pytest.mark.parametrize("name", TABLE_1)
def test_no_network_of_table_1_has_fewer_params_at_its_mass_and_depth(name):
    theirs = get(name)
    depth = Fraction(theirs.depths[0], 20)
    problem = Scaling(
        get("densenet-cifar"), {"params": 12_000_000}, objective="params",
        least_mass=float(nn_mass(theirs).mass), depth_range=(depth, depth),
    )  # fmt: skip
    found = scale_cells(problem).network
    assert found.mass.mass >= nn_mass(theirs).mass - 1e-6
    assert found.counts.params <= count(theirs).params


@pytest.mark.parametrize("macs", range(560_000, 960_000, 20_000))
def test_of_equal_networks_the_one_with_fewest_params(macs):
    found = scale_cells(Scaling(TINY, {"macs": macs}, depth_range=(Fraction(3, 4), Fraction(5, 4)))).network
    ties = [
        count(spec).params
        for spec in every(TINY, (3, 4, 5))
        if count(spec).macs <= macs and nn_mass(spec).mass == pytest.approx(found.mass.mass, rel=1e-12)
    ]
    assert found.counts.params == min(ties)


def test_a_budget_that_leaves_no_links():
    bare = replace(TINY, groups=tuple(replace(group, links=0) for group in TINY.groups))
    one = (Fraction(1), Fraction(1))
    found = scale_cells(Scaling(bare, {"params": count(bare).params}, depth_range=one))
    assert found.network.mass.mass == 0
    assert found.binding[0].gain == float("inf")


def test_one_cell():
    base = skip_mlp("mlp", 20, 16, 8, 4, 10)
    found = scale_cells(Scaling(base, {"params": 3_000}, depth_range=(Fraction(1), Fraction(1))))
    more = replace(base, groups=(replace(base.groups[0], links=found.network.spec.groups[0].links + 1),))
    assert found.network.counts.params <= 3_000 < count(more).params


def test_depth_cap_and_what_it_costs():
    free = scale_cells(Scaling(TINY, {"macs": 500_000}))
    capped = scale_cells(Scaling(TINY, {"macs": 500_000}, max_depth=9))
    assert capped.network.blocks <= 9
    assert capped.network.mass.mass <= free.network.mass.mass
    assert [one.blocks for one in capped.front] == [one.blocks for one in free.front]


def test_what_cannot_be_is_a_clear_error():
    with pytest.raises(InfeasibleError, match=r"no network of tiny's family in this depth range has params 10") as e:
        scale_cells(Scaling(TINY, {"params": 10}))
    assert "its smallest network needs --params 1.41K" in str(e.value.hint)
    with pytest.raises(UsageError, match="at most 3 random-skip cells"):
        scale_cells(Scaling(skip_cnn("four", 4, (3, 4, 5, 6), (1, 1, 1, 1)), {"params": 10_000}))
