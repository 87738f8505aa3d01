"""What ``madnas benchmark paper`` recomputes and shows."""

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape

from madnas.errors import UsageError
from madnas.files import check_writable, write_text_atomic
from madnas.network.named import unknown_name
from madnas.papers.printed import PAPERS
from madnas.papers.recompute import Result, recompute

from .console import print_json, stdout
from .progress import status
from .tables import new_table

ALL = "all"


def paper(which: str, designs: bool, output: Path | None, force: bool, json: bool) -> None:
    """Recompute, print and write.

    Raises:
        UsageError: an unknown paper; or a number that differs without a known reason, after all were shown.
    """
    if which not in (*PAPERS, ALL):
        raise unknown_name("paper", which, (*PAPERS, ALL))
    if output is not None:
        if output.suffix.lower() != ".md":
            raise UsageError(f"{output}: the table is written in Markdown", "give --output a name that ends in .md")
        check_writable(output, force)
    from madnas.measure.provenance import provenance
    from madnas.report.papers import papers_document, papers_markdown

    about = provenance("cpu", ("casadi", "ethos-u-vela"))
    with status(quiet=json) as say:
        results = recompute(PAPERS if which == ALL else (which,), say, designs)
    if output is not None:
        write_text_atomic(output, papers_markdown(results, about), force)
    if json:
        print_json(papers_document(results, about))
    else:
        _print(results)
    unknown = [one for one in results if one.verdict == "differs" and not one.why]
    if unknown:
        places = "; ".join(
            f"{one.cell.paper}, {one.cell.place}, {one.cell.label}, {one.cell.column}: {one.shown} is not "
            f"{one.cell.printed}"
            for one in unknown
        )
        raise UsageError(f"{len(unknown)} numbers differ and nobody knows why: {places}")


def _print(results: Sequence[Result]) -> None:
    from madnas.report.papers import NAMES, not_here, summary

    console = stdout()
    table = new_table("name", "table", "row", "column", "printed", "ours", "difference", "why")
    table.columns[1].justify = table.columns[3].justify = table.columns[7].justify = "left"
    table.columns[7].no_wrap = table.columns[2].no_wrap = False
    for one in results:
        if one.verdict != "not here":
            cells = (NAMES[one.cell.paper], one.cell.table, one.cell.label, one.head, one.cell.printed,
                     one.shown or "-", one.difference or "-", one.why)  # fmt: skip
            table.add_row(*(escape(cell) for cell in cells))
    console.print(table)
    short = new_table("name", "table", "recomputed", "every digit", "differ", "not here")
    for row in summary(results):
        counts = (row["recomputed"], row["same"], row["differs"], row["not_here"])
        short.add_row(NAMES[row["paper"]], row["table"], *map(str, counts))
    console.print(short)
    for line in not_here(results):
        console.print(line, markup=False)
    for reason in dict.fromkeys(one.why for one in results if one.verdict == "not installed"):
        console.print(f"not computed: {reason}", markup=False)
