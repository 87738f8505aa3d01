"""Searches by formulas: against brute force and the program, their fronts and pictures."""

from dataclasses import replace

import numpy as np
import pytest

from madnas.errors import InfeasibleError
from madnas.program.problem import Problem
from madnas.program.recipe import load_recipe
from madnas.search.closed import ClosedSearch
from madnas.search.effort import Effort
from madnas.search.fixed import Fixed
from madnas.search.goal import make_goal
from madnas.search.measure import Result
from madnas.search.rows import Rows
from madnas.search.run import Search, run
from tests.program.spaces import brute_force, tiny_space
from tests.search.shell import QUICK, closed, zen_rows


@pytest.mark.parametrize("name", ["tiny-bottleneck", "tiny-basic", "tiny-mobile-se"])
def test_finds_the_optimum_of_spaces_that_can_be_listed(name, tmp_path):
    problem = Problem(tiny_space(name, tmp_path), {"params": 40_000, "macs": 4_000_000}, rho=0.8)
    best, feasible = brute_force(problem)
    assert feasible
    family = Fixed(problem)
    search = closed(family, "objective", problem.budgets | {"rho": 0.8}, replace(QUICK, candidates=20_000))
    assert search.best.judged[0, 0] == pytest.approx(best, rel=1e-12)


def test_never_beats_the_programs_bound_and_comes_near():
    problem = load_recipe("29m").problem()
    effort = Effort(proposals=2048, candidates=120_000)
    family = Fixed(problem)
    goal = make_goal("objective", family, problem.budgets | {"rho": problem.rho})
    outcome = run(Search(family, goal, effort, {}))
    assert outcome.program is not None
    assert 0.9 * outcome.program.objective < outcome.best.fitness <= outcome.program.bound


def test_duplicates_are_never_scored_twice():
    family = zen_rows(max_depth=7, rows=1)
    asked = []

    class Counting(Rows):
        def closed(self, candidates, names):
            if "zen-closed" in names:
                asked.extend(candidate.tobytes() for candidate in candidates)
            return super().closed(candidates, names)

    closed(Counting(family.space), "zen-closed", {"params": 60_000}, QUICK)
    assert len(asked) == len(set(asked)) > 500


def test_no_network_within_the_budgets(monkeypatch):
    monkeypatch.setattr("madnas.search.closed.PATIENCE", 10)
    with pytest.raises(InfeasibleError, match=r"params .* of 1K"):
        for _ in closed_rounds({"params": 1_000}):
            pass


def test_a_score_that_is_never_finite_is_no_matter_of_budgets(monkeypatch):
    monkeypatch.setattr("madnas.search.closed.PATIENCE", 10)
    family = zen_rows()
    goal = make_goal("zen-closed/(layers-layers)", family, {"params": 100_000})
    with pytest.raises(InfeasibleError, match=r"is not finite for any of .* within the budgets"):
        for _ in ClosedSearch(family, goal, replace(QUICK, population=16)).rounds():
            pass


def closed_rounds(budgets):
    family = zen_rows()
    return ClosedSearch(family, make_goal("zen-closed", family, budgets), replace(QUICK, population=16)).rounds()


def test_front_is_what_nothing_seen_dominates():
    family = zen_rows()
    goal = make_goal("zen-closed", family, {"params": 100_000}, ["macs"])
    search = ClosedSearch(family, goal, QUICK)
    seen = []
    for _ in search.rounds():
        seen.append(search.population.within().judged)
        if search.proposed > 4000:
            break
    everything = np.concatenate(seen)
    front = search.front.judged
    for one in front:
        assert not ((everything >= one).all(axis=1) & (everything > one).any(axis=1)).any()
    assert len(front) > 5
    assert search.best.judged[0, 0] == front[:, 0].max() == everything[:, 0].max()
    assert (np.diff(front[:, 0]) <= 0).all() and (np.diff(front[:, 1]) >= 0).all()


def test_a_cost_that_is_not_finite_is_beyond_every_front():
    class Partly(Rows):
        def closed(self, candidates, names):
            found = super().closed(candidates, names)
            return found | {"macs": np.where(found["macs"] > 3e6, np.inf, found["macs"])} if "macs" in names else found

    search = closed(Partly(zen_rows().space), "zen-closed", {"params": 100_000}, QUICK, ["macs"])
    assert len(search.front) and np.isfinite(search.front.judged).all()


def test_random_search_is_no_better_than_evolution():
    family = zen_rows()
    found = {
        kind: closed(family, "zen-closed", {"params": 100_000}, replace(QUICK, random=kind, candidates=6_000))
        for kind in (False, True)
    }
    assert found[True].best.judged[0, 0] < found[False].best.judged[0, 0]


@pytest.mark.parametrize("random_", [False, True])
def test_pictures_of_searches_that_hardly_began(random_, tmp_path):
    from madnas.figures import render
    from madnas.report.search_plot import draw_search

    family = zen_rows()
    for seed in range(4):
        effort = replace(QUICK, random=random_, seed=seed, candidates=300)
        goal = make_goal("zen-closed", family, {"params": 100_000})
        assert render(draw_search(run(Search(family, goal, effort, {}))), "png")

    def scorer(tasks, on_done):
        on_done(0, Result({"synflow": [1.0]}))
        raise KeyboardInterrupt

    for front in ([], ["macs"]):
        goal = make_goal("synflow", family, {"params": 100_000}, front)
        outcome = run(Search(family, goal, replace(QUICK, random=random_), {}), scorer=scorer)
        assert outcome.interrupted and len(outcome.front) == len(front)
        assert render(draw_search(outcome), "png")
