"""Blocks of restructurable networks [RAN-e, Sections 2.2 and 2.3; RepVGG]: before, during and after restructuring.

====================  ================================  =========================
what it is            a block without its waist          AFRB-3: a waist of half its channels
====================  ================================  =========================
in the search         ``afrb`` (AFRB-1 and -2)           ``afrb-pair``
with non-linearities  ``inverted-residual``              ``inverted-pair``
to be collapsed       ``act-expand``
collapsed             ``act-conv``                       ``act-conv-pair``
====================  ================================  =========================

Which collapsed convolution has what is not in the paper. With a bias and a batch norm behind each, and a batch norm
before the activation where a block has a residual link, params come out as printed in Table 1 for all networks.
"""

from dataclasses import replace

from madnas.network.layer import Layer, Layers, Resolution, strided
from madnas.network.shapes import block_stride, hidden_chs
from madnas.network.spec import Group
from madnas.theory.numerics import Number, is_array, is_symbolic

ALPHA = 1
"""Parameters of a block's two PReLUs, which share one."""


def is_linked(group: Group, in_chs: Number, index: int) -> bool:
    """Whether a block has a residual link: the identity, where shapes allow it.

    Raises:
        ValueError: in some candidates of a batch and not in others.
    """
    if block_stride(group, index) != 1 or is_symbolic(in_chs):
        return False
    same = in_chs == group.out
    if is_array(same) and same.any() != same.all():
        raise ValueError("candidates with and without a residual link cannot be counted together")
    return bool(same.all()) if is_array(same) else bool(same)


def waist(group: Group) -> Number:
    """Channels in the middle of a pair: half of those at its ends (AFRB-3)."""
    return group.out // 2


def depthwise_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """k x k depthwise convolution, BN, activation; of the top of Table 6."""
    stride = block_stride(group, index)
    return (Layer("conv", in_chs, group.out, strided(resolution, stride), group.kernel, stride, groups=in_chs),)


def afrb_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """AFRB-1 and -2 (Fig. 2a): BN, PReLU, 1x1 expansion, k x k depthwise, PReLU, 1x1."""
    return _unit(group, "", (in_chs, hidden_chs(group, in_chs), group.out), resolution, index, 2 * in_chs + ALPHA)


def afrb_pair_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """AFRB-3 (Fig. 3c): two of them around a waist of half the channels, with one alpha and one residual link."""
    first, second = _pair(group, in_chs)
    return (
        *_unit(group, "1", first, resolution, 1, 2 * in_chs + ALPHA),
        *_unit(group, "2", second, resolution, 1, 2 * waist(group)),
    )


def inverted_pair_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """AFRB-3 as it is trained where it keeps its non-linearities: two MobileNetV2 blocks around a waist, one link."""
    first, second = _pair(group, in_chs)
    return (*_unit(group, "1", first, resolution, 1), *_unit(group, "2", second, resolution, 1))


def act_conv_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """AFRB-1 or -2 collapsed (Fig. 2d): activation, k x k with a bias, BN; with a link, BN before the activation."""
    stride = block_stride(group, index)
    before = 2 * in_chs if is_linked(group, in_chs, index) else 0
    after = strided(resolution, stride)
    return (Layer("conv", in_chs, group.out, after, group.kernel, stride, bias=True, extra=before),)


def act_expand_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """The same before it is collapsed: activation, 1x1 expansion, k x k depthwise, 1x1, each with a batch norm alone.

    To be trained with more weights than the convolution that it becomes [Bhardwaj et al. 2022, SESR].
    """
    before = 2 * in_chs if is_linked(group, in_chs, index) else 0
    return _unit(group, "", (in_chs, hidden_chs(group, in_chs), group.out), resolution, index, before)


def act_conv_pair_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """AFRB-3 collapsed (Fig. 3c): BN, activation, k x k, twice, through a waist of half the channels."""
    middle = waist(group)
    return (
        Layer("conv1", in_chs, middle, resolution, group.kernel, bias=True, extra=2 * in_chs),
        Layer("conv2", middle, group.out, resolution, group.kernel, bias=True),
    )


def repvgg_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """RepVGG's block in training [Ding et al. 2021]: k x k, 1x1 and, where shapes agree, a BN alone, summed."""
    stride = block_stride(group, index)
    after = strided(resolution, stride)
    norm = 2 * in_chs if is_linked(group, in_chs, index) else 0
    return (
        Layer("conv", in_chs, group.out, after, group.kernel, stride, extra=norm),
        Layer("pointwise", in_chs, group.out, after, stride=stride, main=False),
    )


Chs = tuple[Number, Number, Number]
"""Channels of a unit: in, hidden, out."""


def _unit(group: Group, number: str, chs: Chs, resolution: Resolution, index: int, before: Number = 0) -> Layers:
    """1x1, k x k depthwise, 1x1, from channels to channels; ``before``: parameters of what comes first."""
    in_chs, hidden, out = chs
    stride = block_stride(group, index)
    after = strided(resolution, stride)
    expand = Layer(f"expand{number}", in_chs, hidden, resolution)
    return (
        replace(expand, extra=before),
        Layer(f"depthwise{number}", hidden, hidden, after, group.kernel, stride, groups=hidden),
        Layer(f"project{number}", hidden, out, after),
    )


def _pair(group: Group, in_chs: Number) -> tuple[Chs, Chs]:
    """Channels of both units; both expand to the same number (Appendix A)."""
    hidden, middle = hidden_chs(group, in_chs), waist(group)
    return (in_chs, hidden, middle), (middle, hidden, group.out)
