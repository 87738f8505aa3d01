"""From a description to its layers: the one walk through a network that all counting is made of."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from madnas.network.blocks import CATALOGUE
from madnas.network.layer import Layer, Resolution, strided
from madnas.network.spec import NetworkSpec
from madnas.theory.numerics import Number, is_array, is_symbolic


@dataclass(frozen=True, slots=True)
class Segment:
    """A block and how often it repeats.

    Attributes:
        part: ``stem``, ``group1`` ... or ``head``.
        stage: number of the stage, from 0; a stage runs from one stride-2 step to the next.
        layers: the layers of one block.
        repeat: how many such blocks follow each other (0 where a group has a single block).
    """

    part: str
    stage: int
    layers: tuple[Layer, ...]
    repeat: Number = 1


def segments(spec: NetworkSpec) -> Iterator[Segment]:
    """Walk a network from input to classifier.

    A group yields its first block and, ``depth - 1`` times, the block that follows. The stage index grows at every
    stride-2 step (a stem's pooling is one). The classifier belongs to the last stage but, except in an MLP, not to the
    main path.
    """
    chs: Number = spec.input[0]
    resolution: Resolution = spec.input[1:]
    stage = 0
    if spec.stem is None:
        chs, resolution = chs * resolution[0] * resolution[1], (1, 1)
    else:
        resolution = strided(resolution, spec.stem.stride)
        yield Segment("stem", 0, (Layer("conv", chs, spec.stem.out, resolution, spec.stem.kernel, spec.stem.stride),))
        chs = spec.stem.out
        if spec.stem.pool:
            stage, resolution = stage + 1, strided(resolution, 2)
    for index, group in enumerate(spec.groups):
        stage += group.stride == 2
        layers_of = CATALOGUE[group.block].layers
        part = f"group{index + 1}"
        yield Segment(part, stage, layers_of(group, chs, resolution, True))
        resolution, chs = strided(resolution, group.stride), group.out
        if is_symbolic(group.depth) or is_array(group.depth) or group.depth > 1:
            yield Segment(part, stage, layers_of(group, chs, resolution, False), group.depth - 1)
    if spec.head.conv is not None:
        yield Segment("head", stage, (Layer("conv", chs, spec.head.conv, resolution),))
        chs = spec.head.conv
    classifier = Layer("classifier", chs, spec.head.classes, (1, 1), bias=True, norm=False, main=spec.stem is None)
    yield Segment("head", stage, (classifier,))


def at_resolution(spec: NetworkSpec, height: int, width: int | None = None) -> NetworkSpec:
    """The same network on another input size (pixels; square unless ``width`` is given)."""
    return replace(spec, input=(spec.input[0], height, height if width is None else width))
