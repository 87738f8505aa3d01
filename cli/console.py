"""What goes where: data to stdout, talk to stderr, one JSON document for machines."""

import json
import math
import os
import sys
from typing import Any

from rich.console import Console


def discard_stdout() -> None:
    """After the reader of our output went away, which is its right: write the rest to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Console(Console):
    """rich's console, except that a reader that goes away is no error."""

    def on_broken_pipe(self) -> None:
        """Go on quietly; rich would exit with 1."""
        discard_stdout()


def stdout() -> Console:
    """The console for results; wide enough for every table where stdout is a file or a pipe."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
    return _Console(width=width, highlight=False, soft_wrap=False)


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
