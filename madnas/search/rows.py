"""Networks of free length as arrays: :class:`~madnas.search.space.EvolutionSpace` for a search.

A candidate is ``[stem, head, kind, out, hidden, layers, kind, out, ...]``: four numbers for each of the rows that every
stage may have. Those that it has come first; of the others all numbers are 0.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from madnas.network.spec import NetworkSpec
from madnas.search.family import Values
from madnas.search.rows_closed import HIDDEN, KIND, LAYERS, OUT, closed_forms
from madnas.search.seen import keys
from madnas.search.space import MOST_KINDS, EvolutionSpace, start_network

STEM, HEAD, FIRST = 0, 1, 2
"""Columns of a candidate; from the third on its rows."""

FINE = 0.5
"""Share of the mutations that take small steps instead of Zen-NAS's large ones."""

STEPS = 4
"""Largest step of a width in such a mutation, in multiples."""

WARM = 8
"""Most mutations between the space's first network and a candidate that a search begins with."""

SPLIT_OFF = 3
"""Layers of the first of the two rows that a long one becomes."""


class Rows:
    """The space as a search sees it (:class:`~madnas.search.family.Family`).

    Args:
        space: the space.
        plain: use Zen-NAS's mutations alone.
    """

    known: tuple[str, ...] = ("params", "macs", "activations", "layers", "width", "rho", "entropy", "zen-closed")
    together = frozenset({"params", "macs", "activations", "layers"})

    def __init__(self, space: EvolutionSpace, plain: bool = False) -> None:
        self.space, self.fine = space, 0.0 if plain else FINE
        self.name = space.name
        self.stages, self.rows = len(space.strides), space.rows
        self.columns = FIRST + 4 * self.stages * self.rows

    # Candidates

    def parts(self, candidates: np.ndarray) -> np.ndarray:
        """Rows of candidates, as a view (N, stages, rows, 4)."""
        return candidates[:, FIRST:].reshape(len(candidates), self.stages, self.rows, 4)

    def join(self, ends: np.ndarray, parts: np.ndarray) -> np.ndarray:
        """Candidates from stems and heads (N, 2) and rows (N, stages, rows, 4)."""
        return np.concatenate([ends, parts.reshape(len(parts), -1)], axis=1)

    @cached_property
    def first(self) -> np.ndarray:
        """The network that the space begins with, as a candidate (1, V)."""
        spec = start_network(self.space)
        assert spec.stem is not None
        parts = np.zeros((1, self.stages, self.rows, 4), dtype=np.int64)
        start = self.space.start
        parts[0, :, 0] = (0, start.out, start.hidden, start.layers)
        return self.join(np.array([[spec.stem.out, start.head]]), parts)

    def start(self, generator: np.random.Generator, number: int) -> np.ndarray:
        """The space's first network, changed a few times each."""
        found = np.repeat(self.first, number, axis=0)
        times = generator.integers(0, WARM + 1, number)
        for turn in range(WARM):
            changed = self.mutate(generator, found)
            found = np.where((turn < times)[:, None], changed, found)
        return found

    def network(self, candidate: np.ndarray, name: str) -> NetworkSpec:
        """The network that a candidate stands for."""
        space, groups = self.space, []
        for stride, rows in zip(space.strides, self.parts(candidate[None])[0].tolist(), strict=True):
            for place, (kind, out, hidden, layers) in enumerate(rows):
                if layers:
                    groups.append(space.group(space.choices[kind], out, hidden, layers, 1 if place else stride))
        return space.network(int(candidate[STEM]), tuple(groups), int(candidate[HEAD]), name)

    def niche(self, candidates: np.ndarray) -> np.ndarray:
        """A key of the rows' kinds and layers (N,)."""
        parts = self.parts(candidates)
        both = parts[..., KIND] + MOST_KINDS * parts[..., LAYERS]
        return keys(both.reshape(len(candidates), -1))

    def breach(self, candidates: np.ndarray) -> np.ndarray:
        """Layers more than ``max_depth``, as a share of it (N,)."""
        depth = self.depth(candidates)
        return np.maximum(0.0, depth / self.space.max_depth - 1)

    def depth(self, candidates: np.ndarray) -> np.ndarray:
        """Layers as Zen-NAS counts them (N,)."""
        return 2 + self.parts(candidates)[..., LAYERS].sum((1, 2))

    # Mutation

    def mutate(self, generator: np.random.Generator, parents: np.ndarray) -> np.ndarray:
        """Zen-NAS's mutation, or small steps; rows that have become long are split."""
        number, candidates = len(parents), parents.copy()
        ends, parts = candidates[:, :FIRST], self.parts(candidates)
        fine = generator.random(number) < self.fine
        for turn in range(self.space.mutation.parts):
            chosen = self._choose(generator, parts)
            small = fine & ((turn == 0) | (generator.random(number) < 0.5))
            self._redraw(generator, ends, parts, np.where(fine, -1, chosen))
            self._step(generator, ends, parts, np.where(small, chosen, -1))
        self._compact(parts)
        self._split(parts)
        return candidates

    def _choose(self, generator: np.random.Generator, parts: np.ndarray) -> np.ndarray:
        """A part of each, uniformly: 0 the stem, 1 the head, from 2 on the rows that it has (N,)."""
        gone = parts[..., LAYERS].reshape(len(parts), -1) == 0
        draws = generator.random((len(parts), FIRST + gone.shape[1]))
        draws[:, FIRST:][gone] = -1
        return draws.argmax(axis=1)

    def _redraw(self, generator: np.random.Generator, ends: np.ndarray, parts: np.ndarray, chosen: np.ndarray) -> None:
        """Zen-NAS's mutation of a part: kind anew, widths times a factor, a few layers more or fewer, all uniformly."""
        space, number = self.space, len(chosen)
        factors = np.asarray(space.mutation.factors)
        by = factors[generator.integers(0, len(factors), (number, 2))]
        more = generator.integers(-space.mutation.layers, space.mutation.layers + 1, number)
        kinds = generator.integers(0, len(space.choices), number)
        for column, bounds in ((STEM, space.stem.out), (HEAD, space.head)):
            here = np.flatnonzero(chosen == column)
            ends[here, column] = self.snap(ends[here, column] * by[here, 0], bounds)
        here = np.flatnonzero(chosen >= FIRST)
        rows = parts.reshape(number, -1, 4)
        at = (here, chosen[here] - FIRST)
        row = rows[at]
        row[:, KIND] = kinds[here]
        row[:, OUT] = self.snap(row[:, OUT] * by[here, 0], space.out)
        row[:, HIDDEN] = self.snap(row[:, HIDDEN] * by[here, 1], space.hidden)
        row[:, LAYERS] = np.maximum(1, row[:, LAYERS] + more[here])
        rows[at] = row

    def _step(self, generator: np.random.Generator, ends: np.ndarray, parts: np.ndarray, chosen: np.ndarray) -> None:
        """A small step of one number: a width by a few multiples, a layer more or fewer, another kind.

        A row that loses its last layer is gone, unless it is its stage's only one.
        """
        space, number = self.space, len(chosen)
        steps = generator.integers(1, STEPS + 1, number) * generator.choice([-1, 1], number)
        kinds = generator.integers(0, len(space.choices), number)
        column = generator.integers(0, 4, number)
        for end, bounds in ((STEM, space.stem.out), (HEAD, space.head)):
            here = np.flatnonzero(chosen == end)
            ends[here, end] = self.snap(ends[here, end] + steps[here] * space.multiple, bounds)
        here = np.flatnonzero(chosen >= FIRST)
        rows = parts.reshape(number, -1, 4)
        at = (here, chosen[here] - FIRST)
        row, what = rows[at], column[here]
        row[:, KIND] = np.where(what == KIND, kinds[here], row[:, KIND])
        for one, bounds in ((OUT, space.out), (HIDDEN, space.hidden)):
            moved = self.snap(row[:, one] + steps[here] * space.multiple, bounds)
            row[:, one] = np.where(what == one, moved, row[:, one])
        several = (parts[..., LAYERS][here, (chosen[here] - FIRST) // self.rows] > 0).sum(axis=1) > 1
        layers = np.maximum(np.where(several, 0, 1), row[:, LAYERS] + np.sign(steps[here]))
        row[:, LAYERS] = np.where(what == LAYERS, layers, row[:, LAYERS])
        rows[at] = row

    def snap(self, widths: np.ndarray, bounds: tuple[int, int]) -> np.ndarray:
        """The nearest multiples in a range."""
        multiple = self.space.multiple
        low, high = -(-bounds[0] // multiple) * multiple, bounds[1] // multiple * multiple
        return np.clip(np.rint(widths / multiple).astype(np.int64) * multiple, low, high)

    def _compact(self, parts: np.ndarray) -> None:
        """Rows that have lost their layers to the end of their stage, and all 0."""
        number, stage = self._stages((parts[..., LAYERS] == 0) & (parts[..., OUT] > 0))
        stages = parts[number, stage]
        gone = stages[..., LAYERS] == 0
        stages[gone] = 0
        order = np.argsort(gone, axis=1, kind="stable")
        parts[number, stage] = np.take_along_axis(stages, order[..., None], axis=1)

    def _split(self, parts: np.ndarray) -> None:
        """Rows of many layers into two, where their stage has room for one more."""
        number, stage = self._stages(parts[..., LAYERS] >= self.space.mutation.split)
        stages = parts[number, stage]
        for place in range(self.rows - 1):
            long = (stages[:, place, LAYERS] >= self.space.mutation.split) & (stages[:, -1, LAYERS] == 0)
            split = stages[long]
            split[:, place + 1 :] = split[:, place:-1]
            split[:, place, LAYERS] = SPLIT_OFF
            split[:, place + 1, LAYERS] -= SPLIT_OFF
            stages[long] = split
        parts[number, stage] = stages

    def _stages(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Candidate and stage of every row of which something is true (N, stages, rows): two of (M,)."""
        number, stage = np.divmod(np.flatnonzero(rows) // self.rows, self.stages)
        return number, stage

    # Closed forms

    def closed(self, candidates: np.ndarray, names: Sequence[str]) -> Values:
        """Closed-form scores and costs by name."""
        return closed_forms(self.space, candidates[:, :FIRST].T, self.parts(candidates), names)
