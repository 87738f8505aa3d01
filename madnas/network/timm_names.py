"""timm's names of networks that a spec describes: their families of uniform blocks, without importing timm."""

import re
from collections.abc import Callable, Iterable

from madnas.network.expand import at_resolution
from madnas.network.named import get
from madnas.network.spec import NetworkSpec
from madnas.network.zoo.convnext import CONVNEXTS, convnext_of
from madnas.network.zoo.mobile import efficientnet_lite_of, efficientnet_of
from madnas.network.zoo.regnet import REGNETS
from madnas.network.zoo.resnet import resnet

PREFIX = "timm/"

FURTHER_CONVNEXTS = {
    "atto": (40, (2, 2, 6, 2)),
    "femto": (48, (2, 2, 6, 2)),
    "pico": (64, (2, 2, 6, 2)),
    "nano": (80, (2, 2, 8, 2)),
    "xlarge": (256, (3, 3, 27, 3)),
    "huge": (352, (3, 3, 27, 3)),
}
"""First width, doubled at every stage, and depths of timm's further ConvNeXts."""

RESNETS = (
    *("resnet10t", "resnet14t", "resnet26t", "resnet50t", "resnet50c", "resnet101c", "resnet152c"),
    *("resnet18", "resnet26", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200"),
    *("resnet18d", "resnet26d", "resnet34d", "resnet50d", "resnet101d", "resnet152d", "resnet200d"),
    *("seresnet18", "seresnet34", "seresnet50", "seresnet101", "seresnet152", "seresnet50t"),
    *("seresnet152d", "seresnet200d", "seresnet269d"),
    *("resnext50_32x4d", "resnext50d_32x4d", "resnext101_32x4d", "resnext101_32x8d", "resnext101_32x16d"),
    *("resnext101_32x32d", "resnext101_64x4d"),
    *("seresnext26d_32x4d", "seresnext26t_32x4d", "seresnext50_32x4d", "seresnext101_32x4d"),
    *("seresnext101_32x8d", "seresnext101_64x4d", "seresnext101d_32x8d"),
)
"""timm's ResNets, ResNeXts and SE-ResNets."""

EFFICIENTNETS = {
    "b0": (1.0, 1.0, 224),
    "b1": (1.0, 1.1, 240),
    "b2": (1.1, 1.2, 256),
    "b3": (1.2, 1.4, 288),
    "b4": (1.4, 1.8, 320),
    "b5": (1.6, 2.2, 448),
    "b6": (1.8, 2.6, 528),
    "b7": (2.0, 3.1, 600),
}
"""Multipliers of width and depth, and timm's side of the input (the paper's, of b2 to b5, is larger)."""

LITES = {
    "lite0": (1.0, 1.0, 224),
    "lite1": (1.0, 1.1, 240),
    "lite2": (1.1, 1.2, 260),
    "lite3": (1.2, 1.4, 300),
    "lite4": (1.4, 1.8, 380),
}
"""The same of the EfficientNet-Lites."""


SIDES = {
    **dict.fromkeys(("resnet10t", "resnet14t"), 176),
    **dict.fromkeys(("resnet26t", "resnet101d", "resnet152d", "resnet200d"), 256),
    **dict.fromkeys(("seresnet152d", "seresnet200d", "seresnet269d"), 256),
    "convnextv2_huge": 384,
}
"""Sides of the inputs that are not 224 in timm, but for the EfficientNets'."""


def _convnext(version: str, size: str) -> NetworkSpec:
    name = f"convnext{version}_{size}"
    if size in FURTHER_CONVNEXTS:
        width, depths = FURTHER_CONVNEXTS[size]
        return convnext_of(name, tuple(width * 2**stage for stage in range(4)), depths, grn=bool(version))
    if version:
        return convnext_of(name, *CONVNEXTS[f"convnext-{size[0]}"], grn=True)
    return get(f"convnext-{size[0]}")


def _any(names: Iterable[str]) -> str:
    return f"({'|'.join(names)})"


PATTERNS: dict[str, Callable[..., NetworkSpec]] = {
    r"convnext()_(atto|femto|pico|nano|tiny|small|base|large|xlarge)": _convnext,
    r"convnext(v2)_(atto|femto|pico|nano|tiny|small|base|large|huge)": _convnext,
    _any(RESNETS): resnet,
    rf"regnet{_any(size.replace('-', '_') for size in REGNETS)}": lambda size: get(f"regnet{size}".replace("_", "-")),
    r"wide_resnet(50|101)_2": lambda depth: get(f"wrn-imagenet-{depth}-2"),
    r"mobilenetv2_(035|050|075|100|140)": lambda width: get(f"mobilenetv2-{int(width) / 100:g}"),
    r"efficientnet_b0": lambda: get("efficientnet-b0"),
    rf"efficientnet_{_any(EFFICIENTNETS)}": lambda b: efficientnet_of(f"efficientnet_{b}", *EFFICIENTNETS[b]),
    rf"efficientnet_{_any(LITES)}": lambda lite: efficientnet_lite_of(f"efficientnet_{lite}", *LITES[lite]),
    r"densenet(121|161|169|201)": lambda depth: get(f"densenet-{depth}"),
    r"(vgg(?:11|13|16|19))": get,
}
"""Patterns of timm's names, and the spec that each stands for."""


def timm_names() -> list[str]:
    """All names that :func:`timm_spec` knows, but for the versions of the MobileNetV2s."""
    found = [name for pattern in PATTERNS for name in _expanded(pattern)]
    return sorted(set(found))


def _expanded(pattern: str) -> list[str]:
    """The texts that a pattern of alternatives matches."""
    match = re.search(r"\((?:\?:)?([^()]*)\)", pattern)
    if match is None:
        return [pattern]
    return [
        text
        for one in match[1].split("|")
        for text in _expanded(pattern[: match.start()] + one + pattern[match.end() :])
    ]


def timm_spec(name: str) -> NetworkSpec | None:
    """The network of a timm name, with or without ``timm/`` and a tag of weights (``.fb_in1k``), or ``None``."""
    plain = name.removeprefix(PREFIX).partition(".")[0].lower()
    for pattern, make in PATTERNS.items():
        match = re.fullmatch(pattern, plain)
        if match:
            spec = make(*match.groups())
            return at_resolution(spec, SIDES[plain]) if plain in SIDES else spec
    return None
