"""Searches as plain data: the JSON document and the CSV table. Forms are stable and versioned."""

from typing import Any

import madnas
from madnas.csvtext import csv_text
from madnas.network.specfile import spec_to_tree
from madnas.search.outcome import Found, Outcome

SCHEMA = "madnas/search/1"


def search_document(outcome: Outcome) -> dict[str, Any]:
    """A search as JSON-able data.

    Returns:
        ``schema``, ``method``, ``score``, of the best network ``spec``, ``fitness`` (``value``, ``std``, ``n``),
        ``scores``, ``budgets`` (value and limit each), ``counts``, ``rho``, ``width``, ``entropy``; ``front``, the same
        of each of its networks (empty without one); ``program`` (``objective``, ``bound``, ``gap``, ``spec``, or null);
        ``search`` (seed, sizes, what was done), ``failed``, ``history`` (a row for each noted round), ``members`` (some
        of each noted population, with fitness and costs), ``interrupted``, ``program_failure`` (why there is
        no program's answer to a problem that it knows, or null) and, which alone depend on the machine, ``rates``.
    """
    program = outcome.program
    document: dict[str, Any] = {"schema": SCHEMA, "madnas": madnas.__version__, "method": outcome.method}
    document |= {"score": outcome.goal.fitness.text} | _found(outcome, outcome.best)
    document["front"] = [_found(outcome, found) for found in outcome.front]
    document["program"] = None if program is None else {
        "objective": program.objective, "bound": program.bound, "gap": program.gap, "spec": spec_to_tree(program.spec),
    }  # fmt: skip
    return document | {
        "program_failure": outcome.program_failure or None,
        "search": outcome.effort.request() | {"space": outcome.family.name} | outcome.numbers,
        "failed": outcome.failed,
        "history": outcome.history.rows,
        "members": outcome.history.members,
        "interrupted": outcome.interrupted,
        "rates": outcome.rates,
    }


def _found(outcome: Outcome, found: Found) -> dict[str, Any]:
    return {
        "spec": spec_to_tree(found.spec),
        "fitness": {"value": found.fitness, "std": found.std, "n": found.n},
        "scores": found.scores,
        "budgets": {name: {"value": value, "limit": limit} for name, (value, limit) in outcome.used(found).items()},
        "costs": found.costs,
        "counts": found.counts.tree(),
        "rho": float(found.structure.rho),
        "width": float(found.structure.width),
        "entropy": float(found.structure.weighted_entropy()),
    }


def search_csv(outcome: Outcome) -> str:
    """The best network, or the front, as a CSV table, one row each; costs are plain numbers."""
    rows = []
    for found in outcome.front or (outcome.best,):
        row: dict[str, Any] = {
            "name": found.spec.name,
            "space": outcome.family.name,
            "score": outcome.goal.fitness.text,
        }
        row |= {"fitness": found.fitness, "std": found.std, "n": found.n}
        row |= found.counts.tree() | {name: value for name, value in found.costs.items() if name == "latency"}
        row |= {"rho": float(found.structure.rho), "width": float(found.structure.width)}
        row["depths"] = " ".join(str(depth) for depth in found.spec.depths)
        row["outs"] = " ".join(str(group.out) for group in found.spec.groups)
        rows.append(row)
    return csv_text(rows)
