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
        with ``value``, ``low`` and ``high``, which are None where all values are alike; ``left_out``: scores that fewer
        than three networks have, and how many.
    """
    names = list(dict.fromkeys([*BASELINES, *(name for result in results for name in result["scores"])]))
    scores, left_out = {}, {}
    for name in names:
        pairs = [(one["scores"][name]["value"], accuracy)
                 for one, accuracy in zip(results, accuracies, strict=True) if name in one["scores"]]  # fmt: skip
        if len(pairs) >= FEWEST:
            x, y = np.array(pairs, dtype=np.float64).T
            scores[name] = {"n": len(pairs), "kendall": with_interval(kendall, x, y, seed),
                            "spearman": with_interval(spearman, x, y, seed)}  # fmt: skip
        else:
            left_out[name] = len(pairs)
    told = {"n": len(accuracies), "confidence": CONFIDENCE, "resamples": RESAMPLES}
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
    value = float(statistic(x, y)[0])
    if not math.isfinite(value):
        return {"value": None, "low": None, "high": None}
    counts = np.random.default_rng(seed).multinomial(len(x), np.full(len(x), 1 / len(x)), size=RESAMPLES)
    drawn = statistic(x, y, counts.astype(np.float64))
    low, high = np.nanquantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return {"value": value, "low": float(low), "high": float(high)}
