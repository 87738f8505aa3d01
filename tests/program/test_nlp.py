"""The relaxation's solver: a faithful translation, known optima, agreeing starts and honest shadow prices."""

import math
import subprocess
import sys
from dataclasses import replace

import casadi
import numpy as np
import pytest
from pyomo.core import ConcreteModel, Constraint, Expr_if, Objective, Var, exp, log, maximize, value

from madnas.errors import SolverError
from madnas.program.branch import SOLVER_MARGIN
from madnas.program.design import NEGLIGIBLE
from madnas.program.model import build
from madnas.program.nlp import SOLVERS, casadi_expression, make_solver
from madnas.program.problem import Problem
from madnas.program.search import Effort, search
from madnas.program.space import Space, StemSpace, customise, load_space
from tests.program.spaces import SHIPPED, brute_force, edited, network_of, objective_of, tiny_space

PROBLEMS = {
    "r18": Problem(load_space("bottleneck"), {"macs": 1_820_000_000, "params": 11_690_000}, 0.3),
    "r18 with all limits": Problem(
        load_space("bottleneck"),
        {"macs": 1_820_000_000, "params": 11_690_000, "activations": 8_000_000, "layers": 110},
        0.3,
    ),
    "29m": Problem(load_space("mobilenet-se"), {"macs": 4_500_000_000, "params": 29_000_000}, 0.5),
    "b0": Problem(load_space("mobilenet-se"), {"macs": 390_000_000, "params": 5_300_000}, 0.5),
    "mobilenet": Problem(load_space("mobilenet"), {"macs": 300_000_000, "params": 3_500_000}, 0.5),
    "cifar": Problem(load_space("basic-cifar"), {"macs": 40_000_000, "params": 270_000}, 0.3),
    "mlp": Problem(load_space("mlp"), {"params": 100_000}, 0.1),
}


def box(problem):
    """Bounds of the program's variables."""
    low = np.array([v.values[0] for v in problem.variables], dtype=float)
    high = np.array([v.values[-1] for v in problem.variables], dtype=float)
    logarithmic = np.array([v.logarithmic for v in problem.variables])
    return np.where(logarithmic, np.log(low), low), np.where(logarithmic, np.log(high), high)


def starts(problem, number, seed=0):
    """Random starting points of the inner half of the box; depths up to 16, as networks have them."""
    low, high = box(problem)
    logarithmic = np.array([v.logarithmic for v in problem.variables])
    high = np.where(logarithmic, high, np.minimum(high, 16.0))
    generator = np.random.default_rng(seed)
    return [low + (0.25 + 0.5 * generator.random(len(low))) * (high - low) for _ in range(number)]


def best(problem, number=4):
    """The best optimum of a few starts."""
    solver = make_solver(build(problem))
    low, high = box(problem)
    points = [solver.solve(low, high, start) for start in starts(problem, number)]
    return max((point for point in points if point.status == "optimal"), key=lambda point: point.objective)


