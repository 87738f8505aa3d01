"""ResNet and what became of it (ResNeXt, SE-ResNet, ResNet-D, Wide-ResNet), for ImageNet and CIFAR."""

import re
from dataclasses import replace

from madnas.errors import UsageError
from madnas.network.named import IMAGENET, named
from madnas.network.spec import Group, Head, NetworkSpec, Stem

LAYERS = {
    10: ("basic", (1, 1, 1, 1)),
    14: ("bottleneck", (1, 1, 1, 1)),
    18: ("basic", (2, 2, 2, 2)),
    26: ("bottleneck", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
    200: ("bottleneck", (3, 24, 36, 3)),
    269: ("bottleneck", (3, 30, 48, 8)),
}
"""Block and depths of the ResNets by their number of layers: He et al. 2015, Table 1, and timm's further ones."""

DEEP_STEMS = {"c": (32, 32), "d": (32, 32), "t": (24, 32)}
"""First convolutions of the stems of three, by the letter behind the number of layers [He et al. 2019, Section 4]."""

AVERAGING = frozenset("dt")
"""Letters of those whose strided shortcuts average before they project."""

DERIVED = r"(se)?resnex?t([0-9]+)([cdt]?)(?:_([0-9]+)x([0-9]+)d)?"


@named("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
def resnet(name: str) -> NetworkSpec:
    """ResNet for ImageNet [He et al. 2015], with the stride on the 3x3 convolution as everyone has it.

    Args:
        name: timm's name, also of a ResNeXt [Xie et al. 2017] (``resnext50_32x4d``: 32 groups of 4 channels), of an
            SE-ResNet [Hu et al. 2018] (``seresnet50``), with ResNet-C's or -D's changes (``resnet50d``), or of several.
    """
    se, layers, letter, cardinality, base_width = _match(DERIVED, name)
    block, depths = LAYERS[int(layers)]
    shortcut = "avg-down" if letter in AVERAGING else "conv"
    groups = []
    for chs, depth, stride in zip((64, 128, 256, 512), depths, (1, 2, 2, 2), strict=True):
        group = Group(block, chs, depth, kernel=3, stride=stride, se="senet" if se else "none", shortcut=shortcut)
        if block == "bottleneck":
            group = replace(group, out=4 * chs, hidden=chs)
        if cardinality:
            group_width = int(base_width) * chs // 64
            group = replace(group, hidden=int(cardinality) * group_width, group_width=group_width)
        groups.append(group)
    hidden = DEEP_STEMS.get(letter, ())
    stem = Stem(64, kernel=3 if hidden else 7, pool=True, hidden=hidden)
    return NetworkSpec(name, IMAGENET, tuple(groups), Head(1000), stem)


@named("resnet20")
def resnet_cifar(name: str) -> NetworkSpec:
    """ResNet for CIFAR-10 [He et al. 2015, Section 4.2] with shortcuts without parameters (option A)."""
    groups = tuple(
        Group("basic", chs, 3, kernel=3, stride=stride, shortcut="pad") for chs, stride in ((16, 1), (32, 2), (64, 2))
    )
    return NetworkSpec(name, (3, 32, 32), groups, Head(10), Stem(16, stride=1))


WRN_CIFAR = r"wrn-([0-9]{1,3})-([0-9]{1,2})"
WRN_IMAGENET = r"wrn-imagenet-(18|34|50|101)-([0-9]{1,2}(?:\.[0-9]{1,3})?)"


@named("wrn-16-8", "wrn-22-8", "wrn-28-10", "wrn-40-4", family=WRN_CIFAR)
def wide_resnet_cifar(name: str) -> NetworkSpec:
    """Wide-ResNet for CIFAR-10 [Zagoruyko and Komodakis 2016, Table 1]: ``wrn-DEPTH-K``, depth 6 n + 4, widths times K.

    Raises:
        UsageError: an impossible depth or width.
    """
    depth, factor = map(int, _match(WRN_CIFAR, name))
    if depth < 10 or (depth - 4) % 6 or factor < 1:
        raise UsageError(f"{name}: a depth of 6 n + 4 (10, 16, 22, 28 ...) and a factor of at least 1")
    groups = tuple(
        Group("preact", factor * chs, (depth - 4) // 6, kernel=3, stride=stride)
        for chs, stride in ((16, 1), (32, 2), (64, 2))
    )
    stem = Stem(16, stride=1, norm="later")
    return NetworkSpec(name, (3, 32, 32), groups, Head(10, norm="batch"), stem)


@named("wrn-imagenet-18-2", "wrn-imagenet-34-2", "wrn-imagenet-50-2", family=WRN_IMAGENET)
def wide_resnet_imagenet(name: str) -> NetworkSpec:
    """Wide-ResNet for ImageNet [Zagoruyko and Komodakis 2016, Section 3.4]: ``wrn-imagenet-DEPTH-K``.

    ResNet-18 and -34 with the channels of all groups times K, ResNet-50 and -101 with the channels inside bottlenecks
    times K (torchvision's ``wide_resnet50_2``).
    """
    depth, factor = _match(WRN_IMAGENET, name)
    base = resnet(f"resnet{depth}")
    k = float(factor)
    if k < 1:
        raise UsageError(f"{name}: the factor must be at least 1")

    def widen(group: Group) -> Group:
        if group.block == "basic":
            return replace(group, out=round(group.out * k))
        assert group.hidden is not None
        return replace(group, hidden=round(group.hidden * k))

    return replace(base, name=name, groups=tuple(widen(group) for group in base.groups))


def _match(pattern: str, name: str) -> tuple[str, ...]:
    match = re.fullmatch(pattern, name)
    assert match is not None, name
    return match.groups()
