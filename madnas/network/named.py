"""Named networks: the published DeepMAD networks and the baselines that they are compared with.

A network is a function from its name to its spec, registered by :func:`named`. Structures follow the papers as the
reference implementations build them (torchvision, timm, the DeepMAD authors' release); deviations are noted where they
are. Params, MACs, layers, rho and entropy are checked against published values in ``tests/network/``.
"""

import re
from collections.abc import Callable, Iterable

from madnas.errors import UsageError
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.yamlfile import did_you_mean, shorten

Maker = Callable[[str], NetworkSpec]

_NETWORKS: dict[str, Maker] = {}
_FAMILIES: dict[re.Pattern[str], Maker] = {}

ALIASES = {"deepmad-29m-224": "deepmad-29m"}

IMAGENET = (3, 224, 224)
MAX_WIDTH = 10.0
"""Largest width multiplier; the networks of the papers end at 1.4."""


class UnknownName(UsageError):
    """A name that nothing has."""


def unknown_name(kind: str, name: str, known: Iterable[str], also: str | None = None) -> UnknownName:
    """The error for an unknown name, with the known ones that look like it, or all of them.

    Args:
        kind: what is named: ``network``, ``space`` ...
        name: what was asked for.
        known: what there is.
        also: what else could have been given, for the hint: ``or give the path of a file``.
    """
    known = sorted(known)
    message = f"unknown {kind} {shorten(name)!r}{did_you_mean(name, known)}"
    hint = f"known: {', '.join(known)}" if known else None
    return UnknownName(message, "; ".join(part for part in (hint, also) if part) or None)


def named(*names: str, family: str | None = None) -> Callable[[Maker], Maker]:
    """Register a function from a network's name to its spec.

    Args:
        names: its names, lower case; those of a family are examples for lists and suggestions.
        family: pattern of further names, all of which the function gets.

    Raises:
        ValueError: a name that is registered already.
    """

    def register(maker: Maker) -> Maker:
        for name in names:
            if _folded(name) in {_folded(other) for other in _NETWORKS}:
                raise ValueError(f"two networks named {name!r}")
            _NETWORKS[name] = maker
        if family is not None:
            _FAMILIES[re.compile(family)] = maker
        return maker

    return register


def names() -> list[str]:
    """Names of all networks, sorted; of a family, examples."""
    return sorted(_NETWORKS)


def get(name: str) -> NetworkSpec:
    """A network by its name. Case does not matter, nor do ``-`` and ``_``: ``ResNet-18`` is ``resnet18``.

    Raises:
        UnknownName: no such network; with suggestions.
        UsageError: a family's name with an impossible width.
    """
    lower = name.lower().replace("_", "-")
    folded = _folded(ALIASES.get(lower, lower))
    for known, maker in _NETWORKS.items():
        if folded == _folded(known):
            return maker(known)
    for pattern, maker in _FAMILIES.items():
        if pattern.fullmatch(lower):
            return maker(lower)
    raise unknown_name("network", name, names())


