"""ZenNets: Tables 8 to 18 of Zen-NAS."""

from madnas.network.named import IMAGENET, named
from madnas.network.plainnet import residual_group
from madnas.network.spec import Group, Head, NetworkSpec, Stem

Row = tuple[str, int, int, int, int, int]

RESIDUAL: dict[str, tuple[int, int, tuple[Row, ...], int]] = {
    # stem: channels, stride; rows: block, kernel, out, stride, bottleneck, layers; channels of the last 1x1
    "zennet-0.1ms": (24, 2, (
        ("Res", 3, 32, 2, 64, 1), ("Res", 5, 64, 2, 32, 1), ("Res", 5, 168, 2, 96, 1), ("Btn", 5, 320, 1, 120, 1),
        ("Btn", 5, 640, 2, 304, 3), ("Btn", 5, 512, 1, 384, 1),
    ), 2384),
    "zennet-0.2ms": (24, 2, (
        ("Btn", 5, 32, 2, 32, 1), ("Btn", 7, 104, 2, 64, 1), ("Btn", 5, 512, 2, 160, 1), ("Btn", 5, 344, 1, 192, 1),
        ("Btn", 5, 688, 2, 320, 4), ("Btn", 5, 680, 1, 304, 3),
    ), 2552),
    "zennet-0.3ms": (24, 2, (
        ("Btn", 5, 64, 2, 32, 1), ("Btn", 3, 128, 2, 128, 1), ("Btn", 7, 432, 2, 128, 1), ("Btn", 5, 272, 1, 160, 1),
        ("Btn", 5, 848, 2, 384, 4), ("Btn", 5, 848, 1, 320, 3), ("Btn", 5, 456, 1, 320, 3),
    ), 6704),
    "zennet-0.5ms": (8, 2, (
        ("Btn", 7, 64, 2, 32, 1), ("Btn", 3, 152, 2, 128, 1), ("Btn", 5, 640, 2, 192, 4), ("Btn", 5, 640, 1, 192, 2),
        ("Btn", 5, 1536, 2, 384, 4), ("Btn", 5, 816, 1, 384, 3), ("Btn", 5, 816, 1, 384, 3),
    ), 5304),
    "zennet-0.8ms": (16, 2, (
        ("Btn", 5, 64, 2, 64, 1), ("Btn", 3, 240, 2, 128, 2), ("Btn", 7, 640, 2, 160, 3), ("Btn", 7, 768, 1, 192, 4),
        ("Btn", 5, 1536, 2, 384, 5), ("Btn", 5, 1536, 1, 384, 3), ("Btn", 5, 2304, 1, 384, 5),
    ), 4912),
    "zennet-1.2ms": (32, 2, (
        ("Btn", 5, 80, 2, 32, 1), ("Btn", 7, 432, 2, 128, 5), ("Btn", 7, 640, 2, 192, 3), ("Btn", 7, 1008, 1, 160, 5),
        ("Btn", 7, 976, 1, 160, 4), ("Btn", 5, 2304, 2, 384, 5), ("Btn", 5, 2496, 1, 384, 5),
    ), 3072),
    "zennet-cifar-1m": (88, 1, (
        ("Btn", 7, 120, 1, 16, 1), ("Btn", 7, 192, 2, 16, 3), ("Btn", 5, 224, 1, 24, 4), ("Btn", 5, 96, 2, 24, 2),
        ("Btn", 3, 168, 2, 40, 3), ("Btn", 3, 112, 1, 48, 3),
    ), 512),
    "zennet-cifar-2m": (32, 1, (
        ("Btn", 5, 120, 1, 40, 1), ("Btn", 5, 176, 2, 32, 3), ("Btn", 7, 272, 1, 24, 3), ("Btn", 3, 176, 1, 56, 3),
        ("Btn", 3, 176, 1, 64, 4), ("Btn", 5, 216, 2, 40, 2), ("Btn", 3, 72, 2, 56, 2),
    ), 512),
}  # fmt: skip
"""Tables 8 to 13, 17 and 18."""

MOBILE: dict[str, tuple[int, tuple[tuple[int, int, int, int], ...]]] = {
    # stem; rows: out, bottleneck, expansion, layers
    "zennet-400m-se": (16, ((40, 40, 1, 1), (64, 64, 1, 1), (96, 96, 4, 5), (224, 224, 2, 5))),
    "zennet-600m-se": (24, ((48, 48, 1, 1), (72, 72, 2, 1), (96, 88, 6, 5), (192, 168, 4, 5))),
    "zennet-900m-se": (16, ((48, 72, 1, 1), (72, 64, 2, 3), (152, 144, 2, 3), (360, 352, 2, 4), (288, 264, 4, 3))),
}
"""Tables 14 to 16; kernel 7, stride 2 but for the last row of five, 2,048 channels of the last 1x1."""


@named(*RESIDUAL)
def zennet(name: str) -> NetworkSpec:
    """A ZenNet of residual blocks."""
    stem, stride, rows, last = RESIDUAL[name]
    groups = tuple(residual_group(*row) for row in rows)
    shape, classes = ((3, 32, 32), 10) if "cifar" in name else (IMAGENET, 1000)
    return NetworkSpec(name, shape, groups, Head(classes, last), Stem(stem, stride=stride))


@named(*MOBILE)
def zennet_se(name: str) -> NetworkSpec:
    """A ZenNet of MobileNetV2 blocks in pairs, with squeeze-excitation, which Table 7 does not count."""
    stem, rows = MOBILE[name]
    groups = tuple(
        Group("mobile-pair", out, layers, hidden, expand, 7, 1 if number == 4 else 2, se="zennet")
        for number, (out, hidden, expand, layers) in enumerate(rows)
    )
    return NetworkSpec(name, IMAGENET, groups, Head(1000, 2048), Stem(stem))
