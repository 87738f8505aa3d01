"""timm's names of networks that a spec describes: their families of uniform blocks, without importing timm."""

import re
from collections.abc import Callable

from madnas.network.named import get
from madnas.network.spec import NetworkSpec
from madnas.network.zoo.convnext import convnext_of

PREFIX = "timm/"

SMALL_CONVNEXTS = {
    "atto": (40, (2, 2, 6, 2)),
    "femto": (48, (2, 2, 6, 2)),
    "pico": (64, (2, 2, 6, 2)),
    "nano": (80, (2, 2, 8, 2)),
    "xlarge": (256, (3, 3, 27, 3)),
}
"""First width, doubled at every stage, and depths of timm's further ConvNeXts."""


def _convnext(size: str) -> NetworkSpec:
    if size in SMALL_CONVNEXTS:
        width, depths = SMALL_CONVNEXTS[size]
        return convnext_of(f"convnext_{size}", tuple(width * 2**stage for stage in range(4)), depths)
    return get(f"convnext-{size[0]}")


PATTERNS: dict[str, Callable[..., NetworkSpec]] = {
    r"convnext_(atto|femto|pico|nano|tiny|small|base|large|xlarge)": _convnext,
    r"(resnet(?:18|34|50|101|152))": get,
    r"wide_resnet(50|101)_2": lambda depth: get(f"wrn-imagenet-{depth}-2"),
    r"mobilenetv2_(035|050|075|100|140)": lambda width: get(f"mobilenetv2-{int(width) / 100:g}"),
    r"efficientnet_b0": lambda: get("efficientnet-b0"),
    r"densenet(121|161|169|201)": lambda depth: get(f"densenet-{depth}"),
    r"(vgg(?:11|13|16|19))": get,
}
"""Patterns of timm's names, and the spec that each stands for."""


def timm_spec(name: str) -> NetworkSpec | None:
    """The network of a timm name, with or without ``timm/`` and a tag of weights (``.fb_in1k``), or ``None``."""
    plain = name.removeprefix(PREFIX).partition(".")[0]
    for pattern, make in PATTERNS.items():
        match = re.fullmatch(pattern, plain)
        if match:
            return make(*match.groups())
    return None
