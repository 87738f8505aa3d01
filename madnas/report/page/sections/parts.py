"""What sections have in common: results, tables of lists, and where numbers come from."""

from typing import Any

from madnas.errors import SpecError
from madnas.report.page.collect import Found
from madnas.report.page.html import Section
from madnas.report.page.values import rows_table, shown

HIDDEN = frozenset({"rounds_seconds", "environment", "stages", "spec", "provenance", "history", "points"})
"""Keys that a row of a table does not show: long, or shown elsewhere."""

WRITE_ANEW = "give what the command printed with --json, as it is"

EVIDENCE = ("hardware", "driver", "cores", "threads", "load", "versions", "command", "commit", "time")
"""What is shown of where numbers come from, in this order."""


def results_of(found: Found) -> list[dict[str, Any]]:
    """The rows of a document.

    Raises:
        SpecError: they are no list of trees, or none.
    """
    rows = found.content["results"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SpecError(found.source, [f"not a whole {found.kind}: 'results' is no list of results"], WRITE_ANEW)
    if not rows and not found.content.get("failed"):
        raise SpecError(found.source, [f"nothing to show: 'results' of this {found.kind} is empty"])
    return rows


def add_lists(made: Section, tree: dict[str, Any]) -> None:
    """A table for every list of trees."""
    for key, value in tree.items():
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            rows = [{name: one for name, one in row.items() if name not in HIDDEN} for row in value]
            made.tables.append(rows_table(rows, key.replace("_", " ")))


def evidence_of(environment: dict[str, Any]) -> dict[str, str]:
    """Where numbers come from, in words: hardware, versions, command, in the order of :data:`EVIDENCE`."""
    known = [name for name in EVIDENCE if environment.get(name) is not None]
    rest = [name for name in environment if name not in EVIDENCE and environment[name] is not None]
    return {name: _joined(environment[name]) for name in (*known, *rest)}


def _joined(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return shown(value)


def title_of(kind: str) -> str:
    """A schema in words: ``madnas/restructure-search/1``: Restructure search."""
    return kind.split("/")[1].replace("-", " ").capitalize().replace("Npu", "NPU")
