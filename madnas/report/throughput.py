"""Throughput-matched designs as plain data, as a table in CSV (every row with where it comes from), as a picture."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import madnas
from madnas.csvtext import csv_text
from madnas.figures import BLUE, GREEN, GREY, ORANGE, plain_log
from madnas.measure.provenance import cells
from madnas.report.document import design_document
from madnas.search.throughput import FAST, SLOW, Matched, Step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = "madnas/design-match/1"


def match_document(found: Matched, about: Mapping[str, Any]) -> dict[str, Any]:
    """A search as JSON-able data.

    Args:
        found: the search.
        about: ``reference`` (its name, costs, entropy, batch), ``setting`` and ``environment``.

    Returns:
        ``schema``, ``reference``, ``design`` (that of ``madnas design``), ``step``, ``scale``, ``images_per_second``,
        ``batch_size``, ``ratio`` (of the last measurement), ``confirmed`` (whether that was made once more at the end),
        ``steps``, ``measurements``, ``interrupted``, ``seconds``, ``setting``, ``environment``.
    """
    best = found.best
    assert best.design is not None and best.bout is not None
    last = best.confirmed or best.bout
    return {
        "schema": SCHEMA,
        "madnas": madnas.__version__,
        "reference": dict(about["reference"]) | {"images_per_second": last.reference_images_per_second},
        "design": design_document(best.design),
        "step": best.number,
        "scale": best.scale,
        "images_per_second": last.images_per_second,
        "batch_size": last.batch,
        "ratio": asdict(last.ratio),
        "confirmed": best.confirmed is not None,
        "steps": [step_document(step) for step in found.steps],
        "measurements": found.measurements,
        "interrupted": found.interrupted,
        "seconds": found.seconds,
        "setting": about["setting"],
        "environment": about["environment"],
    }


def step_document(step: Step) -> dict[str, Any]:
    """One step: what was asked of the program, what it designed, and how fast that is."""
    tree: dict[str, Any] = {
        "step": step.number, "scale": step.scale, "params_per_mac": step.tilt, "budgets": step.budgets,
        "verdict": step.verdict, "same_as": step.same_as,
    }  # fmt: skip
    if step.design is not None:
        counts, structure = step.design.counts, step.design.structure
        tree |= {
            "macs": int(counts.macs), "params": int(counts.params), "layers": int(counts.layers),
            "entropy": float(structure.weighted_entropy(step.design.problem.weights)),
            "objective": float(step.design.objective), "gap": float(step.design.gap),
        }  # fmt: skip
    for name, bout in (("measured", step.bout), ("confirmed", step.confirmed)):
        if bout is not None:
            tree[name] = bout.tree()
    return tree


COLUMNS = (
    *("step", "scale", "params_per_mac", "macs_limit", "params_limit", "macs", "params", "layers", "entropy"),
    *("objective", "gap", "verdict", "same_as", "ratio", "ratio_low", "ratio_high", "images_per_second"),
    *("reference_images_per_second", "batch_size", "rounds", "reference", "device", "precision", "layout", "compiled"),
    *("hardware", "driver", "versions", "command", "commit"),
)


def match_csv(found: Matched, about: Mapping[str, Any]) -> str:
    """The steps of a search in CSV, a row each."""
    common = about["setting"] | cells(about["environment"]) | {"reference": about["reference"]["target"]}
    rows = []
    for step in found.steps:
        row = {"batch_size": ""} | {key: value for key, value in common.items() if key in COLUMNS}
        row |= step_document(step) | {f"{name}_limit": limit for name, limit in step.budgets.items()}
        bout = step.confirmed or step.bout
        row |= {"batch_size": "" if bout is None else bout.batch}
        if bout is not None:
            row |= {
                "ratio": bout.ratio.value, "ratio_low": bout.ratio.low, "ratio_high": bout.ratio.high,
                "images_per_second": bout.images_per_second, "rounds": bout.rounds,
                "reference_images_per_second": bout.reference_images_per_second,
            }  # fmt: skip
        rows.append(row)
    return csv_text(rows, COLUMNS)


def draw_match(document: Mapping[str, Any]) -> "Figure":
    """Ratios with their intervals and objectives, over the scale of the budgets.

    Args:
        document: of :func:`match_document`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    colours = {FAST: GREEN, SLOW: ORANGE}
    steps = [step for step in document["steps"] if "measured" in step]
    for step in steps:
        ratio = step.get("confirmed", step["measured"])["ratio"]
        sides = [[ratio["value"] - ratio["low"]], [ratio["high"] - ratio["value"]]]
        left.errorbar([step["scale"]], [ratio["value"]], yerr=sides, fmt="o", ms=4, capsize=3,
                      color=colours.get(step["verdict"], GREY))  # fmt: skip
    right.plot([step["scale"] for step in steps], [step["objective"] for step in steps], "o", color=BLUE, ms=4)
    best = next(step for step in document["steps"] if step["step"] == document["step"])
    right.plot([best["scale"]], [best["objective"]], "o", ms=10, markerfacecolor="none", color=ORANGE)
    left.axhline(1.0, color=GREY, lw=0.8)
    left.set(ylabel=f"times as fast as {document['reference']['target']}")
    right.set(ylabel="objective (nats)")
    plain_log(left.yaxis)
    for axis in (left, right):
        axis.set(xlabel="scale of the budgets")
        plain_log(axis.xaxis)
        axis.spines[["top", "right"]].set_visible(False)
    setting, environment = document["setting"], document["environment"]
    words = [environment["hardware"], setting["precision"], f"batch {setting['batch_size']}"]
    figure.suptitle(", ".join(words), fontsize=9)
    return figure
