"""Pictures that the page draws from documents alone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from madnas.figures import BLUE, GREEN, GREY, ORANGE, plain_log
from madnas.measure.latency_table.table import LatencyTable
from madnas.network.analyse import analyse
from madnas.network.expand import segments
from madnas.network.spec import NetworkSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_network(spec: NetworkSpec) -> "Figure":
    """Widths along the depth, and the entropy of every stage."""
    figure, (left, right) = _panels(2)
    structure = analyse(spec)
    widths: list[float] = []
    for segment in segments(spec):
        widths += [float(layer.width) for layer in segment.layers if layer.main] * int(segment.repeat)
    left.step(range(1, len(widths) + 1), widths, where="mid", color=BLUE, linewidth=1)
    left.axhline(float(structure.width), color=ORANGE, linewidth=1, label="average width")
    left.set(xlabel="layer", ylabel="width  c k² / g")
    plain_log(left.yaxis)
    left.legend(frameon=False, fontsize=8)
    places = range(len(structure.stages))
    right.bar(places, [float(stage.entropy) for stage in structure.stages], color=GREEN)
    labels = [f"{stage.resolution:g} px\n{int(stage.out_chs)} ch" for stage in structure.stages]
    right.set_xticks(list(places), labels, fontsize=8)
    right.set(ylabel="entropy of the stage's output (nats)")
    return figure


def draw_course(history: Sequence[dict[str, Any]], score: str, program: dict[str, float] | None) -> "Figure":
    """A search's best so far, beside the mathematical program's answer if there is one, and its population's depths.

    Args:
        history: rows of :class:`~madnas.search.history.History`.
        score: what is maximised.
        program: ``objective`` and ``bound``.
    """
    figure, (left, right) = _panels(2)
    found = [row for row in history if row.get("best") is not None]
    left.step([row["proposed"] for row in found], [row["best"] for row in found], where="post", color=BLUE)
    if program is not None:
        left.axhline(program["objective"], color=ORANGE, lw=1, label="mathematical program")
        left.axhline(program["bound"], color=GREY, lw=1, ls=":", label="its bound")
        left.legend(frameon=False, fontsize=8)
    deep = [row for row in history if row.get("layers")]
    places = [row["proposed"] for row in deep]
    low, middle, high = ([row["layers"][place] for row in deep] for place in range(3))
    right.fill_between(places, low, high, color=GREEN, alpha=0.2, lw=0)
    right.plot(places, middle, color=GREEN)
    left.set(xlabel="candidates", ylabel=f"best {score}")
    right.set(xlabel="candidates", ylabel="layers: least, median, largest")
    return figure


def draw_points(rows: Sequence[dict[str, Any]], x: str, ys: Sequence[str]) -> "Figure":
    """Values of several rows over one of them, a panel each."""
    figure, panels = _panels(len(ys))
    for axis, y in zip(panels, ys, strict=True):
        known = [(row[x], row[y]) for row in rows if _is_value(row.get(x)) and _is_value(row.get(y))]
        axis.plot([one for one, _ in known], [other for _, other in known], "o-", color=BLUE, ms=4, lw=1)
        axis.set(xlabel=x, ylabel=y)
    return figure


def draw_prediction(table: LatencyTable) -> "Figure":
    """Predicted over measured latency of the held-out networks, and of those that the rates are fitted to."""
    figure, (axis,) = _panels(1)
    for networks, colour, label in ((table.probes, GREY, "fitted"), (table.held_out, ORANGE, "held out")):
        pairs = [(one.seconds, table.predict_or_none(one.spec)) for one in networks]
        known = [(1e3 * measured, 1e3 * predicted) for measured, predicted in pairs if predicted is not None]
        axis.plot([one for one, _ in known], [other for _, other in known], "o", color=colour, ms=4, label=label)
    low, high = axis.get_xlim()
    ends = np.array([max(low, 1e-6), high])
    axis.plot(ends, ends, color=BLUE, lw=0.8)
    axis.set(xlabel="measured (ms)", ylabel="predicted (ms)")
    plain_log(axis.xaxis)
    plain_log(axis.yaxis)
    axis.legend(frameon=False)
    return figure


def _is_value(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _panels(number: int) -> "tuple[Figure, list[Any]]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8 * min(number, 2), 3.4 * -(-number // 2)), layout="constrained")
    panels = list(figure.subplots(-(-number // 2), min(number, 2), squeeze=False).flat)
    for axis in panels[number:]:
        axis.set_visible(False)
    for axis in panels:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, panels[:number]
