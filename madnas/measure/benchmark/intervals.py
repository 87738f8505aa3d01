"""What rounds of measurements say: percentiles, and ratios with intervals that paired rounds support."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 4000
LEVEL = 0.95

FEW = 15
"""Rounds below which the bootstrap's interval is too narrow."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Seconds of one call.

    Attributes:
        p50: median over the rounds.
        p95: 95th percentile.
        least: the shortest.
        spread: distance of the quartiles as a share of the median.
        n: rounds.
    """

    p50: float
    p95: float
    least: float
    spread: float
    n: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast as the first one.

    Attributes:
        value: median of the rounds' ratios.
        low: end of its bootstrap interval.
        high: the other end.
        level: of the interval.
    """

    value: float
    low: float
    high: float
    level: float

    @property
    def half_width(self) -> float:
        """Half of the interval, as a share of the value."""
        return (self.high - self.low) / 2 / self.value


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Summary of the rounds.

    >>> percentiles([1.0, 2.0, 3.0, 4.0, 5.0])
    Percentiles(p50=3.0, p95=4.8, least=1.0, spread=0.6666666666666666, n=5)
    """
    low, middle, high, late = (float(one) for one in np.quantile(seconds, (0.25, 0.5, 0.75, 0.95)))
    return Percentiles(middle, late, float(min(seconds)), (high - low) / middle, len(seconds))


def speed_ratio(own: Sequence[float], first: Sequence[float], work: float = 1.0, level: float = LEVEL) -> Ratio:
    """How many times as fast as the first, from rounds in which both ran next to each other.

    The median of the rounds' ratios, with its percentile bootstrap interval [Efron 1979]: rounds are drawn with
    replacement, always both times of a round together, so that what slows a whole round down cancels. Draws from a few
    rounds hardly go beyond them (four cover the true ratio 86 times in 100), so with fewer than :data:`FEW` the
    interval also holds Student's for the mean of the ratios' logarithms.

    Args:
        own: seconds of each round.
        first: those of the first contestant.
        work: images of a call as a multiple of the first one's.
        level: of the interval.

    >>> speed_ratio([1.0, 2.0, 4.0], [2.0, 4.0, 8.0])
    Ratio(value=2.0, low=2.0, high=2.0, level=0.95)
    """
    ratios = work * np.asarray(first) / np.asarray(own)
    random = np.random.default_rng(0)
    draws = random.integers(0, len(ratios), (RESAMPLES, len(ratios)))
    low, high = np.quantile(np.median(ratios[draws], axis=1), ((1 - level) / 2, (1 + level) / 2))
    if 1 < len(ratios) < FEW:
        at_least, at_most = _student(ratios, level)
        low, high = min(low, at_least), max(high, at_most)
    return Ratio(float(np.median(ratios)), float(low), float(high), level)


def _student(ratios: np.ndarray, level: float) -> tuple[float, float]:
    """Student's interval for the geometric mean of ratios."""
    from scipy.special import stdtrit

    logs = np.log(ratios)
    reach = stdtrit(len(logs) - 1, (1 + level) / 2) * logs.std(ddof=1) / np.sqrt(len(logs))
    return float(np.exp(logs.mean() - reach)), float(np.exp(logs.mean() + reach))
