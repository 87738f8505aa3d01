"""The chain that Zen-Score is defined on, built from a description instead of traced and cut out of a module."""

from collections.abc import Callable

from torch import nn

from madnas.models.layers import activation, conv2d
from madnas.network.blocks import shortcut_of
from madnas.network.expand import segments
from madnas.network.spec import Group, NetworkSpec

OURS = {
    "basic": ("biased", "pool"),
    "bottleneck": ("biased", "pool"),
    "inverted-residual": ("pool",),
    "mobile-pair": (),
}
"""Blocks, with the shortcuts that nobody else's modules have: these are always built from their description."""

EPS = nn.BatchNorm2d(1, affine=False, track_running_stats=False).eps
"""Of their batch norms."""


class Undrawn(nn.Conv2d):
    """Convolution whose weights have no values at first, for whoever makes it draws them; that saves time."""

    def reset_parameters(self) -> None:
        """Leave them."""


def chain_of(spec: NetworkSpec, norm: Callable[[], nn.Module]) -> list[nn.Module] | None:
    """Convolutions, batch norms and activations in the order of the main path, without links and squeeze-excitation.

    They are those of the built module, on the present default device, in the order in which it holds them, so that the
    same seed draws the same weights.

    Args:
        spec: the network.
        norm: makes what takes the place of a batch norm.

    Returns:
        None for other networks than those of Zen-NAS's and DeepMAD's spaces.
    """
    stem = spec.stem
    if stem is None or (stem.norm, stem.pool, stem.hidden) != ("batch", False, ()) or spec.head.norm != "none":
        return None
    if not all(_is_ours(group) for group in spec.groups):
        return None
    acts = {f"group{number}": group.act for number, group in enumerate(spec.groups, 1)}
    acts |= {"stem": stem.act, "head": spec.head.act}
    modules: list[nn.Module] = []
    for segment in segments(spec):
        main = [layer for layer in segment.layers if layer.main]
        for _ in range(int(segment.repeat)):
            for layer in main:
                modules.append(conv2d(layer, Undrawn))
                modules.append(norm() if layer.norm else nn.Identity())
                modules.append(activation(acts[segment.part]))
    return modules


def _is_ours(group: Group) -> bool:
    shortcuts = OURS.get(group.block)
    if shortcuts is None or group.group_width is not None:
        return False
    return not shortcuts or shortcut_of(group) in shortcuts
