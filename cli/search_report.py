"""What a search prints."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from .console import print_json, stdout
from .design_report import NAMES, cost_text, print_latency_table
from .tables import network_table, new_table, share

if TYPE_CHECKING:
    from madnas.search.outcome import Found, Outcome

MOST_ROWS = 30
"""Networks of a front that are printed; the files have all."""


def print_document(outcome: "Outcome") -> None:
    """The search as one JSON document."""
    from madnas.report.search import search_document

    print_json(search_document(outcome))


def print_outcome(outcome: "Outcome", journal: Path | None) -> None:
    """A search for people."""
    console = stdout()
    spec = outcome.best.spec
    shape = "x".join(str(size) for size in spec.input)
    console.print(Text.assemble((spec.name, "bold"), f"  space {outcome.family.name}, input {shape}\n"))
    console.print(network_table(spec))
    console.print(_limits_table(outcome))
    if outcome.front:
        console.print(_front_table(outcome))
        if len(outcome.front) > MOST_ROWS:
            console.print(f"... {len(outcome.front)} networks in all")
    console.print(f"{outcome.goal.fitness.text}: {_value(outcome.best)}")
    for name, score in outcome.best.scores.items():
        if not outcome.goal.fitness.single:
            console.print(f"  {name} {_spread(score['value'], score['std'], score['n'])}")
    _print_program(outcome)
    print_latency_table(outcome.best.spec.provenance)
    for reason, number in outcome.failed.items():
        console.print(f"{number} candidate{'s' * (number != 1)} without a score: {reason}")
    console.print(_work(outcome))
    if outcome.interrupted:
        again = f"the same command goes on from {journal}" if journal else "give -o, and the same command goes on"
        console.print(f"stopped early; {again}")


def _value(found: "Found") -> str:
    return _spread(found.fitness, found.std, found.n)


def _spread(value: float, std: float | None, n: int) -> str:
    if n == 1:
        return f"{value:,.6g}" + (" (a single draw)" if std is None else "")
    return f"{value:,.6g} ± {std:.2g} over {n} draws"


def _limits_table(outcome: "Outcome") -> Table:
    """Value, limit and share of every budget, and the other costs."""
    table = new_table("limit", "value", "of", "used")
    best = outcome.best
    for name, (value, limit) in outcome.used(best).items():
        table.add_row(
            NAMES.get(name, name), cost_text(name, value), cost_text(name, limit, exact=True), share(value, limit)
        )
    others = best.counts.tree() | {"rho": float(best.structure.rho)}
    for name in ("macs", "params", "layers", "rho"):
        if name not in outcome.goal.budgets:
            table.add_row(NAMES[name], cost_text(name, others[name]), "none", "")
    if best.depth is not None:
        table.add_row("layers of Zen-NAS", *map(str, best.depth), share(*best.depth))
    return table


def _front_table(outcome: "Outcome") -> Table:
    table = new_table(
        "name", outcome.goal.fitness.text, "n", *[NAMES.get(one, one) for one in outcome.goal.front], "blocks"
    )
    for found in outcome.front[:MOST_ROWS]:
        depths = "-".join(str(depth) for depth in found.spec.depths)
        values = [cost_text(name, found.costs[name]) for name in outcome.goal.front]
        table.add_row(found.spec.name, f"{found.fitness:,.6g}", str(found.n), *values, depths)
    return table


def _print_program(outcome: "Outcome") -> None:
    program = outcome.program
    if outcome.program_failure:
        stdout().print(f"mathematical program: no answer: {outcome.program_failure}", markup=False)
    if program is None:
        return
    share_ = outcome.best.fitness / program.objective
    stdout().print(
        f"mathematical program: {program.objective:,.1f} nats, bound {program.bound:,.1f}, "
        f"gap {100 * program.gap:.3f} %; the search reaches {100 * share_:.2f} % of it"
    )


def _work(outcome: "Outcome") -> str:
    numbers, rates = outcome.numbers, outcome.rates
    text = f"{numbers['rounds']:,} rounds, {numbers['proposed']:,} candidates proposed, {numbers['scored']:,} scored"
    if "draws" in numbers:
        text += f" in {numbers['draws']:,} draws ({rates['score_cpu_seconds']:.1f} s of CPU time)"
    return f"{text}, {rates['seconds']:.2f} s"
