"""What ``madnas design --match-throughput`` prints and writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from madnas.files import write_bytes_atomic, write_text_atomic
from madnas.units import counted, short_quantity

from .console import stdout
from .design_report import print_design
from .tables import new_table

if TYPE_CHECKING:
    from madnas.search.throughput import Matched


@dataclass(frozen=True, slots=True)
class Files:
    """Where results go.

    Attributes:
        output: the network's YAML.
        csv: the steps.
        plot: a picture.
        replaces: whether files that exist are replaced.
    """

    output: Path | None
    csv: Path | None
    plot: Path | None
    replaces: bool


def write(files: Files, found: "Matched", about: dict[str, Any]) -> None:
    """Write every file that was asked for."""
    from madnas.figures import picture_format, render
    from madnas.network.specfile import dump_spec
    from madnas.report.throughput import draw_match, match_csv, match_document

    assert found.best.design is not None
    if files.csv is not None:
        write_text_atomic(files.csv, match_csv(found, about), files.replaces)
    if files.plot is not None:
        picture = render(draw_match(match_document(found, about)), picture_format(files.plot))
        write_bytes_atomic(files.plot, picture, files.replaces)
    if files.output is not None:
        write_text_atomic(files.output, dump_spec(found.best.design.spec), files.replaces)


def print_match(found: "Matched", about: dict[str, Any], journal: Path | None) -> None:
    """A search for people: the network, the steps, and how fast both are."""
    best = found.best
    assert best.design is not None and best.bout is not None
    print_design(best.design)
    console, reference, setting = stdout(), about["reference"], about["setting"]
    console.print()
    console.print(_steps_table(found))
    last = best.confirmed or best.bout
    entropy = best.design.structure.weighted_entropy(best.design.problem.weights)
    theirs = "" if reference["entropy"] is None else f", entropy {reference['entropy']:,.0f}"
    console.print(
        f"{escape(reference['target'])}: {short_quantity(reference['params'])} params, "
        f"{short_quantity(reference['macs'])} MACs{theirs}, {last.reference_images_per_second:,.4g} images/s, batches "
        f"of {last.reference_batch}"
    )
    counts = best.design.counts
    console.print(
        f"{escape(best.design.spec.name)}: {short_quantity(counts.params)} params, {short_quantity(counts.macs)} MACs, "
        f"entropy {entropy:,.0f}, {last.images_per_second:,.4g} images/s, batches of {last.batch}"
    )
    words = "measured once more at the end" if best.confirmed is not None else "not measured once more"
    console.print(
        f"{last.ratio.value:.3f} times as fast ({last.ratio.low:.3f} to {last.ratio.high:.3f}, 95 % interval, "
        f"{last.rounds} rounds), {words}"
    )
    environment = about["environment"]
    how = [setting["precision"], setting["layout"], counted(setting["threads"], "thread")]
    how += ["compiled"] if setting["compiled"] else []
    console.print(f"{escape(environment['hardware'])}, {environment['driver']}; {', '.join(how)}")
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
    console.print(
        f"{versions}; commit {environment['commit'][:12]}{'+changes' if '+' in environment['commit'] else ''}"
    )
    console.print(f"{len(found.steps)} steps, {found.measurements} measurements, {found.seconds:.0f} s")
    if found.interrupted:
        again = f"the same command goes on from {journal}" if journal else "give -o, and the same command goes on"
        console.print(f"stopped early; {again}")


def _steps_table(found: "Matched") -> Any:
    table = new_table("step", "scale", "MACs", "params", "layers", "objective", "images/s", "times as fast",
                      "95 % interval", "verdict")  # fmt: skip
    table.columns[-1].justify = "left"
    for step in found.steps:
        row = [str(step.number), f"{step.scale:.3f}"]
        design, bout = step.design, step.confirmed or step.bout
        if design is None:
            row += [""] * 4
        else:
            counts = design.counts
            row += [short_quantity(counts.macs), short_quantity(counts.params), str(int(counts.layers))]
            row.append(f"{design.objective:,.0f}")
        if bout is None:
            row += [""] * 3
        else:
            ratio = bout.ratio
            row += [f"{bout.images_per_second:,.4g}", f"{ratio.value:.3f}", f"{ratio.low:.3f} to {ratio.high:.3f}"]
        chosen = " *" if step.number == found.best.number else ""
        same = "" if step.same_as is None else f" (step {step.same_as})"
        table.add_row(*row, step.verdict + same + chosen)
    return table
