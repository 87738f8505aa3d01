"""What all pictures share: formats, colours, and figures that draw without a display."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from madnas.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#999999"


def picture_format(path: Path) -> str:
    """Format of a picture by its file name.

    Raises:
        UsageError: not one that can be drawn.
    """
    suffix = path.suffix.lstrip(".").lower()
    if suffix not in FORMATS:
        raise UsageError(f"{path}: cannot draw a {path.suffix or 'file without suffix'}", f"use .{', .'.join(FORMATS)}")
    return suffix


def plain_log(axis: "Axis") -> None:
    """Make an axis logarithmic with plain numbers at its ticks: 0.3 rather than 3 x 10^-1."""
    name = "xscale" if axis is axis.axes.xaxis else "yscale"
    axis.axes.set(**{name: "log"})

    def between(value: float, _: float) -> str:
        """Of numbers between powers of ten all where they have room, else 2 and 5."""
        low, high = axis.get_view_interval()
        return f"{value:g}" if high < 10 * low or f"{value:e}"[0] in "25" else ""

    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(between)
    axis.set_tick_params(which="both", labelsize=8)


def tau_text(tau: dict[str, float | None] | None) -> str:
    """Kendall's tau with its interval, as far as there is one."""
    if tau is None:
        return "too few accuracies"
    if tau["value"] is None:
        return "all alike"
    interval = "" if tau["low"] is None else f" [{tau['low']:.2f}, {tau['high']:.2f}]"
    return f"τ {tau['value']:.2f}{interval}"


def render(figure: "Figure", kind: str) -> bytes:
    """A figure as the bytes of a file; the same bytes for the same figure. A $ in a name begins no formula."""
    from matplotlib import rc_context
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if "$" in text.get_text():
            text.set_parse_math(False)
    data = io.BytesIO()
    metadata: dict[str, Any] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind, {})
    with rc_context({"svg.hashsalt": "madnas"}):
        figure.savefig(data, format=kind, dpi=150, metadata=metadata)
    return data.getvalue()