class TestTranslation:
    @pytest.mark.parametrize("name", SHIPPED)
    @pytest.mark.parametrize("goal", ["objective", "params", "rho", "scale"])
    def test_has_the_value_that_pyomo_has(self, name, goal):
        limits = {"macs": 10**9, "params": 10**7, "activations": 10**6, "layers": 50}
        model = build(Problem(load_space(name), limits, 0.3), goal)
        free = list(model.component_data_objects(Var))
        symbols = casadi.SX.sym("x", len(free))
        by_id = {id(variable): symbols[index] for index, variable in enumerate(free)}
        parts = [next(model.component_data_objects(Objective)).expr]
        parts += [constraint.body for constraint in model.component_data_objects(Constraint)]
        seen = {}
        translated = casadi.Function(
            "f", [symbols], [casadi.vertcat(*(casadi_expression(p, by_id, seen) for p in parts))]
        )
        generator = np.random.default_rng(0)
        for _ in range(20):
            at = [variable.lb + generator.random() * (variable.ub - variable.lb) for variable in free]
            for variable, x in zip(free, at, strict=True):
                variable.set_value(x)
            expected = [value(part) for part in parts]
            assert np.asarray(translated(at)).ravel() == pytest.approx(expected, rel=1e-11, abs=1e-11)

    def test_constants_pass_through(self):
        assert casadi_expression(2.5, {}, {}) == 2.5

    def test_every_kind_of_node(self):
        model = ConcreteModel()
        model.x = Var(initialize=1.7)
        model.y = Var(initialize=0.6)
        x, y = model.x, model.y
        expressions = [-x, x - y, x * y, x / y, x**y, x**2, 3 * x, log(x) - exp(y), 1 / x, x + y + 2, -(x + y) / 3]
        sx, sy = casadi.SX.sym("x"), casadi.SX.sym("y")
        parts = [casadi_expression(e, {id(x): sx, id(y): sy}, {}) for e in expressions]
        found = casadi.Function("f", [sx, sy], [casadi.vertcat(*parts)])(1.7, 0.6)
        assert np.asarray(found).ravel() == pytest.approx([value(e) for e in expressions], rel=1e-14)

    def test_unknown_node_is_an_error(self):
        model = ConcreteModel()
        model.x = Var()
        odd = Expr_if(IF=model.x >= 1, THEN=model.x, ELSE=0.0)
        with pytest.raises(SolverError, match=r"cannot translate a .*Expression for CasADi"):
            casadi_expression(odd, {id(model.x): casadi.SX.sym("x")}, {})


@pytest.mark.parametrize("name", PROBLEMS)
def test_random_starts_agree(name):
    """All that reach an optimum reach the same one, and at least 19 of 20 reach it."""
    problem = PROBLEMS[name]
    solver = make_solver(build(problem))
    low, high = box(problem)
    found = [solver.solve(low, high, start) for start in starts(problem, 20)]
    optima = [point.objective for point in found if point.status == "optimal"]
    top = max(optima)
    assert sum(top - optimum <= 1e-5 * top for optimum in optima) >= 19, sorted(optima)


@pytest.mark.parametrize("name", PROBLEMS)
def test_optimum_is_feasible_and_has_its_objective(name):
    problem = PROBLEMS[name]
    model = build(problem)
    point = best(problem)
    for variable, x in zip(model.x.values(), point.x, strict=True):
        variable.set_value(float(x), skip_validation=True)
        assert variable.lb - 1e-6 <= x <= variable.ub + 1e-6
    if hasattr(model, "imbalance"):
        depths = [point.x[i] for i, v in enumerate(problem.variables) if v.name.startswith("depth")][1:]
        model.imbalance.set_value(float(np.var(depths)), skip_validation=True)
    assert value(model.objective) == pytest.approx(point.objective, rel=1e-5)
    for constraint in model.component_data_objects(Constraint):
        assert constraint.slack() >= -1e-6, constraint.name
    assert set(point.prices) == {constraint.name for constraint in model.component_data_objects(Constraint)}


def one_group(**options):
    """An MLP of one group of equal layers, 784 features in, 10 classes."""
    space = Space("one", "linear", (1,), (1, 8192), depth=(1, 100), multiple=1, input=(1, 28, 28), classes=10)
    return replace(space, stage_weights=(1.0,), depth_penalty=0.0, **options)


def widest(depth, params):
    """Width of ``depth`` layers that use up the parameters: 785 w + (depth - 1) (w^2 + w) + 10 w + 10 = params."""
    a, b, c = depth - 1, 785 + (depth - 1) + 10, 10 - params
    return (params - 10) / b if a == 0 else (-b + math.sqrt(b * b - 4 * a * c)) / (2 * a)


def entropy(depth, width):
    """Eq. (1) of the network: 10 (ln 784 + depth ln w)."""
    return 10 * (math.log(784) + depth * math.log(width))


def effectiveness(depth, width):
    """Eq. (2): layers by their geometric mean of widths."""
    return (depth + 1) / math.exp((math.log(784) + depth * math.log(width)) / (depth + 1))


