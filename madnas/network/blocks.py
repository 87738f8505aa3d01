"""The block catalogue: each kind of block, once, as the list of its layers.

Parameters, MACs, activations, entropy, rho: all are sums over these lists. The functions work on numbers, numpy arrays
and Pyomo expressions alike, so that what counts a network also builds the program's constraints. A new kind of block is
a function here, an ``nn.Module`` in ``madnas.models``, and a test that both agree.
"""

from collections.abc import Callable
from dataclasses import dataclass

from madnas.network.layer import Layer, Resolution, strided
from madnas.network.spec import Group
from madnas.theory.numerics import Number, floor_to_multiple, is_array, is_symbolic, rounded

Layers = tuple[Layer, ...]

SE_RATIO = 4
"""Squeeze-excitation squeezes to a quarter, ..."""

SE_MULTIPLE = 8
"""... in DeepMAD's networks rounded down to a multiple of 8."""


@dataclass(frozen=True, slots=True)
class BlockKind:
    """A kind of block.

    Attributes:
        layers: ``(group, in_chs, resolution, first) -> layers`` of one block, where ``resolution`` is that of its input
            and ``first`` says whether it opens its group (and so takes stride and change of channels).
        needs: keys of ``Group`` that must be given.
        takes: keys of ``Group`` that may be given besides.
        shortcuts: allowed values of ``shortcut``, the default first.
        summary: what it is, in a line.
    """

    layers: Callable[[Group, Number, Resolution, bool], Layers]
    needs: frozenset[str]
    takes: frozenset[str]
    shortcuts: tuple[str, ...]
    summary: str


def shortcut_of(group: Group) -> str:
    """The group's shortcut, or its kind's default."""
    return group.shortcut or CATALOGUE[group.block].shortcuts[0]


def block_stride(group: Group, first: bool) -> int:
    """Stride of a block: only the first of a group has its group's."""
    return group.stride if first else 1


def projects(group: Group, in_chs: Number, first: bool) -> Number:
    """Whether a residual block's shortcut is a 1x1 projection; an array where that differs between candidates.

    ``pool`` (DeepMAD): in the first block of every group. ``conv`` (He et al.): where the shape changes. ``pad``:
    never.
    """
    kind = shortcut_of(group)
    if not first or kind not in ("pool", "conv"):
        return False
    if kind == "pool" or group.stride != 1 or is_symbolic(in_chs):
        return True
    differs = in_chs != group.out
    return differs if is_array(differs) else bool(differs)


def hidden_chs(group: Group, in_chs: Number) -> Number:
    """Inner channels of a block: ``hidden``, or ``expand`` times the block's input, rounded."""
    if group.expand is None:
        return group.hidden
    return rounded(in_chs * group.expand)


