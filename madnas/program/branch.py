"""Branch and bound over the integer choices: a bound that is tighter than the plain relaxation's.

The relaxation lets a group have 7.3 blocks. Here the tree is split at such a variable into "at most 7" and "at least
8", both relaxations are solved, and the node with the highest value is split next. When the highest node has whole
depths and allowed kernels, its value bounds every network of the space; splitting on channels tightens it further.

What the bound rests on: the root and every node that makes up the bound in the end are solved by a local method from
several starts. In logarithms of the widths and for given depths its constraints are convex, and its objective a sum of
products of increasing terms, so the starts are expected to agree, and they are counted where they do not. It is strong
evidence, not a certificate.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from madnas.program.evaluator import Evaluator
from madnas.program.nlp import Point, Solver
from madnas.program.problem import Problem

INTEGRAL = 2e-3
"""A variable this close to an allowed value, as a share of the step to the next one, counts as whole."""

COARSE = 0.15
"""Channels in steps larger than this, relative, are settled in the tree, before the others are rounded."""

SOLVER_MARGIN = 2e-5
"""Share by which bounds are raised, because an interior-point solver stops a little short of the optimum."""

AGREEMENT = 1e-5
"""Relative difference at which two starts ended in the same optimum."""


@dataclass(slots=True)
class Evidence:
    """What a bound rests on.

    Attributes:
        nodes: boxes whose relaxation was solved.
        infeasible: boxes that were dropped because the solver found nothing feasible in them, from two starts.
        starts: solves in all, those of roundings included.
        iterations: of the solver, in all.
        root_starts: starts of the root.
        root_agreed: how many of these ended in the best optimum.
        unsolved: boxes, of those that make up the bound, that have their parent's because no start reached an optimum.
        checked: boxes, of those that make up the bound, that were solved again from another start.
        agreed: of these, how many ended in the same optimum (or a lower one, which changes no bound, counts as not).
        contradicted: boxes, of those that make up the bound, that hold a better network than their relaxation said.
        overtaken: boxes with a higher optimum than was found in the box that they are a part of; their own counts.
    """

    nodes: int = 0
    infeasible: int = 0
    starts: int = 0
    iterations: int = 0
    root_starts: int = 0
    root_agreed: int = 0
    unsolved: int = 0
    checked: int = 0
    agreed: int = 0
    contradicted: int = 0
    overtaken: int = 0

    def describe(self) -> str:
        """One line for people."""
        text = f"{self.nodes} nodes; starts agreed at {self.agreed} of the {self.checked} that make it up (2 each)"
        text += f" and {self.root_agreed} of {self.root_starts} at the root; {self.infeasible} nodes infeasible"
        text += f"; {self.unsolved} unsolved, with their parent's bound" if self.unsolved else ""
        text += f"; {self.overtaken} above what was found in their parent" if self.overtaken else ""
        return text + (f"; {self.contradicted} CONTRADICTED by the answer" if self.contradicted else "")


@dataclass(order=True, frozen=True)
class Node:
    """A box of the grid with the value of its relaxation; ordered so that the highest value comes first."""

    key: tuple[float, int]
    lower: np.ndarray = field(compare=False)
    upper: np.ndarray = field(compare=False)
    point: Point = field(compare=False)
    checked: bool = field(compare=False, default=False)
    agreed: bool = field(compare=False, default=False)

    @property
    def bound(self) -> float:
        """No network in this box has a higher objective, nats."""
        return -self.key[0]


class Tree:
    """The search tree of one problem: boxes of grid positions, the most promising first."""

    def __init__(self, problem: Problem, solver: Solver, root_starts: int = 6) -> None:
        self.problem, self.solver = problem, solver
        self.evidence = Evidence()
        self._evaluate = Evaluator(problem)
        self._values = [np.asarray(variable.values) for variable in problem.variables]
        self._log = np.array([variable.logarithmic for variable in problem.variables])
        self.discrete = np.array([v.name.startswith(("depth", "kernel")) for v in problem.variables])
        self._first = self.discrete
        self._created = 0
        lower = np.zeros(len(self._values), dtype=np.int64)
        upper = np.array([len(values) - 1 for values in self._values])
        self.open: list[Node] = []
        self.root: Node | None = None
        if self._too_large(lower):
            self.evidence.infeasible += 1
            return
        self.root = self._solve(lower, upper, list(self._root_starts(lower, upper, root_starts)), None)
        if self.root is not None:
            self.open.append(self.root)
            self._first = self.discrete | self._coarse(self.quantities(self.root))

    @property
    def bound(self) -> float:
        """No network of the space has a higher objective than this, nats; -inf when the tree is empty."""
        return self.open[0].bound if self.open else float("-inf")

    def quantities(self, node: Node) -> np.ndarray:
        """Real values of the variables at a node's optimum (V,)."""
        return np.where(self._log, np.exp(np.where(self._log, node.point.x, 0.0)), node.point.x)

    def is_leaf(self, node: Node) -> bool:
        """Whether depths and kernels are whole, so that only channels are still continuous."""
        return node.point.status == "optimal" and self._fractional(node, self._first) is None

    def split(self, node: Node) -> list[Node]:
        """The halves of a node that is not a single point, those in which something is feasible.

        It is split at the variable that is farthest from an allowed value, depths, kernels and coarse channels first;
        where all are whole, but the network that they make is not as good as the relaxation says, in the middle.
        """
        choose = self._widest if node.point.status == "failed" else self._fractional
        column = choose(node, self._first)
        if column is None:
            column = choose(node, ~self._first)
        if column is None:
            column = int(np.argmax(node.upper - node.lower))
        values = self._values[column]
        below = int(np.searchsorted(values, self.quantities(node)[column], side="right") - 1)
        below = int(np.clip(below, node.lower[column], node.upper[column] - 1))
        halves = []
        for new_lower, new_upper in ((node.lower[column], below), (below + 1, node.upper[column])):
            lower, upper = node.lower.copy(), node.upper.copy()
            lower[column], upper[column] = new_lower, new_upper
            halves.append(self._solve(lower, upper, [node.point], node))
        return [half for half in halves if half is not None]

    def is_point(self, node: Node) -> bool:
        """Whether a box holds a single network."""
        return bool((node.lower == node.upper).all())

    def point(self, node: Node) -> np.ndarray:
        """Values of the variables (V,) at a box that is a single network."""
        return np.array([values[i] for values, i in zip(self._values, node.lower, strict=True)])

    def leaf_at(self, whole: np.ndarray, start: np.ndarray) -> Node | None:
        """The leaf with depths and kernels at given grid positions, or ``None`` if there is none or it is infeasible.

        Args:
            whole: grid positions (V,); those of channels do not matter.
            start: where the solver begins (V,), in the program's variables.
        """
        largest = np.array([len(values) - 1 for values in self._values])
        if self.root is None or not ((whole >= 0) & (whole <= largest))[self.discrete].all():
            return None
        lower, upper = np.where(self.discrete, whole, 0), np.where(self.discrete, whole, largest)
        point = self._run(*self._bounds(lower, upper), start)
        return Node((-point.objective, 0), lower, upper, point) if point.status == "optimal" else None

    def positions(self, values: np.ndarray) -> np.ndarray:
        """Grid positions of values of the variables (V,)."""
        return np.array([int(np.searchsorted(allowed, v)) for allowed, v in zip(self._values, values, strict=True)])

    def inner(self, values: np.ndarray) -> np.ndarray:
        """Values of the variables (V,) in the program's terms: logarithms of channels and kernels."""
        return np.where(self._log, np.log(np.maximum(values, 1)), values)

    def whole(self, leaf: Node) -> np.ndarray:
        """Grid positions of a leaf's depths and kernels (V,); 0 for channels."""
        quantities = self.quantities(leaf)
        nearest = [int(np.argmin(np.abs(v - q))) for v, q in zip(self._values, quantities, strict=True)]
        return np.where(self.discrete, nearest, 0)

    def recentre(self, leaf: Node, reserve: Mapping[str, float]) -> Node | None:
        """A leaf solved again with depths and kernels fixed and ``reserve`` kept free of each limit."""
        whole = self.whole(leaf)
        lower, upper = np.where(self.discrete, whole, leaf.lower), np.where(self.discrete, whole, leaf.upper)
        point = self._run(*self._bounds(lower, upper), leaf.point, reserve)
        return Node((-point.objective, 0), lower, upper, point) if point.status == "optimal" else None

    def pop(self) -> Node:
        """Take the node with the highest bound."""
        return heapq.heappop(self.open)

    def push(self, nodes: Iterable[Node]) -> None:
        """Add nodes to the open ones."""
        for node in nodes:
            heapq.heappush(self.open, node)

    def _fractional(self, node: Node, among: np.ndarray) -> int | None:
        """The variable farthest from an allowed value, in steps (channels: relative to the width), or ``None``."""
        quantities = self.quantities(node)
        best, farthest = None, 0.0
        for column in np.flatnonzero(among & (node.lower < node.upper)):
            values = self._values[column]
            position = float(np.interp(quantities[column], values, np.arange(len(values))))
            distance = abs(position - round(position))
            if distance <= INTEGRAL:
                continue
            weight = 1.0 if self.discrete[column] else 1.0 / values[int(position)]
            if distance * weight > farthest:
                best, farthest = int(column), distance * weight
        return best

    def _widest(self, node: Node, among: np.ndarray) -> int | None:
        """The variable with the most values left, or ``None``."""
        left = np.where(among, node.upper - node.lower, 0)
        return int(np.argmax(left)) if left.any() else None

    def _coarse(self, quantities: np.ndarray) -> np.ndarray:
        """Which channel counts have steps so wide that rounding them changes everything else (V,)."""
        steps = np.array([np.diff(values).min() if len(values) > 1 else 0 for values in self._values])
        return self._log & ~self.discrete & (steps / quantities > COARSE)

    def _bounds(self, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low = np.array([values[i] for values, i in zip(self._values, lower, strict=True)], dtype=float)
        high = np.array([values[i] for values, i in zip(self._values, upper, strict=True)], dtype=float)
        return np.where(self._log, np.log(low), low), np.where(self._log, np.log(high), high)

    def _root_starts(self, lower: np.ndarray, upper: np.ndarray, count: int) -> Iterator[np.ndarray]:
        """Starting points spread over the box; the same on every run."""
        low, high = self._bounds(lower, upper)
        high = np.where(self._log, high, np.minimum(high, 16.0))
        generator = np.random.Generator(np.random.PCG64(0))
        yield middle(*self._bounds(lower, upper), self._log)
        for _ in range(count - 1):
            yield low + (0.25 + 0.5 * generator.random(len(low))) * (high - low)

    def _solve(
        self, lower: np.ndarray, upper: np.ndarray, starts: Sequence[np.ndarray | Point], parent: Node | None
    ) -> Node | None:
        """A node for a box, or ``None`` if nothing in it is feasible."""
        low, high = self._bounds(lower, upper)
        points = [self._run(low, high, start) for start in starts]
        if parent is not None and points[0].status != "optimal":
            inside = middle(low, high, self._log)
            points.append(self._run(low, high, inside))
            if points[-1].status == "failed":
                points.append(self._run(low, high, 0.8 * low + 0.2 * inside))
        solved = [point for point in points if point.status == "optimal"]
        if not solved and all(point.status == "infeasible" for point in points):
            self.evidence.infeasible += 1
            return None
        self.evidence.nodes += 1
        self._created += 1
        if solved:
            best = max(solved, key=lambda point: point.objective)
            bound = _raised(best.objective)
        elif parent is not None:
            best = replace(points[0], status="failed", x=np.clip(parent.point.x, low, high), state=None)
            bound = parent.bound
        else:
            return None
        if parent is None:
            self.evidence.root_starts = len(points)
            self.evidence.root_agreed = sum(_agree(point.objective, best.objective) for point in solved)
        elif solved and best.objective > parent.bound:
            self.evidence.overtaken += 1
        else:
            bound = min(bound, parent.bound)
        at_root = parent is None
        return Node((-bound, self._created), lower, upper, best, checked=at_root, agreed=at_root and _all_agree(solved))

    def _run(
        self, low: np.ndarray, high: np.ndarray, start: np.ndarray | Point, reserve: Mapping[str, float] | None = None
    ) -> Point:
        point = self.solver.solve(low, high, start, reserve)
        self.evidence.starts += 1
        self.evidence.iterations += point.iterations
        return point

    def check(self) -> None:
        """Solve every open node once more from another start; a node that does better there gets the higher bound."""
        self.open = [node if node.checked else self._checked(node) for node in self.open]
        heapq.heapify(self.open)

    def _checked(self, node: Node) -> Node:
        if node.point.status == "failed":
            return node
        low, high = self._bounds(node.lower, node.upper)
        point = self._run(low, high, 0.5 * (node.point.x + middle(low, high, self._log)))
        agreed = point.status == "optimal" and _agree(point.objective, node.point.objective)
        if point.status == "optimal" and _raised(point.objective) > max(node.bound, _raised(node.point.objective)):
            key = (-_raised(point.objective), node.key[1])
            return replace(node, key=key, point=point, checked=True, agreed=agreed)
        return replace(node, checked=True, agreed=agreed)

    def conclude(self, values: np.ndarray | None, objective: float) -> None:
        """Record what the open nodes, those that make up the bound, rest on.

        Args:
            values: the answer (V,), if there is one: it may not be better than the relaxation of a box that holds it.
            objective: its objective, nats.
        """
        solved = [node for node in self.open if node.point.status == "optimal"]
        self.evidence.unsolved = len(self.open) - len(solved)
        self.evidence.checked = sum(node.checked for node in solved)
        self.evidence.agreed = sum(node.agreed for node in solved)
        if values is not None:
            place = self.positions(values)
            holding = [node for node in self.open if ((node.lower <= place) & (place <= node.upper)).all()]
            self.evidence.contradicted = sum(node.bound < objective for node in holding)

    def _too_large(self, lower: np.ndarray) -> bool:
        """Whether the smallest network of a box already exceeds a budget (all but latency grow with every variable)."""
        smallest = [values[i : i + 1] for values, i in zip(self._values, lower, strict=True)]
        _, costs, _ = self.problem.evaluate(smallest)
        counted = {name: limit for name, limit in self.problem.budgets.items() if name != "latency"}
        return any(getattr(costs, name)[0] > limit for name, limit in counted.items())


def middle(low: np.ndarray, high: np.ndarray, logarithmic: np.ndarray) -> np.ndarray:
    """The middle of a box (V,), with depths that a network may have."""
    return (low + np.where(logarithmic, high, np.minimum(high, np.maximum(12.0, low)))) / 2


def _raised(objective: float) -> float:
    """A solver's value as a bound."""
    return objective + SOLVER_MARGIN * abs(objective)


def _all_agree(points: Sequence[Point]) -> bool:
    return all(_agree(point.objective, points[0].objective) for point in points)


def _agree(one: float, other: float) -> bool:
    return abs(one - other) <= AGREEMENT * abs(other)
