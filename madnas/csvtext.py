"""Tables as text in CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def csv_text(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    r"""A table in CSV, with its header; lines end as in Unix.

    >>> csv_text([{"name": "a", "macs": 1}, {"name": "b", "macs": 2}])
    'name,macs\na,1\nb,2\n'

    Args:
        rows: a dictionary each; what a row lacks is empty.
        columns: which of their entries are written, in order; default: all, in the order of the first row, and no other
            row may have further ones.
    """
    table = list(rows)
    text = io.StringIO()
    fields = list(table[0] if columns is None else columns)
    writer = csv.DictWriter(text, fields, lineterminator="\n", extrasaction="raise" if columns is None else "ignore")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
