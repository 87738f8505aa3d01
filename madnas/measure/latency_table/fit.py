"""Latency of a piece as a linear function of its work, one for every shape: seconds of a call, of a multiply-add ..."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from madnas.measure.latency_table.pieces import WORK

FEWEST = 4
"""Pieces of a shape that are needed to say what others of this shape take."""

FEWER, MORE = 4.0, 2.0
"""Channels may be so many times fewer and more than measured ones; towards 0 a line ends at what a call alone takes."""

FITS = 4
"""Times that rates are fitted, each time relative to the fit before."""

LEAST = 0.1
"""Share of a measured time below which a fitted one is not taken to be relative to."""

RIDGE = 1e-3
"""Weight of the prior that every rate is 0, which keeps rates small that the pieces do not tell apart."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What the pieces of one shape take.

    Attributes:
        seconds: per unit of every kind of work, none of them negative (W,).
        low: fewest channels of input, inside and output that are covered (3,).
        high: most (3,).
        pieces: how many were measured.
        error: typical relative deviation of a single measured piece from the line (root of the mean square).
    """

    seconds: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pieces: int
    error: float


def fit(works: np.ndarray, chs: np.ndarray, seconds: np.ndarray) -> Rates:
    """Fit the rates of one shape by non-negative least squares of the relative deviations.

    Args:
        works: of the measured pieces (N, W).
        chs: their channels (N, 3).
        seconds: what each took (N,).

    >>> rates = fit(np.array([[1.0, 2.0], [1.0, 4.0], [1.0, 8.0]]), np.ones((3, 3)), np.array([5.0, 9.0, 17.0]))
    >>> rates.seconds.round(2).tolist()
    [1.0, 2.0]
    """
    rates = non_negative(works, seconds)
    off = (works @ rates) / seconds - 1
    error = float(np.sqrt(np.mean(off**2)))
    return Rates(rates, chs.min(axis=0) / FEWER, chs.max(axis=0) * MORE, len(seconds), error)


def non_negative(amounts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Rates, none below 0, by which amounts (N, W) add up to seconds (N,) with the least relative deviations (W,).

    Deviations are relative to what the fit before predicts. Relative to what was measured, noise would lower the rates:
    a time that is too short would count for more than one that is too long.
    """
    from scipy.optimize import nnls

    scale = amounts.max(axis=0)
    scale[scale == 0] = 1.0
    prior = RIDGE * np.sqrt(len(seconds)) / np.median(seconds) * np.eye(amounts.shape[1])
    expected = seconds
    for _ in range(FITS):
        rows = np.vstack([amounts / scale / expected[:, None], prior])
        found, _ = nnls(rows, np.concatenate([seconds / expected, np.zeros(len(prior))]))
        rates: np.ndarray = found / scale
        expected = np.maximum(amounts @ rates, LEAST * seconds)
    return rates


def stacked(works: Sequence[Sequence[float]]) -> np.ndarray:
    """Works of several pieces as one array (N, W)."""
    return np.array(works, dtype=np.float64).reshape(-1, len(WORK))
