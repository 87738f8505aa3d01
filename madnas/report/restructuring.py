"""What the restructuring experiment says: accuracy against non-linear units, before and after the collapse."""

from typing import TYPE_CHECKING, Any

from madnas.report.restructure_front import draw_front

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
        "linear blocks as 1x1, depthwise, 1x1 (`expanded.yaml`), and then collapsed. Params and MACs are those of the",
        "collapsed network; left: places where one layer would have more multiply-adds than those that are there.",
        "",
        "| lambda | linear blocks | left | non-linear units | params | MACs | top-1 % | collapsed, top-1 % "
        "| other predictions | float64 | float32 | speed |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
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
        return [*start, "-", *costs, f"{100 * row['top1']:.2f}", *["-"] * 5]
    return [
        *start,
        str(row["left"]),
        *costs,
        f"{100 * row['top1']:.2f}",
        f"{100 * row['collapsed_top1']:.2f}",
        str(row["different"]),
        *(f"{error:.0e}" for error in row["errors"].values()),
        f"{row['speed']['ratio']:.2f}",
    ]


def draw_restructuring(summary: dict[str, Any]) -> "Figure":
    """Accuracy against non-linear units and against multiply-adds.

    Args:
        summary: as in :func:`restructuring_report`.
    """
    title = f"{summary['experiment']}: {summary['settings']['network']}, trained anew with linear blocks"
    return draw_front(title, summary["networks"])
