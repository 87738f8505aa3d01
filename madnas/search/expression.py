"""What a search maximises: an arithmetic expression over scores and costs, such as ``zen - 0.1*macs/1G``.

Python's own parser reads it, and only numbers, the four operations, powers and a few functions pass. Names are those of
scores and costs, hyphens included; numbers may have units (``1G``, ``29M``, ``0.3ms``).
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from madnas.errors import UsageError
from madnas.network.yamlfile import did_you_mean, shorten
from madnas.theory.numerics import Number, exp, is_array, log, minimum, sqrt

UNITS = {
    "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "s": 1.0, "ms": 1e-3, "us": 1e-6,
}  # fmt: skip
"""Suffixes of numbers; times are in seconds."""

MAX_LENGTH = 400
"""Longest expression that is read."""

NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
WORD = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9]*")
SIGNS = frozenset("+-*/(), \t")


def _maximum(x: Number, y: Number) -> Number:
    return -minimum(-x, -y)


FUNCTIONS: dict[str, tuple[int, Callable[..., Number]]] = {
    "log": (1, log), "exp": (1, exp), "sqrt": (1, sqrt), "abs": (1, abs), "min": (2, minimum), "max": (2, _maximum),
}  # fmt: skip
"""Functions by name, with the number of their arguments."""

OPERATIONS: dict[type[ast.AST], Callable[..., Number]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip


@dataclass(frozen=True)
class Expression:
    """An expression that has been read.

    Attributes:
        text: as the user wrote it.
        names: scores and costs in it, each once, in order.
        tree: its syntax tree, whose variables are ``v0``, ``v1`` ... for the names.
    """

    text: str
    names: tuple[str, ...]
    tree: ast.expr

    def __call__(self, values: Mapping[str, Number]) -> Number:
        """The value where the names have these values, numbers or arrays; not finite where a number has none.

        >>> parse("zen - 0.1*macs/1G", ["zen", "macs"])({"zen": 59.5, "macs": 1.8e9})
        59.32
        """
        import numpy as np

        variables = {
            f"v{place}": np.atleast_1d(np.asarray(values[name], float)) for place, name in enumerate(self.names)
        }
        with np.errstate(all="ignore"):  # always over arrays: plain numbers raise errors, or become complex
            found = np.asarray(_value(self.tree, variables), dtype=float)
        return found if any(is_array(values[name]) for name in self.names) else float(found[0])

    def renamed(self, names: Mapping[str, str]) -> "Expression":
        """The same expression over other scores."""
        return Expression(self.text, tuple(names.get(name, name) for name in self.names), self.tree)

    @property
    def single(self) -> bool:
        """Whether it is a name alone."""
        return isinstance(self.tree, ast.Name)


def parse(text: str, known: list[str]) -> Expression:
    """Read an expression, or a list of weights such as ``zen:0.7,naswot:0.3``, which is their weighted sum.

    Args:
        text: the expression.
        known: names that it may have.

    Raises:
        UsageError: what cannot be read, and where; an unknown name, with the nearest one.

    >>> parse("zen:2,macs:-1", ["zen", "macs"])({"zen": 3.0, "macs": 1.0})
    5.0
    """
    if not text.strip() or len(text) > MAX_LENGTH:
        raise _wrong(text, "is empty" if not text.strip() else f"has more than {MAX_LENGTH} characters")
    names: list[str] = []
    source = "".join(_tokens(_weights(text), known, names, text))
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _wrong(text, "is no arithmetic expression") from None
    _check(tree, text)
    if not names:
        raise _wrong(text, "has no score in it")
    return Expression(text.strip(), tuple(names), tree)


def _weights(text: str) -> str:
    """A list of weights as a sum; anything else as it is."""
    if ":" not in text:
        return text
    parts = [part.split(":") for part in text.split(",")]
    if any(len(part) != 2 or not part[1].strip() for part in parts):
        raise _wrong(text, "is no list NAME:WEIGHT,NAME:WEIGHT")
    return " + ".join(f"({weight}) * ({name})" for name, weight in parts)


def _tokens(text: str, known: list[str], names: list[str], whole: str) -> Iterator[str]:
    """Python's text of an expression; names become variables, and are appended to ``names``."""
    place = 0
    while place < len(text):
        if match := NUMBER.match(text, place):
            place = match.end()
            unit = PLAIN.match(text, place)
            if unit and unit[0] not in UNITS:
                raise _wrong(
                    whole, f"has an unknown unit {shorten(match[0] + unit[0])!r}", f"one of {', '.join(UNITS)}"
                )
            place = unit.end() if unit else place
            value = float(match[0]) * (UNITS[unit[0]] if unit else 1.0)
            if not isfinite(value):
                raise _wrong(whole, f"has a number in it that is too large: {shorten(match[0])}")
            yield repr(value)
        elif match := WORD.match(text, place):
            name = _name(match[0], known, whole)
            place += len(name)
            if name in FUNCTIONS and name not in known:
                yield name
                continue
            if name not in names:
                names.append(name)
            yield f"v{names.index(name)}"
        elif text[place] in SIGNS:
            yield text[place]
            place += 1
        else:
            raise _wrong(whole, f"has {text[place]!r} in it", "write names, numbers, + - * / ** ( ) and functions")


def _name(word: str, known: list[str], whole: str) -> str:
    """The name at the beginning of a word: the longest one known, for ``zen-macs`` is a difference."""
    parts = word.split("-")
    for number in range(len(parts), 0, -1):
        name = "-".join(parts[:number])
        if name in known or name in FUNCTIONS:
            return name
    where = "" if whole.strip() == word else f" in {shorten(whole)!r}"
    similar = did_you_mean(word, known) or did_you_mean(parts[0], known)
    raise UsageError(f"--score: unknown score {shorten(word)!r}{where}{similar}", "madnas score --list has them all")


def _check(node: ast.AST, text: str) -> None:
    """Let pass what is arithmetic, and nothing else."""
    if isinstance(node, ast.BinOp | ast.UnaryOp) and type(node.op) in OPERATIONS:
        parts: list[ast.AST] = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.operand]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
        parts = list(node.args)
        number = FUNCTIONS[node.func.id][0]
        if len(parts) != number or node.keywords:
            raise _wrong(text, f"gives {node.func.id}() {len(parts)} values; it takes {number}")
    elif (isinstance(node, ast.Constant) and isinstance(node.value, float) and isfinite(node.value)) or (
        isinstance(node, ast.Name) and node.id not in FUNCTIONS
    ):
        parts = []
    else:
        raise _wrong(text, "is no arithmetic expression")
    for part in parts:
        _check(part, text)


def _value(node: ast.AST, variables: Mapping[str, Any]) -> Number:
    if isinstance(node, ast.BinOp):
        return OPERATIONS[type(node.op)](_value(node.left, variables), _value(node.right, variables))
    if isinstance(node, ast.UnaryOp):
        return OPERATIONS[type(node.op)](_value(node.operand, variables))
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        return FUNCTIONS[node.func.id][1](*(_value(part, variables) for part in node.args))
    if isinstance(node, ast.Name):
        return variables[node.id]
    import numpy as np

    assert isinstance(node, ast.Constant)
    return np.array([node.value])


def _wrong(text: str, problem: str, hint: str | None = None) -> UsageError:
    return UsageError(f"--score: {shorten(repr(text))} {problem}", hint or 'write "zen - 0.1*macs/1G", say')
