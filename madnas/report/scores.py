"""Scores as plain data and as a table in CSV. Loads no solver."""

import csv
import io
from collections.abc import Sequence
from typing import Any

SCHEMA = "madnas/score/1"


def score_document(results: Sequence[dict[str, Any]], against: dict[str, Any] | None = None) -> dict[str, Any]:
    """Scores as JSON-able data: ``schema`` and ``results``, one for each target, in order.

    Args:
        results: of :func:`madnas.scores.evaluate.evaluate`.
        against: how they rank with known accuracies.
    """
    document: dict[str, Any] = {"schema": SCHEMA, "results": list(results)}
    return document if against is None else document | {"against": against}


def score_table(results: Sequence[dict[str, Any]], metrics: Sequence[str] = ()) -> str:
    """Scores in CSV: a row for each target; of random scores also ``NAME_std`` and ``NAME_n``.

    Args:
        results: of :func:`madnas.scores.evaluate.evaluate`.
        metrics: scores that have a column also where no target has them.
    """
    names = list(dict.fromkeys([*(name for result in results for name in result["scores"]), *metrics]))
    drawn = [name for name in names if any(result["scores"].get(name, {}).get("n", 1) > 1 for result in results)]
    columns = ["target", "name"]
    for name in names:
        columns += [name, f"{name}_std", f"{name}_n"] if name in drawn else [name]
    columns += ["input", "failed"]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(columns)
    for result in results:
        row = [result["target"], result["name"]]
        for name in names:
            score = result["scores"].get(name, {"value": "", "std": "", "n": ""})
            row += [score["value"], score["std"], score["n"]] if name in drawn else [score["value"]]
        failed = "; ".join(f"{name}: {reason}" for name, reason in result["failed"].items())
        rows.writerow([*row, "x".join(map(str, result["input"])), failed])
    return text.getvalue()
