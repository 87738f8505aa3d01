"""Random networks of a space of free length within a range of multiply-adds, to be measured and predicted."""

import numpy as np

from madnas.network.plainnet import UNITS
from madnas.network.spec import NetworkSpec
from madnas.program.draw import CORRECTIONS, first_of, step_towards, uniform
from madnas.search.rows import Rows
from madnas.search.rows_closed import HIDDEN, KIND, LAYERS, OUT
from madnas.search.space import EvolutionSpace

DRAWS = 2048
"""Candidates of a round; all are counted at once."""

ROUNDS = 16
"""Rounds after which a range counts as empty."""

MOST_ROWS = 3
"""Of a stage: one takes its stride, the others do not."""

HIDDEN_SHARES = (1 / 8, 2.0)
"""Inner channels of a row over its output channels."""


class Drawn:
    """A space of free length, as a latency table asks for networks.

    Args:
        space: the space.
    """

    def __init__(self, space: EvolutionSpace) -> None:
        self._rows = Rows(space)
        self.name = space.name

    def draw(
        self, number: int, macs: tuple[float, float], depth: tuple[int, int], seed: int, name: str
    ) -> list[NetworkSpec]:
        """See :meth:`~madnas.measure.latency_table.request.Drawable.draw`; a row is what a group is there."""
        random = np.random.default_rng(seed)
        candidates = (candidate for _ in range(ROUNDS) for candidate in self._round(macs, depth, random))
        return first_of(candidates, self._rows.network, number, name, self.name, macs)

    def _round(self, macs: tuple[float, float], depth: tuple[int, int], random: np.random.Generator) -> np.ndarray:
        rows, space = self._rows, self._rows.space
        shape = (DRAWS, rows.stages, rows.rows)
        there = np.arange(rows.rows) < random.integers(1, min(MOST_ROWS, rows.rows) + 1, (DRAWS, rows.stages, 1))
        kinds = random.integers(0, len(space.choices), shape)
        units = np.array([UNITS[choice.block] for choice in space.choices])[kinds]
        layers = np.ceil(np.floor(uniform(random, depth[0], depth[1] + 1, shape)) / units).astype(int)
        # Wider from row to row, as networks are; rows that are not there shall have no part in that.
        out = np.sort(uniform(random, *space.out, shape).reshape(DRAWS, -1), axis=1).reshape(shape)
        hidden = out * uniform(random, *HIDDEN_SHARES, shape)
        ends = np.stack([uniform(random, *bounds, DRAWS) for bounds in (space.stem.out, space.head)])
        target = uniform(random, *macs, DRAWS)
        for _ in range(CORRECTIONS):
            candidates = self._join(ends, kinds, out, hidden, layers, there)
            step = step_towards(target, rows.closed(candidates, ("macs",))["macs"])
            out, hidden, ends = out * step[:, None, None], hidden * step[:, None, None], ends * step
        candidates = self._join(ends, kinds, out, hidden, layers, there)
        found = rows.closed(candidates, ("macs",))["macs"]
        return candidates[(found >= macs[0]) & (found <= macs[1]) & (rows.breach(candidates) <= 0)]

    def _join(
        self, ends: np.ndarray, kinds: np.ndarray, out: np.ndarray, hidden: np.ndarray, layers: np.ndarray,
        there: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """Candidates with widths that the space has (DRAWS, V)."""
        rows, space = self._rows, self._rows.space
        parts = np.zeros((*kinds.shape, 4), np.int64)
        parts[..., KIND], parts[..., LAYERS] = kinds, layers
        parts[..., OUT], parts[..., HIDDEN] = rows.snap(out, space.out), rows.snap(hidden, space.hidden)
        snapped = [rows.snap(end, bounds) for end, bounds in zip(ends, (space.stem.out, space.head), strict=True)]
        return rows.join(np.stack(snapped, axis=1), np.where(there[..., None], parts, 0))
