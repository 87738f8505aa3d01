"""What goes where: data to stdout, talk to stderr, one JSON document for machines."""

import json
import math
import os
import sys
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

WIDTH = 120
"""Columns of the usual tables; where a terminal has fewer, it wraps lines rather than that we cut them."""

WIDEST = 10_000
"""Columns of a table whose names are as long as paths are."""


def discard_stdout() -> None:
    """After the reader of our output went away, which is its right: write the rest to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def open_streams() -> None:
    """Give a process that was started with closed streams somewhere to write."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


class _Console(Console):
    """rich's console, except that a reader that goes away is no error, and that no number is cut off."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; a table that has no column to wrap is as wide as it has to be."""
        usual = self.width
        self.width = max([usual, *(self._needs(shown) for shown in objects if isinstance(shown, Table))])
        try:
            super().print(*objects, **options)
        finally:
            self.width = usual

    def _needs(self, table: Table) -> int:
        """Columns that a table needs; 0 where one of its own gives way by wrapping."""
        if not all(column.no_wrap for column in table.columns):
            return 0
        return Measurement.get(self, self.options.update(width=WIDEST), table).maximum

    def on_broken_pipe(self) -> None:
        """Go on quietly; rich would exit with 1."""
        discard_stdout()


def stdout() -> Console:
    """The console for results, wide enough for every table."""
    console = _Console(highlight=False, soft_wrap=False)
    console.width = max(console.width, WIDTH)
    return console


def stderr() -> Console:
    """The console for talk."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(document: dict[str, Any]) -> None:
    """Print exactly one JSON document; what is not finite becomes null, which JSON has."""
    text = json.dumps(_finite(document), indent=2, ensure_ascii=False, default=_number)
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard_stdout()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> Any:
    return value.item()  # numpy scalars
