"""Straight lines through points, and how much of the scatter they explain."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_POINTS = 3
"""Through fewer points goes always a line."""


@dataclass(frozen=True, slots=True)
class Fit:
    """y = intercept + slope * x, least squares.

    Attributes:
        r2: 1 - residual / total sum of squares; None where there are fewer than three points, or all x or all y are
            equal.
        points: how many.
    """

    r2: float | None
    slope: float | None
    intercept: float | None
    points: int


def linear_fit(x: Sequence[float], y: Sequence[float]) -> Fit:
    """Least-squares line through points.

    >>> linear_fit([0, 1, 2, 3], [1, 3, 5, 7])
    Fit(r2=1.0, slope=2.0, intercept=1.0, points=4)
    >>> linear_fit([0, 1], [1, 3]).r2 is None
    True
    """
    count = len(x)
    if count < LEAST_POINTS:
        return Fit(None, None, None, count)
    mean_x, mean_y = math.fsum(x) / count, math.fsum(y) / count
    dx, dy = [value - mean_x for value in x], [value - mean_y for value in y]
    xx, yy = math.fsum(d * d for d in dx), math.fsum(d * d for d in dy)
    if not xx or not yy:
        return Fit(None, None, None, count)
    slope = math.fsum(a * b for a, b in zip(dx, dy, strict=True)) / xx
    residual = math.fsum((b - slope * a) ** 2 for a, b in zip(dx, dy, strict=True))
    return Fit(1 - residual / yy, slope, mean_y - slope * mean_x, count)
