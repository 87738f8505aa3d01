"""Spec files as data: one of each family, and changes of one value."""

from copy import deepcopy
from typing import Any

from madnas.network.spec import SCHEMA

TREE: dict[str, Any] = {
    "schema": SCHEMA,
    "name": "net",
    "input": [3, 64, 64],
    "stem": {"out": 16, "act": "silu"},
    "groups": [
        {"block": "bottleneck", "out": 32, "depth": 2, "hidden": 8, "kernel": 3, "stride": 2, "shortcut": "pool"},
        {"block": "inverted-residual", "out": 48, "depth": 1, "hidden": 64, "kernel": 5, "se": "deepmad"},
        {"block": "basic", "out": 64, "depth": 1, "kernel": 3, "shortcut": "pad"},
    ],
    "head": {"classes": 10, "conv": 100},
}

MLP: dict[str, Any] = {
    "schema": SCHEMA,
    "name": "mlp",
    "input": [1, 28, 28],
    "groups": [{"block": "linear", "out": 100, "depth": 3}],
    "head": {"classes": 10},
}

VGG: dict[str, Any] = {
    "schema": SCHEMA,
    "name": "vgg",
    "input": [3, 32, 32],
    "groups": [
        {"block": "conv", "out": 8, "depth": 1, "kernel": 3, "norm": "none"},
        {"block": "conv", "out": 16, "depth": 2, "kernel": 3, "stride": 2, "norm": "none", "pool": True},
    ],
    "head": {"classes": 10, "hidden": [64, 32], "pool": 7},
}

DENSE: dict[str, Any] = {
    "schema": SCHEMA,
    "name": "dense",
    "input": [3, 32, 32],
    "stem": {"out": 8, "norm": "later"},
    "groups": [
        {"block": "dense", "out": 20, "depth": 3, "hidden": 16, "kernel": 3, "growth": 4},
        {"block": "dense", "out": 16, "depth": 1, "kernel": 3, "stride": 2, "growth": 6},
    ],
    "head": {"classes": 10, "norm": "batch"},
}

CELLS: dict[str, Any] = {
    "schema": SCHEMA,
    "name": "cells",
    "input": [3, 32, 32],
    "groups": [
        {"block": "random-skip", "out": 8, "depth": 5, "kernel": 3, "links": 9, "seed": 3, "bare": True},
        {"block": "random-skip-mobile", "out": 8, "depth": 3, "kernel": 3, "links": 0, "expand": 2, "stride": 2},
    ],
    "head": {"classes": 10, "norm": "batch"},
}

CONVNEXT: dict[str, Any] = {
    "schema": SCHEMA,
    "name": "convnext",
    "input": [3, 32, 32],
    "stem": {"out": 8, "kernel": 4, "stride": 4, "norm": "layer"},
    "groups": [
        {"block": "convnext", "out": 8, "depth": 2, "kernel": 7, "expand": 4, "act": "gelu"},
        {"block": "convnext", "out": 16, "depth": 2, "kernel": 7, "hidden": 40, "act": "gelu", "stride": 2},
    ],
    "head": {"classes": 10, "norm": "layer"},
}


def changed(path: str, value: Any, tree: dict[str, Any] = TREE) -> dict[str, Any]:
    """A copy of the tree with one value changed, or removed if it is ``...``."""
    tree = deepcopy(tree)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    part: Any = tree
    for step in steps:
        part = part[step]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return tree
