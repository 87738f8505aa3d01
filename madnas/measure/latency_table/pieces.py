"""A network as the pieces that are timed: stem, every block, head; each with the work that it does.

Pieces of the same :class:`Shape` differ only in their numbers of channels, and their latency is a linear function of
their :func:`work`. Both come from the block catalogue's layers, so channels, kernels and depths may be arrays, and
channels and depths expressions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from madnas.errors import UsageError
from madnas.network.blocks import CATALOGUE, shortcut_of
from madnas.network.expand import head_layers, openings, stem_layers
from madnas.network.layer import Layer, Layers, Resolution
from madnas.network.spec import Group, NetworkSpec, Stem
from madnas.theory.numerics import Number, is_array, is_symbolic

LANES = 16
"""Channels that a CPU's vector unit and a GPU's matrix unit take at a time; layers of fewer waste the rest."""

WORK = ("calls", "depthwise", "depthwise inputs", "vectors", "1x1", "1x1 in lanes", "k x k", "outputs", "weights")
"""What :func:`work` counts, in this order: 1 for the piece itself; multiply-adds of convolutions in groups, and the
elements that these read; multiply-adds over a single pixel (squeeze-excitation, classifier); of 1x1 convolutions, as
they are and with channels rounded up to :data:`LANES`; of other convolutions; elements written; parameters."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a piece is, but for its channels.

    Attributes:
        part: ``stem``, ``block`` or ``head``.
        kind: kind of block, or what else the part consists of.
        resolution: of its input, in pixels.
        kernel: side of its kernel; 0 where it has none.
        stride: 1 or 2.
        options: activation, squeeze-excitation and shortcut.
        opens: whether it is the first block of a group.
    """

    part: str
    kind: str
    resolution: Resolution
    kernel: int
    stride: int
    options: str
    opens: bool = True

    def __str__(self) -> str:
        """As errors call it: ``inverted-residual 5x5 stride 2 at 56x56 (silu, deepmad, pool)``."""
        kernel = f" {self.kernel}x{self.kernel}" if self.kernel else ""
        side = "x".join(map(str, self.resolution))
        return f"{self.kind}{kernel} stride {self.stride} at {side} ({self.options})"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece and how often it follows itself; numbers or arrays, but the kernel of ``shape`` is not known for arrays.

    Attributes:
        place: ``stem``, ``groups[0]`` ... or ``head``, as in a file.
        shape: with kernel 0 where ``kernel`` is an array.
        kernel: of the piece.
        layers: its layers.
        ends: channels of its input and of its output.
        repeat: 0 where a group has a single block.
    """

    place: str
    shape: Shape
    kernel: Number
    layers: Layers
    ends: tuple[Number, Number]
    repeat: Number = 1

    @property
    def chs(self) -> tuple[Number, Number, Number]:
        """Channels of its input, inside (the most of any layer) and of its output; numbers or arrays."""
        inner: Number = 0
        for layer in self.layers:
            inner = np.maximum(inner, layer.out_chs)
        return self.ends[0], inner, self.ends[1]


def pieces(spec: NetworkSpec) -> Iterator[Piece]:
    """Walk a network from input to classifier, in the order in which its module computes.

    Raises:
        UsageError: it has blocks that no two of are alike.
    """
    if spec.stem is not None:
        yield stem_piece(spec.stem, spec.input)
    for opening in openings(spec):
        place = f"groups[{opening.index}]"
        yield from group_pieces(place, opening.group, opening.layers, opening.resolution, opening.after)
    yield head_piece(spec, opening.group.out, opening.after)


def stem_piece(stem: Stem, shape: tuple[int, int, int]) -> Piece:
    """The stem, over images of such a shape."""
    layers = stem_layers(stem, shape[0], shape[1:])
    options = f"{stem.act}, {stem.norm}" + (", pool" if stem.pool else "")
    return Piece("stem", Shape("stem", "stem", shape[1:], stem.kernel, stem.stride, options), stem.kernel, layers,
                 _ends(layers))  # fmt: skip


def group_pieces(
    place: str, group: Group, opening: Layers, before: Resolution, after: Resolution
) -> tuple[Piece, Piece]:
    """The block that opens a group, and those that follow it.

    Args:
        place: of the group.
        group: numbers or arrays.
        opening: layers of the first block.
        before: size of the maps that this one sees.
        after: of those that the others see.

    Raises:
        UsageError: no two blocks of the group are alike.
    """
    kind = CATALOGUE[group.block]
    if not kind.uniform:
        raise UsageError(
            f"{place}: blocks of {group.block!r} differ from each other, and a latency table knows none of them"
        )
    link = (shortcut_of(group),) if kind.shortcuts else ()
    traits = (group.act, group.se, *link, group.norm, group.branch or "", group.group_width or "")
    options = ", ".join(str(one) for one in traits if one not in ("none", "batch", ""))
    kernel: Number = 0 if group.kernel is None else group.kernel
    fixed = 0 if is_array(kernel) else int(kernel)
    layers = kind.layers(group, group.out, after, 1)
    return (
        Piece(place, Shape("block", group.block, before, fixed, group.stride, options), kernel, opening,
              (opening[0].in_chs, group.out)),
        Piece(place, Shape("block", group.block, after, fixed, 1, options, opens=False), kernel, layers,
              (layers[0].in_chs, group.out), group.depth - 1),
    )  # fmt: skip


def head_piece(spec: NetworkSpec, chs: Number, resolution: Resolution) -> Piece:
    """What comes after the groups, which give so many channels, over maps of such a size."""
    head = spec.head
    conv: Layers = () if head.conv is None else (Layer("conv", chs, head.conv, resolution),)
    layers = (*conv, *head_layers(spec, chs if head.conv is None else head.conv))
    options = f"{head.act}, {head.norm}, pool {head.pool}, " + ("1x1" if conv else "no 1x1")
    return Piece("head", Shape("head", "head", resolution, 0, 1, options), 0, layers, (chs, _ends(layers)[1]))


def _ends(layers: Layers) -> tuple[Number, Number]:
    return layers[0].in_chs, layers[-1].out_chs


def work(piece: Piece) -> list[Number]:
    """What a piece does, by :data:`WORK`, for one image; of expressions, what it does at least."""
    total: list[Number] = [1, *[0] * (len(WORK) - 1)]

    def add(what: str, number: Number) -> None:
        total[WORK.index(what)] = total[WORK.index(what)] + number

    for layer in piece.layers:
        pixels = layer.resolution[0] * layer.resolution[1]
        if _in_groups(layer):
            add("depthwise", layer.macs)
            add("depthwise inputs", layer.stride**2 * layer.outputs)
        elif pixels == 1:
            add("vectors", layer.macs)
        elif not is_array(layer.kernel) and layer.kernel == 1:
            add("1x1", layer.macs)
            add("1x1 in lanes", _lanes(layer.in_chs) * _lanes(layer.out_chs) * pixels)
        else:
            add("k x k", layer.macs)
        add("outputs", layer.outputs)
        add("weights", layer.params)
    return total


def _in_groups(layer: Layer) -> bool:
    return is_array(layer.groups) or is_symbolic(layer.groups) or layer.groups != 1


def _lanes(chs: Number) -> Number:
    """Channels rounded up to full lanes; of an expression the channels, which are no more."""
    return chs if is_symbolic(chs) else -(-chs // LANES) * LANES
