"""ConvNeXt's block, with the layer that makes its map smaller before it."""

from madnas.network.layer import Layer, Layers, Resolution, patched
from madnas.network.shapes import hidden_chs
from madnas.network.spec import Group
from madnas.theory.numerics import Number, is_array, is_symbolic


def differ(chs: Number, others: Number) -> bool:
    """Whether channel counts differ.

    Raises:
        ValueError: in some candidates of a batch and not in others, which then have other layers.
    """
    different = chs != others
    if is_array(different) and different.any() != different.all():
        raise ValueError("candidates with and without a downsampling layer cannot be counted together")
    return bool(different.any()) if is_array(different) else bool(different)


def convnext_layers(group: Group, in_chs: Number, resolution: Resolution, index: int) -> Layers:
    """ConvNeXt's block [Liu et al. 2022]: k x k depthwise, layer norm, 1x1 to hidden, 1x1 back, scale, residual.

    With ``grn`` a global response norm over the hidden channels, with scale and shift, replaces the scale (ConvNeXt-V2
    [Woo et al. 2023]).
    With ``branch`` a 1x1 convolution beside the two takes what became linear (RAN, Section 4); with an activation of
    its own it has a bias of its own.
    Where the shape changes, a layer norm and an s x s convolution of stride s come before the first block.
    """
    downsamples = index == 0 and (group.stride != 1 or is_symbolic(in_chs) or differ(in_chs, group.out))
    before: Layers = ()
    if downsamples:
        stride = group.stride
        resolution = patched(resolution, stride)
        extra = 2 * in_chs
        before = (
            Layer("downsample", in_chs, group.out, resolution, stride, stride, bias=True, norm=False, extra=extra),
        )
    chs = group.out
    hidden = hidden_chs(group, chs)
    beside: Layers = ()
    if group.branch is not None:
        bias = group.branch != "none"
        beside = (Layer("branch", chs, chs, resolution, bias=bias, norm=False, main=False),)
    return (
        *before,
        Layer("depthwise", chs, chs, resolution, group.kernel, groups=chs, bias=True),
        Layer("expand", chs, hidden, resolution, bias=True, norm=False),
        Layer("project", hidden, chs, resolution, bias=True, norm=False, extra=2 * hidden if group.grn else chs),
        *beside,
    )
