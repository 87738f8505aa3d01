"""Backbones whose last maps stay larger: strides become dilation, as DeepLab and timm's ``output_stride`` have it."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from madnas.errors import UsageError
from madnas.models.layers import PadShortcut
from madnas.network.expand import openings
from madnas.network.spec import NetworkSpec


def check_output_stride(spec: NetworkSpec, output_stride: int) -> None:
    """Refuse what no dilation makes.

    Raises:
        UsageError: no power of two, or smaller than what the stem reduces by; an MLP.
    """
    if spec.is_mlp:
        raise UsageError(f"{spec.name}: an MLP has no feature maps", hint="leave out output_stride")
    if output_stride < 1 or output_stride & (output_stride - 1):
        raise UsageError(f"output_stride: expected a power of two, such as 8 or 16, got {output_stride}")
    if output_stride < stem_reduction(spec):
        raise UsageError(
            f"output_stride: {output_stride} is less than what the stem of {spec.name} reduces by, "
            f"{stem_reduction(spec)}, and only groups are dilated"
        )


def stem_reduction(spec: NetworkSpec) -> int:
    """Input side / side of the map that the first group sees."""
    return 1 if spec.stem is None else spec.stem.stride * (2 if spec.stem.pool else 1)


def dilate(groups: nn.Sequential, spec: NetworkSpec, output_stride: int) -> None:
    """Make the strides that would exceed an output stride dilation, in place.

    Every second pixel of the maps is then what it was without (À trous, Holschneider et al. 1990), but for what looks
    at whole maps: squeeze-excitation, global response norm, the batch norms in training. Weights and their names stay.

    Args:
        groups: of a network.
        spec: its description.
        output_stride: input side / side of the last map.
    """
    reduction, rate = stem_reduction(spec), 1
    for opening, group in zip(openings(spec), groups, strict=True):
        before = rate
        if opening.group.stride == 2:
            if reduction * 2 > output_stride:
                rate *= 2
            else:
                reduction *= 2
        if rate > 1:
            _dilate_group(group, before, rate)


def _dilate_group(group: nn.Module, before: int, rate: int) -> None:
    """Dilate a group: what had a stride by the rate of the group before, and what follows that by its own."""
    passed = before == rate
    for name, part in list(group.named_modules()):
        if isinstance(part, nn.MaxPool2d | nn.AvgPool2d) and not _has_no_stride(part):
            _replace(group, name, DilatedPool(isinstance(part, nn.MaxPool2d), before))
            passed = True
        elif isinstance(part, PadShortcut) and before != rate:
            part.stride = 1
        elif isinstance(part, nn.Conv2d):
            strided = part.stride != (1, 1)
            _dilate_conv(group, name, part, before if strided or not passed else rate)
            passed = passed or strided


def _has_no_stride(pool: nn.MaxPool2d | nn.AvgPool2d) -> bool:
    """Whether a pooling has no stride."""
    return pool.stride in (1, (1, 1))


def _dilate_conv(group: nn.Module, name: str, conv: nn.Conv2d, rate: int) -> None:
    kernel = conv.kernel_size[0]
    conv.stride = (1, 1)
    if kernel == 1:
        return
    conv.dilation = (rate, rate)
    if kernel % 2:
        conv.padding = (rate * (kernel - 1) // 2,) * 2
        return
    dilated = DilatedPatches(conv.in_channels, conv.out_channels, kernel, dilation=rate, bias=conv.bias is not None)
    dilated.weight, dilated.bias = conv.weight, conv.bias
    _replace(group, name, dilated)


def _replace(group: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(group.get_submodule(parent), own, part)


class DilatedPatches(nn.Conv2d):
    """Convolution of patches (an even kernel) at every pixel, dilated; beyond the border are zeros."""

    def forward(self, input: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H, W)``."""
        reach = self.dilation[0] * (self.kernel_size[0] - 1)
        return super().forward(F.pad(input, (0, reach, 0, reach)))


class DilatedPool(nn.Module):
    """2x2 pooling at every pixel, of pixels that are ``rate`` apart; a window at the border has those there are.

    Args:
        maximum: take the largest, else the mean.
        rate: distance of the pixels.
    """

    def __init__(self, maximum: bool, rate: int) -> None:
        super().__init__()
        self.maximum = maximum
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the same shape."""
        if self.maximum:
            return torch.stack(self._corners(x, -torch.inf)).amax(0)
        ones = torch.ones_like(x[:1, :1])
        return cast(Tensor, sum(self._corners(x, 0.0))) / cast(Tensor, sum(self._corners(ones, 0.0)))

    def _corners(self, x: Tensor, beyond: float) -> list[Tensor]:
        """The map, moved by nothing, right, down and both."""
        rate, (height, width) = self.rate, x.shape[-2:]
        padded = F.pad(x, (0, rate, 0, rate), value=beyond)
        return [padded[..., dy : dy + height, dx : dx + width] for dy in (0, rate) for dx in (0, rate)]
