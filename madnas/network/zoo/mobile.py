"""MobileNetV2 of any width, those of NN-Mass Table 2, and EfficientNets."""

import re
from dataclasses import replace
from math import ceil

from madnas.errors import UsageError
from madnas.network.named import IMAGENET, named
from madnas.network.spec import Group, Head, NetworkSpec, Stem

MAX_WIDTH = 10.0
"""Largest width multiplier; the networks of the papers end at 1.4."""


def make_divisible(chs: float, divisor: int = 8) -> int:
    """Channels as the nearest multiple of ``divisor``, but never less than 90 % of them [Sandler et al. 2018's code].

    >>> make_divisible(32 * 1.4), make_divisible(24 * 0.45)
    (48, 16)
    """
    rounded = max(divisor, int(chs + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * chs else rounded


WIDTHS = r"mobilenet-?v2-([0-9]{1,2}(?:\.[0-9]{1,6})?)"
"""Names of MobileNetV2s; timm's, such as ``mobilenetv2_140``, are left to timm."""


@named("mobilenetv2", "mobilenetv2-0.5", "mobilenetv2-0.75", "mobilenetv2-1.4", family=WIDTHS)
def mobilenet_v2(name: str) -> NetworkSpec:
    """MobileNetV2 [Sandler et al. 2018, Table 2] of any width: ``mobilenetv2-1.4``. The head never gets narrower.

    Raises:
        UsageError: the width is not above 0 and at most 10.
    """
    width = _width(name)
    plain = "mobilenetv2" if width == 1 else f"mobilenetv2-{width:g}"
    return _mobile_net(plain, width, (1, 2, 3, 4, 3, 3, 1))


@named("nnmass-mbv2-a", "nnmass-mbv2-b")
def nn_mass_mobile(name: str) -> NetworkSpec:
    """The MobileNetV2s of NN-Mass, Table 2: 22 blocks, width 1.0 (A) and 0.6 (B).

    Appendix G.3 prints eight depths for seven widths; {2, 3, 4, 5, 4, 3, 1} gives the table's 22 blocks and its masses.
    """
    return _mobile_net(name, 1.0 if name.endswith("a") else 0.6, (2, 3, 4, 5, 4, 3, 1))


def _mobile_net(name: str, width: float, depths: tuple[int, ...]) -> NetworkSpec:
    # out, stride of the groups after the first, which has no expansion in its first block
    rows = ((24, 2), (32, 2), (64, 2), (96, 1), (160, 2), (320, 1))
    first = (Group("separable", make_divisible(16 * width), depths[0], kernel=3, act="relu6"),)
    groups = tuple(
        Group("inverted-residual", make_divisible(chs * width), depth, expand=6, kernel=3, stride=stride, act="relu6")
        for (chs, stride), depth in zip(rows, depths[1:], strict=True)
    )
    head = Head(1000, make_divisible(1280 * max(1.0, width)), "relu6")
    stem = Stem(make_divisible(32 * width), act="relu6")
    return NetworkSpec(name, IMAGENET, (*first, *groups), head, stem)


def _width(name: str) -> float:
    """Width multiplier at the end of a MobileNetV2's name; 1 where there is none."""
    match = re.fullmatch(WIDTHS, name)
    width = float(match[1]) if match else 1.0
    if not 0 < width <= MAX_WIDTH:
        raise UsageError(f"{name}: the width must be above 0 and at most {MAX_WIDTH:g}")
    return width


@named("efficientnet-b0")
def efficientnet_b0(name: str) -> NetworkSpec:
    """EfficientNet-B0 [Tan and Le 2019, Table 1], as timm builds it."""
    # out, depth, kernel, stride of the groups after the first block, which has no expansion
    rows = ((24, 2, 3, 2), (40, 2, 5, 2), (80, 3, 3, 2), (112, 3, 5, 1), (192, 4, 5, 2), (320, 1, 3, 1))
    first = Group("separable", 16, 1, kernel=3, act="silu", se="efficientnet")
    groups = tuple(
        Group("inverted-residual", chs, depth, None, 6, kernel, stride, "silu", "efficientnet")
        for chs, depth, kernel, stride in rows
    )
    return NetworkSpec(name, IMAGENET, (first, *groups), Head(1000, 1280, "silu"), Stem(32, act="silu"))


def efficientnet_of(name: str, width: float, depth: float, side: int) -> NetworkSpec:
    """EfficientNet-B0 with its width and depth multiplied, on images of this side [Tan and Le 2019, Section 3.3]."""
    base = efficientnet_b0(name)
    assert base.stem is not None

    def wider(chs: int) -> int:
        return make_divisible(chs * width)

    groups = tuple(replace(group, out=wider(group.out), depth=ceil(group.depth * depth)) for group in base.groups)
    stem, head = replace(base.stem, out=wider(32)), replace(base.head, conv=wider(1280))
    return replace(base, input=(3, side, side), groups=groups, stem=stem, head=head)


@named("efficientnet-lite0")
def efficientnet_lite0(name: str) -> NetworkSpec:
    """EfficientNet-Lite0 [Liu 2020, the TensorFlow blog]: B0 with ReLU6 and without squeeze-excitation."""
    return efficientnet_lite_of(name, 1.0, 1.0, 224)


def efficientnet_lite_of(name: str, width: float, depth: float, side: int) -> NetworkSpec:
    """An EfficientNet-Lite: stem, head and the depths of the first and last group are not multiplied."""
    scaled, base = efficientnet_of(name, width, depth, side), efficientnet_b0(name)
    depths = (1, *scaled.depths[1:-1], 1)
    groups = tuple(
        replace(group, depth=depth, act="relu6", se="none") for group, depth in zip(scaled.groups, depths, strict=True)
    )
    assert base.stem is not None
    return replace(scaled, groups=groups, stem=replace(base.stem, act="relu6"), head=replace(base.head, act="relu6"))
