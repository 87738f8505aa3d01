"""Latency as a cost of a search: a space whose networks are predicted by a latency table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from madnas.measure.latency_table.pieces import Piece, group_pieces, head_piece, stem_piece
from madnas.network.blocks import CATALOGUE
from madnas.search.family import Family, Values
from madnas.search.fixed import Fixed
from madnas.search.rows import HEAD, STEM, Rows
from madnas.search.rows_closed import Batch

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
            seconds = self._of_arrays(candidates) if isinstance(self.family, Fixed) else self._of_rows(candidates)
            found["latency"] = np.where(np.isnan(seconds), np.inf, seconds)
        return found

    def _of_arrays(self, candidates: np.ndarray) -> np.ndarray:
        assert isinstance(self.family, Fixed)
        spec = self.family.problem.network(list(np.ascontiguousarray(candidates.T)))
        return np.broadcast_to(self.table.predict_many(spec), len(candidates))

    def _of_rows(self, candidates: np.ndarray) -> np.ndarray:
        assert isinstance(self.family, Rows)
        family, space, number = self.family, self.family.space, len(candidates)
        stems, heads = candidates[:, STEM], candidates[:, HEAD]
        batch = Batch(space, np.stack([stems, heads]), family.parts(candidates))
        found = self._seconds(stem_piece(space.stem_of(stems), space.input))
        for cell in batch.cells():
            opening = CATALOGUE[cell.group.block].layers(cell.group, cell.chs, cell.before, 0)
            for piece in group_pieces(space.name, cell.group, opening, cell.before, cell.after):
                seconds = np.broadcast_to(self._seconds(piece), cell.candidate.shape)
                found = found + np.bincount(cell.candidate, seconds, number)
        network = space.network(stems, (), heads, space.name)
        return np.broadcast_to(found + self._seconds(head_piece(network, batch.last, batch.maps[-1])), number)

    def _seconds(self, piece: Piece) -> np.ndarray:
        """What a piece takes, not a number where the table does not cover it."""
        seconds, covered = self.table.repeated(piece)
        return np.where(covered, seconds, np.nan)
