"""What ``madnas scale`` shows and writes."""

import math
import sys
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from madnas.errors import InfeasibleError
from madnas.network.specfile import dump_spec
from madnas.scaling.cells import has_links, scale_cells
from madnas.scaling.compare import Rival
from madnas.scaling.family import is_uniform, multiplier_text
from madnas.scaling.problem import Scaling
from madnas.scaling.sample import Sampled, sample
from madnas.scaling.scale import Scaled, Scored, scale
from madnas.units import format_quantity, short_quantity

from .console import print_json, stdout
from .outputs import Outputs
from .progress import status
from .tables import network_table, new_table, share

UNITS = {"nn-mass": "channels", "units": "channels", "entropy": "nats", "params": ""}


def solve(problem: Scaling, name: str | None, quiet: bool) -> Scaled:
    """Scale, by multipliers or by links; says on stderr where the theory does not quite hold."""
    if has_links(problem.base):
        with status(quiet) as watch:
            return scale_cells(problem, name, watch)
    if not is_uniform(problem.base):
        print(
            f"note: {problem.base.name} has blocks of several kinds or ratios of widths, so its NN-Mass is not "
            "proportional to its non-linear units (RAN, Prop. 3)",
            file=sys.stderr,
        )
    with status(quiet) as watch:
        return scale(problem, name, watch)


def report(result: Scaled, rivals: list[Rival] | None, files: Outputs, json: bool) -> None:
    """Write the files, and print the result."""
    from madnas.report.scaling import draw_scale, scale_document, scores_csv

    figure = draw_scale(result, rivals) if files.plot is not None else None
    files.write(dump_spec(result.network.spec), scores_csv(list(result.front)), figure)
    if json:
        print_json(scale_document(result, rivals))
        return
    console = stdout()
    spec, base = result.network.spec, result.problem.base
    shape = "x".join(str(size) for size in spec.input)
    console.print(Text.assemble((spec.name, "bold"), f"  from {base.name}, input {shape}"))
    console.print(f"width x {multiplier_text(result.width)}, depth x {multiplier_text(result.depth)}\n")
    console.print(network_table(spec))
    console.print(_limits(result))
    for line in _binding(result):
        console.print(line)
    console.print(_front(result))
    if rivals is not None:
        console.print(_compare(result, rivals))
    if has_links(base):
        console.print(f"exact: the best of {result.candidates:,} choices of links in the range, {result.seconds:.2f} s")
    else:
        console.print(f"exact: all {result.candidates:,} networks of the ranges scored, {result.seconds:.2f} s")


def _limits(result: Scaled) -> Table:
    problem, network = result.problem, result.network
    found = new_table("limit", "value", "of", "used")
    for name, limit in problem.budgets.items():
        value = getattr(network.counts, name)
        found.add_row(name, short_quantity(value), format_quantity(limit), share(value, limit))
    for name in ("macs", "params"):
        if name not in problem.budgets:
            found.add_row(name, short_quantity(getattr(network.counts, name)), "none", "")
    cap = problem.max_depth
    found.add_row("blocks", str(network.blocks), str(cap or "none"), "" if cap is None else share(network.blocks, cap))
    least = problem.least_mass
    found.add_row("NN-Mass", f"{network.mass.mass:,.1f}", "none" if least is None else f"at least {least:,.1f}", "")
    found.add_row("non-linear units", f"{int(network.mass.units):,}", "", "")
    found.add_row("rho", f"{network.structure.rho:.4f}", "", "")
    return found


def _binding(result: Scaled) -> list[str]:
    """Which limit decides, in words."""
    if not result.binding:
        return ["no limit decides alone: lifting any single one gives nothing better"]
    objective = result.problem.objective
    what = "fewer params" if objective == "params" else f"more {objective}"
    lines = []
    for place, binding in enumerate(result.binding):
        flag = "--like-mass" if binding.limit == "mass" else f"--{binding.limit.replace('_', '-')}"
        wider = " a quarter wider" if binding.limit.endswith("range") else " lifted"
        lead = "decides: " if place == 0 else "         "
        gain = "from nothing:" if math.isinf(binding.gain) else f"{100 * binding.gain:.2f} %"
        lines.append(f"{lead}{flag}{wider}, alone: {gain} {what}")
    return lines


