"""The search tree: its boxes cover every network, and no network is better than its box's bound."""

import gc
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from pyomo.core import value

from madnas.network.named import get
from madnas.program.branch import Tree
from madnas.program.evaluator import Evaluator
from madnas.program.model import build
from madnas.program.nlp import make_solver
from madnas.program.problem import Problem
from madnas.program.search import Effort, search
from madnas.program.space import load_space
from tests.program.spaces import TINY, brute_force, meets, network_of, objective_of, random_problem

PROBLEMS = {
    "r18": Problem(load_space("bottleneck"), {"macs": 1_820_000_000, "params": 11_690_000}, 0.3),
    "29m": Problem(load_space("mobilenet-se"), {"macs": 4_500_000_000, "params": 29_000_000}, 0.5),
    "cifar": Problem(load_space("basic-cifar"), {"macs": 40_000_000, "params": 270_000}, 0.3),
    "mlp": Problem(load_space("mlp"), {"params": 100_000}, 0.1),
}


class Counting:
    """A solver that counts what it is asked."""

    def __init__(self, problem):
        self._solver = make_solver(build(problem))
        self.name = self._solver.name
        self.points = []

    def solve(self, lower, upper, start, reserve=None):
        point = self._solver.solve(lower, upper, start, reserve)
        self.points.append(point)
        return point


def grow(problem, splits, solver=None):
    """A tree after so many splits (or until nothing is left), with (parent, its children) of each."""
    tree = Tree(problem, solver or make_solver(build(problem)))
    families, points = [], []
    while tree.open and len(families) < splits:
        parent = tree.pop()
        if tree.is_point(parent):
            points.append(parent)
            continue
        families.append((parent, tree.split(parent)))
        tree.push(families[-1][1])
    tree.open = sorted(tree.open + points)
    return tree, families


@pytest.fixture(scope="module", params=[pytest.param("r18", marks=pytest.mark.slow), "29m", "cifar", "mlp"])
def grown(request):
    """A problem, its tree after 60 splits, and the families of the splits."""
    problem = PROBLEMS[request.param]
    return problem, *grow(problem, 60)


class TestSplitting:
    def test_bound_never_rises_down_the_tree(self, grown):
        _, tree, families = grown
        assert len(families) >= 20
        for parent, children in families:
            assert all(child.bound <= parent.bound for child in children)
        bounds = [parent.bound for parent, _ in families]
        assert bounds == sorted(bounds, reverse=True)
        assert tree.bound <= bounds[0] == tree.root.bound

    def test_children_halve_their_parent_in_one_variable(self, grown):
        _, _, families = grown
        for parent, children in families:
            for child in children:
                assert (child.lower >= parent.lower).all()
                assert (child.upper <= parent.upper).all()
                changed = (child.lower != parent.lower) | (child.upper != parent.upper)
                assert changed.sum() == 1
            if len(children) == 2:
                low, high = sorted(children, key=lambda node: tuple(node.lower))
                column = int(np.flatnonzero(low.upper != high.upper)[0])
                assert low.upper[column] + 1 == high.lower[column]
                assert (low.lower[column], high.upper[column]) == (parent.lower[column], parent.upper[column])

    def test_optimum_of_a_box_lies_in_it(self, grown):
        problem, tree, _ = grown
        values = [np.asarray(variable.values) for variable in problem.variables]
        for node in tree.open:
            low = np.array([v[i] for v, i in zip(values, node.lower, strict=True)])
            high = np.array([v[i] for v, i in zip(values, node.upper, strict=True)])
            quantities = tree.quantities(node)
            assert (quantities >= low * (1 - 1e-6)).all()
            assert (quantities <= high * (1 + 1e-6)).all()

    def test_checking_keeps_every_box_and_lowers_no_bound(self, grown):
        problem, _, _ = grown
        tree, _ = grow(problem, 5)
        before = {node.key[1]: node.bound for node in tree.open}
        tree.check()
        after = {node.key[1]: node.bound for node in tree.open}
        assert before.keys() == after.keys()
        assert all(after[key] >= before[key] for key in before)
        assert all(node.checked for node in tree.open)
        assert tree.bound == max(after.values())

    def test_leaves_have_whole_depths_and_kernels(self, grown):
        problem, _, _ = grown
        tree = Tree(problem, make_solver(build(problem)))
        while not tree.is_leaf(tree.open[0]):
            tree.push(tree.split(tree.pop()))
        leaf = tree.open[0]
        quantities, whole = tree.quantities(leaf), tree.whole(leaf)
        for column, variable in enumerate(problem.variables):
            discrete = variable.name.startswith(("depth", "kernel"))
            assert bool(tree.discrete[column]) is discrete
            if discrete:
                assert variable.values[whole[column]] == pytest.approx(quantities[column], abs=0.01)
            else:
                assert whole[column] == 0


