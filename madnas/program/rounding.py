"""From a leaf of the tree to channel multiples: the best combination near the continuous widths.

Every limit binds at the optimum, so rounding each width on its own wastes far more than is necessary, and a local
search gets stuck. What helps is that the Lagrangian (objective minus shadow price times usage of each limit) is
nearly a sum over groups: a group's rounding loses the same whatever the others do. So:

1. for every group, list the roundings of its widths within a window and what each loses and uses (plain evaluator);
2. combine the groups one after the other, keeping the combinations that lose least;
3. in the last combination, drop those whose summed usage exceeds a limit, and score the most promising exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from madnas.program.evaluator import Evaluation, Evaluator
from madnas.program.problem import Problem, Ratio

WINDOW = 0.4
"""How far a width may be rounded, as a difference of logarithms, ..."""

STEPS = 12
"""... but at most so many steps of its grid, and at least three."""

CHOICES = 64
"""Roundings kept of each group, those that lose least."""

BEAM = 6000
"""Combinations kept while groups are added."""

PAIRS = 60_000
"""Combinations looked at while a group is added, those that lose least."""

CELLS = (5e-4, 2e-3, 6e-3)
"""Of combinations whose usage of every limit is alike to this, relative, only the one that loses least is kept: the
others can only be completed in the same ways. It keeps the beam from filling up with near copies. Wide networks are
rounded in fine steps and want small cells, narrow ones large cells, so all are tried."""

NEAR_LIMIT = 5e-4
"""Sums of usages are exact to about this, relative; combinations beyond a limit by more are dropped."""


@dataclass(frozen=True, slots=True)
class _Combinations:
    """Roundings of some groups, the other variables at the leaf.

    Attributes:
        values: values of the variables (N, V).
        gain: what they gain of the objective, nats, mostly negative (N,).
        usage: what they use more of each limit, relative (C, N).
        loss: what they lose of the Lagrangian, nats (N,).
    """

    values: np.ndarray
    gain: np.ndarray
    usage: np.ndarray
    loss: np.ndarray


@dataclass(frozen=True, slots=True)
class _Centre:
    """The leaf that is rounded.

    Attributes:
        values: values of the variables there (V,).
        found: its scores.
        worth: shadow price of each limit, nats (C,).
        between: ratios between groups (Guideline 3, growth) with their shadow prices.
    """

    values: np.ndarray
    found: Evaluation
    worth: np.ndarray
    between: list[tuple[Ratio, float]]

    def combinations(self, values: np.ndarray, found: Evaluation) -> _Combinations:
        """Scored roundings (N, V) as differences to the leaf."""
        gain, usage = found.objective - self.found.objective, found.usage - self.found.usage
        loss = self.worth @ usage - gain
        for ratio, price in self.between:
            loss += price * np.log(values[:, ratio.top] / values[:, ratio.bottom])
        return _Combinations(values, gain, usage, loss)


class Rounding:
    """Rounds leaves of one problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.evaluate = Evaluator(problem)
        self._parts = _parts(problem)
        together = [set(part) for part in self._parts]
        self._between = [r for r in problem.ratios if not any({r.top, r.bottom} <= part for part in together)]

    def around(self, quantities: np.ndarray, prices: Mapping[str, float], cell: float) -> tuple[np.ndarray, Evaluation]:
        """The most promising whole-number candidates near a leaf.

        Args:
            quantities: real values of the variables at the leaf (V,); depths and kernels are whole.
            prices: shadow price of each constraint there, nats.
            cell: one of :data:`CELLS`.

        Returns:
            candidates (N, V), perhaps none, and their exact scores.
        """
        worth = np.array([prices.get(name, 0.0) for name in self.evaluate.limits])
        between = [(ratio, prices.get(f"ratio[{ratio.name}]", 0.0)) for ratio in self._between]
        centre = _Centre(quantities, self.evaluate(quantities[None]), worth, between)
        merged = self._roundings(self._parts[0], centre)
        for part in self._parts[1:-1]:
            values = self._add(merged, self._roundings(part, centre), part, cell)
            merged = centre.combinations(values, self.evaluate(values))
        if len(self._parts) == 1:
            last = merged.values
        else:
            last = self._complete(merged, self._roundings(self._parts[-1], centre), self._parts[-1], centre)
        candidates = np.rint(last).astype(np.int64)
        return candidates, self.evaluate(candidates)

    def _roundings(self, part: list[int], centre: _Centre) -> _Combinations:
        """Roundings of one group's widths, the others kept at the leaf."""
        grids = [_window(self.problem.variables[column].values, centre.values[column]) for column in part]
        grid = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, len(part))
        values = np.repeat(centre.values[None], len(grid), axis=0)
        values[:, part] = grid
        for ratio in self.problem.ratios:
            if ratio.top in part and ratio.bottom in part:
                values = values[ratio.holds(values[:, ratio.top], values[:, ratio.bottom])]
        scored = centre.combinations(values, self.evaluate(values))
        rows = np.argsort(scored.loss, kind="stable")[:CHOICES]
        return _Combinations(values[rows], scored.gain[rows], scored.usage[:, rows], scored.loss[rows])

    def _pairs(self, left: _Combinations, right: _Combinations, part: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Rows of either side that go together: the ratios between the next group and earlier ones hold."""
        rows = np.repeat(np.arange(len(left.loss)), len(right.loss))
        columns = np.tile(np.arange(len(right.loss)), len(left.loss))
        keep = np.ones(len(rows), dtype=bool)
        for ratio in self._between:
            if ratio.top in part:
                keep &= ratio.holds(right.values[columns, ratio.top], left.values[rows, ratio.bottom])
        return rows[keep], columns[keep]

    def _add(self, left: _Combinations, right: _Combinations, part: list[int], cell: float) -> np.ndarray:
        """The next group added: the combinations that lose least, one of each cell (N, V)."""
        rows, columns = self._pairs(left, right, part)
        loss = left.loss[rows] + right.loss[columns]
        if len(loss) > PAIRS:
            near = np.sort(np.argpartition(loss, PAIRS)[:PAIRS])
            rows, columns, loss = rows[near], columns[near], loss[near]
        kept = _best_of_cells(left.usage[:, rows] + right.usage[:, columns], loss, cell)
        if len(kept) > BEAM:
            kept = np.sort(kept[np.argpartition(loss[kept], BEAM)[:BEAM]])
        return _joined(left, right, rows[kept], columns[kept], part)

    def _complete(self, left: _Combinations, right: _Combinations, part: list[int], centre: _Centre) -> np.ndarray:
        """The last group added: the combinations of the highest objective that seem to meet every limit (N, V)."""
        rows, columns = self._pairs(left, right, part)
        keep = np.ones(len(rows), dtype=bool)
        for limit, at_leaf in enumerate(centre.found.usage[:, 0]):
            keep &= at_leaf + left.usage[limit][rows] + right.usage[limit][columns] <= NEAR_LIMIT
        rows, columns = rows[keep], columns[keep]
        best = np.argsort(-(left.gain[rows] + right.gain[columns]), kind="stable")[:BEAM]
        return _joined(left, right, rows[best], columns[best], part)


def _joined(
    left: _Combinations, right: _Combinations, rows: np.ndarray, columns: np.ndarray, part: list[int]
) -> np.ndarray:
    values = left.values[rows]
    values[:, part] = right.values[columns][:, part]
    return values


def _best_of_cells(usage: np.ndarray, loss: np.ndarray, cell: float) -> np.ndarray:
    """Rows with the smallest loss among those in the same cell of the usages (C, N) -> (M,)."""
    cells = np.zeros(usage.shape[1], dtype=np.int64)
    for row in usage:
        cells = cells * 8192 + (np.rint(row / cell).astype(np.int64) & 8191)
    order = np.lexsort((loss, cells))
    first = np.ones(len(order), dtype=bool)
    first[1:] = cells[order][1:] != cells[order][:-1]
    return np.sort(order[first])


def _parts(problem: Problem) -> list[list[int]]:
    """Columns of the widths that are rounded together: the stem, each group's, the head."""
    names = ["stem", *(str(number) for number in range(1, len(problem.space.strides) + 1)), "head"]
    wanted = [[name] if not name.isdigit() else [f"out{name}", f"hidden{name}"] for name in names]
    parts = [[problem.index[name] for name in group if name in problem.index] for group in wanted]
    return [part for part in parts if part]


def _window(values: tuple[int, ...], value: float) -> np.ndarray:
    """Allowed values near a real one."""
    allowed = np.asarray(values, dtype=float)
    steps = np.abs(np.arange(len(allowed)) - np.interp(value, allowed, np.arange(len(allowed))))
    near = np.abs(np.log(allowed / value)) <= WINDOW
    return allowed[(steps <= 3) | (near & (steps <= STEPS))]
