"""A local search on the integer grid: depths, kernels and channels at once, for where rounding alone is too coarse.

It climbs the exact penalty function of the program (objective minus each excess at a multiple of its shadow price),
which may pass through points that exceed a limit a little, with the multiple growing until the points it ends in are
feasible. Of every point met on the way the best feasible one is kept. All neighbours are scored at once by the plain
evaluator, so that a step costs milliseconds; climbs that do not depend on each other take their steps together.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
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

LANES = 24
"""Climbs that take their steps together: the evaluator needs as long for a hundred candidates as for a thousand."""

ROWS = 16384
"""Candidates scored at once: enough to hide Python's overhead, few enough for the processor's cache."""


Climb = Generator[np.ndarray, Evaluation, np.ndarray]
"""A climb under way: asks for scores of candidates (N, V), is sent them, and returns positions (V,) or merits (N,)."""


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

    def branch(self) -> "Incumbent":
        """Another one that begins with the same candidate, and counts anew."""
        other = Incumbent()
        other.values, other.objective = self.values, self.objective
        return other

    def join(self, other: "Incumbent") -> bool:
        """Take over what a :meth:`branch` of this one has met; whether that is better."""
        self.evaluated += other.evaluated
        if other.objective <= self.objective:
            return False
        self.values, self.objective = other.values, other.objective
        return True


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
        self._discrete = np.array([v.name.startswith(("depth", "kernel")) for v in problem.variables])

    def around(self, quantities: np.ndarray, prices: Mapping[str, float]) -> None:
        """Search around real values of the variables (V,), given what each limit is worth there (nats)."""
        scale = float(abs(self._evaluate(quantities[None]).objective[0]))
        worth = np.array([max(prices.get(name, 0.0), 0.05 * scale) for name in self._evaluate.limits])
        thorough = (self._near, self._triples)
        for start in self._roundings(quantities):
            for factors in ([factor * worth for factor in PRICE_FACTORS], [np.full(len(worth), 100 * scale)]):
                self._run([self._climbs(start, factors, scale, thorough, self.incumbent)])
        self.finish()

    def finish(self) -> None:
        """Improve the incumbent within feasible points until no one to three changes help."""
        if self.incumbent.values is None:
            return
        scale = max(1.0, abs(self.incumbent.objective))
        walls, start = np.full(len(self._evaluate.limits), 100 * scale), self._positions(self.incumbent.values)
        self._run([self._climbs(start, [walls], scale, (self._near, self._triples), self.incumbent)])

    def shake(self, watch: Callable[[int], None] | None = None) -> None:
        """Disturb the incumbent and climb again, many times: out of local optima that no three changes leave.

        The draws are seeded and their number is counted, so that the answer is the same on every run. Several climb
        together from the same incumbent; when one has found a better one, those after it are drawn again from there,
        so that the answer is that of climbs one after the other.

        Args:
            watch: told the share that is done, in percent.
        """
        generator = np.random.Generator(np.random.PCG64(0))
        first, done = self.incumbent.evaluated, 0
        while self.incumbent.values is not None and done < SHAKES:
            if watch is not None:
                watch(int(100 * max(done / SHAKES, (self.incumbent.evaluated - first) / SHAKEN)))
            branches = [self.incumbent.branch() for _ in range(min(LANES, SHAKES - done))]
            climbs, states = [], []
            for branch in branches:
                climbs.append(self._shaken(self._disturbed(generator), branch))
                states.append(generator.bit_generator.state)
            self._run(climbs, branches)
            for branch, state in zip(branches, states, strict=True):
                if self.incumbent.evaluated > first + SHAKEN:
                    return
                done += 1
                if self.incumbent.join(branch):
                    generator.bit_generator.state = state
                    break

    def _disturbed(self, generator: np.random.Generator) -> np.ndarray:
        """The incumbent's positions (V,), a few of them moved."""
        assert self.incumbent.values is not None
        here = self._positions(self.incumbent.values)
        number = min(len(self._free), int(generator.integers(1, KICKED + 1)))
        for column in generator.choice(self._free, size=number, replace=False):
            span = 3 if self._discrete[column] else max(2, int(KICK * here[column]) + 1)
            moved = here[column] + generator.integers(-span, span + 1)
            here[column] = np.clip(moved, 0, self._sizes[column] - 1)
        return here

    def _shaken(self, start: np.ndarray, incumbent: Incumbent) -> Climb:
        """Climb from a disturbed incumbent."""
        scale = max(1.0, abs(incumbent.objective))
        worths = [np.full(len(self._evaluate.limits), factor * scale) for factor in (0.5, 3.0, 100.0)]
        return self._climbs(start, worths, scale, (self._near,), incumbent)

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

    def _run(self, climbs: Sequence[Climb], branches: Sequence[Incumbent] = ()) -> None:
        """Take the steps of several climbs together until all have ended.

        Args:
            climbs: what runs.
            branches: what each one meets; when one has met a better candidate, those after it are given up.
        """
        begun = [branch.objective for branch in branches]
        asked = {number: next(climb) for number, climb in enumerate(climbs)}
        while asked:
            for number, found in zip(list(asked), self._scores(list(asked.values())), strict=True):
                try:
                    asked[number] = climbs[number].send(found)
                except StopIteration:
                    del asked[number]
            pairs = enumerate(zip(branches, begun, strict=True))
            better = next((number for number, (branch, before) in pairs if branch.objective > before), len(climbs))
            asked = {number: candidates for number, candidates in asked.items() if number <= better}

    def _scores(self, asked: Sequence[np.ndarray]) -> list[Evaluation]:
        """Scores of several sets of candidates."""
        values = np.concatenate(asked)
        parts = [self._evaluate(values[begin : begin + ROWS]) for begin in range(0, len(values), ROWS)]
        objective = np.concatenate([part.objective for part in parts])
        usage = np.concatenate([part.usage for part in parts], axis=1)
        ratios = np.concatenate([part.ratios for part in parts])
        ends = np.cumsum([len(candidates) for candidates in asked])
        ranges = [slice(end - len(candidates), end) for end, candidates in zip(ends, asked, strict=True)]
        return [Evaluation(objective[one], usage[:, one], ratios[one], parts[0].slack) for one in ranges]

    def _climbs(
        self,
        start: np.ndarray,
        worths: Sequence[np.ndarray],
        scale: float,
        sets: Sequence[np.ndarray],
        incumbent: Incumbent,
    ) -> Climb:
        """Climb under one price of the limits (C,) after the other, each from where the last one ended."""
        here = start
        for worth in worths:
            here = yield from self._climb(here, worth, scale, sets, incumbent)
        return here

    def _climb(
        self, start: np.ndarray, worth: np.ndarray, scale: float, sets: Sequence[np.ndarray], incumbent: Incumbent
    ) -> Climb:
        """Steepest ascent of the penalty function, with larger sets of moves only where smaller ones find nothing."""
        merits = yield from self._merits(start[None], worth, scale, incumbent)
        here, merit, level = start, float(merits[0]), 0
        while level < len(sets):
            moved = here + sets[level]
            moved = moved[((moved >= 0) & (moved < self._sizes)).all(axis=1)]
            level += 1
            if len(moved):
                merits = yield from self._merits(moved, worth, scale, incumbent)
                top = int(np.argmax(merits))
                if merits[top] > merit + IMPROVEMENT * abs(merit):
                    here, merit, level = moved[top], float(merits[top]), 0
        return here

    def _merits(self, positions: np.ndarray, worth: np.ndarray, scale: float, incumbent: Incumbent) -> Climb:
        """Penalty function of many positions (N, V) -> (N,); offers the feasible ones to the incumbent."""
        values = self._at(positions)
        found = yield values
        incumbent.offer(values, found)
        return found.objective - (worth @ np.maximum(found.usage, 0.0) + scale * ~found.ratios)

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
