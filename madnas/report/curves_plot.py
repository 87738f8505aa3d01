"""Best-so-far curves of several searches, a panel each (Figures 7 to 12 of Zen-NAS)."""

from typing import TYPE_CHECKING, Any

from madnas.figures import BLUE
from madnas.units import short_quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 4

WIDE = 100
"""Ratio of the largest to the least value from which on an axis is logarithmic."""


def draw_curves(summary: dict[str, Any]) -> "Figure":
    """A panel for every search of a summary of :func:`~madnas.experiments.curves.run.run_curves`."""
    from matplotlib.figure import Figure

    curves = summary["curves"]
    rows = -(-len(curves) // COLUMNS)
    figure = Figure(figsize=(3.1 * COLUMNS, 2.7 * rows), layout="constrained")
    axes = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for axis, curve in zip(axes, curves, strict=False):
        places, values = zip(*curve["history"], strict=True)
        axis.step(places, values, where="post", color=BLUE)
        counts = curve["counts"]
        size = f"{short_quantity(counts['params'])} params, {short_quantity(counts['macs'])} MACs"
        axis.set_title(f"{curve['name']} ({curve['figure']})\n{size}", fontsize=8)
        if min(values) > 0 and max(values) > WIDE * min(values):
            axis.set_yscale("log")
        axis.set(xlabel="candidates scored", ylabel=curve["score"])
        axis.xaxis.label.set_fontsize(8)
        axis.yaxis.label.set_fontsize(8)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(curves) :]:
        axis.set_axis_off()
    figure.suptitle(
        f"best so far: space {summary['space']}, at most {summary['params']} params and {summary['max_depth']} layers, "
        f"batch size {summary['batch_size']}, seed {summary['seed']}", fontsize=10,
    )  # fmt: skip
    return figure
