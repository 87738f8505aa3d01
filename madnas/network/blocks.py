"""The block catalogue: each kind of block, once, as the list of its layers.

Parameters, MACs, activations, entropy, rho: all are sums over these lists. The functions work on numbers, numpy arrays
and Pyomo expressions alike, so that what counts a network also builds the program's constraints. A new kind of block is
a function here or in the file of its family, an ``nn.Module`` in ``madnas.models``, and a test that both agree.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from madnas.network.cells import dense_layers, random_skip_layers, skip_chs
from madnas.network.convnext import convnext_layers
from madnas.network.layer import Layer, Layers, Resolution, patched, strided
from madnas.network.mobile import inverted_residual_layers, mobile_pair_layers, separable_layers
from madnas.network.restructurable import (
    act_conv_layers,
    act_conv_pair_layers,
    act_expand_layers,
    afrb_layers,
    afrb_pair_layers,
    depthwise_layers,
    inverted_pair_layers,
    repvgg_layers,
)
from madnas.network.shapes import block_stride, hidden_chs
from madnas.network.spec import Group
from madnas.network.squeeze import squeeze_excite
from madnas.theory.numerics import Number, is_array, is_symbolic


@dataclass(frozen=True, slots=True)
class BlockKind:
    """A kind of block.

    Attributes:
        layers: ``(group, in_chs, resolution, index) -> layers`` of one block, where ``in_chs`` and ``resolution`` are
            those of its input (of its group's input where blocks are not uniform) and ``index`` its place in the group:
            block 0 opens it, and so takes stride and change of channels.
        needs: keys of ``Group`` that must be given.
        takes: keys of ``Group`` that may be given besides.
        shortcuts: allowed values of ``shortcut``, the default first.
        summary: what it is, in a line.
        se: allowed values of ``se`` besides ``none``.
        uniform: whether the blocks after the first are all alike; else each has layers of its own, by its index.
    """

    layers: Callable[[Group, Number, Resolution, int], Layers]
    needs: frozenset[str]
    takes: frozenset[str]
    shortcuts: tuple[str, ...]
    summary: str
    se: tuple[str, ...] = ()
    uniform: bool = True


def shortcut_of(group: Group) -> str:
    """The group's shortcut, or its kind's default."""
    return group.shortcut or CATALOGUE[group.block].shortcuts[0]


def projects(group: Group, in_chs: Number, index: int) -> Number:
    """Whether a residual block's shortcut is a 1x1 projection; an array where that differs between candidates.

    ``pool`` (DeepMAD) and ``biased`` (Zen-NAS): in the first block of every group. ``conv`` (He et al.) and
    ``avg-down`` (ResNet-D): where the shape changes. ``pad``: never.
    """
    kind = shortcut_of(group)
    if index > 0 or kind not in ("pool", "biased", "conv", "avg-down"):
        return False
    if kind in ("pool", "biased") or group.stride != 1 or is_symbolic(in_chs):
        return True
    differs = in_chs != group.out
    return differs if is_array(differs) else bool(differs)


def _projection(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    projected = projects(group, in_chs, index)
    if projected is False:
        return ()
    kind = shortcut_of(group)
    stride = 1 if kind in ("pool", "avg-down") else group.stride  # these pool before the projection
    # Of several candidates, those without a projection have one of no channels, which costs nothing.
    out = group.out * projected if is_array(projected) else group.out
    return (Layer("shortcut", in_chs, out, resolution, stride=stride, bias=kind == "biased", main=False),)


def conv_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """Plain k x k convolution, BN (or, with ``norm: none``, a bias), activation; no residual link.

    With ``pool`` the stride is taken by a 2x2 maximum pooling before the first convolution (VGG), which loses an odd
    last row or column.
    """
    stride = block_stride(group, index)
    after = patched(resolution, stride) if group.pool else strided(resolution, stride)
    norm = group.norm == "batch"
    return (
        Layer("conv", in_chs, group.out, after, group.kernel, 1 if group.pool else stride, bias=not norm, norm=norm),
    )


def basic_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """ResNet's basic block [He et al. 2015]: two k x k convolutions and a residual link.

    ``hidden`` (default: ``out``) is the width between them.
    """
    stride = block_stride(group, index)
    after = strided(resolution, stride)
    inner = group.out if group.hidden is None else group.hidden
    return (
        Layer("conv1", in_chs, inner, after, group.kernel, stride),
        Layer("conv2", inner, group.out, after, group.kernel),
        *squeeze_excite(group, in_chs, inner),
        *_projection(group, in_chs, after, index),
    )


def bottleneck_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """ResNet's bottleneck block [He et al. 2015]: 1x1, k x k (with the stride), 1x1 and a residual link.

    With ``group_width`` the k x k convolution has hidden / group_width groups (ResNeXt [Xie et al. 2017]).
    """
    stride = block_stride(group, index)
    after = strided(resolution, stride)
    groups = 1 if group.group_width is None else hidden_chs(group, in_chs) // group.group_width
    return (
        Layer("conv1", in_chs, group.hidden, resolution),
        Layer("conv2", group.hidden, group.hidden, after, group.kernel, stride, groups),
        *squeeze_excite(group, in_chs, group.hidden),
        Layer("conv3", group.hidden, group.out, after),
        *_projection(group, in_chs, after, index),
    )


def preact_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """Wide-ResNet's block [Zagoruyko and Komodakis 2016]: twice BN, activation, k x k; residual link without a norm."""
    stride = block_stride(group, index)
    after = strided(resolution, stride)
    shortcut = _projection(group, in_chs, after, index)
    return (
        Layer("conv1", in_chs, group.out, after, group.kernel, stride, extra=2 * in_chs),
        Layer("conv2", group.out, group.out, after, group.kernel, norm=False),
        *(replace(layer, norm=False) for layer in shortcut),
    )


def random_skip_mobile_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """The same cell of MobileNetV2 expansion blocks without residual links (NN-Mass, Appendix H.8)."""
    inside = resolution if index == 0 else strided(resolution, group.stride)
    return inverted_residual_layers(group, skip_chs(group, in_chs, index), inside, index)


def random_skip_linear_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """The same cell of linear layers, for MLPs."""
    return linear_layers(group, skip_chs(group, in_chs, index), resolution, index)


def linear_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """Linear layer with bias and an activation, for MLPs; the input map is flattened."""
    return (Layer("linear", in_chs, group.out, (1, 1), bias=True, norm=False),)


CATALOGUE: dict[str, BlockKind] = {
    "conv": BlockKind(
        conv_layers,
        frozenset({"kernel"}),
        frozenset({"stride", "act", "norm", "pool"}),
        (),
        "k x k convolution, BN or bias, activation",
    ),
    "basic": BlockKind(
        basic_layers,
        frozenset({"kernel"}),
        frozenset({"stride", "act", "hidden", "shortcut", "se"}),
        ("conv", "pool", "pad", "avg-down", "biased"),
        "ResNet basic block: two k x k convolutions, optional SE, residual",
        ("senet",),
    ),
    "bottleneck": BlockKind(
        bottleneck_layers,
        frozenset({"kernel", "hidden"}),
        frozenset({"stride", "act", "shortcut", "se", "group_width"}),
        ("conv", "pool", "avg-down", "biased"),
        "ResNet bottleneck: 1x1, k x k (in groups with group_width), 1x1, optional SE, residual",
        ("efficientnet", "senet"),
    ),
    "inverted-residual": BlockKind(
        inverted_residual_layers,
        frozenset({"kernel"}),
        frozenset({"stride", "act", "hidden", "expand", "se", "shortcut"}),
        ("identity", "pool"),
        "MobileNetV2 block: 1x1, k x k depthwise, optional SE, 1x1, residual where shapes allow",
        ("deepmad", "efficientnet"),
    ),
    "mobile-pair": BlockKind(
        mobile_pair_layers,
        frozenset({"kernel", "hidden", "expand"}),
        frozenset({"stride", "act", "se"}),
        (),
        "Zen-NAS's MB block: two MobileNetV2 blocks, each with a residual link",
        ("zennet",),
    ),
    "separable": BlockKind(
        separable_layers,
        frozenset({"kernel"}),
        frozenset({"stride", "act", "se", "shortcut"}),
        ("identity",),
        "depthwise separable block: k x k depthwise, optional SE, 1x1",
        ("efficientnet",),
    ),
    "preact": BlockKind(
        preact_layers,
        frozenset({"kernel"}),
        frozenset({"stride", "act", "shortcut"}),
        ("conv",),
        "Wide-ResNet block: twice BN, activation, k x k; residual",
    ),
    "convnext": BlockKind(
        convnext_layers,
        frozenset({"kernel"}),
        frozenset({"stride", "act", "hidden", "expand", "grn", "branch"}),
        (),
        "ConvNeXt block: k x k depthwise, layer norm, 1x1, 1x1, scale, residual",
    ),
    "dense": BlockKind(
        dense_layers,
        frozenset({"kernel", "growth"}),
        frozenset({"stride", "act", "hidden"}),
        (),
        "DenseNet layer: its output is appended to its input",
        uniform=False,
    ),
    "random-skip": BlockKind(
        random_skip_layers,
        frozenset({"kernel", "links"}),
        frozenset({"stride", "act", "seed", "bare"}),
        (),
        "layer of NN-Mass's cell: k x k over the layer before and random earlier channels",
        uniform=False,
    ),
    "random-skip-mobile": BlockKind(
        random_skip_mobile_layers,
        frozenset({"kernel", "links"}),
        frozenset({"stride", "act", "seed", "hidden", "expand"}),
        (),
        "the same cell of MobileNetV2 expansion blocks",
        uniform=False,
    ),
    "random-skip-linear": BlockKind(
        random_skip_linear_layers,
        frozenset({"links"}),
        frozenset({"act", "seed"}),
        (),
        "the same cell of linear layers, for MLPs",
        uniform=False,
    ),
    "depthwise": BlockKind(
        depthwise_layers, frozenset({"kernel"}), frozenset({"stride", "act"}), (), "k x k depthwise, BN, activation"
    ),
    "afrb": BlockKind(
        afrb_layers,
        frozenset({"kernel", "expand"}),
        frozenset({"stride"}),
        (),
        "RAN's AFRB-1 and -2: inverted residual whose two PReLUs share a trainable slope",
    ),
    "afrb-pair": BlockKind(
        afrb_pair_layers, frozenset({"kernel", "expand"}), frozenset(), (), "RAN's AFRB-3: two of them around a waist"
    ),
    "inverted-pair": BlockKind(
        inverted_pair_layers,
        frozenset({"kernel", "expand"}),
        frozenset({"act"}),
        (),
        "two MobileNetV2 blocks around a waist of half the channels, one residual link",
    ),
    "act-conv": BlockKind(
        act_conv_layers,
        frozenset({"kernel"}),
        frozenset({"stride", "act"}),
        (),
        "collapsed AFRB-1 and -2: activation, k x k, BN, residual where shapes allow",
    ),
    "act-expand": BlockKind(
        act_expand_layers,
        frozenset({"kernel", "expand"}),
        frozenset({"stride", "act"}),
        (),
        "act-conv before it is collapsed: activation, 1x1, k x k depthwise, 1x1, each with BN alone",
    ),
    "act-conv-pair": BlockKind(
        act_conv_pair_layers,
        frozenset({"kernel"}),
        frozenset({"act"}),
        (),
        "collapsed AFRB-3: BN, activation, k x k, twice, around a waist of half the channels",
    ),
    "repvgg": BlockKind(
        repvgg_layers,
        frozenset({"kernel"}),
        frozenset({"stride", "act"}),
        (),
        "RepVGG block in training: k x k, 1x1 and BN in parallel, activation",
    ),
    "linear": BlockKind(linear_layers, frozenset(), frozenset({"act"}), (), "linear layer and activation, for MLPs"),
}
"""Every kind of block, by its name in a spec."""
