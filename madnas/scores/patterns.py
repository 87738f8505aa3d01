"""Which rectified linear units are on, for scores that count patterns."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from madnas.errors import UsageError

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU)
OTHERS = (nn.SiLU, nn.GELU, nn.Hardswish, nn.Mish, nn.ELU, nn.SELU, nn.Tanh)


def rectified(module: nn.Module, images: Tensor) -> Iterator[Tensor]:
    """Run a network once and give, rectifier by rectifier, which of its units are on (images, units).

    Raises:
        UsageError: the network has no rectifiers, or other activations beside them.
    """
    parts = list(module.modules())
    others = {type(part).__name__ for part in parts if isinstance(part, OTHERS)}
    if others or not any(isinstance(part, RECTIFIERS) for part in parts):
        found = ", ".join(sorted(others)) or "none"
        raise UsageError(f"is defined for networks of rectified linear units; activations here: {found}")
    patterns: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        patterns.append((inputs[0] > 0).flatten(1))

    handles = [part.register_forward_pre_hook(keep) for part in parts if isinstance(part, RECTIFIERS)]
    try:
        with torch.no_grad():
            module(images)
    finally:
        for handle in handles:
            handle.remove()
    yield from patterns