class TestKnownOptimum:
    """One group of an MLP has two unknowns, and the parameters settle one of them: a scan over the other is exact."""

    DEPTHS = np.linspace(1, 100, 990_001)

    @pytest.mark.parametrize("params", [20_000, 100_000, 1_000_000])
    def test_params_alone(self, params):
        expected = max(entropy(depth, widest(depth, params)) for depth in self.DEPTHS[::10])
        point = best(Problem(one_group(), {"params": params}))
        assert point.objective == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize("rho", [0.05, 0.1, 0.3])
    def test_params_and_rho(self, rho):
        params = 100_000
        allowed = [d for d in self.DEPTHS[::10] if effectiveness(d, widest(d, params)) <= rho]
        deepest = max(allowed)
        assert 1 < deepest < 100  # rho decides
        expected = max(entropy(depth, widest(depth, params)) for depth in allowed)
        point = best(Problem(one_group(), {"params": params}, rho))
        assert point.objective == pytest.approx(expected, rel=1e-4)  # depths are a thousandth apart
        assert point.x[1] == pytest.approx(deepest, abs=2e-3)
        assert point.prices["rho"] > 0
        assert point.prices["budget[params]"] > 0

    def test_layers_alone(self):
        """The widest and as deep as allowed: 7 layers and the classifier."""
        point = best(Problem(one_group(), {"layers": 8}))
        assert point.objective == pytest.approx(entropy(7, 8192), rel=1e-6)
        # One layer more of 8 in 8: d/dL of 10 L ln 8192, for the whole right-hand side of 1.
        assert point.prices["budget[layers]"] == pytest.approx(10 * math.log(8192) * 8, rel=1e-3)

    def test_price_of_a_budget_by_hand(self):
        """At a fixed depth of 2: dH/dlnP = 20 P / (w P'(w)) with P = w^2 + 796 w + 10."""
        params = 50_000
        point = best(Problem(one_group(depth=(2, 2)), {"params": params}))
        width = widest(2, params)
        assert math.exp(point.x[0]) == pytest.approx(width, rel=1e-5)
        assert point.prices["budget[params]"] == pytest.approx(20 * params / (width * (2 * width + 796)), rel=1e-3)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 10.0, 1000.0], ids=lambda penalty: f"beta {penalty:g}")
@pytest.mark.parametrize("classes", [2, 1000])
def test_known_corner_is_reached(penalty, classes, tmp_path):
    """Without a limit that binds the largest network is the best, to within half the margin that bounds are given.

    However small the objective is beside what uneven depths would cost: the tolerance is relative to the former.
    """
    space = customise(tiny_space("tiny-basic", tmp_path), classes=classes)
    problem = Problem(space, {"layers": 1000}, depth_penalty=penalty)
    largest = network_of(problem, [variable.values[-1] for variable in problem.variables])
    low, high = box(problem)
    solver = make_solver(build(problem))
    for start in starts(problem, 5):
        point = solver.solve(low, high, start)
        assert point.status == "optimal"
        assert point.objective == pytest.approx(objective_of(problem, largest), rel=SOLVER_MARGIN / 2)


def larger(problem, limit, factor):
    """The problem with one limit times a factor."""
    if limit == "rho":
        return replace(problem, rho=problem.rho * factor)
    return replace(problem, budgets=problem.budgets | {limit: problem.budgets[limit] * factor})


@pytest.mark.parametrize("name", PROBLEMS)
def test_shadow_prices_are_what_a_limit_is_worth(name):
    """A price times 0.2 % is what the optimum gains from a limit 0.1 % smaller to one 0.1 % larger."""
    problem = PROBLEMS[name]
    point = best(problem)
    for limit in [*problem.budgets, "rho"]:
        more, less = (best(larger(problem, limit, factor)).objective for factor in (1.001, 0.999))
        gain = (more - less) / (math.log(1.001) - math.log(0.999))
        price = point.prices["rho" if limit == "rho" else f"budget[{limit}]"]
        assert price == pytest.approx(gain, rel=0.01, abs=2e-4 * abs(point.objective)), limit


