"""What goes where: data to stdout, talk to stderr, one JSON document for machines."""

import json
import math
import os
import sys
from typing import Any

from rich.console import Console


def stdout() -> Console:
    """The console for results; wide enough for every table where stdout is a file or a pipe."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
    return Console(width=width, highlight=False, soft_wrap=False)


def stderr() -> Console:
    """The console for talk."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(document: dict[str, Any]) -> None:
    """Print exactly one JSON document; what is not finite becomes null, which JSON has."""
    sys.stdout.write(json.dumps(_finite(document), indent=2, ensure_ascii=False, default=_number) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> Any:
    return value.item()  # numpy scalars
