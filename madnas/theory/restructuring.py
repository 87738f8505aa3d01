"""Restructurable Activation Networks: what a search for linear blocks minimises besides the loss; units of a split."""

import math
from collections.abc import Sequence
from typing import Any

LINEAR = (0.8, 1.3)
"""Slopes that count as linear after a search (RAN, footnote 4)."""


def alpha_penalty(alphas: Sequence[Any], strength: float, weights: Sequence[float] | None = None) -> Any:
    r"""What a search adds to the cross-entropy.  :math:`\lambda \lVert \alpha - 1 \rVert_2^2`   Eq. (3) of RAN.

    Args:
        alphas: slope alpha of every block: 1 is linear; numbers, arrays, expressions, or tensors of one element.
        strength: lambda, how much linear blocks are worth in cross-entropy (nats): 1e-3 in the paper.
        weights: of the blocks; by default 1 each, as in the paper.

    Raises:
        ValueError: there are not as many weights as slopes.

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


def kept_units(hidden: int, fraction: float) -> int:
    r"""Units that keep their activation in a split.  :math:`\lfloor n (1 - f) \rfloor`   Table 4 of RAN.

    The paper's networks are of such widths: 2.4 and 2.9 times the channels, of 4 times, rounded down.

    Args:
        hidden: n, units between the two layers.
        fraction: f, of them that lose their activation, 0 to 1.

    >>> kept_units(4 * 96, 0.4), kept_units(4 * 96, 0.275)
    (230, 278)
    """
    return math.floor(hidden * (1 - fraction) + 1e-9)  # 100 (1 - 0.71) is 28.999999999999996
