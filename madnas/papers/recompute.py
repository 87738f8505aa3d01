"""Recompute the papers' numbers and compare them digit by digit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Literal

from madnas.errors import UsageError
from madnas.papers.networks import KINDS, Designed, Network
from madnas.papers.printed import Cell, cells
from madnas.papers.quantities import column, value

Verdict = Literal["same", "differs", "not here", "not installed"]


@dataclass(frozen=True, slots=True)
class Result:
    """A printed number and ours.

    Attributes:
        cell: what is printed.
        ours: the value in the printed unit; None where it cannot be computed here.
        shown: ours with as many digits as are printed.
        verdict: ``same``: every printed digit; ``differs``; ``not here``: needs training, other hardware, or what the
            paper does not print; ``not installed``: needs an extra.
        why: what is known about a difference, or what is needed.
    """

    cell: Cell
    ours: float | None
    shown: str
    verdict: Verdict
    why: str

    @property
    def head(self) -> str:
        """The column's head, with the unit of what is counted."""
        unit = column(self.cell.quantity).unit if self.cell.quantity else ""
        return f"{self.cell.column} ({unit})" if unit in ("K", "M", "G") else self.cell.column

    @property
    def difference(self) -> str:
        """Ours less the printed number, with the printed digits; empty where there is nothing to compare."""
        if self.ours is None or column(self.cell.quantity).below:
            return ""
        off = Decimal(self.shown) - Decimal(self.cell.printed)
        return "0" if off == 0 else f"{off:+f}"


def recompute(
    papers: Sequence[str], say: Callable[[str], None] = lambda message: None, designs: bool = True
) -> list[Result]:
    """Recompute papers' tables.

    Args:
        papers: of :data:`madnas.papers.printed.PAPERS`.
        say: is told how far it is.
        designs: whether networks that have to be designed are.
    """
    return recompute_cells([cell for paper in papers for cell in cells(paper)], say, designs)


def recompute_cells(
    wanted: Sequence[Cell], say: Callable[[str], None] = lambda message: None, designs: bool = True
) -> list[Result]:
    """Recompute numbers; those that need what is not here say so.

    Args:
        wanted: of the papers' files.
        say: is told how far it is.
        designs: whether networks that have to be designed are.
    """
    known: dict[object, Network] = {}
    found = []
    for cell in wanted:
        if cell.needs:
            found.append(Result(cell, None, "", "not here", cell.needs))
            continue
        if issubclass(KINDS[cell.subject[0]], Designed) and not designs:
            continue
        say(f"{cell.paper}, {cell.place}: {cell.label}, {cell.column}")
        found.append(result(cell, network_of(cell, known)))
    return found


def network_of(cell: Cell, known: dict[object, Network]) -> Network:
    """The network of a number: one of those known, or made and known from now on."""
    (kind, word), bare = cell.subject, column(cell.quantity).bare
    return known.setdefault((kind, word, cell.size, bare), KINDS[kind](word, cell.size, bare))


def result(cell: Cell, network: Network) -> Result:
    """Compare one number."""
    what = column(cell.quantity)
    try:
        ours = value(network, what)
    except UsageError as error:
        if error.hint is None or "pip install" not in error.hint:
            raise
        return Result(cell, None, "", "not installed", f"{error}: {error.hint}")
    if what.below:
        holds = ours < float(cell.printed)
        return Result(cell, ours, f"{ours:.2g}", "same" if holds else "differs", "the printed number is a bound")
    shown = with_digits(ours, cell.printed, what.cut)
    same = Decimal(shown) == Decimal(cell.printed)
    return Result(cell, ours, shown, "same" if same else "differs", "" if same else cell.why)


def with_digits(number: float, printed: str, cut: bool) -> str:
    """A number with as many digits after the point as are printed.

    >>> with_digits(11.6895, "11.7", False), with_digits(3.3012, "3.3", True), with_digits(1126.55, "1126", True)
    ('11.7', '3.3', '1126')
    """
    digits = len(printed.partition(".")[2])
    step = Decimal(1).scaleb(-digits)
    return str(Decimal(repr(number)).quantize(step, ROUND_DOWN if cut else ROUND_HALF_UP))
