"""The candidates of a search that count: those that are parents, the best one, and the front."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from madnas.search.survival import crowded, dominated, order


@dataclass(frozen=True, slots=True)
class Pool:
    """Candidates with what they are judged by, in the order in which they were found.

    Attributes:
        candidates: (N, V).
        judged: fitness and the negative of every cost of a front, each the more the better (N, 1 + costs).
        breach: how far each exceeds its budgets, relative; 0 where it does not (N,).
    """

    candidates: np.ndarray
    judged: np.ndarray
    breach: np.ndarray

    @classmethod
    def empty(cls, columns: int, objectives: int) -> "Pool":
        """No candidates."""
        return cls(np.zeros((0, columns), np.int64), np.zeros((0, objectives)), np.zeros(0))

    def __len__(self) -> int:
        return len(self.candidates)

    def __add__(self, other: "Pool") -> "Pool":
        pairs = zip(self.arrays().values(), other.arrays().values(), strict=True)
        return Pool(*(np.concatenate(pair) for pair in pairs))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Its three arrays by name."""
        return {"candidates": self.candidates, "judged": self.judged, "breach": self.breach}

    def take(self, places: np.ndarray) -> "Pool":
        """Some of them."""
        return Pool(self.candidates[places], self.judged[places], self.breach[places])

    def best(self, number: int) -> "Pool":
        """The best so many, from the best on."""
        return self.take(order(self.judged, self.breach)[:number])

    def fittest(self) -> "Pool":
        """The one with the highest fitness, of equals the earliest; none of none."""
        return self.take(np.argsort(-self.judged[:, 0], kind="stable")[:1])

    def diverse(self, number: int, niches: np.ndarray, most: int) -> "Pool":
        """The best so many, of which at most so many are of one niche while there are others."""
        return self.take(crowded(niches, order(self.judged, self.breach), most)[:number])

    def drawn(self, number: int, generator: np.random.Generator) -> "Pool":
        """So many at random of those within the budgets; where these are fewer, the nearest others too."""
        keys = generator.random(len(self))
        return self.take(np.lexsort((keys, self.breach))[:number])

    def within(self) -> "Pool":
        """Those within the budgets."""
        return self.take(np.flatnonzero(self.breach <= 0))

    def front(self) -> "Pool":
        """Those within the budgets that no other dominates, the fittest first."""
        inside = self.within()
        best = inside.take(np.flatnonzero(~dominated(inside.judged)))
        return best.take(np.lexsort(best.judged.T[::-1])[::-1])
