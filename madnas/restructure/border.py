"""Layers that a merge leaves: convolutions with constants that know where the image ends, linear layers."""

from typing import Any

import torch
from timm.layers import Conv2dSame, pad_same
from torch import Tensor, nn
from torch.nn import functional as F

from madnas.restructure.affine import Affine, Outside


class PaddedConv2d(nn.Conv2d):
    """A convolution with zeros around its input that are not the same on both sides.

    Args:
        arguments: of a convolution.
        outside: zeros beside its padding.
        settings: of a convolution.
    """

    def __init__(self, *arguments: Any, outside: Outside = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.outside = outside

    def surrounded(self, image: Tensor) -> Tensor:
        """An image with those zeros."""
        if self.outside is None:
            return image
        if self.outside == "same":
            padded: Tensor = pad_same(image, list(self.kernel_size), list(self.stride), list(self.dilation))
            return padded
        return F.pad(image, self.outside)

    def forward(self, input: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        return super().forward(self.surrounded(input))


class BorderConv2d(PaddedConv2d):
    """A convolution that adds a kernel over a map of ones, padded with zeros as its input is.

    One convolution of one image of one channel more, whatever the batch.

    Attributes:
        border: (out, 1, k, l).
    """

    border: nn.Parameter

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.border = nn.Parameter(torch.zeros(self.out_channels, 1, *self.kernel_size))

    def forward(self, input: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        assert not isinstance(self.padding, str)
        ones = self.surrounded(input.new_ones(1, 1, *input.shape[2:]))
        constant = F.conv2d(ones, self.border, self.bias, self.stride, self.padding, self.dilation)
        image = self.surrounded(input)
        return F.conv2d(image, self.weight, None, self.stride, self.padding, self.dilation, self.groups) + constant


def conv_of(affine: Affine, like: Tensor) -> nn.Conv2d:
    """The map as a convolution, in the precision and on the device of a tensor."""
    kind, settings = _kind(affine)
    conv = kind(
        affine.in_chs,
        affine.out_chs,
        affine.kernel,
        stride=affine.stride,
        padding=affine.padding,
        dilation=affine.dilation,
        groups=affine.groups,
        **settings,
    )
    conv.to(like.device, like.dtype)
    with torch.no_grad():
        conv.weight.copy_(affine.weight)
        assert conv.bias is not None
        conv.bias.copy_(affine.bias)
        if isinstance(conv, BorderConv2d):
            assert affine.border is not None
            conv.border.copy_(affine.border)
    return conv


def linear_of(affine: Affine, like: Tensor) -> nn.Linear:
    """A map of every pixel by itself as a linear layer, in the precision and on the device of a tensor."""
    assert affine.is_pointwise
    layer = nn.Linear(affine.in_chs, affine.out_chs).to(like.device, like.dtype)
    with torch.no_grad():
        layer.weight.copy_(affine.dense().weight[..., 0, 0])
        layer.bias.copy_(affine.bias)
    return layer


def _kind(affine: Affine) -> tuple[type[nn.Conv2d], dict[str, Any]]:
    """The simplest convolution that does it."""
    if affine.border is not None:
        return BorderConv2d, {"outside": affine.outside}
    if affine.outside == "same":
        return Conv2dSame, {}
    return (nn.Conv2d, {}) if affine.outside is None else (PaddedConv2d, {"outside": affine.outside})
