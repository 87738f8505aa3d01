"""Whether a file computes what the network does: PyTorch's outputs beside the file's, batch by batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from madnas.errors import MadnasError

TOLERANCE = 1e-4
"""Largest difference of an output, as a share of the largest output, that is rounding: fp32 keeps 7 digits, and every
layer adds some."""

BATCHES = (1, 2, 5)
"""Sizes on which a file for any batch is compared."""


class DisagreementError(MadnasError):
    """The exported network computes something else: a bug in an exporter, worth a report."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the file's outputs are from PyTorch's.

    Attributes:
        batch: images.
        absolute: largest difference.
        relative: the same as a share of the largest output.
    """

    batch: int
    absolute: float
    relative: float


def agreements(
    module: nn.Module,
    compute: Callable[[Tensor], Tensor],
    shape: tuple[int, ...],
    batches: Sequence[int],
    seed: int = 0,
) -> tuple[Agreement, ...]:
    """Compare a module with what its file computes, on normal noise.

    Args:
        module: in eval mode, on the CPU.
        compute: runs the file.
        shape: of one input.
        batches: sizes.
        seed: of the noise.

    Raises:
        DisagreementError: a difference that is no rounding, or an output that is not finite.
    """
    random = torch.Generator().manual_seed(seed)
    found = []
    for batch in batches:
        x = torch.randn(batch, *shape, generator=random)
        with torch.inference_mode():
            wanted = module(x)
        got = compute(x)
        if got.shape != wanted.shape:
            raise DisagreementError(f"the file gives {tuple(got.shape)}, the network {tuple(wanted.shape)}")
        absolute = (got - wanted).abs().max().item()
        relative = absolute / max(wanted.abs().max().item(), torch.finfo(torch.float32).tiny)
        if not relative <= TOLERANCE:  # not a number is no agreement either
            raise DisagreementError(
                f"the file's outputs differ by {relative:.1e} of the largest, more than {TOLERANCE:.0e}",
                "nothing was written; please report the network",
            )
        found.append(Agreement(batch, absolute, relative))
    return tuple(found)
