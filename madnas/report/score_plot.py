"""Pictures of scores: a panel for each, over the targets or against known accuracies."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from madnas.figures import BLUE, GREY, tau_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFAULT = ("params", "macs", "entropy", "rho", "nn-mass")
"""Scores that are drawn where none was asked for."""

WIDE = 300
"""Ratio of the largest to the smallest value beyond which an axis is logarithmic."""

COLUMNS = 4
"""Panels in a row, at most."""


def draw_scores(results: Sequence[dict[str, Any]], metrics: Sequence[str]) -> "Figure":
    """A panel for params, MACs and every metric: its value for each target, with a standard deviation to both sides."""
    names = ["params", "macs", *metrics] if metrics else list(DEFAULT)
    height = 1.2 + 0.28 * len(results)
    figure, panels = _panels(len(names), height, sharey=True)
    labels = [result["target"] for result in results]
    for name, axes in zip(names, panels, strict=False):
        for place, result in enumerate(results):
            score = result["scores"].get(name)
            if score is not None:
                axes.errorbar(score["value"], place, xerr=score["std"] or None, fmt="o", color=BLUE, capsize=2, ms=4)
        _scale(axes, [result["scores"][name]["value"] for result in results if name in result["scores"]])
        if not any(name in result["scores"] for result in results):
            axes.text(0.5, 0.5, "none of them has it", transform=axes.transAxes, ha="center", fontsize=8, color=GREY)
            axes.set_xticks([])
        axes.set_title(name, fontsize=10)
        axes.set_yticks(range(len(labels)), labels, fontsize=8)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.grid(axis="x", color="#eeeeee")
        axes.tick_params(axis="x", labelsize=8)
    return figure


def draw_against(results: Sequence[dict[str, Any]], accuracies: Sequence[float], ranks: dict[str, Any]) -> "Figure":
    """A panel for every score: accuracy over the score, with its rank correlation and interval."""
    names = list(ranks["scores"])
    figure, panels = _panels(len(names), 2.6 * math.ceil(len(names) / COLUMNS), sharey=True)
    for name, axes in zip(names, panels, strict=False):
        pairs = [(one["scores"][name]["value"], accuracy)
                 for one, accuracy in zip(results, accuracies, strict=True) if name in one["scores"]]  # fmt: skip
        _scale(axes, [value for value, _ in pairs])
        baseline = name in ("params", "macs")
        axes.plot(*zip(*pairs, strict=True), "o", ms=3.5, color=GREY if baseline else BLUE)
        tau = ranks["scores"][name]["kendall"]
        axes.set_title(f"{name}: {tau_text(tau)}, n = {len(pairs)}", fontsize=9)
        axes.tick_params(labelsize=8)
    for axes in panels[::COLUMNS]:
        axes.set_ylabel("accuracy", fontsize=9)
    return figure


def _scale(axes: Any, values: Sequence[float]) -> None:
    """A logarithmic axis for values over many orders of magnitude, such as synflow's."""
    if values and min(values) > 0 and max(values) > WIDE * min(values):
        axes.set_xscale("log")
    axes.xaxis.get_offset_text().set_fontsize(8)


def _panels(number: int, height: float, sharey: bool) -> "tuple[Figure, list[Any]]":
    from matplotlib.figure import Figure

    columns = min(COLUMNS, number)
    rows = math.ceil(number / columns)
    figure = Figure(figsize=(3.1 * columns + 0.8, max(height, 2.2 * rows)), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=sharey, squeeze=False)
    panels = list(grid.flat)
    for axes in panels[number:]:
        axes.set_visible(False)
    return figure, panels[:number]
