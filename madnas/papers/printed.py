"""The papers' tables as printed: YAML files of this folder, read strictly."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from madnas.errors import SpecError
from madnas.network.layer import Resolution
from madnas.network.yamlfile import read_yaml, validate

SCHEMA = "madnas/paper/2"
PAPERS = ("deepmad", "zen-nas", "nn-mass", "ran")

MISSING = "missing"
"""Key of a row that is about nothing that is here, and says what is missing."""

SUBJECTS = (
    *("network", "design", "collapsed", "backbone", "designed_backbone", "two_stage", "scaled", "skip_cnn"),
    *("skip_mlp", "networks", MISSING),
)
"""Keys of a row that say what it is about; :mod:`madnas.papers.networks` makes networks of all but the last."""

INPUT = "input"
"""Key of a row whose images are not of its network's size: ``300`` or ``800x1280``, height and width in pixels."""

ALL_ROWS = "*"
"""Label of a reason that holds for a column of every row."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of a table.

    Attributes:
        paper: ``deepmad`` ...
        table: its number, or ``Figure 9``, ``Section 5.3``.
        label: of the row.
        subject: key and value of :data:`SUBJECTS`.
        size: height and width of the images, in pixels; None: those of the network.
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
    size: Resolution | None
    column: str
    quantity: str
    printed: str
    why: str = ""
    needs: str = ""

    @property
    def place(self) -> str:
        """Where in the paper it stands: ``Table 7``, ``Figure 9``."""
        return f"Table {self.table}" if self.table[0].isdigit() else self.table


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of a file.

    Attributes:
        table: its number, or the figure or section that prints its numbers.
        rows: label, subject, perhaps the size of the images, and what is printed in each column.
        columns: quantity of every column that is computed.
        needs: what the other columns need.
        otherwise: by label and column, the quantity or the need of a number that differs from its column's.
        why: by label and column, the reason of a difference.
    """

    table: str
    rows: list[dict[str, str]]
    columns: dict[str, str] = field(default_factory=dict)
    needs: dict[str, str] = field(default_factory=dict)
    otherwise: dict[str, dict[str, str]] = field(default_factory=dict)
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
    numbers = {key: text for key, text in row.items() if key not in ("label", INPUT, *SUBJECTS)}
    if len(subjects) != 1 or "label" not in row or set(numbers) - {*table.columns, *table.needs}:
        raise SpecError(source, [f"table {table.table}: a row needs a label, one subject and known columns: {row}"])
    size = re.fullmatch(r"(\d+)(?:x(\d+))?", row.get(INPUT, "0"))
    if size is None:
        raise SpecError(source, [f"table {table.table}: {INPUT} is 300 or 800x1280, height and width: {row}"])
    height, width = int(size[1]), int(size[2] or size[1])
    label, (kind, missing) = row["label"], subjects[0]
    for column, printed in numbers.items():
        what = table.otherwise.get(label, {}).get(column) or {**table.columns, **table.needs}[column]
        here = column in table.columns and kind != MISSING
        yield Cell(
            paper, table.table, label, subjects[0], (height, width) if height else None, column,
            quantity=what if here else "", printed=printed,
            why=(table.why.get(label, {}).get(column) or table.why.get(ALL_ROWS, {}).get(column, "")) if here else "",
            needs=missing if kind == MISSING else "" if here else what,
        )  # fmt: skip
