"""What ``madnas design`` shows and writes."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from madnas.errors import UsageError
from madnas.files import write_bytes_atomic, write_text_atomic
from madnas.network.specfile import MAX_NAME, dump_spec
from madnas.units import format_quantity, short_quantity

from .console import print_json, stdout
from .outputs import check_new_folder, check_places
from .tables import network_table, new_table, share

if TYPE_CHECKING:  # it loads the solver, which --list does without
    from madnas.program.design import Design, Miss

NAMES = {
    "macs": "MACs", "params": "params", "activations": "activations", "layers": "layers", "rho": "rho",
    "latency": "latency",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OutputFiles:
    """Where results go; checked before anything is solved, written whole or not at all.

    Attributes:
        output: the network's file, or a sweep's folder.
        csv: a table.
        plot: a picture.
        force: replace what exists.
        names: name of every network that will be designed.
    """

    output: Path | None
    csv: Path | None
    plot: Path | None
    force: bool
    names: tuple[str, ...]

    @property
    def swept(self) -> bool:
        """Whether there are several networks."""
        return len(self.names) > 1

    def check(self) -> None:
        """Raise what would go wrong at the end.

        Raises:
            UsageError: a name that no file can have, two results in one file, or a place that cannot be written.
        """
        for name in self.names:
            check_name(name)
        if len(set(self.names)) < len(self.names):
            raise UsageError("two points of the sweep have the same values", "give each value once")
        places = [path for path in (self.csv, self.plot) if path is not None]
        if self.output is not None and self.swept:
            check_new_folder(self.output, self.force)
            if self.output.is_dir():
                places += [self.output / file for file in self._sweep_files()]
        elif self.output is not None:
            places.append(self.output)
        check_places(places, self.plot, self.force)

    def _sweep_files(self) -> list[str]:
        return [*(f"{name}.yaml" for name in self.names), "sweep.csv", "sweep.png"]

    def write(self, designs: "list[Design]") -> None:
        """Write every file that was asked for."""
        from madnas.figures import picture_format, render
        from madnas.report.document import design_csv
        from madnas.report.plots import draw_design, draw_sweep

        if self.csv is not None:
            write_text_atomic(self.csv, design_csv(designs), self.force)
        if self.plot is not None:
            figure = draw_sweep(designs) if self.swept else draw_design(designs[0])
            write_bytes_atomic(self.plot, render(figure, picture_format(self.plot)), self.force)
        if self.output is None:
            return
        if not self.swept:
            write_text_atomic(self.output, dump_spec(designs[0].spec), self.force)
            return
        try:
            self.output.mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(f"{self.output}: cannot be created: {error.strerror}") from error
        for one in designs:
            write_text_atomic(self.output / f"{one.spec.name}.yaml", dump_spec(one.spec), self.force)
        write_text_atomic(self.output / "sweep.csv", design_csv(designs), self.force)
        write_bytes_atomic(self.output / "sweep.png", render(draw_sweep(designs), "png"), self.force)


def check_name(name: str) -> None:
    """Refuse a name that is no single component of a path, or would break a line."""
    if name[:1] in ("", "-", ".") or "/" in name or "\\" in name or not name.isprintable() or len(name) > MAX_NAME:
        raise UsageError(f"--name: {name[:60]!r} cannot be part of a file name", "use letters, digits, - and _")


def print_json_document(designs: "list[Design]", missed: "list[Miss]", swept: bool) -> None:
    """The results as one JSON document."""
    from madnas.report.document import design_document, sweep_document

    print_json(sweep_document(designs, missed) if swept else design_document(designs[0]))


def print_misses(missed: "list[Miss]") -> None:
    """On stderr, why points of a sweep have no network."""
    from madnas.program.design import point_name

    for miss in missed:
        print(f"madnas: {point_name('point', miss.swept)}: {miss.error}", file=sys.stderr)
        if miss.error.hint:
            print(f"hint: {miss.error.hint}", file=sys.stderr)


def print_design(design: "Design") -> None:
    """One design for people."""
    console = stdout()
    shape = "x".join(str(size) for size in design.spec.input)
    console.print(Text.assemble((design.spec.name, "bold"), f"  space {design.problem.space.name}, input {shape}\n"))
    console.print(network_table(design.spec))
    console.print(_stages_table(design))
    console.print(_limits_table(design))
    if design.space_limits():
        reached = ", ".join(f"{name} {value}" for name, value in design.space_limits().items())
        console.print(f"at the largest that space {design.problem.space.name} allows: {reached}")
    solution = design.solution
    console.print(
        f"objective {design.objective:,.1f} nats, bound {design.bound:,.1f}, gap {100 * design.gap:.3f} % "
        f"(plain relaxation {solution.relaxation:,.1f})"
    )
    console.print(f"bound rests on: {design.bound_basis}")
    print_latency_table(design.spec.provenance)
    console.print(f"{solution.solver}, {solution.evaluated:,} candidates scored, {design.seconds:.2f} s")


def _stages_table(design: "Design") -> Table:
    table = new_table("stage", "map", "out", "layers", "rho", "entropy", "weight")
    for number, (stage, weight) in enumerate(zip(design.structure.stages, design.problem.weights, strict=True), 1):
        table.add_row(
            str(number), f"{stage.resolution:g}", f"{int(stage.out_chs)}", f"{int(stage.depth)}", f"{stage.rho:.4f}",
            f"{stage.entropy:,.2f}", f"{weight:g}",
        )  # fmt: skip
    return table


def _limits_table(design: "Design") -> Table:
    """Value, limit and share of every budget and rho, and what one percent more of it would add."""
    table = new_table("limit", "value", "of", "used", "1 % more adds")
    gains = {binding.limit: binding for binding in design.binding}
    for name, (value, limit) in design.used().items():
        table.add_row(
            NAMES[name],
            cost_text(name, value),
            cost_text(name, limit, exact=True),
            share(value, limit),
            _gain(gains, name),
        )
    if design.problem.rho is not None:
        rho, limit_rho = design.structure.rho, design.problem.rho
        table.add_row("rho", f"{rho:.4f}", f"{limit_rho:g}", share(rho, limit_rho), _gain(gains, "rho"))
    else:
        table.add_row("rho", f"{design.structure.rho:.4f}", "none", "", "")
    for name in ("macs", "params", "layers"):
        if name not in design.problem.budgets:
            table.add_row(NAMES[name], short_quantity(getattr(design.counts, name)), "none", "", "")
    return table


def cost_text(name: str, value: float, exact: bool = False) -> str:
    """A cost or a limit for people; ``exact``: such that it reads back to the same number."""
    if name == "latency":
        return f"{1e3 * value:.4g} ms"
    if name == "rho":
        return f"{value:g}" if exact else f"{value:.4f}"
    return format_quantity(value) if exact else short_quantity(value)


def print_latency_table(provenance: "dict[str, Any]") -> None:
    """What predictions of latency rest on, if a network's provenance has any."""
    table = provenance.get("latency_table")
    if table is not None:
        stdout().print(
            f"latency: predicted for batches of {table['batch_size']} on {table['device']}, {table['precision']}; of "
            f"{table['held_out_n']} networks held out, half are within {100 * table['held_out_median']:.1f} %, "
            f"95 % within {100 * table['held_out_p95']:.1f} %"
        )


