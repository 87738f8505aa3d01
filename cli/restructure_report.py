"""What ``madnas restructure`` does, shows and writes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.text import Text
from safetensors.torch import save

from madnas.data.source import Process
from madnas.device import check_device
from madnas.errors import UsageError
from madnas.files import check_folder, check_writable, write_bytes_atomic, write_text_atomic
from madnas.measure.npu.compare import NONE, NoEstimate, NpuChange, check_npu, npu_change
from madnas.network.restructured import dump
from madnas.network.specfile import dump_spec
from madnas.report.certificate import doubts, times
from madnas.report.collapse import collapse_document, collapse_report, folded, ratio
from madnas.report.split import one_image, split_document, split_report, split_rows
from madnas.restructure import collapse as room
from madnas.restructure import split as room_of_split
from madnas.restructure.certificate import Certified, compare, in_dtype, probes_of
from madnas.restructure.slopes import linear_in
from madnas.restructure.split import Which
from madnas.restructure.split_spec import as_spec
from madnas.train.environment import environment
from madnas.train.opened import Opened, images_for, open_network
from madnas.units import short_quantity

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
    device: str,
    npu: str | None,
    output: Path | None,
    force: bool,
    json: bool,
) -> None:
    """Collapse a network, print what was done, and write it."""
    check_npu(npu)
    measured = _measured(timed, device)
    files = Files.of(output, force)
    opened = open_network(target, checkpoint)
    rounded, moved = _rounded(opened, costly, only) if round_alphas else ({}, 0.0)
    with status(json) as watch:
        result = room.collapse(opened.model, opened.input, costly, only, measured, watch)
        speed = _on_npu(opened, result, npu, watch)
    about = environment(Process(device=torch.device(device)))
    word, source = opened.target.word, opened.source
    document = collapse_document(word, result, source, about) | {
        "rounded_alphas": rounded, "rounding_moved": moved, "rounding_moved_on": one_image(opened.input),
    }  # fmt: skip
    if speed is not None:
        document["npu"] = speed.document()
    if files is not None:
        description = replace(
            opened.description("collapsed"), merged=tuple(one.modules for one in result.merged),
            linear=linear_in(opened.model), costly=costly, only=tuple(only),
        )  # fmt: skip
        state = None if source is None else result.model.state_dict()
        page = collapse_report(word, result, source, about, rounded, moved, speed)
        files.write(dump(description), state, document, page)
    if json:
        print_json(document)
        return
    _print_collapse(opened, result, rounded, moved)
    if isinstance(speed, NpuChange):
        stdout().print(f"{speed.after.npu}: {speed}", highlight=False)
    elif speed is not None:
        talk(f"no speed on an NPU: {speed}")
    tell_places(files, source)


def split(
    target: str,
    checkpoint: Path | None,
    fraction: float,
    activation: str,
    units: Which,
    seed: int,
    recipe: str | None,
    data: Path,
    only: list[str],
    costly: bool,
    timed: bool,
    device: str,
    output: Path | None,
    force: bool,
    json: bool,
) -> None:
    """Split a network, print what was done, and write it."""
    if units != "effect" and recipe is not None:
        raise UsageError("--recipe: only --units effect looks at images", "leave it out")
    measured = _measured(timed, device)
    files = Files.of(output, force)
    opened = open_network(target, checkpoint)
    images = [] if units != "effect" else images_for(opened, recipe, data, seed)
    with status(json) as watch:
        result = room_of_split.split(
            opened.model, opened.input, fraction, activation, units, seed, images, only, costly, measured, watch
        )
    about = {"fraction": fraction, "units": units, "activation": activation, "seed": seed,
             "environment": environment(Process(device=torch.device(device)))}  # fmt: skip
    word, source = opened.target.word, opened.source
    document = split_document(word, result, source, about) | {"changed_on": one_image(opened.input)}
    if files is not None:
        found = None if opened.target.spec is None else as_spec(opened.target.spec, result, activation)
        if found is None:
            kept = {part.name: part.kept for part in result.parts}
            text = dump(replace(opened.description("split"), split=kept, branch=activation))  # type: ignore[arg-type]
            state = result.model.state_dict()
        else:
            spec, state = found
            text = dump_spec(replace(spec, name=f"{spec.name}-split"))
        files.write(text, state if source else None, document, split_report(word, result, source, about))
    if json:
        print_json(document)
        return
    _print_split(opened, result)
    tell_places(files, source)


@dataclass(frozen=True, slots=True)
class Files:
    """The folder that a result goes to."""

    folder: Path

    @classmethod
    def of(cls, folder: Path | None, force: bool) -> "Files | None":
        """Raise before the work what would go wrong when it is written."""
        if folder is None:
            return None
        check_folder(folder)
        for name in (WEIGHTS, CERTIFICATE, REPORT, NETWORK) if folder.exists() else ():
            check_writable(folder / name, force)
        return cls(folder)

    def write(self, network: str, state: "dict[str, Any] | None", document: dict[str, Any], report: str) -> None:
        """Write all files, the network last: where it is, the others are."""
        self.folder.mkdir(exist_ok=True)
        for name in (NETWORK, WEIGHTS):  # what is replaced: never a description beside weights of another one
            (self.folder / name).unlink(missing_ok=True)
        if state is not None:
            tensors = {name: value.detach().contiguous() for name, value in state.items()}
            write_bytes_atomic(self.folder / WEIGHTS, save(tensors), overwrite=True)
        write_text_atomic(self.folder / CERTIFICATE, json_text(document), overwrite=True)
        write_text_atomic(self.folder / REPORT, report, overwrite=True)
        write_text_atomic(self.folder / NETWORK, network, overwrite=True)


def _measured(timed: bool, device: str) -> str | None:
    """Where latencies are measured; None if they are not.

    Raises:
        UsageError: there is no such device, or nothing to do for it.
    """
    check_device(device)
    if not timed and device != "cpu":
        raise UsageError("--device: only latencies are measured there", "leave it out, or --untimed")
    return device if timed else None


def tell_places(files: Files | None, weights: str | None) -> None:
    """Say where it is."""
    if files is not None:
        talk(f"written: {files.folder / NETWORK}" + ("" if weights else "; no weights, because none were given"))


def json_text(document: dict[str, Any]) -> str:
    """A JSON file."""
    import json

    return json.dumps(document, indent=2) + "\n"


def _rounded(opened: Opened, costly: bool, only: list[str]) -> tuple[dict[str, float], float]:
    """Slopes that were set to 1, and by how much of the largest output that moved the network."""
    before = in_dtype(opened.model, torch.float64)
    rounded = room.round_alphas(opened.model, opened.input, costly, only)
    if not rounded:
        raise UsageError("--round-alphas: no alpha from 0.8 to 1.3 is in a block that would be collapsed")
    after = in_dtype(opened.model, torch.float64)
    return rounded, compare(before, after, [next(probes_of(opened.input))]).relative


def _on_npu(
    opened: Opened, result: room.Collapsed, npu: str | None, watch: Callable[[str], None]
) -> NpuChange | NoEstimate | None:
    """Estimates on an NPU, if one was asked for."""
    if npu in (None, NONE):
        return None
    watch(f"estimating speeds on {npu}")
    return npu_change(opened.model, result.model, opened.input, npu, opened.target.word)


def _print_collapse(opened: Opened, result: room.Collapsed, linear: dict[str, float], moved: float) -> None:
    console = stdout()
    shape = "x".join(str(size) for size in opened.input)
    console.print(Text.assemble((opened.target.word, "bold"), f"  input {shape}"))
    for name, value in linear.items():
        console.print(f"alpha of {name}: {value:.4f} taken as 1")
    if linear:
        console.print(f"which changed the outputs on one random image by up to {moved:.2g} of the largest")
    several, norms = folded(result)
    if several:
        table = new_table("merged", "layers", "kernel", "MACs", "MAC ratio", "speed", "float64", "float32")
        for one in several:
            table.add_row(*_row(one))
        console.print(table)
    console.print(f"{len(several)} merges of several convolutions, {len(norms)} of a convolution with its norms")
    for other in result.left:
        names = f"{other.modules[0]} ... {other.modules[-1]}"
        console.print(f"left: {names}: {other.before:,} MACs would become {other.after:,}")
    _print_costs(result)
    for dtype, errors in result.errors.items():
        console.print(f"{dtype}: largest difference {errors.absolute:.1e}, relative {errors.relative:.1e}")
    _print_doubts(result.errors)


def _print_costs(result: room.Collapsed | room_of_split.Split) -> None:
    console = stdout()
    console.print(f"params  {result.before.params:,} -> {result.after.params:,}")
    console.print(f"MACs    {result.before.macs:,} -> {result.after.macs:,}")
    if result.latency:
        before, after = result.latency["before"], result.latency["after"]
        console.print(f"ms      {1e3 * before.median:.2f} -> {1e3 * after.median:.2f}, {times(after)}")


def _print_doubts(errors: Certified) -> None:
    for one in doubts(errors):
        stdout().print(f"warning: {one}")


def _row(one: room.Merged) -> list[str]:
    """A row of the table; the report has all digits."""
    old, new = one.before, one.after
    return [
        one.name,
        str(len(one.modules)),
        "x".join(map(str, one.kernel)) + ("+border" if one.border else ""),
        f"{short_quantity(old.macs)} -> {short_quantity(new.macs)}",
        ratio(old, new),
        f"{one.latency['after'].ratio:.2f} x" if one.latency else "-",
        f"{one.errors['float64'].relative:.0e}",
        f"{one.errors['float32'].relative:.0e}",
    ]


def _print_split(opened: Opened, result: room_of_split.Split) -> None:
    console = stdout()
    shape = "x".join(str(size) for size in opened.input)
    console.print(Text.assemble((opened.target.word, "bold"), f"  input {shape}"))
    table = new_table("pair", "units", "kept", "MACs", "speed", "float64", "float32")
    for row in split_rows(result):
        table.add_row(*row)
    console.print(table)
    for name in result.left:
        console.print(f"left: {name}: a branch costs more than it saves")
    _print_costs(result)
    for dtype, errors in result.errors.items():
        console.print(
            f"{dtype}: largest difference from the network without those activations {errors.absolute:.1e}, relative "
            f"{errors.relative:.1e}"
        )
    _print_doubts(result.errors)
    console.print(f"removing them changed the outputs on one random image by up to {result.changed:.2g} of the largest")
