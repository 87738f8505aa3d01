"""Words of error messages about files: keys, values and what may have been meant."""

from collections.abc import Iterable

Key = tuple[str | int, ...]
"""Where a value is in a tree: ``("groups", 2, "hidden")``."""


def dotted(key: Key) -> str:
    """A key as people write it.

    >>> dotted(("groups", 2, "hidden"))
    'groups[2].hidden'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{shorten(part)}" for part in key)
    return text.removeprefix(".") or "the file"


def shorten(text: str, length: int = 60) -> str:
    """A text that fits in an error message: printable, on one line, at most ``length`` characters."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: length + 1])
    return text if len(text) <= length else text[: length - 3] + "..."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the known names that look like ``name``, or nothing.

    >>> did_you_mean("hiden", ["hidden", "kernel"])
    "; did you mean 'hidden'?"
    """
    from difflib import get_close_matches

    folded = {candidate.lower(): candidate for candidate in sorted(known)}
    close = get_close_matches(name[:100].lower(), folded, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(folded[match]) for match in close)}?" if close else ""
