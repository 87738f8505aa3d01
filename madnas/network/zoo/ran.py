"""RAN-e: the SuperNet of Table 5 and the networks that came out of it (Fig. 4, Table 1); RepVGG-A0, their baseline."""

from madnas.network.named import IMAGENET, named
from madnas.network.spec import Group, Head, NetworkSpec, Stem

ACT = "hard_swish"
FIRST_STAGE = 2
"""Table 5 numbers its rows from 1, and the first is the stem."""

ROWS = (
    *((6, 1, 32), (6, 2, 48), (6, 2, 64), (6, 1, 80), (6, 2, 80), (6, 1, 80), (4, 1, 96), (4, 1, 96)),
    *((6, 1, 128), (6, 1, 128), (6, 2, 160), (4, 1, 176), (4, 1, 176), (4, 1, 176), (6, 1, 224), (6, 1, 224)),
)
"""Expansion, stride and output channels of the blocks (Table 5)."""

PAIR = 11
"""The row of the AFRB-3."""

TOP, TOP_KERNEL = 1344, 7
"""Channels and depthwise kernel of the top (Table 6)."""

COLLAPSED = {
    "ran-e-supernet": (),
    "ran-e-a": (5, 7, 9, 12, 15),
    "ran-e-b": (2, 3, 5, 7, 9, 12, 15),
    "ran-e-c": (2, 3, 5, 7, 9, 12, 15),
    "ran-e-gt": (2, 3, 4, 5, 10, 11),
}
"""Rows whose blocks are collapsed (Fig. 4)."""

KERNELS = {
    "ran-e-c": {6: 5, 8: 5, 13: 7, 16: 5, 17: 5},
    "ran-e-gt": {6: 5, 7: 5, 12: 7, 16: 5, 17: 5},
}
"""Rows with other kernels than 3 (Fig. 4)."""


@named(*COLLAPSED)
def ran_e(name: str) -> NetworkSpec:
    """RAN-e's networks as they are trained: inverted bottlenecks with both activations, and collapsed blocks."""
    kernels = KERNELS.get(name, {})
    groups = tuple(
        _block(row, expand, stride, out, kernels.get(row, 3), row in COLLAPSED[name])
        for row, (expand, stride, out) in enumerate(ROWS, FIRST_STAGE)
    )
    top = (Group("conv", TOP, 1, kernel=1, act=ACT), Group("depthwise", TOP, 1, kernel=TOP_KERNEL, act=ACT))
    return NetworkSpec(name, IMAGENET, (*groups, *top), Head(1000), Stem(16, act=ACT))


@named("ran-e-digits")
def ran_e_digits(name: str) -> NetworkSpec:
    """A SuperNet in small, to try a search, a collapse and all between them on the digits in minutes; ours."""
    rows = ((6, 2, 24), (6, 1, 24), (6, 2, 32), (4, 1, 32), (6, 1, 32), (6, 2, 48), (6, 1, 48))
    groups = [
        Group("inverted-residual", out, 1, expand=expand, kernel=3, stride=stride, act=ACT)
        for expand, stride, out in rows
    ]
    groups[4] = Group("inverted-pair", 32, 1, expand=6, kernel=3, act=ACT)
    top = Group("conv", 96, 1, kernel=1, act=ACT)
    return NetworkSpec(name, (1, 32, 32), (*groups, top), Head(10), Stem(16, act=ACT))


def _block(row: int, expand: int, stride: int, out: int, kernel: int, collapsed: bool) -> Group:
    pair = "-pair" if row == PAIR else ""
    if collapsed:
        return Group(f"act-conv{pair}", out, 1, kernel=kernel, stride=stride, act=ACT)
    block = "inverted-pair" if pair else "inverted-residual"
    return Group(block, out, 1, expand=expand, kernel=kernel, stride=stride, act=ACT)


@named("repvgg-a0")
def repvgg_a0(name: str) -> NetworkSpec:
    """RepVGG-A0 as it is trained [Ding et al. 2021, Table 2]; its widths are 0.75 and 2.5 times those of A."""
    rows = ((48, 1), (48, 2), (96, 4), (192, 14), (1280, 1))  # out, depth
    groups = tuple(Group("repvgg", out, depth, kernel=3, stride=2) for out, depth in rows)
    return NetworkSpec(name, IMAGENET, groups, Head(1000))
