"""What a search for linear blocks says: slopes over the epochs, what it costs, and a table of strengths."""

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from madnas.measure.npu.compare import NoEstimate, NpuChange
from madnas.measure.npu.vela import named
from madnas.network.specfile import spec_to_tree
from madnas.theory.restructuring import LINEAR
from madnas.train.supernet import Found

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = "madnas/restructure-search/1"


Speeds = Sequence[NpuChange | NoEstimate]
"""Estimates on an NPU, one for each strength; empty if nobody wants them."""


def search_document(name: str, found: list[Found], speeds: Speeds = ()) -> dict[str, Any]:
    """The results as JSON-able data."""
    return {
        "schema": SCHEMA,
        "network": name,
        "results": [
            {
                "lambda": one.strength,
                "folder": str(one.folder),
                "linear": list(one.linear),
                "alphas": {number: values[-1] for number, values in one.trajectories.items()},
                "top1": one.top1,
                **{what: {"before": old, "after": new} for what, (old, new) in one.costs.items()},
                **({"npu": speeds[place].document()} if speeds else {}),
                "spec": spec_to_tree(one.spec),
            }
            for place, one in enumerate(found)
        ],
    }


def front_csv(found: list[Found], speeds: Speeds = ()) -> str:
    """A line for each strength."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["lambda", "top1", "linear_blocks", "params", "macs", "units", "alphas"]
                   + ["npu_cpu_operators", "npu_inferences_per_second"] * bool(speeds))  # fmt: skip
    for place, one in enumerate(found):
        costs = {what: new for what, (_, new) in one.costs.items()}
        alphas = " ".join(f"{number}:{values[-1]:.4f}" for number, values in one.trajectories.items())
        linear = " ".join(map(str, one.linear))
        row = [f"{one.strength:g}", one.top1, linear, costs["params"], costs["macs"], costs["units"], alphas]
        if speeds:
            speed = speeds[place]
            after = speed.after if isinstance(speed, NpuChange) else None
            row += [named(after.cpu_operators), f"{after.inferences_per_second:.6g}"] if after else ["", ""]
        table.writerow(row)
    return text.getvalue()


def search_report(name: str, found: list[Found], speeds: Speeds = ()) -> str:
    """The results in Markdown."""
    lines = [
        f"# {name}: which blocks may be linear",
        "",
        f"Blocks whose slope ends from {LINEAR[0]} to {LINEAR[1]} are collapsed. Accuracies are the searches' own,",
        "with slopes as they are: what a network is worth shows when it is trained anew.",
        "",
        "| lambda | top-1 % of the search | linear blocks | params | MACs | non-linear units |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        costs = " | ".join(f"{old:,} -> {new:,}" for old, new in one.costs.values())
        linear = ", ".join(map(str, one.linear)) or "none"
        lines.append(f"| {one.strength:g} | {100 * one.top1:.2f} | {linear} | {costs} |")
    pictures = [
        "![slopes](alphas.png)",
        *(["![accuracy against non-linear units](front.png)"] if len(found) > 1 else []),
    ]
    lines += ["", *_npu_lines(found, speeds), *pictures, ""]
    for one in found:
        lines += [f"## lambda {one.strength:g}", "", "| block | slope | |", "|---|---|---|"]
        lines += [
            f"| {number} | {values[-1]:.4f} | {'linear' if number in one.linear else ''} |"
            for number, values in one.trajectories.items()
        ]
        lines += ["", f"The network, to be trained anew: `{one.folder.name}/subnetwork.yaml`; with more weights, to be",
                  f"collapsed after: `{one.folder.name}/expanded.yaml`.", ""]  # fmt: skip
    return "\n".join(lines)


def _npu_lines(found: list[Found], speeds: Speeds) -> list[str]:
    """Estimated speeds in Markdown."""
    changes = [(one, speed) for one, speed in zip(found, speeds, strict=False) if isinstance(speed, NpuChange)]
    reasons = list(dict.fromkeys(f"No speed on an NPU: {speed}." for speed in speeds if isinstance(speed, NoEstimate)))
    lines = [part for reason in reasons for part in (reason, "")]
    if not changes:
        return lines
    lines += [
        "| lambda | inferences/s on an NPU | times | peak SRAM, KiB | operators on the NPU |",
        "|---|---|---|---|---|",
    ]
    for one, speed in changes:
        pair = speed.before, speed.after
        rates = " -> ".join(f"{each.inferences_per_second:,.1f}" for each in pair)
        memory = " -> ".join(f"{each.memory['sram'] / 1024:,.0f}" for each in pair)
        shares = " -> ".join(f"{each.npu_share:.0%}" for each in pair)
        lines.append(f"| {one.strength:g} | {rates} | {speed.ratio:.2f} | {memory} | {shares} |")
    left = [f"- Lambda {one.strength:g}: speeds {speed.caveat}." for one, speed in changes if speed.caveat]
    lines += ["", *left] if left else []
    return [*lines, "", f"Estimated, with random weights: {changes[0][1].after.conditions}.", ""]


def draw_search(name: str, found: list[Found]) -> "Figure":
    """Slopes over the epochs, a panel for each strength; the range that counts as linear is shaded."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(4.2 * max(1.6, len(found)), 4), layout="constrained")
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for panel, one in zip(panels, found, strict=True):
        panel.axhspan(*LINEAR, color="0.9", zorder=0)
        epochs = [epoch + 1 for epoch in one.epochs]
        for values in one.trajectories.values():
            panel.plot(epochs, values, linewidth=1, marker="." if len(epochs) == 1 else None)
        for numbers, height in _labels(one):
            panel.annotate(numbers, (epochs[-1], height), (3, 0), textcoords="offset points", fontsize=7, va="center")
        panel.set_title(f"lambda {one.strength:g}")
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("slope of a block: 1 is linear")
    figure.suptitle(f"{name}: blocks by their number")
    return figure


def _labels(found: Found) -> list[tuple[str, float]]:
    """Numbers of blocks, and where they stand at the end of their lines; together where lines end together."""
    ends = sorted((values[-1], number) for number, values in found.trajectories.items())
    values = [value for points in found.trajectories.values() for value in points]
    near = 0.03 * max(max(values) - min(values), LINEAR[1] - LINEAR[0])
    groups: list[list[tuple[float, int]]] = []
    for end in ends:
        if groups and end[0] - groups[-1][-1][0] < near:
            groups[-1].append(end)
        else:
            groups.append([end])
    return [
        (
            ",".join(str(number) for number in sorted(number for _, number in group)),
            sum(v for v, _ in group) / len(group),
        )
        for group in groups
    ]


def front_rows(found: list[Found]) -> list[dict[str, Any]]:
    """Rows for :func:`madnas.report.restructure_front.draw_front`: what was found, with the search's accuracy."""
    return [
        {"lambda": one.strength, "top1": one.top1, **{what: after for what, (_, after) in one.costs.items()}}
        for one in found
    ]
