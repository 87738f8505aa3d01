"""A local search on the integer grid: depths, kernels and channels at once, for where rounding alone is too coarse.

It climbs the exact penalty function of the program (objective minus each excess at a multiple of its shadow price),
which may pass through points that exceed a limit a little, with the multiple growing until the points it ends in are
feasible. Of every point met on the way the best feasible one is kept. All neighbours are scored at once by the plain
evaluator, so that a step costs milliseconds.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import combinations

import numpy as np

from madnas.program.evaluator import Evaluation, Evaluator
from madnas.program.problem import Problem

IMPROVEMENT = 1e-9
"""Relative gain that counts as one: smaller ones are rounding, and would make the walk differ between machines."""

PRICE_FACTORS = (1.0, 3.0, 100.0)
"""Multiples of the shadow prices, in turn; at the end limits are walls."""

SHAKES = 300
"""Times that the incumbent is disturbed and climbed from again, ..."""

SHAKEN = 3_000_000
"""... unless that has scored so many candidates before."""

KICKED = 4
"""Most variables that are disturbed at once: depths and kernels by up to three steps, ..."""

KICK = 0.15
"""... channels by up to this share of their position."""

ROWS = 16384
"""Candidates scored at once: enough to hide Python's overhead, few enough for the processor's cache."""


class Incumbent:
    """The best feasible candidate met so far.

    Attributes:
        values: values of the variables (V,), or ``None`` before one is met.
        objective: its objective in nats, -inf before one is met.
        evaluated: number of candidates scored.
    """

    def __init__(self) -> None:
        self.values: np.ndarray | None = None
        self.objective = float("-inf")
        self.evaluated = 0

    def offer(self, candidates: np.ndarray, found: Evaluation) -> None:
        """Keep the best of some scored candidates (N, V) if it is better."""
        self.evaluated += len(candidates)
        feasible = found.feasible
        if not feasible.any():
            return
        top = int(np.argmax(np.where(feasible, found.objective, -np.inf)))
        objective = float(found.objective[top])
        if self.values is None or objective > self.objective + IMPROVEMENT * abs(objective):
            self.values, self.objective = candidates[top].copy(), objective


class IntegerSearch:
    """Local search for one problem; candidates are positions in each variable's list of values."""

    def __init__(self, problem: Problem, incumbent: Incumbent) -> None:
        self.problem = problem
        self.incumbent = incumbent
        self._evaluate = Evaluator(problem)
        self._sizes = np.array([len(variable.values) for variable in problem.variables])
        self._values = np.zeros((len(self._sizes), self._sizes.max()), dtype=np.int64)
        for row, variable in enumerate(problem.variables):
            self._values[row, : len(variable.values)] = variable.values
        self._free = np.flatnonzero(self._sizes > 1)

    def around(self, quantities: np.ndarray, prices: Mapping[str, float]) -> None:
        """Search around real values of the variables (V,), given what each limit is worth there (nats)."""
        self._objective_scale = float(abs(self._evaluate(quantities[None]).objective[0]))
        worth = np.array([max(prices.get(name, 0.0), 0.05 * self._objective_scale) for name in self._evaluate.limits])
        for start in self._roundings(quantities):
            here = start
            for factor in PRICE_FACTORS:
                here = self._climb(here, factor * worth, (self._near, self._triples))
            self._climb(start, np.full(len(worth), 100 * self._objective_scale), (self._near, self._triples))
        self.finish()

    def finish(self) -> None:
        """Improve the incumbent within feasible points until no one to three changes help."""
        if self.incumbent.values is None:
            return
        self._objective_scale = max(1.0, abs(self.incumbent.objective))
        walls = np.full(len(self._evaluate.limits), 100 * self._objective_scale)
        self._climb(self._positions(self.incumbent.values), walls, (self._near, self._triples))

    def shake(self) -> None:
        """Disturb the incumbent and climb again, many times: out of local optima that no three changes leave.

        The draws are seeded and their number is counted, so that the answer is the same on every run.
        """
        if self.incumbent.values is None:
            return
        generator = np.random.Generator(np.random.PCG64(0))
        discrete = np.array([v.name.startswith(("depth", "kernel")) for v in self.problem.variables])
        last = self.incumbent.evaluated + SHAKEN
        for _ in range(SHAKES):
            if self.incumbent.evaluated > last:
                return
            self._objective_scale = max(1.0, abs(self.incumbent.objective))
            here = self._positions(self.incumbent.values)
            number = min(len(self._free), int(generator.integers(1, KICKED + 1)))
            for column in generator.choice(self._free, size=number, replace=False):
                span = 3 if discrete[column] else max(2, int(KICK * here[column]) + 1)
                moved = here[column] + generator.integers(-span, span + 1)
                here[column] = np.clip(moved, 0, self._sizes[column] - 1)
            for factor in (0.5, 3.0, 100.0):
                worth = np.full(len(self._evaluate.limits), factor * self._objective_scale)
                here = self._climb(here, worth, (self._near,))

    def enumerate(self) -> None:
        """Score every point of the grid."""
        total = self.problem.grid_size()
        for begin in range(0, total, ROWS):
            rest = np.arange(begin, min(begin + ROWS, total))
            positions = np.empty((len(rest), len(self._sizes)), dtype=np.int64)
            for column, size in enumerate(self._sizes):
                rest, positions[:, column] = rest // size, rest % size
            values = self._at(positions)
            self.incumbent.offer(values, self._evaluate(values))

    def _at(self, positions: np.ndarray) -> np.ndarray:
        return self._values[np.arange(len(self._sizes)), positions]

    def _positions(self, values: np.ndarray) -> np.ndarray:
        pairs = zip(self.problem.variables, values, strict=True)
        return np.array([variable.values.index(int(value)) for variable, value in pairs])

    def _merits(self, positions: np.ndarray, worth: np.ndarray) -> np.ndarray:
        """Penalty function of many positions (N, V) -> (N,); offers the feasible ones."""
        merits = np.empty(len(positions))
        for begin in range(0, len(positions), ROWS):
            values = self._at(positions[begin : begin + ROWS])
            found = self._evaluate(values)
            self.incumbent.offer(values, found)
            penalty = worth @ np.maximum(found.usage, 0.0) + self._objective_scale * ~found.ratios
            merits[begin : begin + ROWS] = found.objective - penalty
        return merits

    def _climb(self, start: np.ndarray, worth: np.ndarray, sets: Iterable[np.ndarray]) -> np.ndarray:
        """Steepest ascent of the penalty function, with larger sets of moves only where smaller ones find nothing."""
        levels = list(sets)
        here, merit, level = start, float(self._merits(start[None], worth)[0]), 0
        while level < len(levels):
            moved = here + levels[level]
            moved = moved[((moved >= 0) & (moved < self._sizes)).all(axis=1)]
            level += 1
            if len(moved):
                merits = self._merits(moved, worth)
                top = int(np.argmax(merits))
                if merits[top] > merit + IMPROVEMENT * abs(merit):
                    here, merit, level = moved[top], float(merits[top]), 0
        return here

    @cached_property
    def _elementary(self) -> np.ndarray:
        """Smallest sensible changes (E, V): one step of a variable, and of a hidden width together with ``out``.

        Where hidden / out lies at its lower limit, hidden can only move together with as many steps of out as keep the
        ratio (ten, for bottlenecks of a tenth).
        """
        unit = np.eye(len(self._sizes), dtype=np.int64)
        moves = [sign * unit[column] for column in self._free for sign in (-1, 1)]
        for ratio in self.problem.ratios:
            steps = round(1 / ratio.low) if ratio.name.startswith("hidden") and ratio.low else 0
            if steps > 1:
                move = unit[ratio.top] + steps * unit[ratio.bottom]
                moves += [move, -move]
        return np.array(moves)

    @cached_property
    def _near(self) -> np.ndarray:
        """One change by up to four steps, or two by one or two steps."""
        far = np.concatenate([self._elementary * steps for steps in (1, 2)])
        return np.concatenate([self._elementary * steps for steps in (1, 2, 3, 4)] + [_sums(far, 2)])

    @cached_property
    def _triples(self) -> np.ndarray:
        return _sums(self._elementary, 3)

    def _roundings(self, quantities: np.ndarray) -> list[np.ndarray]:
        """Grid positions next to real values of the variables: nearest, and the next one down."""
        nearest, down = np.empty_like(self._sizes), np.empty_like(self._sizes)
        for row, variable in enumerate(self.problem.variables):
            values = np.asarray(variable.values)
            nearest[row] = np.argmin(np.abs(values - quantities[row]))
            down[row] = max(0, np.searchsorted(values, quantities[row] * (1 + 1e-3), side="right") - 1)
        return [nearest] if (nearest == down).all() else [nearest, down]


def _sums(moves: np.ndarray, count: int) -> np.ndarray:
    """Every sum of ``count`` different moves (M, V), without those that cancel out."""
    chosen = np.array(list(combinations(range(len(moves)), count)), dtype=np.int64).reshape(-1, count)
    sums = moves[chosen].sum(axis=1)
    return sums[sums.any(axis=1)]
