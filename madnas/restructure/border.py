"""A convolution with constants that know where the image ends."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from madnas.restructure.affine import Affine


class BorderConv2d(nn.Conv2d):
    """A convolution that adds a kernel over a map of ones, padded with zeros as its input is.

    One convolution of one image of one channel more, whatever the batch.

    Attributes:
        border: (out, 1, k, l).
    """

    border: nn.Parameter

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.border = nn.Parameter(torch.zeros(self.out_channels, 1, *self.kernel_size))

    def forward(self, input: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        assert not isinstance(self.padding, str)
        ones = input.new_ones(1, 1, *input.shape[2:])
        constant = F.conv2d(ones, self.border, self.bias, self.stride, self.padding, self.dilation)
        return F.conv2d(input, self.weight, None, self.stride, self.padding, self.dilation, self.groups) + constant


def conv_of(affine: Affine, like: Tensor) -> nn.Conv2d:
    """The map as a layer, in the precision and on the device of a tensor."""
    kind: type[nn.Conv2d] = nn.Conv2d if affine.border is None else BorderConv2d
    conv = kind(
        affine.in_chs,
        affine.out_chs,
        affine.kernel,
        stride=affine.stride,
        padding=affine.padding,
        dilation=affine.dilation,
        groups=affine.groups,
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