def covering(tree, positions):
    """Number of open boxes around each of some grid positions (N, V), and the highest bound of them."""
    number, bound = np.zeros(len(positions), dtype=int), np.full(len(positions), -np.inf)
    for node in tree.open:
        inside = ((positions >= node.lower) & (positions <= node.upper)).all(axis=1)
        number += inside
        bound[inside] = np.maximum(bound[inside], node.bound)
    return number, bound


def feasible_near(problem, values, number=40_000):
    """Feasible points (N, V) within a few steps of one, smaller in most variables, and their objectives."""
    generator = np.random.default_rng(0)
    sizes = np.array([len(variable.values) for variable in problem.variables])
    here = np.array([v.values.index(int(value)) for v, value in zip(problem.variables, values, strict=True)])
    steps = generator.integers(-3, 3, (number, len(sizes))) * (generator.random((number, len(sizes))) < 0.4)
    positions = np.clip(here + steps, 0, sizes - 1)
    columns = [np.asarray(v.values)[positions[:, i]] for i, v in enumerate(problem.variables)]
    found = Evaluator(problem)(np.stack(columns, axis=1))
    return positions[found.feasible], found.objective[found.feasible]


def test_every_feasible_point_near_the_answer_is_below_its_box(grown):
    problem, tree, _ = grown
    answer = search(problem)
    positions, objectives = feasible_near(problem, answer.values)
    assert len(positions) > 1000
    assert objectives.max() >= answer.objective * 0.999
    number, bound = covering(tree, positions)
    assert (number == 1).all()  # no box that was dropped as infeasible holds a feasible network
    assert (objectives <= bound).all()
    assert (objectives <= answer.bound).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize(
    "splits", [pytest.param(5, id="few splits"), pytest.param(10_000, id="to the end", marks=pytest.mark.slow)]
)
def test_every_feasible_network_of_a_tiny_space_is_below_its_box(name, seed, splits, tmp_path):
    problem = random_problem(name, tmp_path, seed)
    _, feasible = brute_force(problem)
    if not feasible:
        assert search(problem, Effort(exhaustive=0)).values is None
        return
    tree, _ = grow(problem, splits)
    if splits > 1000:
        assert all(tree.is_point(node) for node in tree.open)
    positions = np.array([[v.values.index(x) for v, x in zip(problem.variables, row, strict=True)] for row in feasible])
    number, bound = covering(tree, positions)
    assert (number == 1).all()
    objectives = np.array([objective_of(problem, network_of(problem, row)) for row in feasible])
    assert (objectives <= bound).all()


def test_published_r18_is_below_the_bound():
    """With the room that its classifier takes, and without Guideline 3, which it breaks."""
    spec = get("deepmad-r18")
    limits = {"macs": 1_820_000_000, "params": 11_830_000}
    problem = Problem(load_space("bottleneck"), limits, 0.3, guidelines=frozenset({1, 2}))
    values = [spec.stem.out, *(n for g in spec.groups for n in (g.out, g.hidden, g.kernel, g.depth))]
    assert problem.network(values).groups == spec.groups
    assert meets(problem, spec)
    tree, _ = grow(problem, 40)
    positions = np.array([[v.values.index(value) for v, value in zip(problem.variables, values, strict=True)]])
    number, bound = covering(tree, positions)
    assert number[0] == 1
    assert objective_of(problem, spec) <= bound[0] <= tree.bound <= tree.root.bound


