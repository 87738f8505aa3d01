"""Which rectified linear units are on, for scores that count patterns; and which activations a network has."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from madnas.errors import UsageError

HOMOGENEOUS = frozenset(
    {F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.leaky_relu, F.prelu, torch.prelu}
)
"""Activations whose output grows with a positive factor as their input does."""

RECTIFIERS = HOMOGENEOUS | {F.relu6, F.hardtanh}
OTHERS = frozenset({
    F.silu, F.gelu, F.elu, F.selu, F.celu, F.hardswish, F.mish, F.softplus, F.tanh, torch.tanh, Tensor.tanh,
    Tensor.tanh_, torch.tanh_, F.rrelu, F.softsign, F.logsigmoid, F.threshold, torch.clamp, Tensor.clamp,
    Tensor.clamp_, torch.clip, Tensor.clip, Tensor.clamp_min, Tensor.clamp_max, torch.maximum, torch.minimum,
    F.hardshrink, F.softshrink,
})  # fmt: skip
"""Activations that are no rectifiers, and what may be used as one; sigmoids are gates."""


class Activations(TorchFunctionMode):
    """Sees every activation while it is active, whether a module or a function calls it.

    Attributes:
        patterns: rectifier by rectifier, which of its units are on (images, units); empty unless asked for.
        homogeneous, bounded, others: names of the activations called, of rectifiers without and with an upper end, and
            of the rest.
    """

    def __init__(self, keep: bool = True, ends: bool = False) -> None:
        super().__init__()
        self.keep, self.ends = keep, ends
        self.patterns: list[Tensor] = []
        self.homogeneous: set[str] = set()
        self.bounded: set[str] = set()
        self.others: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at a call and make it."""
        if func is F.hardtanh and _lower_end(args, kwargs or {}) != 0:
            self.others.add(func.__name__)
        elif func in RECTIFIERS:
            (self.homogeneous if func in HOMOGENEOUS else self.bounded).add(func.__name__.rstrip("_"))
            if self.keep:
                self.patterns.append((args[0] > 0).flatten(1))
                if self.ends and func not in HOMOGENEOUS:
                    self.patterns.append((args[0] >= _upper_end(func, args, kwargs or {})).flatten(1))
        elif func in OTHERS:
            self.others.add(func.__name__.rstrip("_"))
        return func(*args, **(kwargs or {}))


def _lower_end(args: Any, kwargs: Any) -> float:
    return float(args[1] if len(args) > 1 else kwargs.get("min_val", -1.0))


def _upper_end(func: Any, args: Any, kwargs: Any) -> float:
    return 6.0 if func is F.relu6 else float(args[2] if len(args) > 2 else kwargs.get("max_val", 1.0))


def rectified(module: nn.Module, images: Tensor, ends: bool = False) -> list[Tensor]:
    """Run a network once and give, rectifier by rectifier, which of its units are on (images, units).

    Args:
        module: the network.
        images: what it sees.
        ends: also which units are at their upper end, for rectifiers that have one.

    Raises:
        UsageError: the network has no rectifiers, or other activations beside them.
    """
    with torch.no_grad(), Activations(ends=ends) as seen:
        module(images)
    if seen.others or not seen.patterns:
        found = ", ".join(sorted(seen.others)) or "none"
        raise UsageError(f"is defined for networks of rectified linear units; activations here: {found}")
    return seen.patterns
