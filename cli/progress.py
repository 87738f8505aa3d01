"""Progress of long work: a bar on a terminal, a line now and then elsewhere, always on stderr."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds after which work counts as long."""

INTERVAL = 5.0
"""Seconds between two lines where stderr is no terminal."""


@contextmanager
def status(quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Give a function that shows what a single long piece of work is doing, from its second second on."""
    begin = last = time.monotonic()

    if quiet and not sys.stderr.isatty():
        yield lambda message: None
        return
    if sys.stderr.isatty():
        from .console import stderr

        spinner = stderr().status("")

        def show(message: str) -> None:
            if time.monotonic() - begin > PATIENCE:
                spinner.update(message)
                spinner.start()

        try:
            yield show
        finally:
            spinner.stop()
        return

    def line(message: str) -> None:
        nonlocal last
        if time.monotonic() - last > INTERVAL:
            last = time.monotonic()
            print(message, file=sys.stderr)

    yield line


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