def _gain(gains: dict, name: str) -> str:
    if name not in gains:
        return "nothing (does not bind)"
    return f"{gains[name].gain:,.1f} nats ({gains[name].gain_percent:.2f} %)"


def print_sweep(designs: "list[Design]") -> None:
    """A sweep for people, one row a design."""
    from madnas.report.document import front

    keys, best = list(designs[0].swept), front(designs)
    table = new_table(*[key.replace("_", " ") for key in keys], "MACs", "params", "layers", "width", "rho", "entropy",
                   "objective", "gap", "blocks", *(["front"] if best else []))  # fmt: skip
    for index, one in enumerate(designs):
        entropy = one.structure.weighted_entropy(one.problem.weights)
        table.add_row(
            *[_swept(key, one.swept[key]) for key in keys],
            short_quantity(one.counts.macs), short_quantity(one.counts.params), str(one.counts.layers),
            f"{one.structure.width:.1f}", f"{one.structure.rho:.4f}", f"{entropy:,.0f}", f"{one.objective:,.0f}",
            f"{100 * one.gap:.2f} %", "-".join(str(depth) for depth in one.spec.depths),
            *(["*" if best[index] else ""] if best else []),
        )  # fmt: skip
    console = stdout()
    console.print(table)
    if best:
        console.print("front: * where no other design here has a higher objective at no more of any budget")
    else:
        console.print("entropy and objective compare between rows of the same stage weights only")
    console.print(f"{len(designs)} design{'s' * (len(designs) != 1)} in {sum(one.seconds for one in designs):.2f} s")


def _swept(key: str, value: object) -> str:
    """A swept value as a cell."""
    if isinstance(value, tuple):
        return ",".join(f"{part:g}" for part in value)
    if value is None:
        return "none"
    return f"{value:g}" if key == "rho" else format_quantity(float(str(value)))


def print_list(json: bool) -> None:
    """Spaces and recipes, a line each, or as one JSON document."""
    from madnas.report.listing import list_document

    document = list_document()
    if json:
        print_json(document)
        return
    spaces = new_table("space", "block", "groups", "kernels", "summary")
    for one in document["spaces"]:
        kernels = ",".join(map(str, one["kernels"]))
        spaces.add_row(one["name"], one["block"], str(one["groups"]), kernels, escape(one["summary"]))
    for one in document["evolution_spaces"]:
        kernels = ",".join(map(str, one["kernels"]))
        spaces.add_row(one["name"], ", ".join(one["blocks"]), "free", kernels, escape(one["summary"]))
    recipes = new_table("recipe", "MACs", "params", "rho", "space", "row")
    for one in document["recipes"]:
        budgets = [format_quantity(one["budgets"][name]) for name in ("macs", "params")]
        recipes.add_row(one["name"], *budgets, f"{one['rho']:g}", one["space"], escape(one["row"]))
    console = stdout()
    console.print(spaces)
    console.print(recipes)
