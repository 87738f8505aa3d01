"""What a collapse says: a document for machines, and a page for people."""

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from madnas.measure.npu.compare import NoEstimate, NpuChange
from madnas.report.certificate import certificate_document, cost_lines, doubt_lines, measured_on, times
from madnas.restructure.certificate import Cost
from madnas.restructure.collapse import Collapsed, Merged

SCHEMA = "madnas/collapse-certificate/1"


def collapse_document(name: str, result: Collapsed, weights: str | None, about: dict[str, Any]) -> dict[str, Any]:
    """The certificate as JSON-able data.

    Args:
        name: of the network.
        result: what was done.
        weights: file of the weights before; None for random ones.
        about: versions and hardware.
    """
    return certificate_document(SCHEMA, name, result, weights) | {
        "merged": [asdict(one) for one in result.merged],
        "left": [asdict(one) for one in result.left],
        "environment": about,
    }


def collapse_report(
    name: str,
    result: Collapsed,
    weights: str | None,
    about: dict[str, Any],
    rounded: Mapping[str, float] = MappingProxyType({}),
    moved: float = 0.0,
    npu: NpuChange | NoEstimate | None = None,
) -> str:
    """The certificate in Markdown; with slopes that were taken as 1, and how far that moved the outputs."""
    worst = {dtype: max(one.errors[dtype].relative for one in result.merged) for dtype in result.errors}
    lines = [
        f"# {name}, collapsed",
        "",
        f"Weights: {weights or 'random, with running statistics far from the initial ones'}.",
        "",
        *cost_lines(result),
    ]
    if isinstance(npu, NpuChange):
        rates = (f"{one.inferences_per_second:,.1f}" for one in (npu.before, npu.after))
        speeds = " | ".join(rates) + f", {npu.ratio:.2f} times" + (f", {npu.caveat}" if npu.caveat else "")
        lines.append(f"| inferences/s on {npu.after.npu}, estimated | {speeds} |")
        lines += ["", f"NPU: {npu.after.conditions}; random weights."]
    elif npu is not None:
        lines += ["", f"No speed on an NPU: {npu}."]
    lines += [
        "",
        "| largest difference | absolute | relative | relative, worst merge alone | rounding before |",
        "|---|---|---|---|---|",
    ]
    for dtype, errors in result.errors.items():
        lines.append(
            f"| {dtype} | {errors.absolute:.1e} | {errors.relative:.1e} | {worst[dtype]:.1e} | {errors.rounding:.1e} |"
        )
    shapes = ", ".join(" x ".join(map(str, one)) for one in next(iter(result.errors.values())).shapes)
    lines += [
        "",
        f"On normal images of {shapes}; relative to the largest output.",
        *doubt_lines(result.errors),
        "",
        "| merged | kernel | params | MACs | MAC ratio | speed | float64 | float32 |",
        "|---|---|---|---|---|---|---|---|",
        *("| " + " | ".join(row) + " |" for row in merge_rows(result)),
    ]
    if rounded:
        slopes = ", ".join(f"{block} ({slope:.4f})" for block, slope in rounded.items())
        lines += ["", f"Slopes taken as 1: {slopes}. That alone changed the outputs on one random image by up to",
                  f"{moved:.2g} of the largest; all other differences are from the network after it."]  # fmt: skip
    if result.left:
        lines += ["", "Left, because one layer has more multiply-adds (`--costly` merges them):", ""]
        lines += [f"- {' + '.join(one.modules)}: {one.before:,} would become {one.after:,}" for one in result.left]
    return "\n".join([*lines, "", measured_on(about), ""])


def merge_rows(result: Collapsed) -> list[list[str]]:
    """A row of texts for each merge."""
    return [
        [
            f"{one.name} (+ {len(one.modules) - 1})",
            "x".join(str(side) for side in one.kernel) + (", border" if one.border else ""),
            _change(one.before.params, one.after.params),
            _change(one.before.macs, one.after.macs),
            ratio(one.before, one.after),
            times(one.latency["after"]) if one.latency else "-",
            f"{one.errors['float64'].relative:.0e}",
            f"{one.errors['float32'].relative:.0e}",
        ]
        for one in result.merged
    ]


def ratio(before: Cost, after: Cost) -> str:
    """How many times fewer multiply-adds."""
    return f"{before.macs / after.macs:.2f}" if after.macs else "-"


def _change(before: int, after: int) -> str:
    return f"{before:,}" if before == after else f"{before:,} -> {after:,}"


def folded(result: Collapsed) -> tuple[list[Merged], list[Merged]]:
    """Merges of several convolutions, and batch norms that were folded into one."""
    several = [one for one in result.merged if one.layers > 1]
    return several, [one for one in result.merged if one.layers == 1]
