"""What rounds of measurements say: percentiles, and ratios with intervals that paired rounds support."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95

STRETCHES = 10
"""Runs of consecutive rounds whose medians tell how far the ratio is known. Rounds next to each other are disturbed by
the same thing, so that each alone says less than independent ones would."""

OF_MEDIAN = 1.2
"""Standard error of a median as a multiple of that of a mean (1.25 for many normal numbers), which is what the medians
of stretches of one or two rounds are."""

FEWEST_KEPT = 8
"""Rounds that are kept, where there are so many, whatever disturbed them."""


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
        value: median of the quieter rounds' ratios.
        low: end of its interval.
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

    The median of the ratios of the quieter half of the rounds, those in which both together took least: other programs
    only ever slow a call down, by an amount that depends on the network, so that disturbed rounds say less about it. A
    ratio is always of two times of one round, so that what slows the whole round down cancels. The interval is
    Student's for the medians of :data:`STRETCHES` stretches of those rounds, in the order of time: on a machine whose
    state changes from one stretch to the next it is as wide as that makes it, which an interval over single rounds
    would not be (batch means) [Law & Kelton 1984].

    Args:
        own: seconds of each round, in the order of time.
        first: those of the first contestant.
        work: images of a call as a multiple of the first one's.
        level: of the interval.

    >>> ratio = speed_ratio([1.0, 2.0, 4.0], [2.0, 4.0, 8.0])
    >>> round(ratio.low, 9), round(ratio.value, 9), round(ratio.high, 9)
    (2.0, 2.0, 2.0)
    """
    mine, theirs = np.asarray(own), np.asarray(first)
    kept = _quieter(mine * theirs)
    logs = np.log(work * theirs[kept] / mine[kept])
    value = float(np.exp(np.median(logs)))
    reach = float(np.exp(_student(logs, level)))
    return Ratio(value, value / reach, value * reach, level)


def _quieter(disturbance: np.ndarray) -> np.ndarray:
    """Numbers of the half of the rounds that were disturbed least, in the order of time."""
    rounds = len(disturbance)
    kept = max((rounds + 1) // 2, min(rounds, FEWEST_KEPT))
    return np.sort(np.argsort(disturbance, kind="stable")[:kept])


def _student(logs: np.ndarray, level: float) -> float:
    """Half of Student's interval for the mean of the stretches' medians."""
    from scipy.special import stdtrit

    stretches = min(len(logs), STRETCHES)
    if stretches < 2:
        return 0.0
    middles = [float(np.median(some)) for some in np.array_split(logs, stretches)]
    error = np.std(middles, ddof=1) / np.sqrt(stretches)
    if len(logs) < 3 * stretches:
        error *= OF_MEDIAN
    return float(stdtrit(stretches - 1, (1 + level) / 2) * error)
