"""Convolutions as affine maps, and what two of them in a row or side by side are: one, borders included.

A convolution pads its input with zeros. What an earlier layer gives out for an image of zeros is its bias, and not
zero, but the later layer's padding says it is: inside the image the bias passes through as a constant, and along the
border it does not. The naive merge, which adds up the bias as if there were no border, is wrong there. Here a constant
keeps a kernel of its own:

    y = weight * x + border * 1 + bias

where 1 is a map of ones that is padded with zeros as the input is. That is exact at any size and stride.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

Pair = tuple[int, int]
"""Down and across."""
Sides = tuple[int, int, int, int]
"""Left, right, top, bottom."""
Outside = Sides | Literal["same"] | None
"""Zeros beside those on both sides alike; "same" as many as TensorFlow adds, which depends on the input's size."""


class Unmergeable(Exception):
    """Two maps whose composition or sum is no single convolution; says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """A convolution with its constants, in float64.

    Attributes:
        weight: (out, in / groups, k, l).
        bias: what is added everywhere (out,).
        border: kernel over a map of ones that is padded with zeros (out, 1, k, l); None for nothing.
        stride: of the kernel, in pixels down and across.
        padding: zeros around the input.
        dilation: of the kernel.
        groups: of the convolution.
        outside: more zeros around the input, not on both sides alike.
    """

    weight: Tensor
    bias: Tensor
    border: Tensor | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    outside: Outside = None

    @property
    def kernel(self) -> Pair:
        """Sides of the kernel."""
        return self.weight.shape[2], self.weight.shape[3]

    @property
    def in_chs(self) -> int:
        """Input channels."""
        return self.weight.shape[1] * self.groups

    @property
    def out_chs(self) -> int:
        """Output channels."""
        return self.weight.shape[0]

    @property
    def is_pointwise(self) -> bool:
        """Whether every pixel is mapped by itself, so that no border is seen."""
        return self.kernel == (1, 1) and not self.is_padded

    @property
    def is_padded(self) -> bool:
        """Whether there are zeros around the input."""
        return self.padding != (0, 0) or self.outside is not None

    @property
    def is_depthwise(self) -> bool:
        """Whether every channel is mapped by itself, to one."""
        return self.groups == self.in_chs == self.out_chs

    @property
    def is_diagonal(self) -> bool:
        """Whether every number is mapped by itself, as a batch norm does."""
        return self.is_pointwise and self.is_depthwise and self.stride == (1, 1)

    @property
    def macs_per_pixel(self) -> int:
        """Multiply-adds for a pixel of the output; constants are not counted, as nowhere."""
        return self.weight.numel()

    def by_group(self) -> Tensor:
        """The kernel as (groups, out / groups, in / groups, k, l)."""
        return self.weight.unflatten(0, (self.groups, -1))

    def dense(self) -> "Affine":
        """The same in one group."""
        if self.groups == 1:
            return self
        parts = self.by_group()
        groups, out, inside = parts.shape[:3]
        weight = parts.new_zeros(groups, out, groups, inside, *self.kernel)
        number = torch.arange(groups, device=parts.device)
        weight[number, :, number] = parts
        return replace(self, weight=weight.flatten(2, 3).flatten(0, 1), groups=1)

    def then(self, later: "Affine") -> "Affine":
        """What a later map makes of this one's output.

        Raises:
            Unmergeable: it is no convolution: a kernel of several pixels pads what another one gave out, or skips.
        """
        if self.out_chs != later.in_chs:
            raise Unmergeable(f"{self.out_chs} channels come out, and {later.in_chs} go in")
        if later.is_pointwise:
            if self.outside == "same" and later.stride != (1, 1):
                raise Unmergeable("zeros that depend on the stride, and another stride behind them")
            spatial, border, bias = self, self.border, _mixed(later, self.bias) + later.bias
            if border is not None:
                border = _mixed(later, border)
        elif self.is_pointwise and self.stride == (1, 1):
            spatial, border, bias = later, _seen(later, self.bias), later.bias
            if later.border is not None:
                border = border + later.border
        elif self.is_pointwise:
            raise Unmergeable(f"a kernel of {later.kernel} sees every {self.stride[0]}th pixel only")
        else:
            raise Unmergeable(
                f"a kernel of {later.kernel} pads what a kernel of {self.kernel} gave out, and no single one does both"
            )
        weight, groups = _product(self, later)
        stride = self.stride[0] * later.stride[0], self.stride[1] * later.stride[1]
        merged = Affine(weight, bias, border, stride, spatial.padding, spatial.dilation, groups, spatial.outside)
        return merged._settled()

    def plus(self, other: "Affine") -> "Affine":
        """The sum of two maps of the same input.

        Raises:
            Unmergeable: they give out different maps, or see pixels that no common kernel does.
        """
        if (self.in_chs, self.out_chs, self.stride) != (other.in_chs, other.out_chs, other.stride):
            raise Unmergeable("branches of different channels or strides")
        large, small = (self, other) if self.kernel >= other.kernel else (other, self)
        if large.outside != small.outside or (large.outside is not None and large.kernel != small.kernel):
            raise Unmergeable("branches with other zeros around their input")
        if small.kernel != (1, 1) and small.dilation != large.dilation:
            raise Unmergeable("branches of different dilation")
        if large.groups != small.groups:
            large, small = large.dense(), small.dense()
        margins = [(k - its) // 2 for k, its in zip(large.kernel, small.kernel, strict=True)]
        wanted = tuple(its + m * step for its, m, step in zip(small.padding, margins, large.dilation, strict=True))
        odd = any((k - its) % 2 for k, its in zip(large.kernel, small.kernel, strict=True))
        if odd or min(margins) < 0 or wanted != large.padding:
            raise Unmergeable(
                f"kernels of {large.kernel} and {small.kernel} with paddings of {large.padding} and {small.padding} "
                "do not lie one in the other"
            )
        margin = (margins[1], margins[1], margins[0], margins[0])
        pad = nn.functional.pad
        borders = [one for one in (large.border, None if small.border is None else pad(small.border, margin))
                   if one is not None]  # fmt: skip
        return replace(
            large,
            weight=large.weight + pad(small.weight, margin),
            bias=large.bias + small.bias,
            border=sum(borders[1:], borders[0]) if borders else None,
        )

    def _settled(self) -> "Affine":
        """Without padding there is no border, and its kernel is a constant."""
        if self.border is None or self.is_padded:
            return self
        return replace(self, border=None, bias=self.bias + self.border.sum((1, 2, 3)))


def _mixed(pointwise: Affine, values: Tensor) -> Tensor:
    """A pointwise map's channels of values (in, ...), without its bias: (out, ...)."""
    matrix = pointwise.by_group()[..., 0, 0]  # (groups, out / groups, in / groups)
    return torch.einsum("goi,gi...->go...", matrix, values.unflatten(0, (pointwise.groups, -1))).flatten(0, 1)


def _seen(spatial: Affine, constants: Tensor) -> Tensor:
    """What a kernel makes of a constant for each channel (in,), as a kernel over ones (out, 1, k, l)."""
    parts = constants.unflatten(0, (spatial.groups, -1))
    return torch.einsum("goikl,gi->gokl", spatial.by_group(), parts).flatten(0, 1)[:, None]


def _product(first: Affine, later: Affine) -> tuple[Tensor, int]:
    """Kernel and groups of a composition; one of the two is pointwise."""
    if later.is_diagonal:
        return later.weight * first.weight, first.groups
    if first.is_diagonal:
        scale = first.weight.view(later.groups, 1, -1, 1, 1)
        return (later.by_group() * scale).flatten(0, 1), later.groups
    if first.groups != later.groups:
        if later.is_depthwise:
            return later.weight * first.dense().weight, 1
        if first.is_depthwise:
            return later.dense().weight * first.weight[:, 0], 1
        first, later = first.dense(), later.dense()
    parts = torch.einsum("gomkl,gmiKL->goikKlL", later.by_group(), first.by_group())
    return parts.flatten(5, 6).flatten(3, 4).flatten(0, 1), first.groups
