"""Latency as a budget: predictions of a table are what the search keeps within."""

import numpy as np
import pytest

from madnas.program.problem import Problem
from madnas.program.space import load_space
from madnas.search.closed import ClosedSearch
from madnas.search.effort import Effort
from madnas.search.fixed import Fixed
from madnas.search.goal import make_goal
from madnas.search.timed import Timed
from tests.measure.latency_table.test_table import table_of


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
        if np.isfinite(seconds):
            assert seconds == pytest.approx(table.predict(spec), rel=1e-9)
        best[limit] = (search.best.judged[0, 0], seconds if np.isfinite(seconds) else 0.05)
        if "latency" in budgets:
            assert table.predict(spec) <= budgets["latency"]
    assert best[0.5][0] < best[1.0][0]


def test_what_the_table_does_not_cover_takes_forever(table):
    family = Timed(Fixed(Problem(load_space("bottleneck"), {"macs": 40_000_000})), table)
    candidates = family.start(np.random.default_rng(0), 5)
    assert np.isinf(family.closed(candidates, ("latency", "macs"))["latency"]).all()
