"""What ``madnas export`` does and shows."""

from dataclasses import asdict
from pathlib import Path

from rich.markup import escape

from madnas.errors import UsageError
from madnas.files import check_writable, write_bytes_atomic

from .console import print_json, stderr, stdout
from .progress import status

SCHEMA = "madnas/export/1"
ANY = "any"
MAX_BATCH = 65_536


def run_export(
    target: str, weights: Path | None, format: str | None, batch_size: str, output: Path, force: bool, json: bool
) -> None:
    """Export, check, write, and say how well the file agrees."""
    check_writable(output, force)
    batch = _batch(batch_size)
    from madnas.export.export import FORMATS, export
    from madnas.export.opened import open_for_export

    kind = format or {suffix: name for name, suffix in FORMATS.items()}.get(output.suffix, "")
    if kind not in FORMATS:
        raise UsageError(
            f"--format: unknown {(format or output.suffix)[:60]!r}",
            f"one of {', '.join(FORMATS)}, or a file called *{', *'.join(FORMATS.values())}",
        )
    with status(quiet=json) as say:
        network = open_for_export(target, weights)
        say(f"exporting {target}")
        result = export(network.module, network.input, kind, batch)
    write_bytes_atomic(output, result.data, force)
    document = {
        "schema": SCHEMA,
        "target": target,
        "weights": network.weights,
        "format": kind,
        "file": str(output),
        "bytes": len(result.data),
        "input": [batch or ANY, *network.input],
        "agreement": [asdict(one) for one in result.agreements],
    }
    if json:
        print_json(document)
        return
    if network.weights is None:
        stderr().print(f"{target}: the weights are random; --weights names others", markup=False)
    shape = " x ".join(map(str, document["input"]))  # type: ignore[arg-type]
    console = stdout()
    console.print(f"{escape(target)}: {kind}, {shape}, {len(result.data) / 1e6:,.2f} MB")
    for one in result.agreements:
        console.print(
            f"batch {one.batch}: largest difference from PyTorch {one.absolute:.1e}, {one.relative:.1e} of the largest "
            "output"
        )
    console.print(f"wrote {escape(str(output))}")


def _batch(text: str) -> int | None:
    """Images of a batch; None for any number.

    Raises:
        UsageError: neither.
    """
    if text == ANY:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MAX_BATCH:
        raise UsageError(f"--batch-size: from 1 to {MAX_BATCH}, or {ANY}; got {text[:60]!r}")
    return int(text)
