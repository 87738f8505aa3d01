"""RegNetX and RegNetY."""

from madnas.network.named import IMAGENET, named
from madnas.network.spec import Group, Head, NetworkSpec, Stem

Row = tuple[tuple[int, ...], tuple[int, ...], int]

REGNETS: dict[str, Row] = {
    "x-002": ((24, 56, 152, 368), (1, 1, 4, 7), 8),
    "x-004": ((32, 64, 160, 384), (1, 2, 7, 12), 16),
    "x-006": ((48, 96, 240, 528), (1, 3, 5, 7), 24),
    "x-008": ((64, 128, 288, 672), (1, 3, 7, 5), 16),
    "x-016": ((72, 168, 408, 912), (2, 4, 10, 2), 24),
    "x-032": ((96, 192, 432, 1008), (2, 6, 15, 2), 48),
    "x-040": ((80, 240, 560, 1360), (2, 5, 14, 2), 40),
    "x-064": ((168, 392, 784, 1624), (2, 4, 10, 1), 56),
    "x-080": ((80, 240, 720, 1920), (2, 5, 15, 1), 120),
    "x-120": ((224, 448, 896, 2240), (2, 5, 11, 1), 112),
    "x-160": ((256, 512, 896, 2048), (2, 6, 13, 1), 128),
    "x-320": ((336, 672, 1344, 2520), (2, 7, 13, 1), 168),
    "y-002": ((24, 56, 152, 368), (1, 1, 4, 7), 8),
    "y-004": ((48, 104, 208, 440), (1, 3, 6, 6), 8),
    "y-006": ((48, 112, 256, 608), (1, 3, 7, 4), 16),
    "y-008": ((64, 128, 320, 768), (1, 3, 8, 2), 16),
    "y-016": ((48, 120, 336, 888), (2, 6, 17, 2), 24),
    "y-032": ((72, 216, 576, 1512), (2, 5, 13, 1), 24),
    "y-040": ((128, 192, 512, 1088), (2, 6, 12, 2), 64),
    "y-064": ((144, 288, 576, 1296), (2, 7, 14, 2), 72),
    "y-080": ((168, 448, 896, 2016), (2, 4, 10, 1), 56),
    "y-120": ((224, 448, 896, 2240), (2, 5, 11, 1), 112),
    "y-160": ((224, 448, 1232, 3024), (2, 4, 11, 1), 112),
    "y-320": ((232, 696, 1392, 3712), (2, 5, 12, 1), 232),
}
"""Widths, depths and group width of the RegNets [Radosavovic et al. 2020, Figures 14 and 15], as timm builds them."""


@named("regnetx-032", "regnety-032", family=rf"regnet({'|'.join(REGNETS)})")
def regnet(name: str) -> NetworkSpec:
    """A RegNet by its letter and its MACs in hundreds of millions: ``regnety-032``; RegNetY has squeeze-excitation."""
    size = name.removeprefix("regnet")
    widths, depths, group_width = REGNETS[size]
    se = "efficientnet" if size.startswith("y") else "none"
    groups = tuple(
        Group("bottleneck", chs, depth, chs, kernel=3, stride=2, se=se, group_width=min(group_width, chs))
        for chs, depth in zip(widths, depths, strict=True)
    )
    return NetworkSpec(name, IMAGENET, groups, Head(1000), Stem(32))
