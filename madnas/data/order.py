"""The order of the samples: a function of seed, epoch and place alone, whatever the number of processes.

A batch is the same set of samples on 1, 2 or 16 processes, each of which computes its slice; nothing has to be saved to
go on from any step.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from madnas.data.seeds import generator
from madnas.errors import UsageError


@dataclass(frozen=True, slots=True)
class Order:
    """Which samples an update sees.

    Attributes:
        samples: of the training set.
        batch_size: samples of an update, over all processes.
        seed: the user's.
    """

    samples: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        """Refuse a batch that is larger than the data set."""
        if self.batch_size > self.samples:
            raise UsageError(
                f"a batch of {self.batch_size} is larger than the training set of {self.samples}",
                f"--set batch_size={self.samples} or less",
            )

    @property
    def steps_per_epoch(self) -> int:
        """Updates of an epoch; the samples that do not fill a last batch are left out of it, other ones each time."""
        return self.samples // self.batch_size

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Tensor:
        """Indices of the samples that a process computes in an update (batch_size / world,).

        Args:
            step: of the whole run, from 0.
            rank: which process.
            world: of how many; it divides the batch size.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        share = self.batch_size // world
        start = place * self.batch_size + rank * share
        return _permutation(self.samples, self.seed, epoch)[start : start + share]


@lru_cache(maxsize=2)
def _permutation(samples: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(samples, generator=generator(seed, "order", epoch))
