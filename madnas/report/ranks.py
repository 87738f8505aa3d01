"""How scores rank networks beside known accuracies: Kendall's tau and Spearman's rho with bootstrap intervals."""

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from madnas.errors import DataError
from madnas.files import read_text

FEWEST = 3
"""Networks that a ranking needs."""

RESAMPLES = 2000
CONFIDENCE = 0.95
BASELINES = ("params", "macs")
"""What a proxy has to beat, always told first."""


def read_accuracies(path: Path) -> list[tuple[str, float]]:
    """Networks with their accuracies from a CSV file with the columns ``network`` and ``accuracy``; others are ignored.

    Raises:
        UsageError: the file cannot be read.
        DataError: it lacks a column, a number is none, a network comes twice, or there are fewer than three.
    """
    rows = list(csv.DictReader(read_text(path).splitlines()))
    columns = rows[0].keys() if rows else ()
    missing = [name for name in ("network", "accuracy") if name not in columns]
    if missing:
        raise DataError(
            f"{path}: no column {' and '.join(missing)}", "the first line names the columns: network,accuracy"
        )
    found: dict[str, float] = {}
    for number, row in enumerate(rows, 2):
        word = (row["network"] or "").strip()
        try:
            accuracy = float(row["accuracy"] or "")
        except ValueError:
            accuracy = math.nan
        if not word or not math.isfinite(accuracy):
            raise DataError(f"{path}: line {number}: expected a network and a number, found {list(row.values())}")
        if word in found:
            raise DataError(f"{path}: line {number}: {word} is there twice")
        found[word] = accuracy
    if len(found) < FEWEST:
        raise DataError(f"{path}: {len(found)} networks; a ranking needs {FEWEST} at least")
    return list(found.items())


def rank(results: Sequence[dict[str, Any]], accuracies: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """Rank correlations of every score with accuracy, over the networks that have the score.

    Args:
        results: scores of each network.
        accuracies: of the same networks.
        seed: of the bootstrap.

    Returns:
        ``n``, ``confidence``, ``resamples`` and ``scores``: by name ``n``, ``kendall`` (tau-b) and ``spearman``, these
        with ``value``, ``low`` and ``high``, which are None where all values are alike.
    """
    names = list(dict.fromkeys([*BASELINES, *(name for result in results for name in result["scores"])]))
    scores = {}
    for name in names:
        pairs = [(one["scores"][name]["value"], accuracy)
                 for one, accuracy in zip(results, accuracies, strict=True) if name in one["scores"]]  # fmt: skip
        if len(pairs) >= FEWEST:
            x, y = np.array(pairs, dtype=np.float64).T
            scores[name] = {"n": len(pairs), "kendall": _with_interval(kendall, x, y, seed),
                            "spearman": _with_interval(spearman, x, y, seed)}  # fmt: skip
    return {"n": len(accuracies), "confidence": CONFIDENCE, "resamples": RESAMPLES, "scores": scores}


def kendall(x: np.ndarray, y: np.ndarray) -> float:
    """Kendall's tau-b, which allows for ties; NaN if all of a side are alike."""
    from scipy.stats import kendalltau

    return float(kendalltau(x, y).statistic)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rho; NaN if all of a side are alike."""
    from scipy.stats import rankdata

    one, other = rankdata(x), rankdata(y)
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    return float(np.corrcoef(one, other)[0, 1])


def _with_interval(
    statistic: Callable[[np.ndarray, np.ndarray], float], x: np.ndarray, y: np.ndarray, seed: int
) -> dict[str, float | None]:
    """A statistic with its percentile interval over networks drawn with replacement."""
    value = statistic(x, y)
    if not math.isfinite(value):
        return {"value": None, "low": None, "high": None}
    generator = np.random.default_rng(seed)
    draws = generator.integers(len(x), size=(RESAMPLES, len(x)))
    drawn = np.array([statistic(x[row], y[row]) for row in draws if np.ptp(x[row]) > 0 and np.ptp(y[row]) > 0])
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return {"value": value, "low": float(low), "high": float(high)}
