"""The papers' tables as printed: YAML files of this folder, read strictly."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from madnas.errors import SpecError
from madnas.network.yamlfile import read_yaml, validate

SCHEMA = "madnas/paper/1"
PAPERS = ("deepmad", "zen-nas", "nn-mass", "ran")
SUBJECTS = ("network", "design", "collapsed")
"""Keys of a row that say what it is about: a TARGET, a design recipe, a network that is collapsed."""

ALL_ROWS = "*"
"""Label of a reason that holds for a column of every row."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of a table.

    Attributes:
        paper: ``deepmad`` ...
        table: its number.
        label: of the row.
        subject: key and value of :data:`SUBJECTS`.
        column: head of the column.
        quantity: what :mod:`madnas.papers.quantities` calls it, with its unit; empty where it cannot be computed here.
        printed: the digits.
        why: what is known about a difference.
        needs: what a number that cannot be computed here needs.
    """

    paper: str
    table: str
    label: str
    subject: tuple[str, str]
    column: str
    quantity: str
    printed: str
    why: str = ""
    needs: str = ""


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of a file."""

    table: str
    columns: dict[str, str]
    rows: list[dict[str, str]]
    needs: dict[str, str] = field(default_factory=dict)
    why: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Paper:
    """A file."""

    schema: str
    paper: str
    title: str
    tables: list[_Table]


def cells(paper: str) -> Iterator[Cell]:
    """Every number of a paper's tables that its file holds, row by row.

    Raises:
        SpecError: the file is broken; every problem.
    """
    source = Path(__file__).parent / f"{paper}.yaml"
    read = validate(read_yaml(source), _Paper, str(source))
    for table in read.tables:
        for row in table.rows:
            yield from _row(read.paper, table, row, str(source))


def _row(paper: str, table: _Table, row: dict[str, str], source: str) -> Iterator[Cell]:
    subjects = [(key, row[key]) for key in SUBJECTS if key in row]
    unknown = set(row) - {"label", *SUBJECTS, *table.columns, *table.needs}
    if len(subjects) != 1 or "label" not in row or unknown:
        raise SpecError(source, [f"table {table.table}: a row needs a label, one subject and known columns: {row}"])
    label = row["label"]
    for column, printed in row.items():
        why = table.why.get(label, {}).get(column) or table.why.get(ALL_ROWS, {}).get(column, "")
        place: dict[str, Any] = {"paper": paper, "table": table.table, "label": label, "subject": subjects[0]}
        if column in table.columns:
            yield Cell(**place, column=column, quantity=table.columns[column], printed=printed, why=why)
        elif column in table.needs:
            yield Cell(**place, column=column, quantity="", printed=printed, needs=table.needs[column])