def _front(result: Scaled) -> Table:
    """The best network of every depth."""
    shown = _shown_objective(result)
    found = new_table("blocks", "depths", "widths", "MACs", "params", "NN-Mass", *shown, "")
    for one in result.front:
        mark = "answer" if one.spec.groups == result.network.spec.groups else ""
        beyond = result.problem.max_depth is not None and one.blocks > result.problem.max_depth
        found.add_row(*_row(one, shown), mark or ("beyond --max-depth" if beyond else ""))
    return found


def _shown_objective(result: Scaled) -> list[str]:
    """The objective, if no column shows it anyway."""
    return [result.problem.objective] if result.problem.objective in ("units", "entropy") else []


def _row(one: Scored, objectives: Sequence[str] = ()) -> list[str]:
    return [
        str(one.blocks), "-".join(map(str, one.spec.depths)), "-".join(str(group.out) for group in one.spec.groups),
        short_quantity(one.counts.macs), short_quantity(one.counts.params), f"{one.mass.mass:,.0f}",
        *(f"{one.value(name):,.0f}" for name in objectives),
    ]  # fmt: skip


def _compare(result: Scaled, rivals: list[Rival]) -> Table:
    shown = _shown_objective(result)
    found = new_table("scaling", "how", "blocks", "depths", "widths", "MACs", "params", "NN-Mass", *shown)
    how = f"width {float(result.width):.4g}, depth {float(result.depth):.4g}"
    found.add_row(shown[0] if shown else "NN-Mass", how, *_row(result.network, shown))
    for rival in rivals:
        cells = [""] * (6 + len(shown)) if rival.network is None else _row(rival.network, shown)
        found.add_row(rival.rule, rival.how or _beyond(result.problem, rival), *cells)
    return found


def _beyond(problem: Scaling, rival: Rival) -> str:
    """Which budgets a network exceeds that is shown as it is."""
    assert rival.network is not None
    counts = rival.network.counts
    over = [f"--{name}" for name in problem.budgets if getattr(counts, name) > problem.limit(name)]
    return f"beyond {', '.join(over)}" if over else "as it is"


def report_sample(problem: Scaling, number: int, seed: int, files: Outputs, json: bool) -> None:
    """Draw, write and print the networks near the budgets.

    Raises:
        InfeasibleError: none is near.
    """
    from madnas.report.scaling import draw_sample, sample_document, scores_csv

    found, drawn = sample(problem, number, seed)
    if not found:
        budgets = ", ".join(f"{name} {format_quantity(limit)}" for name, limit in problem.budgets.items())
        raise InfeasibleError(
            f"none of {drawn} sampled networks is within {100 * problem.tolerance:g} % of {budgets}",
            "draw more with --sample, or raise --tolerance",
        )
    figure = draw_sample(problem.base.name, found) if files.plot is not None else None
    files.write(dump_spec(found[0].network.spec), scores_csv([one.network for one in found]), figure)
    if json:
        print_json(sample_document(problem, found, number, drawn, seed))
        return
    console = stdout()
    console.print(_sample_table(found))
    console.print(
        f"{len(found)} of {drawn} different networks drawn are within {100 * problem.tolerance:g} % of the budgets; "
        "the first has the highest NN-Mass"
    )


def _sample_table(found: list[Sampled]) -> Table:
    rows = new_table("width", "depth", "blocks", "depths", "widths", "MACs", "params", "NN-Mass")
    for one in found:
        rows.add_row(multiplier_text(one.width), multiplier_text(one.depth), *_row(one.network))
    return rows
