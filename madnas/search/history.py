"""The course of a search, as it is drawn and printed afterwards."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from madnas.search.family import Family
from madnas.search.pool import Pool

QUANTILES = (0.0, 0.5, 1.0)
"""Least, median and largest of a population."""

DENSE = 20
"""Rounds at the beginning that are all noted; from then on about so many for every doubling of the rounds."""


@dataclass
class History:
    """What a search was like after some of its rounds.

    Attributes:
        rows: one for each noted round: ``round``, ``proposed``, ``scored``, ``best`` (fitness), ``front`` (its size),
            ``layers`` and ``width`` (least, median, largest of the population).
    """

    rows: list[dict[str, Any]] = field(default_factory=list)

    def wants(self, round_: int) -> bool:
        """Whether a round is noted."""
        return round_ < DENSE or round_ % max(1, 2 ** (round_.bit_length() - DENSE.bit_length() + 1) // 2) == 0

    def note(
        self, family: Family, population: Pool, round_: int, proposed: int, scored: int, best: float | None, front: int
    ) -> None:
        """Add a row."""
        row: dict[str, Any] = {"round": round_, "proposed": proposed, "scored": scored, "best": best, "front": front}
        inside = population.within().candidates
        if len(inside):
            values = family.closed(inside, ("layers", "width"))
            row |= {name: [float(value) for value in np.quantile(values[name], QUANTILES)] for name in values}
        self.rows.append(row)