class TestEvidence:
    def test_counts_add_up(self):
        problem = PROBLEMS["r18"]
        solver = Counting(problem)
        tree, families = grow(problem, 30, solver)
        evidence = tree.evidence
        assert evidence.starts == len(solver.points)
        assert evidence.iterations == sum(point.iterations for point in solver.points)
        assert evidence.nodes + evidence.infeasible == 1 + 2 * len(families)
        assert len(tree.open) == 1 + sum(len(children) - 1 for _, children in families)
        assert 0 < evidence.root_agreed <= evidence.root_starts < evidence.starts
        assert (evidence.checked, evidence.agreed, evidence.unsolved) == (0, 0, 0)
        opened = len(tree.open)
        tree.check()
        tree.conclude(None, float("-inf"))
        assert evidence.starts == len(solver.points)
        assert 0 < evidence.agreed <= evidence.checked <= opened
        tree.check()  # nothing is checked twice
        assert evidence.starts == len(solver.points)

    def test_is_described_with_its_numbers(self):
        tree, _ = grow(PROBLEMS["r18"], 10)
        tree.check()
        tree.conclude(None, float("-inf"))
        text = tree.evidence.describe()
        numbers = [tree.evidence.nodes, tree.evidence.checked, tree.evidence.root_starts, tree.evidence.infeasible]
        assert not Counter(str(number) for number in numbers) - Counter(text.replace(";", " ").split())
        assert "\n" not in text

    def test_counts_the_boxes_that_make_up_the_bound_only(self):
        tree, _ = grow(PROBLEMS["mlp"], 5)
        tree.check()
        kept = tree.pop()
        tree.open = [kept]
        tree.conclude(None, float("-inf"))
        assert (tree.evidence.checked, tree.evidence.agreed) == (1, int(kept.agreed))

    def test_a_network_above_the_bound_of_its_box_is_reported(self):
        problem = PROBLEMS["mlp"]
        answer = search(problem)
        tree = Tree(problem, make_solver(build(problem)))
        tree.conclude(answer.values, answer.objective)
        assert tree.evidence.contradicted == 0
        tree.open = [replace(tree.open[0], key=(-0.9 * answer.objective, 0))]
        tree.conclude(answer.values, answer.objective)
        assert tree.evidence.contradicted == 1
        assert "CONTRADICTED" in tree.evidence.describe()

    def test_a_box_above_its_parent_keeps_its_own_bound(self):
        """The parent's solve ended in a lower optimum, which is no bound of what is in it."""
        problem = PROBLEMS["mlp"]
        tree = Tree(problem, make_solver(build(problem)))
        root = tree.pop()
        halves = tree.split(replace(root, key=(-0.9 * root.bound, 0)))
        assert max(half.bound for half in halves) > 0.9 * root.bound
        assert all(half.bound >= half.point.objective for half in halves)
        assert tree.evidence.overtaken == sum(half.point.objective > 0.9 * root.bound for half in halves)
        assert f"{tree.evidence.overtaken} above what was found in their parent" in tree.evidence.describe()

    def test_no_network_is_above_the_bound_of_its_box_where_a_start_ended_low(self):
        """Here a box of the tree is solved to 460 nats first, and the answer in it has 473."""
        answer = search(Problem(load_space("mlp"), {"params": 107_551}, rho=0.1))
        assert answer.evidence.overtaken > 0
        assert answer.evidence.contradicted == 0

    def test_other_starts_at_the_root(self):
        problem = PROBLEMS["mlp"]
        one, many = (Tree(problem, make_solver(build(problem)), root_starts=number) for number in (1, 12))
        assert (one.evidence.root_starts, many.evidence.root_starts) == (1, 12)
        assert many.root.bound >= one.root.bound * (1 - 1e-6)


class Fragile:
    """A solver that gives up on every box but the largest."""

    def __init__(self, problem):
        self._solver = make_solver(build(problem))
        self.name = "fragile"
        self._solved = 0

    def solve(self, lower, upper, start, reserve=None):
        self._solved += 1
        point = self._solver.solve(lower, upper, start, reserve)
        return point if self._solved <= 6 else replace(point, status="failed", reason="gave up", state=None)


def test_a_box_that_the_solver_gives_up_on_keeps_its_parents_bound():
    problem = PROBLEMS["mlp"]
    tree = Tree(problem, Fragile(problem))
    parent = tree.pop()
    tree.push(tree.split(parent))
    tree.conclude(None, float("-inf"))
    assert len(tree.open) == tree.evidence.unsolved == 2
    assert [node.bound for node in tree.open] == [parent.bound] * 2
    assert "2 unsolved" in tree.evidence.describe()
    tree.push(tree.split(tree.pop()))  # and can be split further
    assert len(tree.open) == 3
    assert not any(tree.is_leaf(node) for node in tree.open)


