"""Solve a design problem: tighten the bound by branching, round the leaves, polish, until both ends meet.

Every step is deterministic: no clock decides, only counts of nodes, so that the same problem has the same answer on
every run and machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import inf

import numpy as np

from madnas.errors import SolverError
from madnas.program.branch import Evidence, Node, Tree
from madnas.program.evaluator import Evaluator
from madnas.program.integer import Incumbent, IntegerSearch
from madnas.program.model import build
from madnas.program.nlp import make_solver
from madnas.program.problem import Problem
from madnas.program.rounding import CELLS, Rounding

GAP = 5e-4
"""Relative distance between bound and answer at which the search stops looking for better answers."""

MAX_NODES = 500
"""Nodes of the tree after which it stops all the same, ..."""

PROMISED_GAP = 4.5e-3
"""... unless the gap is still above this; then it goes on ..."""

PATIENCE = 2
"""... to so many times the nodes."""

DIVE_AFTER = 0.5
"""Share of those nodes after which, without any answer, boxes are split depth first until there is one, ..."""

DIVE = 4
"""... for so many times the nodes; the space is then so tight that a first answer matters more than the bound."""

SHAKE_ABOVE = 1e-3
"""Gap above which the answer is disturbed and improved again at the end."""

NEIGHBOURS = 8
"""Leaves with other depths that are rounded after the first, those of the highest value."""

ROOM = (0.0, 3e-4)
"""Shares of every limit that are kept free when a leaf is rounded."""

EXHAUSTIVE = 100_000
"""A space with at most so many points is enumerated: the answer is then exact."""


@dataclass(slots=True)
class Solution:
    """What a search ended with.

    Attributes:
        values: best feasible values of the variables (V,), or ``None``.
        objective: its objective, nats; -inf if there is none.
        bound: no network of the space has a higher objective, nats, as far as ``evidence`` reaches.
        relaxation: value of the plain relaxation, before branching, nats.
        prices: shadow prices of the plain relaxation: nats per unit of relative room, by constraint.
        evidence: what the bound rests on; ``None`` where every point was enumerated.
        evaluated: candidates scored in closed form.
        solver: what solved the relaxations.
        gap: relative distance of the answer from the bound (:meth:`Problem.gap`).
        proven: whether no answer means that there is none: nothing of the space is left unexplored.
    """

    values: np.ndarray | None
    objective: float
    bound: float
    relaxation: float
    prices: dict[str, float]
    evidence: Evidence | None
    evaluated: int
    solver: str
    gap: float
    proven: bool


def silent(message: str) -> None:
    """Say nothing of how far a search is."""


@dataclass(slots=True)
class Effort:
    """How hard to search; counts, never seconds.

    Attributes:
        gap: relative gap at which to stop.
        max_nodes: limit on nodes of the tree; twice as many where the gap is above :data:`PROMISED_GAP`.
        exhaustive: enumerate spaces of at most so many points.
        solver: ``casadi`` or ``ipopt``.
        watch: told at every node how far the search is, in a few words.
    """

    gap: float = GAP
    max_nodes: int = MAX_NODES
    exhaustive: int = EXHAUSTIVE
    solver: str = "casadi"
    watch: Callable[[str], None] = silent


def search(problem: Problem, effort: Effort | None = None, known: np.ndarray | None = None) -> Solution:
    """The best network of a problem and a bound on every other.

    Args:
        problem: what to solve.
        effort: how hard to search.
        known: values of candidates (N, V) to beat, such as the answers of neighbouring problems.

    Raises:
        SolverError: the root relaxation ended without an answer although it is not infeasible.
    """
    effort = effort or Effort()
    solver = make_solver(build(problem), effort.solver)
    tree = Tree(problem, solver)
    incumbent = Incumbent()
    climber = IntegerSearch(problem, incumbent)
    if known is not None and len(known):
        incumbent.offer(known, Evaluator(problem)(known))
    if problem.grid_size() <= effort.exhaustive:
        climber.enumerate()
        bound, evidence = incumbent.objective, None
    else:
        bound, evidence = _branch_and_round(tree, climber, effort), tree.evidence
    tree.conclude(incumbent.values, incumbent.objective)
    if evidence is not None and tree.root is None and not tree.evidence.infeasible:
        raise SolverError("the relaxation ended without an answer", "try other budgets, or another --solver")
    return Solution(
        values=incumbent.values,
        objective=incumbent.objective,
        bound=bound,
        relaxation=tree.root.bound if tree.root else float("-inf"),
        prices=tree.root.point.prices if tree.root else {},
        evidence=evidence,
        evaluated=incumbent.evaluated,
        solver=solver.name,
        gap=problem.gap(bound, incumbent.objective),
        proven=evidence is None or not tree.open,
    )


def _branch_and_round(tree: Tree, climber: IntegerSearch, effort: Effort) -> float:
    """Run the tree; the answer ends up in the climber's incumbent.

    Returns:
        the bound in nats.
    """
    incumbent = climber.incumbent
    rounding = Rounding(tree.problem)
    seen: set[bytes] = set()
    dived = False
    while tree.open:
        node, gap = tree.open[0], tree.problem.gap(tree.bound, incumbent.objective)
        state = "no answer yet" if gap == inf else f"gap {100 * gap:.2f} %" if gap < 1 else "gap above 100 %"
        effort.watch(f"{tree.evidence.nodes} nodes, {state}")
        if incumbent.values is None and not dived and tree.evidence.nodes >= DIVE_AFTER * effort.max_nodes:
            _dive(tree, rounding.evaluate, incumbent, effort)
            dived = True
            continue
        if _finished(gap, tree.evidence.nodes, effort):
            tree.check()
            if _finished(tree.problem.gap(tree.bound, incumbent.objective), tree.evidence.nodes, effort):
                break
            continue
        if tree.is_leaf(node) and tree.whole(node).tobytes() not in seen:
            _explore(tree, node, rounding, climber, effort.gap, seen)
            continue
        tree.push(_split(tree, tree.pop(), rounding.evaluate, incumbent))
    if tree.root is not None and tree.problem.gap(tree.bound, incumbent.objective) > effort.gap:
        start = tree.quantities(tree.root) if incumbent.values is None else incumbent.values.astype(float)
        climber.around(start, tree.root.point.prices)
        _explore_depths(tree, tree.root, rounding, incumbent, effort.gap, seen)
        climber.finish()
        if tree.problem.gap(tree.bound, incumbent.objective) > max(SHAKE_ABOVE, effort.gap):
            climber.shake(lambda percent: effort.watch(f"improving the answer, {percent} %"))
            climber.finish()
    return max(tree.bound, incumbent.objective)


def _split(tree: Tree, node: Node, evaluate: Evaluator, incumbent: Incumbent) -> list[Node]:
    """The halves of a node; none of a single network, which is offered to the incumbent instead."""
    if not tree.is_point(node):
        return tree.split(node)
    candidate = tree.point(node)[None]
    incumbent.offer(candidate, evaluate(candidate))
    return []


def _dive(tree: Tree, evaluate: Evaluator, incumbent: Incumbent, effort: Effort) -> None:
    """Split the box that was made last, the better half first, until there is an answer or no box is left."""
    last = tree.evidence.nodes + DIVE * effort.max_nodes
    stack = sorted(tree.open, reverse=True)
    while stack and incumbent.values is None and tree.evidence.nodes < last:
        effort.watch(f"{tree.evidence.nodes} nodes, no answer yet")
        stack += sorted(_split(tree, stack.pop(), evaluate, incumbent), reverse=True)
    tree.open = []
    tree.push(stack)


def _finished(gap: float, nodes: int, effort: Effort) -> bool:
    patience = PATIENCE if gap > max(PROMISED_GAP, effort.gap) else 1
    return gap <= effort.gap or nodes >= patience * effort.max_nodes


def _explore(tree: Tree, leaf: Node, rounding: Rounding, climber: IntegerSearch, gap: float, seen: set[bytes]) -> None:
    """Round a leaf; while the answer is not within the gap of it, its neighbours too, then search locally."""
    incumbent = climber.incumbent
    first, before = not seen, incumbent.objective
    seen.add(tree.whole(leaf).tobytes())
    _round(tree, leaf, rounding, incumbent, leaf.bound, gap)
    if not first or tree.problem.gap(leaf.bound, incumbent.objective) <= gap:
        if incumbent.objective > before and tree.problem.gap(leaf.bound, incumbent.objective) > gap / 4:
            climber.finish()
        return
    _explore_depths(tree, leaf, rounding, incumbent, gap, seen)
    climber.finish()
    if tree.problem.gap(leaf.bound, incumbent.objective) > gap:
        climber.around(tree.quantities(leaf), leaf.point.prices)
        _explore_depths(tree, leaf, rounding, incumbent, gap, seen)
        climber.finish()


def _explore_depths(
    tree: Tree, leaf: Node, rounding: Rounding, incumbent: Incumbent, gap: float, seen: set[bytes]
) -> None:
    """Round the leaves whose depths lie next to the leaf's, then to the incumbent's for as long as that helps."""
    centre, start = tree.whole(leaf), leaf.point.x
    while tree.problem.gap(leaf.bound, incumbent.objective) > gap:
        before = incumbent.objective
        near = [tree.leaf_at(centre + moves, start) for moves in _depth_moves(tree.problem)]
        for node in sorted(node for node in near if node is not None)[:NEIGHBOURS]:
            if node.bound > incumbent.objective and tree.whole(node).tobytes() not in seen:
                seen.add(tree.whole(node).tobytes())
                _round(tree, node, rounding, incumbent, leaf.bound, gap)
        if incumbent.values is None or incumbent.objective <= before:
            return
        centre, start = tree.positions(incumbent.values), tree.inner(incumbent.values)


def _round(tree: Tree, leaf: Node, rounding: Rounding, incumbent: Incumbent, bound: float, gap: float) -> None:
    """Offer the roundings of a leaf to the incumbent, until the gap is closed.

    The leaf is solved again with what its whole-number costs exceed the relaxation's kept free, and then with a little
    more room, from where roundings that fit are often nearer.
    """
    usage = rounding.evaluate(tree.quantities(leaf)[None]).usage[:, 0]
    for room in ROOM:
        reserve = {name: max(0.0, float(u)) + room for name, u in zip(rounding.evaluate.limits, usage, strict=True)}
        centre = tree.recentre(leaf, reserve)
        if centre is None:
            return
        quantities = np.where(tree.discrete, np.rint(tree.quantities(centre)), tree.quantities(centre))
        prices = {name: float(f"{price:.3g}") for name, price in centre.point.prices.items()}
        for cell in CELLS:
            # Rounded, so that the last digits of a solver's answer do not decide between candidates.
            incumbent.offer(*rounding.around(np.round(quantities, 2), prices, cell))
            if tree.problem.gap(bound, incumbent.objective) <= gap:
                return


def _depth_moves(problem: Problem) -> list[np.ndarray]:
    """Changes of depths (V,) by two blocks in all at most, and at most one block more in sum."""
    unit = np.eye(len(problem.variables), dtype=np.int64)
    steps = [sign * unit[i] for i, v in enumerate(problem.variables) if v.name.startswith("depth") for sign in (-1, 1)]
    moves = steps + [one + other for one, other in combinations_with_replacement(steps, 2)]
    return [move for move in moves if move.any() and move.sum() <= 1]
