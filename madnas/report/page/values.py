"""Values of documents as people read them."""

from typing import Any

from madnas.report.page.html import Table
from madnas.units import short_quantity

LARGE = frozenset({"params", "macs", "activations", "flops_per_second", "units"})
"""Keys whose values are shown with a decimal suffix."""

DEEPEST = 3
"""Levels of nesting that become columns."""

MOST_ROWS = 200
"""Rows of a table that are shown."""


def shown(value: Any, key: str = "") -> str:
    """A value of a JSON document in a cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return short_quantity(value) if key.rpartition(".")[2] in LARGE else f"{value:,}"
    if isinstance(value, float):
        return short_quantity(value) if key.rpartition(".")[2] in LARGE and value >= 1000 else f"{value:,.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(one) for one in value[:12]) + (" ..." if len(value) > 12 else "")
    if isinstance(value, dict):
        return ", ".join(f"{name} {shown(one, name)}" for name, one in value.items())
    return str(value)


def flat(tree: dict[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """A tree's plain values by dotted keys; lists of trees are left out.

    >>> flat({"a": 1, "b": {"c": 2, "d": [{"e": 3}]}})
    {'a': 1, 'b.c': 2}
    """
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value and depth < DEEPEST:
            found |= flat(value, f"{prefix}{name}.", depth + 1)
        elif not (isinstance(value, list) and any(isinstance(one, dict) for one in value)):
            found[f"{prefix}{name}"] = value
    return found


def rows_table(rows: list[dict[str, Any]], caption: str = "") -> Table:
    """A table of trees, a row each; columns are all keys that any of them has."""
    flats = [flat(row) for row in rows[:MOST_ROWS]]
    columns = list(dict.fromkeys(key for row in flats for key in row))
    cells = [[shown(row[key], key) if key in row else "" for key in columns] for row in flats]
    more = f" (the first {MOST_ROWS} of {len(rows):,})" if len(rows) > MOST_ROWS else ""
    return Table(columns, cells, caption + more)


def facts_table(tree: dict[str, Any], caption: str = "") -> Table:
    """A tree's plain values, a row each."""
    return Table(("", ""), [[key, shown(value, key)] for key, value in flat(tree).items()], caption)
