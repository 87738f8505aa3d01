"""The Python literal that a structure file is, read without running anything."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from madnas.errors import SpecError
from madnas.network.yamlfile import shorten

MAX_NESTING = 8

TOKEN = re.compile(
    r"""(?P<space>(?:\s|\\\n|\#[^\n]*)+)
      | (?P<operand>'[^'\\\n]*'|"[^"\\\n]*"|[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![\w.])
                   |(?:True|False|None)\b)
      | (?P<open>[\[{(]) | (?P<close>[\]})]) | (?P<between>[:,])""",
    re.VERBOSE,
)
"""The pieces of a structure file."""

PAIRS = {"]": "[", "}": "{", ")": "("}


def literal(text: str, source: str) -> Any:
    """The Python literal in a text, without running anything and without its depth ever reaching Python's parser."""
    _check_tokens(text, source)
    if not text.strip():
        raise SpecError(source, ["the file is empty"])
    try:
        expression = ast.parse(f"({text}\n)", mode="eval")
        twice = sorted(set(_keys_twice(expression)))
        if twice:
            raise SpecError(source, [f"key {key} given twice in one mapping" for key in twice])
        return ast.literal_eval(expression)
    except SyntaxError as error:
        place = f"line {error.lineno}: " if error.lineno else ""
        raise SpecError(source, [f"not a TinyNAS structure: {place}{shorten(error.msg)}"]) from error
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise SpecError(source, [f"not a TinyNAS structure: {shorten(str(error)) or 'too complex'}"]) from error


def _check_tokens(text: str, source: str) -> None:
    """Refuse everything but brackets, text, numbers and what separates them.

    Python's parser can exhaust the stack on long chains of operators, subscripts or calls, so they must not reach it.
    """
    place, opened, after_value = 0, "", False
    while place < len(text):
        match = TOKEN.match(text, place)
        kind = match.lastgroup if match else None
        starts = kind in ("operand", "open")
        if match is None or (starts and after_value) or (kind == "close" and PAIRS[text[place]] != opened[-1:]):
            raise SpecError(source, [_misplaced(text, place, f"unexpected {text[place : place + 20]!r}")])
        if kind == "open":
            opened += text[place]
        elif kind == "close":
            opened = opened[:-1]
        if len(opened) > MAX_NESTING:
            raise SpecError(source, [_misplaced(text, place, "nested too deeply")])
        after_value = kind in ("operand", "close") or (after_value and kind == "space")
        place = match.end()
    if opened:
        raise SpecError(source, [f"not a TinyNAS structure: {opened[-1]!r} is never closed"])


def _misplaced(text: str, place: int, problem: str) -> str:
    line, column = text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)
    return f"not a TinyNAS structure: line {line}, column {column}: {problem}"


def _keys_twice(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = Counter(key.value for key in node.keys if isinstance(key, ast.Constant))
            yield from (repr(key) for key, number in keys.items() if number > 1)
