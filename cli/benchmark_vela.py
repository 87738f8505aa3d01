"""What ``madnas benchmark --engine vela`` estimates and shows: nothing is timed."""

from pathlib import Path
from typing import Any

from rich.markup import escape

from madnas.csvtext import csv_text
from madnas.errors import MadnasError, UsageError
from madnas.files import check_writable, write_text_atomic
from madnas.measure.npu.accelerators import accelerator
from madnas.measure.npu.vela import left_out, named, need_vela
from madnas.measure.provenance import cells
from madnas.network.layer import Resolution
from madnas.units import short_quantity

from .console import print_json, stdout
from .progress import status
from .tables import new_table

SCHEMA = "madnas/npu-estimate/1"
ACTIVATIONS = ("as-is", "relu6")
COLUMNS = (
    *("target", "npu", "system_config", "memory_mode", "core_clock", "activations", "vela", "macs"),
    *("inferences_per_second", "seconds", "cycles", "sram_bytes", "npu_share", "cpu_operators", "utilisation", "ratio"),
    *("versions", "command", "commit"),
)


def vela(
    targets: list[str],
    npu: str,
    activations: str,
    resolution: Resolution | None,
    sram: int | None,
    csv: Path | None,
    force: bool,
    json: bool,
) -> None:
    """Estimate, print and write; ratios are to the first network.

    Raises:
        UsageError: the extra is missing, no such NPU, or a target was refused; after the others were shown.
    """
    if activations not in ACTIVATIONS:
        raise UsageError(f"--npu-activations: unknown {activations[:60]!r}", f"one of {', '.join(ACTIVATIONS)}")
    accelerator(npu)
    need_vela()
    if csv is not None:
        check_writable(csv, force)
    from madnas.measure.provenance import complete, provenance

    about = complete(provenance("cpu", ("ethos-u-vela",)))
    with status(quiet=json) as say:
        results, failed = _estimate(targets, npu, activations, resolution, sram, say)
    if csv is not None and results:
        write_text_atomic(csv, _csv(results, about), force)
    if json:
        print_json({"schema": SCHEMA, "results": results, "failed": failed, "environment": about})
    elif results:
        _print(results)
    if failed:
        reasons = "; ".join(f"{name}: {reason.removeprefix(f'{name}: ')}" for name, reason in failed.items())
        raise UsageError(f"{len(failed)} of {len(targets)} not estimated: {reasons}")


def _estimate(
    targets: list[str], npu: str, activations: str, resolution: Resolution | None, sram: int | None, say: Any
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    from madnas.measure.npu.estimate import estimate
    from madnas.scores.targets import subject
    from madnas.targets import find

    subjects = [subject(find(word), resolution) for word in targets]
    results: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for word, one in zip(targets, subjects, strict=True):
        say(f"estimating {word}")
        try:
            network = one.make() if one.spec is None else one.spec
            found = estimate(network, one.input, npu, activations, sram=sram, name=word)  # type: ignore[arg-type]
        except MadnasError as error:
            failed[word] = str(error) if error.hint is None else f"{error} ({error.hint})"
            continue
        tree = {"target": word} | found.document() | {"conditions": found.conditions}
        first = results[0] if results else tree
        results.append(tree | {"ratio": tree["inferences_per_second"] / first["inferences_per_second"]})
    return results, failed


def _print(results: list[dict[str, Any]]) -> None:
    table = new_table(
        "target", "MACs", "inferences/s", "ms", "cycles", "SRAM KiB", "on the NPU", "busy", "times as fast"
    )
    for row in results:
        table.add_row(
            escape(row["target"]),
            short_quantity(row["macs"]),
            f"{row['inferences_per_second']:,.2f}",
            f"{1e3 * row['seconds']:.3g}",
            short_quantity(row["cycles"]["total"]),
            f"{row['memory']['sram'] / 1024:,.0f}",
            f"{100 * row['npu_share']:.0f} %",
            f"{100 * row['utilisation']:.0f} %",
            f"{row['ratio']:.3g}",
        )
    console = stdout()
    console.print(table)
    console.print(f"estimated by Vela, not measured: {results[0]['conditions']}")
    for row in results:
        if row["cpu_operators"]:
            console.print(f"{escape(row['target'])}: estimated {left_out(row['cpu_operators'])}")
    other = [escape(row["target"]) for row in results if row["cpu_operators"] != results[0]["cpu_operators"]]
    if other:
        console.print(f"not of the same work, for other operators are on the CPU than of the first: {', '.join(other)}")


def _csv(results: list[dict[str, Any]], about: dict[str, Any]) -> str:
    rows = []
    for row in results:
        sums = {"cycles": row["cycles"]["total"], "sram_bytes": row["memory"]["sram"]}
        rows.append(row | sums | {"cpu_operators": named(row["cpu_operators"])} | cells(about))
    return csv_text(rows, COLUMNS)
