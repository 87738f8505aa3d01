"""The front of accuracy against what a network costs, over the strengths of a search for linear blocks."""

from typing import TYPE_CHECKING, Any

from madnas.figures import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COSTS = {"units": ("non-linear units", 1), "macs": ("million multiply-adds", 1e6)}
"""Keys of rows, what they are called, and in what they are drawn."""


def draw_front(title: str, rows: list[dict[str, Any]]) -> "Figure":
    """Accuracy against non-linear units and against multiply-adds; a line along the networks that no other one beats.

    Args:
        title: of the figure.
        rows: ``units``, ``macs``, ``top1`` (a share) and ``lambda`` of every network; lambda is None for the SuperNet.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.1), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, key in zip(axes, COSTS, strict=True):
        _panel(axis, rows, key)
    axes[0].set_ylabel("top-1 on the test set, %")
    figure.suptitle(title)
    return figure


def front(rows: list[dict[str, Any]], key: str, gain: str = "top1") -> list[dict[str, Any]]:
    """Rows of which no other one has less of a cost and as much accuracy, or more of it at the same cost; by cost."""
    found: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda one: (one[key], -one[gain])):
        if not found or row[gain] > found[-1][gain]:
            found.append(row)
    return found


def _panel(axis: "Axes", rows: list[dict[str, Any]], key: str) -> None:
    label, unit = COSTS[key]
    best = front(rows, key)
    line = [row[key] / unit for row in best], [100 * row["top1"] for row in best]
    axis.plot(*line, color=GREY, linewidth=1, zorder=1)
    for row in rows:
        own = row["lambda"] is None
        place = row[key] / unit, 100 * row["top1"]
        axis.plot(*place, "s" if own else "o", color=ORANGE if own else BLUE, ms=5)
        name = "SuperNet" if own else f"λ {row['lambda']:g}"
        axis.annotate(name, place, (0, 5), textcoords="offset points", fontsize=8, ha="center")
    axis.margins(x=0.12, y=0.12)
    axis.set_xlabel(label)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
