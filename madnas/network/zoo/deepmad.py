"""The published DeepMAD networks, from the authors' structure files."""

from madnas.network.named import IMAGENET, named
from madnas.network.spec import Group, Head, NetworkSpec, Stem

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
