"""Closed forms of many networks of free length at once: costs, entropy, rho and the closed Zen-Score as arrays.

All rows of all candidates lie in one flat list, each with the number of its candidate and of its stage. The block
catalogue counts the first blocks of all rows of a kind together, and those that follow together; sums over the
candidates' rows give what each network has.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from madnas.network.analyse import Stage, Structure
from madnas.network.blocks import CATALOGUE
from madnas.network.expand import head_layers, stem_layers
from madnas.network.layer import Layer, Layers, Resolution, strided
from madnas.network.spec import Group
from madnas.network.zen_batch import Run, zen_of_runs
from madnas.search.family import Values
from madnas.search.space import Choice, EvolutionSpace
from madnas.theory.entropy import cnn_entropy, log_variance

KIND, OUT, HIDDEN, LAYERS = range(4)
"""Numbers of a row."""

COSTS = {"params": "params", "macs": "macs", "activations": "outputs", "layers": "main"}
"""Costs, and which number of every layer each is the sum of."""

STRUCTURE = ("width", "rho", "entropy")


def closed_forms(space: EvolutionSpace, ends: np.ndarray, parts: np.ndarray, names: Sequence[str]) -> Values:
    """Closed-form scores and costs.

    Args:
        space: what the candidates are of.
        ends: widths of stems and heads (2, N).
        parts: kind, out, hidden and layers of every row (N, stages, rows, 4); all 0 where there is none.
        names: what is wanted of :data:`COSTS`, :data:`STRUCTURE` and ``zen-closed``.

    Returns:
        each by its name (N,).
    """
    batch = Batch(space, ends, parts)
    found = batch.costs([name for name in names if name in COSTS])
    if not set(STRUCTURE).isdisjoint(names):
        structure = batch.structure()
        found |= {"width": structure.width, "rho": structure.rho, "entropy": structure.weighted_entropy()}
    if "zen-closed" in names:
        found["zen-closed"] = batch.zen()
    return {name: found[name] for name in names}


@dataclass(frozen=True, slots=True)
class Cell:
    """Rows of one kind at one place of many candidates.

    Attributes:
        candidate: number of each one's candidate (M,).
        group: the row; numbers are arrays (M,), kernel and expansion are numbers.
        chs: channels of its input (M,).
        before, after: size of the maps that its first block and the others see.
    """

    candidate: np.ndarray
    group: Group
    chs: np.ndarray
    before: Resolution
    after: Resolution


@dataclass(frozen=True, slots=True)
class _Piece:
    """The first blocks of some rows of all candidates, or those that follow, in one flat list of M.

    Attributes:
        rows: numbers of the rows, of those of all candidates (M,).
        opens: whether the blocks are the first ones.
        before: size of the maps that they see (M,).
        layers: of one block; numbers are arrays (M,).
        repeat: how many blocks (M,).
    """

    rows: np.ndarray
    opens: bool
    before: Resolution
    layers: Layers
    repeat: np.ndarray

    @property
    def main(self) -> Layers:
        """The layers on the main path."""
        return tuple(layer for layer in self.layers if layer.main)


class Batch:
    """Layers of many candidates.

    Args:
        space: what they are of.
        ends: widths of stems and heads (2, N).
        parts: rows (N, stages, rows, 4).

    Attributes:
        maps: sizes of the maps behind the stem and behind every stage.
        last: channels behind the last row (N,).
    """

    def __init__(self, space: EvolutionSpace, ends: np.ndarray, parts: np.ndarray) -> None:
        self.space, self.number, self.rows = space, len(parts), parts.shape[2]
        self.stem, self.head = ends
        flat = parts.reshape(self.number, -1, 4)
        there = np.flatnonzero(flat[..., LAYERS] > 0)  # in the order of the networks
        self.candidate = there // flat.shape[1]
        place = there - self.candidate * flat.shape[1]
        self.stage = place // self.rows
        self.row = place - self.stage * self.rows
        self.kind, self.out, self.hidden, self.layers = flat[self.candidate, place].T
        begins = np.append(True, np.diff(self.candidate) > 0)
        self.first = np.flatnonzero(begins)  # row of each network, and its last one
        self.final = np.append(self.first[1:], len(begins)) - 1
        self.chs = np.where(begins, self.stem[self.candidate], np.roll(self.out, 1))
        self.last = self.out[self.final]
        self.gives = np.zeros((self.number, len(space.strides)), np.int64)  # channels behind each stage
        self.gives[self.candidate, self.stage] = self.out  # the last one of each counts
        self.opening = stem_layers(space.stem_of(self.stem), space.input[0], space.input[1:])
        self.maps = [self.opening[-1].resolution]
        for stride in space.strides:
            self.maps.append(strided(self.maps[-1], stride))
        blocks = [choice.block for choice in space.choices]
        self.block = np.array([sorted(set(blocks)).index(block) for block in blocks])[self.kind]
        self.blocks = sorted(set(blocks))
        self.kernels = np.array([choice.kernel for choice in space.choices])
        self.expansions = np.array([choice.expand or 1 for choice in space.choices])

    def costs(self, names: Iterable[str]) -> Values:
        """Those wanted of :data:`COSTS` (N,); a name may come twice, as that of a score and of a budget."""
        values = {name: np.zeros(self.number) for name in names}
        conv, classifier = self._tail()
        ends = (*self.opening, conv, *classifier)
        for name in values:
            values[name] += sum(getattr(layer, COSTS[name]) for layer in ends)
        for piece in self._pieces() if values else ():
            for name in values:
                found = piece.repeat * sum(getattr(layer, COSTS[name]) for layer in piece.layers)
                values[name] += np.bincount(self.candidate[piece.rows], found, self.number)
        return values  # sums of whole numbers far below 2^53, which floats hold exactly

    def structure(self) -> Structure:
        """Stages with their entropies (N,), as :func:`~madnas.network.analyse.analyse` gives them of one network."""
        stages = np.cumsum([0, *(stride == 2 for stride in self.space.strides)])  # the stem's, and that of every one
        shape = (self.number, int(stages[-1]) + 1)
        depth, log_widths = np.zeros(shape), np.zeros(shape)
        for place, layers in ((0, self.opening), (-1, self._tail()[:1])):
            depth[:, place] += len(layers)
            log_widths[:, place] += log_variance(layer.width for layer in layers)
        for piece in self._pieces():
            cell = self.candidate[piece.rows] * shape[1] + stages[self.stage[piece.rows] + 1]
            depth += np.bincount(cell, piece.repeat * len(piece.main), depth.size).reshape(shape)
            sums = piece.repeat * log_variance(layer.width for layer in piece.main)
            log_widths += np.bincount(cell, sums, depth.size).reshape(shape)
        gives = {0: self.stem} | {int(stages[place + 1]): chs for place, chs in enumerate(self.gives.T)}
        gives[shape[1] - 1] = self.head
        sides = {int(stage): (size[0] * size[1]) ** 0.5 for stage, size in zip(stages, self.maps, strict=True)}
        before = np.cumsum(log_widths, axis=1)
        return Structure(
            tuple(
                Stage(
                    sides[one], gives[one], depth[:, one], log_widths[:, one],
                    cnn_entropy(sides[one], gives[one], before[:, one]),
                )
                for one in range(shape[1])
            ),
            (),
        )  # fmt: skip

    def zen(self) -> np.ndarray:
        """The closed form of the Zen-Score (N,)."""
        act, pieces = self.space.act, list(self._pieces())
        layers = np.zeros(len(self.candidate), np.int64)  # of every row
        for piece in pieces:
            layers[piece.rows] += piece.repeat * len(piece.main)
        start = np.cumsum(layers) - layers
        start += len(self.opening) - start[self.first][self.candidate]
        runs = [Run(self.opening, (None, *[act] * len(self.opening)), self.space.input[1:])]
        for piece in pieces:
            acts = (act,) * (len(piece.main) + 1)
            begin = start[piece.rows] + (0 if piece.opens else len(piece.main))
            runs.append(Run(piece.main, acts, piece.before, piece.repeat, begin, self.candidate[piece.rows]))
        runs.append(Run(self._tail()[:1], (act, act), self.maps[-1], 1, (start + layers)[self.final]))
        return zen_of_runs(runs, self.number)

    def cells(self) -> Iterator[Cell]:
        """All rows, those together that are of one kind and see maps of one size."""
        places = np.ravel_multi_index(
            (self.stage, (self.row > 0).astype(int), self.kind), (len(self.space.strides), 2, len(self.space.choices))
        )
        for place in np.unique(places):
            here = np.flatnonzero(places == place)
            stage, opens = int(self.stage[here[0]]), self.row[here[0]] == 0
            before, after = self.maps[stage if opens else stage + 1], self.maps[stage + 1]
            group = self.space.group(
                self.space.choices[self.kind[here[0]]], self.out[here], self.hidden[here], self.layers[here],
                self.space.strides[stage] if opens else 1,
            )  # fmt: skip
            yield Cell(self.candidate[here], group, self.chs[here], before, after)

    def _pieces(self) -> Iterator[_Piece]:
        """All blocks, those of every kind together."""
        opens = self.row == 0
        heights, widths = np.array(self.maps).T[:, np.where(opens, self.stage, self.stage + 1)]
        strides = np.where(opens, np.array(self.space.strides)[self.stage], 1)
        for block, stride in product(range(len(self.blocks)), (1, 2)):
            rows = np.flatnonzero((self.block == block) & (strides == stride))
            if len(rows):
                yield from self._of(rows, (heights[rows], widths[rows]), stride)

    def _of(self, rows: np.ndarray, before: Resolution, stride: int) -> tuple[_Piece, _Piece]:
        """First and following blocks of some rows of one kind and stride, which see maps of such a size."""
        kind, out, block = self.kind[rows], self.out[rows], self.blocks[self.block[rows[0]]]
        expand = self.expansions[kind] if block == "mobile-pair" else None
        group = self.space.group(
            Choice(block, self.kernels[kind], expand), out, self.hidden[rows], self.layers[rows], stride
        )
        make, after = CATALOGUE[block].layers, strided(before, stride)
        return (
            _Piece(rows, True, before, make(group, self.chs[rows], before, 0), np.ones(len(rows), np.int64)),
            _Piece(rows, False, after, make(group, out, after, 1), group.depth - 1),
        )

    def _tail(self) -> tuple[Layer, Layers]:
        """The 1x1 convolution at the end, and the classifier."""
        conv = Layer("conv", self.last, self.head, self.maps[-1])
        return conv, head_layers(self.space.network(self.stem, (), self.head, ""), self.head)
