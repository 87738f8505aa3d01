"""ConvNeXt and the networks that RAN scales from it."""

from dataclasses import replace

from madnas.network.named import IMAGENET, named
from madnas.network.spec import Group, Head, NetworkSpec, Stem

CONVNEXTS = {
    "convnext-t": ((96, 192, 384, 768), (3, 3, 9, 3)),
    "convnext-s": ((96, 192, 384, 768), (3, 3, 27, 3)),
    "convnext-b": ((128, 256, 512, 1024), (3, 3, 27, 3)),
    "convnext-l": ((192, 384, 768, 1536), (3, 3, 27, 3)),
}
"""Widths and depths of the ConvNeXts [Liu et al. 2022, Section 3]."""

RAN_I = {
    "ran-i-t": ((64, 128, 256, 511), (5, 5, 15, 5)),
    "ran-i-s": ((76, 151, 303, 606), (5, 5, 15, 5)),
    "ran-i-b": ((87, 175, 350, 699), (7, 7, 21, 7)),
}
"""Widths and depths of RAN's Table 7."""


SPLITS = {
    "convnext-t-pruned-40": (2.4, None),
    "convnext-t-pruned-27.5": (2.9, None),
    "convnext-t-split-40": (2.4, "none"),
    **{f"convnext-t-split-40-{branch}": (2.4, branch) for branch in ("gelu", "exp", "expm1", "exp-clamped")},
}
"""Expansion, rounded down, and activation of the branch of RAN's Table 4: the pruned networks, Models A, B and C."""


@named(*SPLITS)
def convnext_split(name: str) -> NetworkSpec:
    """ConvNeXt-T with fewer non-linear units (RAN, Table 4); a branch for what became linear, or none."""
    expand, branch = SPLITS[name]
    base = convnext("convnext-t")
    groups = tuple(replace(group, expand=None, hidden=int(expand * group.out), branch=branch) for group in base.groups)
    return replace(base, name=name, groups=groups)


@named(*CONVNEXTS, *RAN_I)
def convnext(name: str) -> NetworkSpec:
    """ConvNeXt [Liu et al. 2022], as timm builds it, and the networks of RAN's Table 7, which are ConvNeXts."""
    return convnext_of(name, *(CONVNEXTS | RAN_I)[name])


def convnext_of(name: str, widths: tuple[int, ...], depths: tuple[int, ...], grn: bool = False) -> NetworkSpec:
    """A ConvNeXt of any four widths and depths; with ``grn`` a ConvNeXt-V2 [Woo et al. 2023]."""
    groups = tuple(
        Group("convnext", width, depth, expand=4, kernel=7, stride=1 if index == 0 else 2, act="gelu", grn=grn)
        for index, (width, depth) in enumerate(zip(widths, depths, strict=True))
    )
    stem = Stem(widths[0], kernel=4, stride=4, norm="layer")
    return NetworkSpec(name, IMAGENET, groups, Head(1000, norm="layer"), stem)
