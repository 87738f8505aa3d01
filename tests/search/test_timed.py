"""Latency as a budget: predictions of a table are what the search keeps within."""

import numpy as np
import pytest

from madnas.errors import InfeasibleError
from madnas.measure.latency_table import LatencyTable
from madnas.network.count import count
from madnas.program.problem import Problem
from madnas.program.space import load_space
from madnas.search.closed import ClosedSearch
from madnas.search.draw import Drawn
from madnas.search.effort import Effort
from madnas.search.fixed import Fixed
from madnas.search.goal import make_goal
from madnas.search.rows import Rows
from madnas.search.space import load_evolution_space
from madnas.search.timed import Timed
from tests.measure.latency_table.test_table import SETTING, imagined, table_of


@pytest.fixture(scope="module")
def table():
    return table_of("basic-cifar")


def test_a_latency_budget_is_kept_and_costs_entropy(table):
    family = Timed(Fixed(Problem(load_space("basic-cifar"), {"macs": 40_000_000})), table)
    effort = Effort(population=64, proposals=512)
    best = {}
    for limit in (1.0, 0.5):
        budgets = {"macs": 40e6} | ({"latency": limit * best[1.0][1]} if best else {})
        search = ClosedSearch(family, make_goal("entropy", family, budgets), effort)
        for _ in search.rounds():
            if search.proposed > 20_000:
                break
        candidate = search.best.candidates[0]
        spec = family.network(candidate, "best")
        seconds = family.closed(candidate[None], ("latency",))["latency"][0]
        if best:
            assert seconds == pytest.approx(table.predict(spec), rel=1e-9)
        best[limit] = (search.best.judged[0, 0], seconds if np.isfinite(seconds) else 0.05)  # the table has an end
        if "latency" in budgets:
            assert table.predict(spec) <= budgets["latency"]
    assert best[0.5][0] < best[1.0][0]


def test_what_the_table_does_not_cover_takes_forever(table):
    family = Timed(Fixed(Problem(load_space("bottleneck"), {"macs": 40_000_000})), table)
    candidates = family.start(np.random.default_rng(0), 5)
    assert np.isinf(family.closed(candidates, ("latency", "macs"))["latency"]).all()


@pytest.mark.parametrize(("name", "most"), [("zen-residual", 200e6), ("zen-mobile", 20e6)])
def test_rows_of_many_networks_take_what_each_takes_by_itself(name, most):
    space = load_evolution_space(name).customised(resolution=32, classes=10)
    drawn = Drawn(space)
    probes = [*drawn.draw(30, (most / 32, most), (2, 2), 0, "a"), *drawn.draw(30, (most / 8, most), (1, 12), 0, "b")]
    table = LatencyTable(name, int(most), SETTING, {"hardware": "imagined"}, tuple(map(imagined, probes)))
    family = Timed(Rows(space), table)
    candidates = family.start(np.random.default_rng(0), 120)
    found = family.closed(candidates, ("latency",))["latency"]
    alone = [table.predict_or_none(family.network(candidate, "one")) for candidate in candidates]
    assert [one is None for one in alone] == np.isinf(found).tolist()
    known = np.isfinite(found)
    assert known.sum() > 20
    np.testing.assert_allclose(found[known], [one for one in alone if one is not None], rtol=1e-12)


def test_networks_of_free_length_are_drawn_in_their_range():
    drawn = Drawn(load_evolution_space("zen-residual").customised(resolution=32))
    networks = drawn.draw(20, (20e6, 100e6), (2, 4), 3, "n")
    assert networks == drawn.draw(20, (20e6, 100e6), (2, 4), 3, "n")
    assert all(20e6 <= count(one).macs <= 100e6 for one in networks)
    assert {group.depth for one in networks for group in one.groups} == {2, 3, 4}
    assert len({(group.block, group.kernel) for one in networks for group in one.groups}) == 6
    with pytest.raises(InfeasibleError, match="0 were found"):
        drawn.draw(20, (1e3, 2e3), (2, 4), 3, "n")
