"""Designs as plain data: the JSON document and the CSV table. Forms are stable and versioned."""

from collections.abc import Sequence
from typing import Any

import madnas
from madnas.csvtext import csv_text
from madnas.network.specfile import spec_to_tree
from madnas.program.design import SCHEMA, Design, Miss, pareto


def design_document(design: Design) -> dict[str, Any]:
    """One design as JSON-able data.

    Returns:
        ``schema``, ``spec``, ``budgets`` (value and limit each), ``rho``, ``entropy`` (weighted sum, nats), ``stages``,
        ``objective``, ``bound``, ``gap`` (a share, not percent), ``binding``, ``space_limits`` (widths and depths at
        the space's largest value), ``solver``, ``seconds``, and for a point of a sweep ``swept``.
    """
    solution, evidence = design.solution, design.solution.evidence
    document: dict[str, Any] = {"schema": SCHEMA, "madnas": madnas.__version__}
    if design.swept:
        document["swept"] = design.swept
    return document | {
        "spec": spec_to_tree(design.spec),
        "budgets": {
            name: {"value": _cost(name, value), "limit": limit} for name, (value, limit) in design.used().items()
        },
        "counts": design.counts.tree(),
        "rho": float(design.structure.rho),
        "rho_limit": design.problem.rho,
        "width": float(design.structure.width),
        "entropy": float(design.structure.weighted_entropy(design.problem.weights)),
        "stages": [
            stage.tree() | {"weight": weight}
            for stage, weight in zip(design.structure.stages, design.problem.weights, strict=True)
        ],
        "objective": float(design.objective),
        "bound": float(design.bound),
        "gap": float(design.gap),
        "binding": [
            {
                "limit": binding.limit,
                "used": binding.used,
                "gain_per_percent": binding.gain,
                "gain_per_percent_relative": binding.gain_percent / 100,
            }
            for binding in design.binding
        ],
        "space_limits": design.space_limits(),
        "solver": {
            "name": solution.solver,
            "relaxation": float(solution.relaxation),
            "basis": design.bound_basis,
            "nodes": evidence.nodes if evidence else 0,
            "starts": evidence.starts if evidence else 0,
            "checked_nodes": evidence.checked if evidence else 0,
            "agreed_nodes": evidence.agreed if evidence else 0,
            "infeasible_nodes": evidence.infeasible if evidence else 0,
            "unsolved_nodes": evidence.unsolved if evidence else 0,
            "candidates": solution.evaluated,
        },
        "seconds": design.seconds,
    }


def _cost(name: str, value: float) -> float:
    return float(value) if name == "latency" else int(value)


def front(designs: list[Design]) -> list[bool] | None:
    """Which designs of a sweep are on its Pareto front; ``None`` where stage weights are swept.

    Other weights are another objective: values of the one say nothing about values of the other.
    """
    return None if any("stage_weights" in one.swept for one in designs) else pareto(designs)


def sweep_document(designs: list[Design], missed: Sequence[Miss] = ()) -> dict[str, Any]:
    """A sweep as JSON-able data: ``schema``, ``results`` and ``missed``.

    Each result has ``pareto`` (null without a :func:`front`); each point without a network ``swept``, ``error`` and
    ``hint``.
    """
    best: Sequence[bool | None] = front(designs) or [None] * len(designs)
    results = [design_document(one) | {"pareto": on_front} for one, on_front in zip(designs, best, strict=True)]
    without = [{"swept": miss.swept, "error": str(miss.error), "hint": miss.error.hint} for miss in missed]
    return {"schema": "madnas/design-sweep/1", "results": results, "missed": without}


def design_csv(designs: list[Design]) -> str:
    """Designs as a CSV table, one row each; costs are plain numbers, entropies nats."""
    rows = []
    best = front(designs)
    for index, one in enumerate(designs):
        row: dict[str, Any] = {"name": one.spec.name, "space": one.problem.space.name}
        row |= {f"{name}_limit": limit for name, limit in (one.problem.budgets | {"rho": one.problem.rho}).items()}
        row["stage_weights"] = " ".join(f"{weight:g}" for weight in one.problem.weights)
        row |= {"macs": int(one.counts.macs), "params": int(one.counts.params)}
        row |= {"activations": int(one.counts.activations), "layers": int(one.counts.layers)}
        if one.problem.table is not None:
            row["latency"] = one.used()["latency"][0]
        row |= {"rho": one.structure.rho, "width": one.structure.width}
        row["entropy"] = one.structure.weighted_entropy(one.problem.weights)
        row |= {"objective": one.objective, "bound": one.bound, "gap": one.gap}
        if best is not None:
            row["pareto"] = best[index]
        row["depths"] = " ".join(str(depth) for depth in one.spec.depths)
        row |= {"outs": " ".join(str(group.out) for group in one.spec.groups), "seconds": round(one.seconds, 3)}
        rows.append(row)
    return csv_text(rows)
