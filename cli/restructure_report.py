"""What ``madnas restructure`` does, shows and writes."""

from pathlib import Path

from rich.text import Text

from madnas.errors import UsageError
from madnas.files import check_writable, write_bytes_atomic, write_text_atomic
from madnas.report.collapse import collapse_document, collapse_report, folded, merge_rows, times
from madnas.restructure import collapse as room
from madnas.restructure.collapsed import Description, dump
from madnas.restructure.opened import Opened, open_network

from .console import print_json, stdout
from .progress import status
from .tables import new_table
from .train_report import talk

NETWORK, WEIGHTS, CERTIFICATE, REPORT = "network.yaml", "weights.safetensors", "certificate.json", "report.md"


def collapse(
    target: str,
    checkpoint: Path | None,
    only: list[str],
    costly: bool,
    round_alphas: bool,
    timed: bool,
    output: Path | None,
    force: bool,
    json: bool,
) -> None:
    """Collapse a network, print what was done, and write it."""
    from madnas.data.source import Process
    from madnas.train.environment import environment

    places = [] if output is None else _places(output, force)
    opened = open_network(target, checkpoint)
    linear = room.round_alphas(opened.model) if round_alphas else {}
    if round_alphas and not linear:
        raise UsageError("--round-alphas: no alpha of the network lies in 0.8 to 1.3")
    with status(json) as watch:
        result = room.collapse(opened.model, opened.input, costly, only, timed, watch)
    about = environment(Process())
    weights = None if opened.weights is None else str(opened.weights)
    document = collapse_document(opened.target.word, result, weights, about) | {"rounded_alphas": linear}
    if output is not None:
        _write(output, places, opened, result, costly, document, about)
    if json:
        print_json(document)
        return
    _print(opened, result, linear)
    if output is not None:
        talk(f"written: {output / NETWORK}" + ("" if weights else "; no weights, because none were given"))


def _places(folder: Path, force: bool) -> list[Path]:
    """Files that will be written."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: not a folder", "a collapse writes several files: name a folder")
    if not folder.exists():
        check_writable(folder)
    places = [folder / name for name in (WEIGHTS, CERTIFICATE, REPORT, NETWORK)]
    for path in places if folder.exists() else []:
        check_writable(path, force)
    return places


def _write(
    folder: Path,
    places: list[Path],
    opened: Opened,
    result: room.Collapsed,
    costly: bool,
    document: dict[str, object],
    about: dict[str, object],
) -> None:
    """Write all files, the network last: where it is, the others are."""
    import json

    from madnas.network.specfile import spec_to_tree
    from madnas.train.checkpoint import weights

    target, spec = opened.target, opened.target.spec
    linear = tuple(name for name, alpha in room.alphas_of(opened.model).items() if float(alpha.detach()) == 1)
    description = Description(
        "madnas/collapsed/1", f"{spec.name if spec else target.model}-collapsed", opened.input, opened.classes,
        tuple(one.modules for one in result.merged), linear, costly,
        None if spec else target.word, spec_to_tree(spec) if spec else None,
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    file, certificate, report, network = places
    source = None if opened.weights is None else str(opened.weights)
    if source is not None:
        write_bytes_atomic(file, weights(result.model), overwrite=True)
    write_text_atomic(certificate, json.dumps(document, indent=2) + "\n", overwrite=True)
    write_text_atomic(report, collapse_report(target.word, result, source, about), overwrite=True)
    write_text_atomic(network, dump(description), overwrite=True)


def _print(opened: Opened, result: room.Collapsed, linear: dict[str, float]) -> None:
    console = stdout()
    shape = "x".join(str(size) for size in opened.input)
    console.print(Text.assemble((opened.target.word, "bold"), f"  input {shape}"))
    for name, value in linear.items():
        console.print(f"alpha of {name}: {value:.4f} taken as 1")
    several, norms = folded(result)
    if several:
        table = new_table("merged", "kernel", "params", "MACs", "MAC ratio", "speed", "float64", "float32")
        for one, row in zip(result.merged, merge_rows(result), strict=True):
            if one in several:
                table.add_row(*row)
        console.print(table)
    console.print(f"{len(several)} merges of several convolutions, {len(norms)} of a convolution with its norms")
    for other in result.left:
        names = f"{other.modules[0]} ... {other.modules[-1]}"
        console.print(f"left: {names}: {other.before:,} MACs would become {other.after:,}")
    console.print(f"params  {result.before.params:,} -> {result.after.params:,}")
    console.print(f"MACs    {result.before.macs:,} -> {result.after.macs:,}")
    if result.latency:
        before, after = result.latency["before"], result.latency["after"]
        console.print(f"ms      {1e3 * before.median:.2f} -> {1e3 * after.median:.2f}, {times(after)}")
    for dtype, errors in result.errors.items():
        console.print(f"{dtype}: largest difference {errors.absolute:.1e}, relative {errors.relative:.1e}")
