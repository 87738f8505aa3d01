"""What no file may hold, whatever its type: half characters, infinite or endless numbers, depth without end."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from madnas.network.yamlfile.words import Key, shorten

MAX_DEPTH = 32
"""Deepest nesting of mappings and lists; our own files need five levels."""

MAX_VALUES = 50_000
"""Most values in a file; PyYAML reads some 60,000 of them a second."""

MAX_DIGITS = 100
"""Longest number; Python refuses to read or print integers of thousands of digits."""

BROKEN_TEXT = "holds half a character (a lone surrogate)"


def is_broken(text: str) -> bool:
    """Whether a text has half a character, which UTF-8 cannot hold."""
    return any("\ud800" <= c <= "\udfff" for c in text)


def unfit(tree: Any, key: Key) -> Iterator[tuple[Key, str]]:
    """Yield what no file may hold, whatever its type: other than plain values, infinite numbers, broken text, depth."""
    if len(key) > MAX_DEPTH:
        yield key[:3], f"nested more than {MAX_DEPTH} levels deep"
    elif isinstance(tree, float):
        if not math.isfinite(tree):
            yield key, f"expected a finite number, found {tree}"
    elif isinstance(tree, str):
        if is_broken(tree):
            yield key, BROKEN_TEXT
    elif isinstance(tree, Mapping):
        for name, value in tree.items():
            if not isinstance(name, str):
                yield key, f"keys are text, found {shorten(repr(name))}"
            else:
                if is_broken(name):
                    yield key, f"key {shorten(name)} {BROKEN_TEXT}"
                yield from unfit(value, (*key, name))
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from unfit(value, (*key, index))
    elif isinstance(tree, int):
        if abs(tree) >= 10**MAX_DIGITS:
            yield key, f"a number of more than {MAX_DIGITS} digits"
    elif tree is not None:
        yield key, f"a file cannot hold a value of type {type(tree).__name__}"
