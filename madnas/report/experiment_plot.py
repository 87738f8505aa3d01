"""The picture of an experiment, laid out as Fig. 3 of NN-Mass: accuracy and LDI, each against parameters and mass."""

import math
from typing import TYPE_CHECKING, Any

from madnas.figures import BLUE, GREEN, GREY, ORANGE
from madnas.units import short_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (BLUE, "#e69f00", GREEN, ORANGE, "#cc79a7", "#56b4e9", "#000000")
"""Okabe and Ito's, which people with colour vision deficiency can tell apart; repeated where there are more depths."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SIZES = {"params": "parameters", "mass": "NN-Mass (neurons)"}
MEASURES = {"accuracy": ("test accuracy (%)", 100.0), "isometry": ("mean singular value of the layers' Jacobians", 1.0)}


def draw_summary(summary: dict[str, Any]) -> "Figure":
    """Four panels of a summary (:func:`madnas.experiments.summary.summarise`), a colour for every depth.

    Points are means over repeats, bars their standard deviation; hollow points have no mass and are not in the fits.
    The vertical range is that of the others: a hollow point outside is drawn at the border, with its value.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7.5), layout="constrained")
    axes = figure.subplots(2, 2, sharey="row")
    for row, measure in zip(axes, MEASURES, strict=True):
        for axis, size in zip(row, SIZES, strict=True):
            _panel(axis, summary, size, measure)
        row[0].set_ylabel(MEASURES[measure][0])
    settings = summary["settings"]
    figure.suptitle(
        f"{summary['experiment']}: {summary['networks']} networks of width {settings['width']}, "
        f"{settings['repeats']} at every point, {settings['epochs']} epochs\n"
        "dashed: straight line in the logarithm; hollow: no skip connections, mass 0, not in the fits",
        fontsize=10,
    )
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 7) or 1, frameon=False)
    return figure


def _panel(axis: "Axes", summary: dict[str, Any], size: str, measure: str) -> None:
    scale = MEASURES[measure][1]
    drawn: list[float] = []
    low, high = _range(summary["points"], measure, scale)
    for index, depth in enumerate(sorted(summary["settings"]["depths"])):
        style = {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
        points = [one for one in summary["points"] if one["depth"] == depth and one[measure]["mean"] is not None]
        massive = [one for one in points if one["mass"] > 0]
        drawn += [one[size] for one in massive]
        _series(axis, massive, size, measure, scale, {"label": f"depth {depth}", "markersize": 4, **style})
        if size == "params":
            for one in points:
                if one["mass"] == 0:
                    _hollow(axis, one, measure, scale, (low, high), style)
    fit = summary["fits"][measure][size]
    if fit["r2"] is not None:
        ends = [min(drawn), max(drawn)]
        line = [scale * (fit["intercept"] + fit["slope"] * math.log(x)) for x in ends]
        axis.plot(ends, line, color=GREY, linewidth=1.5, linestyle="--", zorder=1)
    text = "no fit" if fit["r2"] is None else f"R² {fit['r2']:.2f} of {fit['points']} points"
    axis.set_title(text, fontsize=10)
    axis.set_ylim(low, high)
    axis.set_xscale("log")
    _label_ticks(axis, drawn)
    axis.set_xlabel(SIZES[size])
    axis.spines[["top", "right"]].set_visible(False)


def _series(
    axis: "Axes", points: list[dict[str, Any]], size: str, measure: str, scale: float, style: dict[str, Any]
) -> None:
    if not points:
        return
    axis.errorbar(
        [one[size] for one in points],
        [scale * one[measure]["mean"] for one in points],
        yerr=[scale * (one[measure]["std"] or 0.0) for one in points],
        linewidth=1, elinewidth=0.6, **style,
    )  # fmt: skip


def _hollow(
    axis: "Axes", one: dict[str, Any], measure: str, scale: float, limits: tuple[float, float], style: dict[str, Any]
) -> None:
    """A point without mass."""
    low, high = limits
    style = {"markersize": 4, "markerfacecolor": "none", **style}
    value = scale * one[measure]["mean"]
    if low <= value <= high:
        _series(axis, [one], "params", measure, scale, style)
        return
    border = low if value < low else high
    axis.plot([one["params"]], [border], linestyle="", clip_on=False, **style)
    axis.annotate(
        f"{value:.1f}" if scale > 1 else f"{value:.2f}", (one["params"], border), xytext=(0, 5 if value < low else -11),
        textcoords="offset points", ha="center", fontsize=7, color=style["color"],
    )  # fmt: skip


def _range(points: list[dict[str, Any]], measure: str, scale: float) -> tuple[float, float]:
    """Vertical range with room around the points with mass and their bars, and those others that are not far away."""
    known = [one for one in points if one[measure]["mean"] is not None]
    shown = [one[measure] for one in known if one["mass"] > 0] or [one[measure] for one in known]
    ends = [scale * (one["mean"] + sign * (one["std"] or 0.0)) for one in shown for sign in (-1, 1)]
    if not ends:
        return 0.0, scale
    low, high = min(ends), max(ends)
    near = 0.5 * (high - low)
    others = [scale * one[measure]["mean"] for one in known if one["mass"] == 0]
    ends += [value for value in others if low - near <= value <= high + near]
    room = 0.08 * (max(ends) - min(ends)) or 0.01 * scale
    return min(ends) - room, max(ends) + room


def _label_ticks(axis: "Axes", values: list[float]) -> None:
    """Label a logarithmic axis at round numbers: decades alone would often be none."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if not values:
        return
    low, high = min(values), max(values)
    steps = [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9] if high / low < 5 else [1, 2, 5]
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    axis.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if 0.8 * low <= tick <= 1.25 * high]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short_quantity(x) if x >= 10 else f"{x:g}"))
