"""What the restructuring experiment says: accuracy against non-linear units, before and after the collapse."""

from typing import TYPE_CHECKING, Any

from madnas.report.figures import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def restructuring_report(summary: dict[str, Any]) -> str:
    """The results in Markdown.

    Args:
        summary: of :func:`madnas.experiments.restructuring.run.run_restructuring`.
    """
    settings = summary["settings"]
    lines = [
        f"# {summary['experiment']}: {settings['network']} restructured",
        "",
        f"Searched and trained with {settings['train']}, seed {summary['seed']}. What was found is trained anew with",
        "linear blocks as 1x1, depthwise, 1x1 (`expanded.yaml`), and then collapsed.",
        "",
        "| lambda | linear blocks | non-linear units | params | MACs | top-1 % | collapsed, top-1 % "
        "| other predictions | float64 | float32 | speed |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(cells_of(row)) + " |" for row in summary["networks"]]
    samples = next((row["samples"] for row in summary["networks"] if "samples" in row), 0)
    lines += [
        "",
        f"Other predictions: how many of {samples} test samples the collapsed network puts into another class than the",
        "uncollapsed one. float64, float32: largest relative difference on random probes. Speed: of the collapsed",
        "network to the uncollapsed one, one image.",
        "",
        "![accuracy against non-linear units](figure.png)",
        "![slopes during the searches](alphas.png)",
        "",
    ]
    return "\n".join(lines)


def cells_of(row: dict[str, Any]) -> list[str]:
    """A network's row of the table, as texts."""
    start = ["-" if row["lambda"] is None else f"{row['lambda']:g}", ",".join(map(str, row["linear"])) or "none"]
    costs = [f"{row[key]:,}" for key in ("units", "params", "macs")]
    if row["lambda"] is None:
        return [*start, *costs, f"{100 * row['top1']:.2f}", *["-"] * 5]
    return [
        *start,
        *costs,
        f"{100 * row['top1']:.2f}",
        f"{100 * row['collapsed_top1']:.2f}",
        str(row["different"]),
        *(f"{error:.0e}" for error in row["errors"].values()),
        f"{row['speed']['ratio']:.2f}",
    ]


def draw_restructuring(summary: dict[str, Any]) -> "Figure":
    """Accuracy against non-linear units and against multiply-adds; a line along the networks that no other one beats.

    Args:
        summary: as in :func:`restructuring_report`.
    """
    from matplotlib.figure import Figure

    rows = summary["networks"]
    figure = Figure(figsize=(10, 4.1), layout="constrained")
    for axis, (key, label) in zip(
        figure.subplots(1, 2, sharey=True), (("units", "non-linear units"), ("macs", "multiply-adds")), strict=True
    ):
        best = front(rows, key)
        axis.plot([row[key] for row in best], [100 * row["top1"] for row in best], color=GREY, linewidth=1, zorder=1)
        for row in rows:
            own = row["lambda"] is None
            axis.plot(row[key], 100 * row["top1"], "s" if own else "o", color=ORANGE if own else BLUE, ms=5)
            axis.annotate("SuperNet" if own else f"λ {row['lambda']:g}", (row[key], 100 * row["top1"]), (4, 4),
                          textcoords="offset points", fontsize=8)  # fmt: skip
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("top-1 on the test set, %")
    figure.suptitle(f"{summary['experiment']}: {summary['settings']['network']}, trained anew with linear blocks")
    return figure


def front(rows: list[dict[str, Any]], key: str, gain: str = "top1") -> list[dict[str, Any]]:
    """Rows of which no other one has less of a cost and as much accuracy, or more of it at the same cost; by cost."""
    found: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda one: (one[key], -one[gain])):
        if not found or row[gain] > found[-1][gain]:
            found.append(row)
    return found
