"""From a description to its layers: the one walk through a network that all counting is made of."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from madnas.network.blocks import CATALOGUE
from madnas.network.layer import Layer, Layers, Resolution, patched, strided
from madnas.network.spec import Group, NetworkSpec, Stem
from madnas.theory.numerics import Number, is_array, is_symbolic

DEEP_KERNEL = 3
"""Kernel of a deep stem's convolutions after the first [He et al. 2019, "Bag of Tricks", Section 4]."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A block and how often it repeats.

    Attributes:
        part: ``stem``, ``group1`` ... or ``head``.
        stage: number of the stage, from 0; a stage runs from one stride-2 step to the next.
        layers: the layers of one block.
        out_chs: channels of the map behind it.
        repeat: how many such blocks follow each other (0 where a group has a single block).
    """

    part: str
    stage: int
    layers: Layers
    out_chs: Number
    repeat: Number = 1


@dataclass(frozen=True, slots=True)
class Opening:
    """The first block of a group, and where it stands.

    Attributes:
        index: of the group, from 0.
        group: the group.
        stage: number of its stage.
        in_chs: channels of the map that it sees.
        resolution: size of that map.
        layers: the layers of its first block.
    """

    index: int
    group: Group
    stage: int
    in_chs: Number
    resolution: Resolution
    layers: Layers

    @property
    def after(self) -> Resolution:
        """Size of the map that the group gives out."""
        return [layer for layer in self.layers if layer.main][-1].resolution


def openings(spec: NetworkSpec) -> Iterator[Opening]:
    """Walk a network from group to group."""
    chs: Number = spec.input[0]
    resolution: Resolution = spec.input[1:]
    stage = 0
    if spec.is_mlp:
        chs, resolution = chs * resolution[0] * resolution[1], (1, 1)
    elif spec.stem is not None:
        chs, resolution = spec.stem.out, stem_layers(spec.stem, chs, resolution)[-1].resolution
        if spec.stem.pool:
            stage, resolution = stage + 1, strided(resolution, 2)
    for index, group in enumerate(spec.groups):
        stage += group.stride == 2
        layers = CATALOGUE[group.block].layers(group, chs, resolution, 0)
        opening = Opening(index, group, stage, chs, resolution, layers)
        yield opening
        chs, resolution = group.out, opening.after


def segments(spec: NetworkSpec) -> Iterator[Segment]:
    """Walk a network from input to classifier.

    A group yields its first block and, ``depth - 1`` times, the block that follows; or every block, where no two are
    alike. The stage index grows at every stride-2 step (a stem's pooling is one). The classifier belongs to the last
    stage but, except in an MLP, not to the main path.
    """
    if spec.stem is not None:
        convs = stem_layers(spec.stem, spec.input[0], spec.input[1:])
        yield Segment("stem", 0, convs, spec.stem.out)
    for opening in openings(spec):
        yield from _group_segments(opening)
    chs: Number = opening.group.out
    if spec.head.conv is not None:
        conv = Layer("conv", chs, spec.head.conv, opening.after)
        yield Segment("head", opening.stage, (conv,), conv.out_chs)
        chs = spec.head.conv
    yield Segment("head", opening.stage, head_layers(spec, chs), spec.head.classes)


def _group_segments(opening: Opening) -> Iterator[Segment]:
    group, kind = opening.group, CATALOGUE[opening.group.block]
    part = f"group{opening.index + 1}"
    yield Segment(part, opening.stage, opening.layers, group.out)
    if not kind.uniform:
        for index in range(1, group.depth):
            layers = kind.layers(group, opening.in_chs, opening.resolution, index)
            yield Segment(part, opening.stage, layers, group.out)
    elif is_symbolic(group.depth) or is_array(group.depth) or group.depth > 1:
        layers = kind.layers(group, group.out, opening.after, 1)
        yield Segment(part, opening.stage, layers, group.out, group.depth - 1)


def vanishes(spec: NetworkSpec) -> str | None:
    """The part of a network, by its key in a file, in which no pixel of the map is left; None if there is none.

    Only patches and 2x2 poolings, which round down, can do that.
    """
    if spec.stem is not None and 0 in stem_layers(spec.stem, spec.input[0], spec.input[1:])[0].resolution:
        return "stem"
    return next((f"groups[{opening.index}]" for opening in openings(spec) if 0 in opening.after), None)


def stem_layers(stem: Stem, in_chs: Number, resolution: Resolution) -> Layers:
    """The stem's convolutions over a map of this size: ``hidden1`` ... and ``conv``, the last."""
    patches = stem.norm == "layer"
    after = patched(resolution, stem.stride) if patches else strided(resolution, stem.stride)
    sizes = (*stem.hidden, stem.out)
    layers, chs, kernel, stride = [], in_chs, stem.kernel, stem.stride
    for number, out in enumerate(sizes, 1):
        last = number == len(sizes)
        norm = not last or stem.norm != "later"
        name = "conv" if last else f"hidden{number}"
        layers.append(Layer(name, chs, out, after, kernel, stride, bias=patches, norm=norm))
        chs, kernel, stride = out, DEEP_KERNEL, 1
    return tuple(layers)


def head_layers(spec: NetworkSpec, in_chs: Number) -> tuple[Layer, ...]:
    """The linear layers at the end, ``hidden1`` ... and ``classifier``, over the channels before the pooling.

    Only an MLP's are on the main path. The head's norm counts with the first of them.
    """
    head = spec.head
    sizes = (*head.hidden, head.classes)
    names = (*(f"hidden{number}" for number in range(1, len(sizes))), "classifier")
    extra = 0 if head.norm == "none" else 2 * in_chs
    layers, chs = [], in_chs * head.pool**2
    for name, out in zip(names, sizes, strict=True):
        layers.append(Layer(name, chs, out, (1, 1), bias=True, norm=False, main=spec.is_mlp, extra=extra))
        chs, extra = out, 0
    return tuple(layers)


def at_resolution(spec: NetworkSpec, height: int, width: int | None = None) -> NetworkSpec:
    """The same network on another input size (pixels; square unless ``width`` is given)."""
    return replace(spec, input=(spec.input[0], height, height if width is None else width))
