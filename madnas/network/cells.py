"""Cells: groups whose layers take the outputs of several earlier ones, so that no two layers are alike."""

from madnas.network.layer import Layer, Layers, Resolution, patched, strided
from madnas.network.spec import Group
from madnas.theory.numerics import Number, minimum

MIN_CELL = 3
"""Fewest layers of a random-skip cell: in one of two there is nothing to link, and NN-Mass is not defined."""


def dense_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """DenseNet's layer [Huang et al. 2017]: BN, activation, 1x1 to hidden, BN, activation, k x k.

    Its output is appended to its input. A group of stride 2 opens with a transition: BN, activation, 1x1 to half the
    channels, 2x2 average pooling (which loses an odd last row or column). Without ``hidden`` a layer is BN, activation,
    k x k alone.
    """
    assert group.growth is not None
    transition: Layers = ()
    if group.stride != 1:
        half = in_chs // 2
        if index == 0:
            transition = (Layer("transition", in_chs, half, resolution, norm=False, extra=2 * in_chs),)
        in_chs, resolution = half, patched(resolution, group.stride)
    in_chs = in_chs + index * group.growth
    if group.hidden is None:
        conv = Layer("conv", in_chs, group.growth, resolution, group.kernel, norm=False, extra=2 * in_chs)
        return (*transition, conv)
    return (
        *transition,
        Layer("conv1", in_chs, group.hidden, resolution, extra=2 * in_chs),
        Layer("conv2", group.hidden, group.growth, resolution, group.kernel, norm=False),
    )


def dense_out(group: Group, in_chs: Number) -> Number:
    """Channels that a group of dense layers gives out, which its ``out`` has to be."""
    return (in_chs if group.stride == 1 else in_chs // 2) + group.depth * group.growth


def skip_chs(group: Group, in_chs: Number, index: int) -> Number:
    """Input channels of one layer of a random-skip cell: the layer before and at most ``links`` earlier channels."""
    if index == 0:
        return in_chs
    return group.out + (minimum(group.out * (index - 1), group.links) if index > 1 else 0)


def random_skip_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """One layer of NN-Mass's DenseNet-type cell: BN, activation, k x k over the layer before and links of earlier ones.

    With ``bare`` the cell's first layer has no norm and activation before it, because it sees the image.
    """
    stride = group.stride if index == 0 else 1
    after = strided(resolution, group.stride)
    chs = skip_chs(group, in_chs, index)
    extra = 0 if group.bare and index == 0 else 2 * chs
    return (Layer("conv", chs, group.out, after, group.kernel, stride, norm=False, extra=extra),)
