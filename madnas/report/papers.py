"""The papers' numbers beside ours: a document, a table in Markdown, and a summary by table."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from madnas.papers.printed import MISSING, Cell
from madnas.papers.recompute import Result

SCHEMA = "madnas/paper-numbers/1"
NAMES = {"deepmad": "DeepMAD", "zen-nas": "Zen-NAS", "nn-mass": "NN-Mass", "ran": "RAN"}


def papers_document(results: Sequence[Result], about: dict[str, Any]) -> dict[str, Any]:
    """All rows as JSON-able data.

    Args:
        results: of :func:`madnas.papers.recompute.recompute`.
        about: where the numbers come from.
    """
    rows = [
        {
            "paper": one.cell.paper,
            "table": one.cell.table,
            "row": one.cell.label,
            one.cell.subject[0]: one.cell.subject[1],
            "column": one.cell.column,
            "head": one.head,
            "quantity": one.cell.quantity or None,
            "input": one.cell.size,
            "printed": one.cell.printed,
            "ours": one.ours,
            "shown": one.shown or None,
            "difference": one.difference or None,
            "verdict": one.verdict,
            "why": one.why or None,
        }
        for one in results
    ]
    return {"schema": SCHEMA, "results": rows, "summary": summary(results), "environment": about}


def summary(results: Sequence[Result]) -> list[dict[str, Any]]:
    """How many numbers of every table come out."""
    tables: dict[tuple[str, str], Counter[str]] = {}
    for one in results:
        tables.setdefault((one.cell.paper, one.cell.table), Counter())[one.verdict] += 1
    return [
        {
            "paper": paper,
            "table": table,
            "recomputed": counts["same"] + counts["differs"],
            "same": counts["same"],
            "differs": counts["differs"],
            "not_here": counts["not here"],
            "not_installed": counts["not installed"],
        }
        for (paper, table), counts in tables.items()
    ]


def summary_markdown(results: Sequence[Result], about: dict[str, Any]) -> str:
    """How many numbers of every table come out, as a table."""
    lines = ["| paper | table | numbers recomputed | every printed digit | need what is not here |",
             "|---|---|---|---|---|"]  # fmt: skip
    for row in summary(results):
        here = row["recomputed"]
        lines.append(f"| {NAMES[row['paper']]} | {row['table']} | {here} | {row['same']} | {row['not_here']} |")
    counts = Counter(one.verdict for one in results)
    total = counts["same"] + counts["differs"]
    lines.append(f"| all | | {total} | {counts['same']} | {counts['not here']} |")
    lines += ["", *_versions(about)]
    return "\n".join(lines) + "\n"


def papers_markdown(results: Sequence[Result], about: dict[str, Any]) -> str:
    """Every number: printed, ours, difference, why; then what is not computed here, and what would produce it."""
    lines = ["| source | row | column | printed | ours | difference | why |", "|---|---|---|---|---|---|---|"]
    for one in results:
        if one.verdict != "not here":
            cells = [_source(one), one.cell.label, one.head, one.cell.printed, one.shown or "-",
                     one.difference or "-", one.why]  # fmt: skip
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += ["", "Not computed here:", "", *(f"- {line}" for line in not_here(results)), "", *_versions(about)]
    return "\n".join(lines) + "\n"


def _source(one: Result) -> str:
    return f"{NAMES[one.cell.paper]}, {one.cell.place}"


def not_here(results: Sequence[Result]) -> Iterator[str]:
    """What is not computed and what it needs, a line for each reason of a table.

    It names columns, or rows where nothing of a row is here.

    Args:
        results: of :func:`madnas.papers.recompute.recompute`.
    """
    groups: dict[tuple[str, str], list[Cell]] = {}
    for one in results:
        if one.verdict == "not here":
            groups.setdefault((_source(one), one.why), []).append(one.cell)
    for (source, why), cells in groups.items():
        missing = cells[0].subject[0] == MISSING
        what = ", ".join(dict.fromkeys(cell.label if missing else cell.column for cell in cells))
        yield f"{source}, {what} ({len(cells)} number{'s' if len(cells) > 1 else ''}): needs {why}"


def _versions(about: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return [f"{versions}; {about['hardware']}, commit {about['commit'][:12]}."]
