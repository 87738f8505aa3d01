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

FEWEST_FOR_INTERVAL = 10
"""Networks below which the bootstrap says nothing: it cannot draw what it has not seen."""

RESAMPLES, MANY, FEW_RESAMPLES = 2000, 500, 300
"""Bootstrap samples, and how many for more than MANY networks, where each costs seconds."""
CONFIDENCE = 0.95
BASELINES = ("params", "macs")
"""What a proxy has to beat, always told first."""


def read_accuracies(path: Path) -> list[tuple[str, float]]:
    """Networks with their accuracies from a CSV file with the columns ``network`` and ``accuracy``; others are ignored.

    Raises:
        UsageError: the file cannot be read.
        DataError: it lacks a column, a number is none, a network comes twice, or there are fewer than three.
    """
    lines = csv.DictReader(read_text(path).splitlines())
    columns = lines.fieldnames = [name.strip().lower() for name in lines.fieldnames or ()]
    rows = list(lines)
    missing = [name for name in ("network", "accuracy") if name not in columns]
    if missing:
        raise DataError(
            f"{path}: no column {' and '.join(missing)}",
            "the first line names the columns, with commas between them: network,accuracy",
        )
    found: dict[str, float] = {}
    for number, row in enumerate(rows, 2):
        if None in row:
            raise DataError(
                f"{path}: line {number} has more fields than the first line", "a decimal point is a point: 69.76"
            )
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
        with ``value``, ``low`` and ``high``, which are None where all values are alike, or networks too few for an
        interval; ``baselines``: tau of params and MACs on the networks that have this score; ``left_out``: scores that
        fewer than three networks have, and how many.
    """
    names = list(dict.fromkeys([*BASELINES, *(name for result in results for name in result["scores"])]))
    scores, left_out = {}, {}
    for name in names:
        having = [(one["scores"], accuracy)
                  for one, accuracy in zip(results, accuracies, strict=True) if name in one["scores"]]  # fmt: skip
        if len(having) < FEWEST:
            left_out[name] = len(having)
            continue
        y = np.array([accuracy for _, accuracy in having])
        values = {one: np.array([scored[one]["value"] for scored, _ in having], dtype=np.float64)
                  for one in (name, *BASELINES) if all(one in scored for scored, _ in having)}  # fmt: skip
        scores[name] = {
            "n": len(having),
            "kendall": with_interval(kendall, values[name], y, seed),
            "spearman": with_interval(spearman, values[name], y, seed),
            "baselines": {one: _finite(kendall(values[one], y)[0]) for one in BASELINES if one in values},
        }
    told = {"n": len(accuracies), "confidence": CONFIDENCE, "resamples": _resamples(len(accuracies))}
    return told | {"scores": scores, "left_out": left_out}


def kendall(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Kendall's tau-b, which allows for ties.

    Args:
        x: values of n networks (n,).
        y: other values of the same networks (n,).
        weights: how often each network counts in each of R samples (R, n). Default: once, in one.

    Returns:
        Tau of every sample (R,); NaN where all of a side are alike.
    """
    weights = np.ones((1, len(x))) if weights is None else weights
    one, other = (np.sign(side[:, None] - side[None, :]) for side in (x, y))

    def pairs(signs: np.ndarray) -> np.ndarray:
        return ((weights @ signs) * weights).sum(1)

    with np.errstate(invalid="ignore", divide="ignore"):
        return pairs(one * other) / np.sqrt(pairs(np.abs(one)) * pairs(np.abs(other)))


def spearman(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Spearman's rho, the correlation of ranks, ties sharing theirs; as :func:`kendall`."""
    weights = np.ones((1, len(x))) if weights is None else weights
    ranks = []
    for side in (x, y):
        below, alike = side[:, None] < side[None, :], side[:, None] == side[None, :]
        ranks.append(weights @ below + (weights @ alike + 1) / 2)
    total = weights.sum(1, keepdims=True)
    one, other = (rank - (weights * rank).sum(1, keepdims=True) / total for rank in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights * one * other).sum(1) / np.sqrt((weights * one**2).sum(1) * (weights * other**2).sum(1))


def with_interval(
    statistic: Callable[..., np.ndarray], x: np.ndarray, y: np.ndarray, seed: int
) -> dict[str, float | None]:
    """A statistic with its percentile interval over networks drawn with replacement."""
    value = _finite(statistic(x, y)[0])
    if value is None or len(x) < FEWEST_FOR_INTERVAL:
        return {"value": value, "low": None, "high": None}
    counts = np.random.default_rng(seed).multinomial(len(x), np.full(len(x), 1 / len(x)), size=_resamples(len(x)))
    drawn = statistic(x, y, counts.astype(np.float64))
    low, high = np.nanquantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return {"value": value, "low": float(low), "high": float(high)}


def _resamples(n: int) -> int:
    return RESAMPLES if n <= MANY else FEW_RESAMPLES


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
