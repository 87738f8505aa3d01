"""Latency as a cost of a search: a space whose networks are predicted by a latency table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from madnas.errors import UsageError
from madnas.network.spec import NetworkSpec
from madnas.search.family import Family, Values
from madnas.search.fixed import Fixed

if TYPE_CHECKING:
    from madnas.measure.latency_table import LatencyTable


class Timed:
    """A space with ``latency``, in seconds for a batch of the table (:class:`~madnas.search.family.Family`).

    Networks that the table does not cover take forever, so that no budget admits them.

    Args:
        family: the space.
        table: what predicts latencies.
    """

    def __init__(self, family: Family, table: "LatencyTable") -> None:
        self.family, self.table = family, table
        self.name, self.columns = family.name, family.columns
        self.known, self.together = (*family.known, "latency"), family.together
        self.start, self.mutate, self.breach = family.start, family.mutate, family.breach
        self.niche, self.network = family.niche, family.network

    def describe(self) -> dict[str, object]:
        """Where its latencies come from, and how far they are from networks that were measured and not fitted."""
        return self.table.describe()

    def closed(self, candidates: np.ndarray, names: Sequence[str]) -> Values:
        """Closed-form scores and costs by name."""
        found = self.family.closed(candidates, [name for name in names if name != "latency"])
        if "latency" in names:
            seconds = self._of_arrays(candidates) if isinstance(self.family, Fixed) else self._one_by_one(candidates)
            found["latency"] = np.where(np.isnan(seconds), np.inf, seconds)
        return found

    def _of_arrays(self, candidates: np.ndarray) -> np.ndarray:
        assert isinstance(self.family, Fixed)
        spec = self.family.problem.network(list(np.ascontiguousarray(candidates.T)))
        return np.broadcast_to(self.table.predict_many(spec), len(candidates))

    def _one_by_one(self, candidates: np.ndarray) -> np.ndarray:
        return np.array([self._seconds(self.family.network(candidate, "candidate")) for candidate in candidates])

    def _seconds(self, spec: NetworkSpec) -> float:
        try:
            return self.table.predict(spec)
        except UsageError:
            return float("nan")
