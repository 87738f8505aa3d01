"""The picture of a benchmark: how long every round took, and how the networks compare."""

from typing import TYPE_CHECKING, Any

from madnas.figures import BLUE, GREY, ORANGE, plain_log
from madnas.units import counted

WIDE = 20
"""Ratio of the longest to the shortest time beyond which their axis is logarithmic."""

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_benchmark(document: dict[str, Any]) -> "Figure":
    """Latencies of all rounds, and ratios to the first row with their intervals.

    Args:
        document: of :func:`madnas.report.benchmark.benchmark_document`.
    """
    from matplotlib.figure import Figure

    rows = document["results"]
    names = [f"{row['name']}\nbatch {row['batch_size']}" for row in rows]
    figure = Figure(figsize=(10, 1.6 + 0.55 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for place, row in enumerate(rows):
        times = [1e3 * seconds for seconds in row["rounds_seconds"]]
        left.plot(times, [place] * len(times), "|", color=BLUE, alpha=0.35, ms=9)
        left.plot([1e3 * row["latency_seconds"]["p50"]], [place], "o", color=ORANGE, ms=5)
        ratio = row["ratio_to_first"]
        sides = [[ratio["value"] - ratio["low"]], [ratio["high"] - ratio["value"]]]
        right.errorbar([ratio["value"]], [place], xerr=sides, fmt="o", color=BLUE, capsize=3, ms=5)
    largest = max((one for row in rows for one in row["rounds_seconds"]), default=1.0)
    smallest = min((one for row in rows for one in row["rounds_seconds"]), default=1.0)
    left.set_xlabel("latency of a batch (ms): rounds, and their median")
    if largest > WIDE * smallest:
        plain_log(left.xaxis)
    right.set(xlabel="images per second, as a multiple of the first")
    right.axvline(1.0, color=GREY, lw=0.8)
    left.set_yticks(range(len(rows)), names, fontsize=8)
    left.set_ylim(len(rows) - 0.5, -0.5)
    for axis in (left, right):
        axis.grid(axis="x", color="#eeeeee")
        axis.spines[["top", "right"]].set_visible(False)
    setting, about = document["setting"], rows[0]["environment"] if rows else {}
    words = [about.get("hardware", ""), setting["engine"], setting["precision"], counted(setting["threads"], "thread")]
    figure.suptitle(", ".join(words), fontsize=9)
    return figure
