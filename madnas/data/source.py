"""What training takes its batches from: one interface for sets that are kept on the device and for files on disk."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from madnas.data.categories import Categories
from madnas.data.order import Order

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Process:
    """Which process this is of how many, and where it computes."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Images that are augmented but not normalised, from 0 to 255; features of synthetic sets are as they are.

    Attributes:
        images: float32, on the device (n, channels, height, width); a list of n tensors where sizes differ. Videos
            have an axis of frames before the channels.
        labels: int64, on the device (n,); of other tasks than classification what they learn from, a tensor (n, ...)
            or a list of n dictionaries of tensors.
        indices: of the samples in the training set (n,).
        broken: samples of this process that could not be read, and what replaced them.
    """

    images: Any
    labels: Any
    indices: Tensor
    broken: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a network and a log need to know of the data.

    Attributes:
        train, test: samples.
        classes: of the labels.
        shape: channels, height and width of an image.
        mean, std: of training images, for a range of 0 to 1, by channel; None for features.
        digest: changes when the samples do: of their pixels or, of files, their names and labels.
        notes: what a user should hear of the data, once.
        left_out: annotations that cannot be used, for the ledger: ``file``, ``error`` and where.
        categories: what the classes are, where the data says it by ids and names.
    """

    train: int
    test: int
    classes: int
    shape: tuple[int, int, int]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    digest: str = ""
    notes: tuple[str, ...] = ()
    left_out: tuple[dict[str, Any], ...] = ()
    categories: Categories = ()


class Source(Protocol):
    """Training and test data."""

    facts: Facts

    def train(self, order: Order, start: int, stop: int, process: Process) -> Iterator[Batch]:
        """Batches of updates ``start`` to ``stop``, this process' share of each."""

    def test(self, batch_size: int, process: Process) -> Iterator[tuple[Any, Any]]:
        """Images and labels as in :class:`Batch`, of this process' share of the test set, each sample once."""
