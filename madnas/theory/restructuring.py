"""Restructurable Activation Networks: what a search for linear blocks minimises besides the loss."""

from collections.abc import Sequence
from typing import Any

LINEAR = (0.8, 1.3)
"""Slopes that count as linear after a search (RAN, footnote 4)."""


def alpha_penalty(alphas: Sequence[Any], strength: float, weights: Sequence[float] | None = None) -> Any:
    r"""What a search adds to the cross-entropy.  :math:`\lambda \lVert \alpha - 1 \rVert_2^2`   Eq. (3) of RAN.

    Args:
        alphas: slope of every block: 1 is linear; numbers, or tensors of one element.
        strength: lambda.
        weights: of the blocks; by default 1 each, as in the paper.

    >>> round(alpha_penalty([1.0, 0.5, 0.0], 1e-3), 6)
    0.00125
    """
    own = [1.0] * len(alphas) if weights is None else weights
    return strength * sum(weight * (alpha - 1) ** 2 for weight, alpha in zip(own, alphas, strict=True))


def is_linear(alpha: float) -> bool:
    """Whether a slope counts as linear after a search (RAN, footnote 4).

    >>> is_linear(0.93), is_linear(0.2)
    (True, False)
    """
    low, high = LINEAR
    return low <= alpha <= high
