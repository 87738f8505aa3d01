"""What a run remembers besides weights, and what it tells of its progress."""

from dataclasses import dataclass, field
from typing import Any

from madnas.train.kinds import Metric


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        epoch: from 0.
        epochs: of the run.
        step: updates done.
        steps: of the run.
        loss: mean since the last line of the log, or None.
        rate: learning rate.
        images: per second, since this process began.
        left: seconds, probably.
        metric: that ranks tests.
        score: its value at the last test, or None.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None
    rate: float
    images: float
    left: float
    metric: Metric
    score: float | None


@dataclass(slots=True)
class Memory:
    """What a run has to remember besides weights; goes into ``state.json``.

    Attributes:
        step: updates done.
        kept: tests whose weights are kept (``epoch`` and the task's first metric), the best first.
        skipped: updates that are left out, because they were not finite.
        broken: samples of this epoch that could not be read.
        broken_total: of the whole run.
        overflows: updates that the scaler of float16 left out while it looked for its scale.
        metrics_bytes: length of the log.
        ledger_bytes: length of the ledger.
        pending: the test that comes next, after an epoch's last update: ``epoch``, ``train_loss`` and ``lr``.
    """

    step: int = 0
    kept: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    broken: int = 0
    broken_total: int = 0
    overflows: int = 0
    metrics_bytes: int = 0
    ledger_bytes: int = 0
    pending: dict[str, Any] | None = None

    @property
    def best(self) -> dict[str, Any] | None:
        """The best test so far."""
        return self.kept[0] if self.kept else None