def test_limits_that_do_not_bind_are_worth_nothing():
    problem = PROBLEMS["r18"]
    loose = replace(problem, budgets=problem.budgets | {"activations": 10**9})
    assert best(loose).objective == pytest.approx(best(problem).objective, rel=1e-5)
    assert abs(best(loose).prices["budget[activations]"]) < NEGLIGIBLE * best(loose).objective


class TestSolve:
    def test_bounds_hold(self):
        problem = PROBLEMS["r18"]
        low, high = box(problem)
        depth = problem.index["depth2"]
        low[depth] = high[depth] = 4.0
        solver = make_solver(build(problem))
        point = solver.solve(low, high, starts(problem, 1)[0])
        assert point.status == "optimal"
        assert point.x[depth] == pytest.approx(4.0, abs=1e-6)
        assert point.objective < best(problem).objective

    def test_reserve_leaves_room(self):
        problem = PROBLEMS["r18"]
        solver = make_solver(build(problem))
        low, high = box(problem)
        point = solver.solve(low, high, starts(problem, 1)[0], {"budget[params]": 0.05})
        smaller = best(replace(problem, budgets=problem.budgets | {"params": 0.95 * problem.budgets["params"]}))
        assert point.objective == pytest.approx(smaller.objective, rel=1e-6)

    def test_same_solve_same_bits(self):
        problem = PROBLEMS["29m"]
        low, high = box(problem)
        start = starts(problem, 1)[0]
        points = [make_solver(build(problem)).solve(low, high, start) for _ in range(2)]
        solver = make_solver(build(problem))
        solver.solve(low, high, starts(problem, 2)[1])  # leaves no trace in the next solve
        points.append(solver.solve(low, high, start))
        assert len({(point.objective, point.x.tobytes(), point.iterations) for point in points}) == 1

    def test_neighbour_starts_from_an_optimum(self):
        problem = PROBLEMS["29m"]
        solver = make_solver(build(problem))
        low, high = box(problem)
        root = solver.solve(low, high, starts(problem, 1)[0])
        depth = problem.index["depth3"]
        high[depth] = math.floor(root.x[depth])
        warm, cold = solver.solve(low, high, root), solver.solve(low, high, root.x)
        assert (warm.status, cold.status) == ("optimal", "optimal")
        assert warm.objective == pytest.approx(cold.objective, rel=1e-6)
        assert warm.x[depth] <= high[depth] + 1e-6

    def test_infeasible_is_not_optimal(self):
        problem = replace(PROBLEMS["r18"], budgets={"macs": 10**6})
        low, high = box(problem)
        points = [make_solver(build(problem)).solve(low, high, start) for start in starts(problem, 3)]
        assert {point.status for point in points} <= {"infeasible", "failed"}
        assert all(point.reason for point in points)