def _folded(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


# ResNet


@named("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
def resnet(name: str) -> NetworkSpec:
    """ResNet for ImageNet [He et al. 2015, Table 1], with the stride on the 3x3 convolution as everyone has it."""
    block, depths = {
        "resnet18": ("basic", (2, 2, 2, 2)),
        "resnet34": ("basic", (3, 4, 6, 3)),
        "resnet50": ("bottleneck", (3, 4, 6, 3)),
        "resnet101": ("bottleneck", (3, 4, 23, 3)),
        "resnet152": ("bottleneck", (3, 8, 36, 3)),
    }[name]
    groups = []
    for chs, depth, stride in zip((64, 128, 256, 512), depths, (1, 2, 2, 2), strict=True):
        out, hidden = (4 * chs, chs) if block == "bottleneck" else (chs, None)
        groups.append(Group(block, out, depth, hidden, kernel=3, stride=stride, shortcut="conv"))
    return NetworkSpec(name, IMAGENET, tuple(groups), Head(1000), Stem(64, kernel=7, pool=True))


@named("resnet20")
def resnet_cifar(name: str) -> NetworkSpec:
    """ResNet for CIFAR-10 [He et al. 2015, Section 4.2] with shortcuts without parameters (option A)."""
    groups = tuple(
        Group("basic", chs, 3, kernel=3, stride=stride, shortcut="pad") for chs, stride in ((16, 1), (32, 2), (64, 2))
    )
    return NetworkSpec(name, (3, 32, 32), groups, Head(10), Stem(16, stride=1))


# Mobile networks


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
    # out, depth, stride of the groups after the first block, which has no expansion
    rows = ((24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
    first = Group("separable", make_divisible(16 * width), 1, kernel=3, act="relu6")
    groups = tuple(
        Group("inverted-residual", make_divisible(chs * width), depth, expand=6, kernel=3, stride=stride, act="relu6")
        for chs, depth, stride in rows
    )
    head = Head(1000, make_divisible(1280 * max(1.0, width)), "relu6")
    stem = Stem(make_divisible(32 * width), act="relu6")
    plain = "mobilenetv2" if width == 1 else f"mobilenetv2-{width:g}"
    return NetworkSpec(plain, IMAGENET, (first, *groups), head, stem)


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


# DeepMAD

BOTTLENECK_NETWORKS = {
    "deepmad-r18": (32, ((96, 40, 5, 1), (384, 40, 5, 6), (384, 64, 5, 9), (1024, 104, 3, 10), (672, 104, 5, 12))),
    "deepmad-r34": (24, ((128, 24, 5, 1), (512, 48, 5, 10), (896, 88, 5, 13), (1024, 104, 5, 11), (616, 128, 5, 14))),
    "deepmad-r50": (32, ((128, 40, 5, 1), (512, 48, 5, 11), (872, 88, 5, 12), (1024, 104, 5, 13), (1232, 120, 5, 15))),
}
"""Stem width, then out, hidden, kernel and depth of every group, of the DeepMAD networks of Table 1."""

BOTTLENECK_STRIDES = (2, 2, 2, 1, 2)


@named(*BOTTLENECK_NETWORKS)
def deepmad_bottleneck(name: str) -> NetworkSpec:
    """DeepMAD of ResNet bottlenecks [Shen et al. 2023, Table 1], from the authors' structure files."""
    stem, rows = BOTTLENECK_NETWORKS[name]
    groups = tuple(
        Group("bottleneck", out, depth, hidden, kernel=kernel, stride=stride, shortcut="pool")
        for (out, hidden, kernel, depth), stride in zip(rows, BOTTLENECK_STRIDES, strict=True)
    )
    return NetworkSpec(name, IMAGENET, groups, Head(1000), Stem(stem))


SE_NETWORKS = {
    "deepmad-29m": (
        *(224, 40, 1792),
        ((40, 240, 5, 1, 2), (85, 512, 5, 2, 4), (134, 800, 5, 2, 6), (201, 1208, 5, 2, 6), (312, 1872, 5, 2, 5)),
    ),
    "deepmad-29m-288": (
        *(288, 40, 1792),
        ((61, 368, 5, 2, 4), (96, 576, 5, 2, 4), (145, 872, 5, 2, 5), (217, 1304, 5, 1, 6), (328, 1968, 5, 2, 4)),
    ),
    "deepmad-50m": (
        *(224, 48, 2048),
        ((112, 672, 5, 2, 7), (168, 1008, 5, 2, 9), (252, 1512, 5, 2, 7), (378, 2272, 5, 2, 3), (576, 3456, 3, 1, 1)),
    ),
    "deepmad-89m": (
        *(224, 56, 2560),
        ((136, 816, 5, 2, 10), (204, 1224, 5, 2, 9), (326, 1952, 5, 2, 7), (490, 2944, 5, 2, 4), (744, 4464, 3, 1, 1)),
    ),
}
"""Side of the input, widths of stem and head convolution, then out, hidden, kernel, stride and depth of every group, of
the DeepMAD networks of Table 3."""


@named(*SE_NETWORKS)
def deepmad_se(name: str) -> NetworkSpec:
    """DeepMAD of MobileNetV2 blocks with SE [Shen et al. 2023, Table 3], from the authors' structure files."""
    side, stem, head, rows = SE_NETWORKS[name]
    groups = tuple(
        Group("inverted-residual", out, depth, hidden, None, kernel, stride, "silu", "deepmad", "pool")
        for out, hidden, kernel, stride, depth in rows
    )
    return NetworkSpec(name, (3, side, side), groups, Head(1000, head, "silu"), Stem(stem, act="silu"))