def test_search_of_a_solver_that_gives_up_still_has_a_valid_bound(monkeypatch):
    problem = PROBLEMS["mlp"]
    honest = search(problem)
    few = Effort(max_nodes=10)
    monkeypatch.setattr("madnas.program.search.make_solver", lambda model, name: Fragile(model.problem))
    found = search(problem, few)
    assert found.bound >= honest.objective
    assert found.values is not None
    assert meets(problem, network_of(problem, found.values))
    assert found.evidence.unsolved > 0


class TestLeaves:
    def test_leaf_at_given_depths(self):
        problem = PROBLEMS["r18"]
        tree = Tree(problem, make_solver(build(problem)))
        values = np.array([32, 104, 24, 5, 1, 400, 40, 5, 7, 616, 72, 5, 10, 680, 72, 5, 11, 960, 96, 5, 10])
        whole = tree.positions(values)
        leaf = tree.leaf_at(whole, tree.inner(values))
        assert (tree.whole(leaf) == np.where(tree.discrete, whole, 0)).all()
        quantities = tree.quantities(leaf)
        for name, depth in (("depth1", 1), ("depth2", 7), ("depth3", 10), ("depth4", 11), ("depth5", 10)):
            assert quantities[problem.index[name]] == pytest.approx(depth, abs=1e-5)
        assert objective_of(problem, network_of(problem, values)) <= leaf.bound * (1 + 1e-5)
        assert leaf.bound <= tree.root.bound

    def test_none_outside_the_grid_or_where_nothing_fits(self):
        problem = PROBLEMS["r18"]
        tree = Tree(problem, make_solver(build(problem)))
        whole = tree.whole(tree.root)
        depth = problem.index["depth1"]
        for position in (-1, 3):
            outside = whole.copy()
            outside[depth] = position
            assert tree.leaf_at(outside, tree.root.point.x) is None
        deepest = whole.copy()
        for group in range(2, 6):
            deepest[problem.index[f"depth{group}"]] = 59  # rho alone forbids 180 layers a group
        assert tree.leaf_at(deepest, tree.root.point.x) is None

    def test_recentred_leaf_leaves_the_reserve_free(self):
        problem = replace(PROBLEMS["29m"], rho=None)  # which forbids narrower widths at the leaf's depths
        tree = Tree(problem, make_solver(build(problem)))
        while not tree.is_leaf(tree.open[0]):
            tree.push(tree.split(tree.pop()))
        leaf = tree.open[0]
        gc.collect()  # nobody holds the model any more
        full = model_usage(problem, leaf.point.x)
        assert max(full.values()) > -1e-4
        centre = tree.recentre(leaf, {"budget[macs]": 0.01, "budget[params]": 0.02})
        assert (tree.whole(centre) == tree.whole(leaf)).all()
        assert centre.bound < leaf.bound
        usage = model_usage(problem, centre.point.x)
        assert usage["budget[macs]"] <= -0.01 + 1e-6
        assert usage["budget[params]"] <= -0.02 + 1e-6


def model_usage(problem, x):
    """Body minus upper limit of the program's budgets at a point."""
    model = build(problem)
    for variable, at in zip(model.x.values(), x, strict=True):
        variable.set_value(float(at), skip_validation=True)
    return {f"budget[{name}]": value(model.budget[name].body) - 1 for name in problem.budgets}


@pytest.mark.parametrize("budgets", [{"macs": 1}, {"params": 1}, {"layers": 1}], ids=str)
def test_root_of_an_impossible_problem_is_empty(budgets):
    problem = Problem(load_space("bottleneck"), budgets)
    tree = Tree(problem, make_solver(build(problem)))
    assert tree.root is None
    assert not tree.open
    assert tree.bound == -np.inf
    assert tree.evidence.infeasible == 1


def test_points_of_the_grid_come_back_from_their_positions():
    problem = PROBLEMS["r18"]
    tree = Tree(problem, make_solver(build(problem)))
    values = np.array([variable.values[len(variable.values) // 2] for variable in problem.variables])
    assert tree.positions(values).tolist() == [len(variable.values) // 2 for variable in problem.variables]
    inner = tree.inner(values)
    log = np.array([variable.logarithmic for variable in problem.variables])
    assert np.where(log, np.exp(inner), inner) == pytest.approx(values)
