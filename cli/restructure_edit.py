"""What ``madnas restructure edit`` reads, shows and writes."""

from dataclasses import replace
from pathlib import Path

from rich.text import Text

from madnas.errors import UsageError
from madnas.files import check_writable, write_text_atomic
from madnas.network.count import count
from madnas.network.mass import nn_mass
from madnas.network.spec import NetworkSpec
from madnas.network.specfile import dump_spec, spec_to_tree
from madnas.network.target import resolve
from madnas.restructure.stages import Change, changes, collapse_blocks, with_kernels

from .console import print_json, stdout
from .tables import new_table

SCHEMA = "madnas/restructure-edit/1"


def edit(
    target: str,
    blocks: str | None,
    expanded: bool,
    kernels: str | None,
    name: str | None,
    output: Path | None,
    force: bool,
    json: bool,
) -> None:
    """Edit a description, print what changed, and write it."""
    if blocks is None and kernels is None:
        raise UsageError("what is to change?", "--collapse-blocks 2,3 or --kernels 6:5,8:5")
    if expanded and blocks is None:
        raise UsageError("--expanded: is for --collapse-blocks", "leave it out")
    if output is not None:
        check_writable(output, force)
    before = resolve(target)
    after = before
    if blocks is not None:
        after = collapse_blocks(after, _numbers(blocks), expanded)
    if kernels is not None:
        after = with_kernels(after, _kernels(kernels))
    after = replace(after, name=name or f"{before.name}-edited")
    found = changes(before, after)
    if output is not None:
        write_text_atomic(output, dump_spec(after), force)
    if json:
        print_json(_document(before, after, found))
    else:
        _print(before, after, found)


def _numbers(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"--collapse-blocks {text[:60]!r}: expected numbers of blocks", "such as 2,3")
    return _once("--collapse-blocks", [int(part) for part in parts])


def _kernels(text: str) -> dict[int, int]:
    pairs = [part.split(":") for part in text.split(",")]
    if not all(len(pair) == 2 and all(one.strip().isdecimal() for one in pair) for pair in pairs):
        raise UsageError(f"--kernels {text[:60]!r}: expected BLOCK:KERNEL pairs", "such as 6:5,8:5")
    _once("--kernels", [int(number) for number, _ in pairs])
    return {int(number): int(kernel) for number, kernel in pairs}


def _once(option: str, numbers: list[int]) -> list[int]:
    """The same numbers, if none is given twice."""
    twice = [number for number in numbers if numbers.count(number) > 1]
    if twice:
        raise UsageError(f"{option}: block {twice[0]} is given twice")
    return numbers


def _document(before: NetworkSpec, after: NetworkSpec, found: list[Change]) -> dict[str, object]:
    costs = {
        name: {"params": count(spec).params, "macs": count(spec).macs, "units": nn_mass(spec).units}
        for name, spec in (("before", before), ("after", after))
    }
    blocks = [
        {"block": one.number, "was": one.before.block, "is": one.after.block, "kernel": one.after.kernel,
         "macs_before": one.macs_before, "macs_after": one.macs_after}
        for one in found
    ]  # fmt: skip
    return {"schema": SCHEMA, "spec": spec_to_tree(after), "blocks": blocks, **costs}


def _print(before: NetworkSpec, after: NetworkSpec, found: list[Change]) -> None:
    console = stdout()
    console.print(Text.assemble((after.name, "bold"), f"  from {before.name}"))
    table = new_table("number", "block", "was", "kernel", "MACs before", "MACs", "")
    for one in found:
        costs = "costs MACs" if one.macs_after > one.macs_before else ""
        table.add_row(
            str(one.number), one.after.block, one.before.block, str(one.after.kernel), f"{one.macs_before:,}",
            f"{one.macs_after:,}", costs,
        )  # fmt: skip
    console.print(table)
    for what, old, new in (
        ("params", count(before).params, count(after).params),
        ("MACs", count(before).macs, count(after).macs),
        ("non-linear units", nn_mass(before).units, nn_mass(after).units),
    ):
        console.print(f"{what:18}{old:,} -> {new:,}")
