"""Activations of the branch that takes what became linear in a block (RAN, Section 4 and Eq. 8)."""

import math

import torch
from torch import Tensor, nn

MARGIN = 0.01
"""Between the largest exponent and that of the largest number: more than rounding takes."""
LIMIT = 11.0
"""Largest exponent of the clamped exponential: e^11.09 is the largest number of float16."""


class Exponential(nn.Module):
    r"""The exponential kernel (RAN, Eq. 8): :math:`\psi(x) = e^x`, of what a 1x1 convolution gave out.

    It is computed in single precision at least, and its exponent is at most that of the largest number of the precision
    that came in: neither the result is infinite, nor the gradient NaN, as that of a clamped infinity would be.

    Args:
        minus_one: :math:`e^x - 1`, which is 0 where the branch is, exact for small x.
        limit: largest exponent; larger ones count as this.
    """

    def __init__(self, minus_one: bool = False, limit: float | None = None) -> None:
        super().__init__()
        self.minus_one, self.limit = minus_one, limit

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to the same, in the same precision."""
        exponent = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        largest = math.log(torch.finfo(x.dtype).max) - MARGIN
        exponent = exponent.clamp(max=largest if self.limit is None else min(self.limit, largest))
        return (exponent.expm1() if self.minus_one else exponent.exp()).to(x.dtype)

    def extra_repr(self) -> str:
        """Shown by print."""
        return f"minus_one={self.minus_one}, limit={self.limit}"


def branch_act(name: str) -> nn.Module:
    """The activation of a branch: ``none``, ``gelu``, ``exp``, ``expm1`` or ``exp-clamped``."""
    if name == "none":
        return nn.Identity()
    if name == "gelu":
        return nn.GELU()
    return Exponential(minus_one=name == "expm1", limit=LIMIT if name == "exp-clamped" else None)
