"""Quantities as people type and read them: decimal suffixes, never rounded past a budget."""

import re
from decimal import Decimal, InvalidOperation, Overflow

from madnas.errors import UsageError

SUFFIXES = {"": 0, "K": 3, "M": 6, "G": 9, "T": 12}
"""Powers of ten; K, M, G, T are decimal, as papers count."""

_PATTERN = re.compile(r"^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\s*$")


def parse_quantity(text: str, name: str) -> int:
    """A count from text such as ``4.5G``, ``29M`` or ``4.5e9``; rounded down, so that a budget never grows.

    Args:
        text: what the user typed.
        name: the flag, for the error.

    Raises:
        UsageError: not a number, an unknown suffix, not above zero, or too large to mean anything.

    >>> parse_quantity("4.5G", "--macs")
    4500000000
    """
    match = _PATTERN.match(text)
    suffix = match.group(2) if match else ""
    if match is None or suffix not in SUFFIXES:
        close = suffix.upper() if suffix.upper() in SUFFIXES and suffix else None
        if suffix in ("B", "b"):
            close = "G"
        example = f"{match.group(1)}{close}" if match and close else "4.5G, 29M or 4.5e9"
        raise UsageError(f"{name}: cannot read {text!r}", f"write it as {example} (decimal K, M, G or T)")
    try:
        value = Decimal(match.group(1)).scaleb(SUFFIXES[suffix])
    except (InvalidOperation, Overflow):
        raise UsageError(f"{name}: {text!r} is out of range") from None
    if not 1 <= value <= Decimal(10) ** 18:
        raise UsageError(f"{name}: must be above 0 (from 1 to 1e18), got {text!r}")
    return int(value)


TIMES = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
"""Seconds of a unit of time."""


def parse_seconds(text: str, name: str) -> float:
    """Seconds from text with a unit, such as ``0.3ms``.

    Args:
        text: what the user typed.
        name: the flag, for the error.

    Raises:
        UsageError: not a number with a unit of time, or not above zero.

    >>> parse_seconds("2.5ms", "--latency")
    0.0025
    """
    match = _PATTERN.match(text)
    if match is None or match.group(2) not in TIMES:
        raise UsageError(f"{name}: cannot read {text!r}", "write it with a unit: 0.3ms, 250us or 1.5s")
    value = float(match.group(1)) * TIMES[match.group(2)]
    if not 0 < value < 1e6:
        raise UsageError(f"{name}: must be above 0 and below 1e6 s, got {text!r}")
    return value


def format_quantity(value: float) -> str:
    """A count as its shortest decimal form that reads back to the same number.

    >>> format_quantity(4500000000), format_quantity(11690000), format_quantity(71)
    ('4.5G', '11.69M', '71')
    """
    number = Decimal(int(value))
    for suffix, power in reversed(SUFFIXES.items()):
        if abs(number) >= Decimal(10) ** power:
            return f"{(number.scaleb(-power)).normalize():f}{suffix}"
    return "0"


def short_quantity(value: float) -> str:
    """A count to four significant digits for tables: ``4.324 G`` as ``4.324G``.

    >>> short_quantity(4323768752), short_quantity(28669956), short_quantity(71)
    ('4.324G', '28.67M', '71')
    """
    for suffix, power in reversed(SUFFIXES.items()):
        if abs(value) >= 10**power and power:
            return f"{value / 10**power:.4g}{suffix}"
    return f"{value:g}"


def megabytes(number: float) -> str:
    """Bytes as millions of them, with three digits where there are fewer.

    >>> megabytes(1234567890), megabytes(98765432), megabytes(417000)
    ('1,235', '98.8', '0.417')
    """
    return f"{number / 1e6:,.0f}" if number >= 99.95e6 else f"{number / 1e6:.3g}"


def counted(number: object, noun: str) -> str:
    """A number of things, of one thing without the plural's s.

    >>> counted(1, "thread"), counted(2, "thread")
    ('1 thread', '2 threads')
    """
    return f"{number} {noun}" + "s" * (number != 1)


def parse_size(text: str, name: str, largest: int = 16384) -> tuple[int, int]:
    """Height and width of an image in pixels, from ``224`` (a square) or ``800x1333``.

    Args:
        text: what the user typed.
        name: the flag, for the error.
        largest: side that is accepted.

    Raises:
        UsageError: neither form, or a side out of range.

    >>> parse_size("224", "--resolution"), parse_size("800x1333", "--resolution")
    ((224, 224), (800, 1333))
    """
    match = re.fullmatch(r"\s*([+-]?\d{1,9})(?:\s*[xX×]\s*([+-]?\d{1,9}))?\s*", text)
    if match is None:
        raise UsageError(f"{name}: cannot read {text[:60]!r}", "write a side, 224, or height and width, 800x1333")
    height, width = int(match[1]), int(match[2] or match[1])
    if not (1 <= height <= largest and 1 <= width <= largest):
        raise UsageError(f"{name}: from 1 to {largest}, got {text.strip()}")
    return height, width