class TestEqualities:
    """A ratio whose least and largest value are one, in a box where both its widths are fixed."""

    def fixed(self, folder, hidden_ratio):
        """The box of the mobilenet space with growth 1 and hidden = 4 out where all but the depths are fixed."""
        space = load_space(edited("mobilenet", folder, {"growth": 1.0, "hidden_ratio": [4, 4]}))
        problem = Problem(space, {"macs": 300_000_000, "params": 3_500_000}, 0.8)
        low, high = box(problem)
        values = {"stem": 32, "out": 32, "hidden": 32 * hidden_ratio, "kernel": 3}
        for index, variable in enumerate(problem.variables):
            if variable.logarithmic:
                low[index] = high[index] = math.log(values[variable.name.rstrip("12345")])
        return problem, low, high

    def test_that_holds_is_solved(self, tmp_path, capfd):
        problem, low, high = self.fixed(tmp_path, 4)
        point = make_solver(build(problem)).solve(low, high, starts(problem, 1)[0])
        assert point.status == "optimal"
        network = problem.network(np.where([v.logarithmic for v in problem.variables], np.exp(point.x), point.x))
        assert point.objective == pytest.approx(objective_of(problem, network), rel=1e-5)
        assert capfd.readouterr() == ("", "")

    def test_that_does_not_hold_is_infeasible(self, tmp_path, capfd):
        problem, low, high = self.fixed(tmp_path, 5)
        point = make_solver(build(problem)).solve(low, high, starts(problem, 1)[0])
        assert point.status == "infeasible"
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("name", ["tiny-bottleneck", "tiny-mobile-se"])
    def test_whole_search_finds_what_brute_force_finds(self, name, tmp_path, capfd):
        space = replace(tiny_space(name, tmp_path), growth=1.0, hidden_ratio=(2.0, 2.0), stem=StemSpace((8, 24)))
        problem = Problem(space, {"params": 60_000}, 1.0)
        best_objective, feasible = brute_force(problem)
        found = search(problem, Effort(exhaustive=0, gap=0.0))
        assert len(feasible) > 10
        assert found.objective == pytest.approx(best_objective, rel=1e-12)
        assert found.bound == pytest.approx(best_objective, rel=2 * SOLVER_MARGIN)
        assert found.evidence.unsolved == 0
        assert capfd.readouterr() == ("", "")


class TestMakeSolver:
    def test_default_is_the_one_that_comes_along(self):
        assert "casadi" in SOLVERS
        assert make_solver(build(PROBLEMS["mlp"])).name.startswith("IPOPT (CasADi ")

    def test_unknown_name(self):
        with pytest.raises(SolverError, match="unknown solver 'scip'; one of casadi, ipopt"):
            make_solver(build(PROBLEMS["mlp"]), "scip")

    def test_missing_executable(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(SolverError, match="no 'ipopt' executable on PATH") as caught:
            make_solver(build(PROBLEMS["mlp"]), "ipopt")
        assert "casadi" in str(caught.value.hint)


def test_solver_takes_any_sense():
    """Minimising x^2 - 2x + 3 gives 2 at x = 1; maximising its negative the same place and -2."""
    for sense, sign in ((1, 1.0), (maximize, -1.0)):
        model = ConcreteModel()
        model.x = Var([0], bounds=(-5.0, 5.0))
        model.room = Constraint(expr=model.x[0] <= 3.0)
        model.objective = Objective(expr=sign * (model.x[0] ** 2 - 2 * model.x[0] + 3), sense=sense)
        point = make_solver(model).solve(np.array([-5.0]), np.array([5.0]), np.array([4.0]))
        assert (point.objective, point.x[0]) == pytest.approx((sign * 2.0, 1.0), abs=1e-5)


INTERRUPTED = """
import os, signal, threading, time
import numpy as np
from madnas.program.model import build
from madnas.program.nlp import make_solver
from madnas.program.problem import Problem
from madnas.program.space import load_space

problem = Problem(load_space("mobilenet-se"), {"macs": 300_000_000, "params": 3_500_000}, 0.5)
model = build(problem)
low = np.array([variable.lb for variable in model.x.values()])
high = np.array([variable.ub for variable in model.x.values()])

def work():
    make_solver(model).solve(low, high, (low + np.minimum(high, 12)) / 2)

signal.signal(signal.SIGINT, signal.default_int_handler)
work()
begin = time.perf_counter()
work()
duration = time.perf_counter() - begin
for share in np.linspace(0, 1, 60):
    try:
        threading.Timer(share * duration, os.kill, (os.getpid(), signal.SIGINT)).start()
        work()
        for _ in range(1000):
            time.sleep(0.01)  # briefly, as a signal just before a sleep does not shorten it
    except KeyboardInterrupt:
        continue
    raise SystemExit(f"lost at {share:.0%}")
"""
"""Sixty interrupts while the program is translated and solved. CasADi loses some one in twenty by itself."""


def test_casadi_loses_no_interrupt():
    run = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