def se_chs(group: Group, in_chs: Number) -> Number:
    """Squeezed channels of a block's squeeze-excitation.

    ``deepmad``: a quarter of hidden, down to a multiple of 8. ``efficientnet``: a quarter of the block's input.
    """
    if group.se == "deepmad":
        hidden = hidden_chs(group, in_chs)
        if is_symbolic(hidden):  # a lower bound for every whole hidden width, so that a relaxation stays one
            return (hidden - (SE_RATIO * SE_MULTIPLE - 1)) / SE_RATIO
        return floor_to_multiple(hidden // SE_RATIO, SE_MULTIPLE)
    return rounded(in_chs / SE_RATIO, least=1)


def _squeeze_excite(group: Group, in_chs: Number, hidden: Number) -> Layers:
    if group.se == "none":
        return ()
    squeezed = se_chs(group, in_chs)
    biased = group.se == "efficientnet"
    return (
        Layer("se_reduce", hidden, squeezed, (1, 1), bias=biased, norm=not biased, main=False),
        Layer("se_expand", squeezed, hidden, (1, 1), bias=biased, norm=not biased, main=False),
    )


def _projection(group: Group, in_chs: Number, resolution: Resolution, first: bool) -> Layers:
    projected = projects(group, in_chs, first)
    if projected is False:
        return ()
    stride = 1 if shortcut_of(group) == "pool" else group.stride
    # Of several candidates, those without a projection have one of no channels, which costs nothing.
    out = group.out * projected if is_array(projected) else group.out
    return (Layer("shortcut", in_chs, out, resolution, stride=stride, main=False),)


def conv_layers(group: Group, in_chs: Number, resolution: Resolution, first: bool) -> Layers:
    """Plain k x k convolution, BN, activation; no residual link."""
    stride = block_stride(group, first)
    return (Layer("conv", in_chs, group.out, strided(resolution, stride), group.kernel, stride),)


def basic_layers(group: Group, in_chs: Number, resolution: Resolution, first: bool) -> Layers:
    """ResNet's basic block [He et al. 2015]: two k x k convolutions and a residual link.

    ``hidden`` (default: ``out``) is the width between them.
    """
    stride = block_stride(group, first)
    after = strided(resolution, stride)
    inner = group.out if group.hidden is None else group.hidden
    return (
        Layer("conv1", in_chs, inner, after, group.kernel, stride),
        Layer("conv2", inner, group.out, after, group.kernel),
        *_projection(group, in_chs, after, first),
    )


def bottleneck_layers(group: Group, in_chs: Number, resolution: Resolution, first: bool) -> Layers:
    """ResNet's bottleneck block [He et al. 2015]: 1x1, k x k (with the stride), 1x1 and a residual link."""
    stride = block_stride(group, first)
    after = strided(resolution, stride)
    return (
        Layer("conv1", in_chs, group.hidden, resolution),
        Layer("conv2", group.hidden, group.hidden, after, group.kernel, stride),
        Layer("conv3", group.hidden, group.out, after),
        *_projection(group, in_chs, after, first),
    )


def inverted_residual_layers(group: Group, in_chs: Number, resolution: Resolution, first: bool) -> Layers:
    """MobileNetV2's block [Sandler et al. 2018]: 1x1 expansion, k x k depthwise (with the stride), SE, 1x1."""
    stride = block_stride(group, first)
    after = strided(resolution, stride)
    hidden = hidden_chs(group, in_chs)
    return (
        Layer("expand", in_chs, hidden, resolution),
        Layer("depthwise", hidden, hidden, after, group.kernel, stride, groups=hidden),
        *_squeeze_excite(group, in_chs, hidden),
        Layer("project", hidden, group.out, after),
    )


def separable_layers(group: Group, in_chs: Number, resolution: Resolution, first: bool) -> Layers:
    """Depthwise separable block: MobileNetV2's without the expansion: k x k depthwise, SE, 1x1 projection."""
    stride = block_stride(group, first)
    after = strided(resolution, stride)
    return (
        Layer("depthwise", in_chs, in_chs, after, group.kernel, stride, groups=in_chs),
        *_squeeze_excite(group, in_chs, in_chs),
        Layer("project", in_chs, group.out, after),
    )


def linear_layers(group: Group, in_chs: Number, resolution: Resolution, first: bool) -> Layers:
    """Linear layer with bias and an activation, for MLPs; the input map is flattened."""
    return (Layer("linear", in_chs, group.out, (1, 1), bias=True, norm=False),)


CATALOGUE: dict[str, BlockKind] = {
    "conv": BlockKind(
        conv_layers, frozenset({"kernel"}), frozenset({"stride", "act"}), (), "k x k convolution, BN, activation"
    ),
    "basic": BlockKind(
        basic_layers,
        frozenset({"kernel"}),
        frozenset({"stride", "act", "hidden", "shortcut"}),
        ("conv", "pool", "pad"),
        "ResNet basic block: two k x k convolutions, residual",
    ),
    "bottleneck": BlockKind(
        bottleneck_layers,
        frozenset({"kernel", "hidden"}),
        frozenset({"stride", "act", "shortcut"}),
        ("conv", "pool"),
        "ResNet bottleneck: 1x1, k x k, 1x1, residual",
    ),
    "inverted-residual": BlockKind(
        inverted_residual_layers,
        frozenset({"kernel"}),
        frozenset({"stride", "act", "hidden", "expand", "se", "shortcut"}),
        ("identity", "pool"),
        "MobileNetV2 block: 1x1, k x k depthwise, optional SE, 1x1, residual where shapes allow",
    ),
    "separable": BlockKind(
        separable_layers,
        frozenset({"kernel"}),
        frozenset({"stride", "act", "se", "shortcut"}),
        ("identity",),
        "depthwise separable block: k x k depthwise, optional SE, 1x1",
    ),
    "linear": BlockKind(linear_layers, frozenset(), frozenset({"act"}), (), "linear layer and activation, for MLPs"),
}
"""Every kind of block, by its name in a spec."""
