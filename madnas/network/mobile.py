"""Blocks of depthwise convolutions: MobileNetV2's, Zen-NAS's pair of them, and the one without an expansion."""

from madnas.network.layer import Layer, Layers, Resolution, strided
from madnas.network.shapes import block_stride, hidden_chs
from madnas.network.spec import Group
from madnas.network.squeeze import SE_RATIO, squeeze_excite
from madnas.theory.numerics import Number, is_array, rounded


def inverted_residual_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """MobileNetV2's block [Sandler et al. 2018]: 1x1 expansion, k x k depthwise (with the stride), SE, 1x1."""
    stride = block_stride(group, index)
    after = strided(resolution, stride)
    hidden = hidden_chs(group, in_chs)
    return (
        Layer("expand", in_chs, hidden, resolution),
        Layer("depthwise", hidden, hidden, after, group.kernel, stride, groups=hidden),
        *squeeze_excite(group, in_chs, hidden),
        Layer("project", hidden, group.out, after),
    )


def mobile_pair_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """Zen-NAS's MB block: two MobileNetV2 blocks, in -> hidden (with the stride) and hidden -> out, each with a link.

    Each expands to ``expand`` times its *output* channels. A link is a 1x1 projection with a bias where channels differ
    and in the first of a group, else the identity. An activation follows the sums, and not the projections.
    """
    stride = block_stride(group, index)
    after = strided(resolution, stride)
    first = _mobile_unit(group, "1", in_chs, group.hidden, (resolution, after), stride, index == 0)
    return (*first, *_mobile_unit(group, "2", group.hidden, group.out, (after, after), 1, False))


def _mobile_unit(
    group: Group,
    number: str,
    in_chs: Number,
    out: Number,
    maps: tuple[Resolution, Resolution],
    stride: int,
    opens: bool,
) -> Layers:
    """One MobileNetV2 block of the pair; ``maps`` are its input's and its output's size."""
    before, after = maps
    hidden = rounded(out * group.expand)
    squeezed = hidden // SE_RATIO
    gate = (
        Layer(f"se_reduce{number}", hidden, squeezed, (1, 1), main=False),
        Layer(f"se_expand{number}", squeezed, hidden, (1, 1), main=False),
    )
    differs = in_chs != out
    # Of several candidates, those whose link is the identity have one of no channels, which costs nothing.
    linked = out * differs if not opens and is_array(differs) else out
    link = (Layer(f"shortcut{number}", in_chs, linked, after, stride=stride, bias=True, main=False),)
    return (
        Layer(f"expand{number}", in_chs, hidden, before),
        Layer(f"depthwise{number}", hidden, hidden, after, group.kernel, stride, groups=hidden),
        *(gate if group.se == "zennet" else ()),
        Layer(f"project{number}", hidden, out, after),
        *(link if opens or is_array(differs) or differs else ()),
    )


def separable_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """Depthwise separable block: MobileNetV2's without the expansion: k x k depthwise, SE, 1x1 projection."""
    stride = block_stride(group, index)
    after = strided(resolution, stride)
    return (
        Layer("depthwise", in_chs, in_chs, after, group.kernel, stride, groups=in_chs),
        *squeeze_excite(group, in_chs, in_chs),
        Layer("project", in_chs, group.out, after),
    )
