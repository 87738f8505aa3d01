"""The course of a search, as it is drawn and printed afterwards."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from madnas.search.family import Family, Values
from madnas.search.pool import Pool
from madnas.search.survival import order

QUANTILES = (0.0, 0.5, 1.0)
"""Least, median and largest of a population."""

SPREAD = ("layers", "width")
"""What they are noted of."""

SAMPLE = 12
"""Members of a noted population, evenly from the best to the last, whose fitness and costs are kept."""

DENSE = 20
"""Rounds at the beginning that are all noted; from then on about so many for every doubling of the rounds."""


@dataclass
class History:
    """What a search was like after some of its rounds.

    Attributes:
        rows: one for each noted round: ``round``, ``proposed``, ``scored``, ``best`` (fitness), ``front`` (its size),
            ``layers`` and ``width`` (least, median, largest of the population).
        members: some of each noted population: ``round``, ``fitness``, and every cost that has a budget.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    members: list[dict[str, Any]] = field(default_factory=list)

    def wants(self, round_: int) -> bool:
        """Whether a round is noted."""
        return round_ < DENSE or round_ % max(1, 2 ** (round_.bit_length() - DENSE.bit_length() + 1) // 2) == 0

    def note(
        self, family: Family, population: Pool, budgets: Iterable[str], round_: int, proposed: int, scored: int,
        best: float | None, front: int,
    ) -> None:  # fmt: skip
        """Add a row, and some members of the population."""
        row: dict[str, Any] = {"round": round_, "proposed": proposed, "scored": scored, "best": best, "front": front}
        inside = population.within()
        if len(inside):
            values = family.closed(inside.candidates, (*SPREAD, *budgets))
            row |= {name: [float(value) for value in np.quantile(values[name], QUANTILES)] for name in SPREAD}
            self._sample(inside, {name: values[name] for name in budgets}, round_)
        self.rows.append(row)

    def _sample(self, inside: Pool, costs: Values, round_: int) -> None:
        """Add some members of a population, whose costs are these."""
        places = np.unique(np.linspace(0, len(inside) - 1, SAMPLE).round().astype(int))
        for place in order(inside.judged, inside.breach)[places].tolist():
            member = {"round": round_, "fitness": float(inside.judged[place, 0])}
            self.members.append(member | {name: float(costs[name][place]) for name in costs})
