"""Progress of long work: a bar on a terminal, a line now and then elsewhere, always on stderr."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

INTERVAL = 5.0
"""Seconds between two lines where stderr is no terminal."""


def track(items: Iterable[T], total: int, what: str, quiet: bool = False) -> Iterator[T]:
    """Pass items on and show how many there have been of ``total``."""
    if quiet and not sys.stderr.isatty():
        yield from items
        return
    if sys.stderr.isatty():
        from rich.progress import track as bar

        from .console import stderr

        yield from bar(items, description=what, total=total, console=stderr(), transient=True)
        return
    last = time.monotonic()
    for done, item in enumerate(items, 1):
        if time.monotonic() - last > INTERVAL:
            last = time.monotonic()
            print(f"{what}: {done} of {total}", file=sys.stderr)
        yield item
