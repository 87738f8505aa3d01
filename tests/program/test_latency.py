"""Latency as a budget of the program: a relaxation from below, answers within the limit, bounds that hold."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from pyomo.core import value

from madnas.errors import InfeasibleError, UsageError
from madnas.measure.latency_table import LatencyTable
from madnas.measure.latency_table.pieces import pieces
from madnas.program.design import design
from madnas.program.evaluator import Evaluator
from madnas.program.latency import covered_choices
from madnas.program.model import build
from madnas.program.problem import Problem
from madnas.program.recipe import DesignRecipe
from madnas.program.search import Effort, search
from madnas.program.space import load_space
from madnas.search.effort import Effort as Evolution
from madnas.search.fixed import Fixed
from madnas.search.goal import make_goal
from madnas.search.run import Search, run
from madnas.search.timed import Timed
from tests.measure.latency_table.test_table import SETTING, imagined, table_of
from tests.program.spaces import network_of, objective_of, random_points, tiny_space
from tests.program.test_model import put

LANES = np.array([20e-6, 3e-10, 1e-10, 2e-10, 2e-11, 2e-11, 6e-11, 2e-10, 1e-10])
"""Seconds per unit of work on a device whose 1x1 convolutions take 16 channels at a time."""


@pytest.fixture(scope="module")
def tables():
    return {name: table_of(name, rates=LANES) for name in ("mobilenet-se", "bottleneck", "basic-cifar", "mlp")}


def limited(table, seconds, macs=10**9, rho=None):
    return Problem(load_space(table.space), {"macs": macs, "latency": seconds}, rho, table=table)


@pytest.mark.parametrize("name", ["mobilenet-se", "bottleneck", "basic-cifar", "mlp"])
def test_the_relaxation_is_never_above_the_prediction(tables, name):
    """At whole numbers: what is cut off at them would be no relaxation; where no channel is rounded, both are equal."""
    problem = limited(tables[name], 1.0)
    model = build(problem)
    tight = 0
    for row in random_points(problem, 40):
        put(model, problem, row)
        seconds = float(tables[name].extrapolate(network_of(problem, row))[0][0])
        relaxed = value(model.budget["latency"].body)
        assert relaxed <= seconds * (1 + 1e-9)
        tight += relaxed > 0.9 * seconds
    assert tight > 20


def test_kernels_have_rates_of_their_own(tables):
    """A 5x5 block that takes twice as long as its work says: the relaxation knows both kernels."""
    table = tables["bottleneck"]
    slow = replace(table, probes=tuple(_slow_fives(one) for one in table.probes))
    problem = limited(slow, 1.0)
    model = build(problem)
    slower = []
    for row in random_points(problem, 20):
        put(model, problem, row)
        spec = network_of(problem, row)
        expected = float(slow.extrapolate(spec)[0][0])
        assert 0.9 * expected < value(model.budget["latency"].body) <= expected * (1 + 1e-9)
        slower.append(expected / float(table.extrapolate(spec)[0][0]))
    assert min(slower) < 1.1 and max(slower) > 1.8


def _slow_fives(measured):
    blocks = [piece for piece in pieces(measured.spec) for _ in range(piece.repeat)]
    parts = [
        seconds * (2 if piece.kernel == 5 else 1) for piece, seconds in zip(blocks, measured.parts_seconds, strict=True)
    ]
    return replace(measured, parts_seconds=tuple(parts), seconds=sum(parts))


def tiny(name, folder, kernels=(3,)):
    """A tiny space and a table that covers all of it."""
    space = replace(tiny_space(name, folder), kernels=kernels)
    free = Problem(space, {"params": 10**9})
    specs = [network_of(free, row) for row in random_points(free, 80)]
    measured = tuple(imagined(spec, rates=LANES) for spec in specs)
    return space, LatencyTable(space.name, 10**9, SETTING, {"hardware": "imagined"}, measured, measured)


@pytest.mark.parametrize("share", [0.15, 0.4, 0.8])
@pytest.mark.parametrize(("name", "kernels"), [("tiny-mobile-se", (3, 5)), ("tiny-basic", (3,))])
def test_against_brute_force(tmp_path, name, kernels, share):
    space, table = tiny(name, tmp_path, kernels)
    free = Problem(space, {"params": 10**9})
    specs = [network_of(free, row) for row in random_points(free, 100, seed=1)]
    limit = float(np.quantile([table.predict(spec) for spec in specs], share))
    problem = Problem(space, {"latency": limit}, rho=1.0, depth_penalty=0.1, table=table)
    grid = np.array(list(itertools.product(*(variable.values for variable in problem.variables))))
    found = Evaluator(problem)(grid)
    best = float(found.objective[found.feasible].max())
    for effort in (Effort(), Effort(exhaustive=0, gap=0.0, max_nodes=4000)):
        answer = search(problem, effort)
        assert answer.objective == pytest.approx(best, rel=1e-12)
        assert answer.bound >= best * (1 - 1e-9)
        spec = network_of(problem, answer.values)
        assert table.predict(spec) <= limit
        assert objective_of(problem, spec) == pytest.approx(best, rel=1e-12)


def test_at_least_as_good_as_evolution(tables):
    """On the same problem, with its bound above both."""
    table, macs = tables["basic-cifar"], 40_000_000
    free = Problem(load_space("basic-cifar"), {"macs": macs}, 0.3)
    limit = 0.0018
    answer = design(replace(free, budgets={"macs": macs, "latency": limit}, table=table))
    assert table.predict(answer.spec) <= limit
    assert answer.spec.provenance["latency_table"]["device"] == "imagined"
    family = Timed(Fixed(free), table)
    goal = make_goal("objective", family, {"macs": macs, "latency": limit, "rho": 0.3})
    evolved = run(Search(family, goal, Evolution(candidates=60_000, proposals=2048), {}))
    assert answer.objective >= evolved.best.fitness * (1 - 1e-12)
    assert answer.bound >= evolved.best.fitness
    assert evolved.program is not None
    assert evolved.program.objective == pytest.approx(answer.objective, rel=1e-12)
    assert answer.gap < 0.01


def test_latency_alone_is_a_budget_and_has_a_price(tables):
    answer = design(Problem(load_space("mlp"), {"latency": 80e-6}, 0.1, table=tables["mlp"]))
    assert "latency" in {one.limit for one in answer.binding}
    used, limit = answer.used()["latency"]
    assert 0.98 * limit < used <= limit


def test_what_the_table_does_not_cover_is_no_choice(tables):
    table, space = tables["mobilenet-se"], load_space("mobilenet-se")
    choices, covered = space.choices(), covered_choices(table, space)
    assert list(choices) == list(covered)
    assert all(set(covered[name]) <= set(values) for name, values in choices.items())
    assert len(covered["out5"]) < len(choices["out5"])
    fives = tuple(one for one in table.probes if all(group.kernel != 7 for group in one.spec.groups))
    few = covered_choices(replace(table, probes=fives), space)
    assert all(7 not in few[f"kernel{number}"] for number in range(1, 6))


@pytest.mark.parametrize("name", ["basic-cifar", "bottleneck"])
def test_a_table_of_another_space_is_refused(tables, name):
    with pytest.raises(UsageError, match="covers no network of space mobilenet-se") as refused:
        search(replace(limited(tables["mobilenet-se"], 1.0), table=tables[name]))
    assert "latency-table --space mobilenet-se" in refused.value.hint


def test_an_impossible_latency_names_one_that_is_possible(tables):
    table = tables["mlp"]
    with pytest.raises(InfeasibleError, match="latency blocks") as refused:
        design(limited(table, 1e-6, rho=0.3))
    hint = refused.value.hint
    least = float(hint.split("--latency ")[1].split("ms@TABLE")[0]) / 1e3
    assert design(limited(table, least, rho=0.3)).used()["latency"][0] <= least
    with pytest.raises(InfeasibleError):
        design(limited(table, 0.8 * least, rho=0.3))


def test_a_table_needs_a_limit_and_a_limit_a_table(tables, tmp_path):
    space = load_space("mlp")
    with pytest.raises(UsageError, match="needs a latency table"):
        Problem(space, {"latency": 1.0})
    with pytest.raises(UsageError, match="needs a latency table"):
        Problem(space, {"macs": 10**6}, table=tables["mlp"])
    path = tmp_path / "t.json"
    path.write_text(json.dumps(tables["mlp"].document()))
    assert DesignRecipe("row", "mlp", latency=f"0.5ms@{path}").problem().budgets == {"latency": 0.0005}
    with pytest.raises(UsageError, match="a table without a limit"):
        DesignRecipe("row", "mlp", latency=f"@{path}").problem()
