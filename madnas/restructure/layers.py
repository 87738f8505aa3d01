"""Layers, norms and scales as affine maps."""

from typing import Any

import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn

from madnas.restructure.affine import Affine, Outside, Pair, Sides

CONVS = (nn.Conv2d, Conv2dSame)
"""Convolutions that :func:`of_conv` knows; not their subclasses, whose weights are not what they compute with."""


def of_conv(conv: nn.Conv2d, around: Sides | None = None) -> Affine:
    """A convolution that pads with zeros.

    Args:
        conv: of a fixed padding, of ``"same"`` or ``"valid"``, or timm's that pads as TensorFlow does.
        around: zeros that a layer before it adds: left, right, top, bottom.
    """
    assert conv.padding_mode == "zeros"
    weight = conv.weight.detach().double()
    bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach().double()
    padding, outside = _zeros(conv)
    if around is not None:
        assert outside != "same"
        left, right, top, bottom = (one + more for one, more in zip(outside or (0, 0, 0, 0), around, strict=True))
        if (left, top) == (right, bottom):
            padding, outside = (padding[0] + top, padding[1] + left), None
        else:
            outside = (left, right, top, bottom)
    return Affine(weight, bias, None, _pair(conv.stride), padding, _pair(conv.dilation), conv.groups, outside)


def of_linear(layer: nn.Linear) -> Affine:
    """A linear layer: a 1x1 kernel."""
    weight = layer.weight.detach().double()
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().double()
    return Affine(weight[..., None, None], bias)


def of_norm(norm: Any) -> Affine:
    """A batch norm that uses its running statistics."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = (norm.running_var.detach().double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -norm.running_mean.detach().double() * scale
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    return scaled(scale, shift)


def scaled(scale: Tensor, shift: Tensor) -> Affine:
    """Every channel times a number, and another one added (C,)."""
    return Affine(scale.double().view(-1, 1, 1, 1), shift.double(), groups=len(scale))


def identity(chs: int, like: Tensor) -> Affine:
    """What changes nothing."""
    return Affine(like.new_ones(chs, 1, 1, 1), like.new_zeros(chs), groups=chs)


def _zeros(conv: nn.Conv2d) -> tuple[Pair, Outside]:
    """Zeros around a convolution's input: on both sides alike, or else what there is beside that."""
    down, across = (step * (side - 1) for step, side in zip(conv.dilation, conv.kernel_size, strict=True))
    if type(conv) is Conv2dSame:
        if conv.kernel_size == (1, 1):
            return (0, 0), None
        if conv.stride != (1, 1):
            return (0, 0), "same"
    elif conv.padding != "same":
        return (0, 0) if isinstance(conv.padding, str) else _pair(conv.padding), None
    if down % 2 == across % 2 == 0:
        return (down // 2, across // 2), None
    return (0, 0), (across // 2, across - across // 2, down // 2, down - down // 2)


def _pair(values: tuple[int, ...]) -> Pair:
    down, across = values
    return down, across


def zeros(count: int) -> Tensor:
    """In the precision that maps are computed in."""
    return torch.zeros(count, dtype=torch.float64)
