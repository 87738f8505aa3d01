"""Sets that are kept on the device as a whole and augmented there in whole batches: no loader, no waiting."""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from madnas.data.augment.batch import Augmentation
from madnas.data.images import ImageSet
from madnas.data.order import Order
from madnas.data.seeds import generator
from madnas.data.source import Batch, Facts, Process


class ResidentSource:
    """Images in memory.

    Args:
        train, test: the sets; images for testing have the size they are tested at.
        classes: of the labels.
        augmentation: of training images; None for features.
        seed: of the augmentation.
        device: where everything is kept.
    """

    def __init__(
        self,
        train: ImageSet,
        test: ImageSet,
        classes: int,
        augmentation: Augmentation | None,
        seed: int,
        device: torch.device,
    ) -> None:
        self._augmentation, self._seed = augmentation, seed
        mean, std = (None, None) if augmentation is None else statistics(train.images)
        side = (1, 1) if augmentation is None else (augmentation.size, augmentation.size)
        self.facts = Facts(
            len(train), len(test), classes, (train.channels, *side), mean, std, digest=_digest(train, test)
        )
        self._images, self._labels = train.images.to(device), train.labels.to(device)
        self._test_images, self._test_labels = test.images.to(device), test.labels.to(device)

    def train(self, order: Order, start: int, stop: int, process: Process) -> Iterator[Batch]:
        """See :class:`~madnas.data.source.Source`."""
        for step in range(start, stop):
            indices = order.batch(step, process.rank, process.world)
            rows = indices.to(self._images.device)
            images = self._images[rows]
            if self._augmentation is not None:
                images = self._augmentation(images, generator(self._seed, "augment", step, process.rank))
            yield Batch(images, self._labels[rows], indices)

    def test(self, batch_size: int, process: Process) -> Iterator[tuple[Tensor, Tensor]]:
        """See :class:`~madnas.data.source.Source`."""
        for start in range(process.rank * batch_size, len(self._test_labels), batch_size * process.world):
            rows = slice(start, start + batch_size)
            yield self._test_images[rows].float(), self._test_labels[rows]


def _digest(*sets: ImageSet) -> str:
    found = hashlib.sha256()
    for one in sets:
        for part in (one.images, one.labels):
            found.update(part.contiguous().numpy().data)
    return found.hexdigest()[:32]


def statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of uint8 images by channel, for a range of 0 to 1."""
    counts = torch.stack([torch.bincount(part.flatten(), minlength=256) for part in images.transpose(0, 1)]).double()
    levels = torch.arange(256, dtype=torch.float64) / 255
    mean = (counts * levels).sum(1) / counts.sum(1)
    variance = (counts * levels**2).sum(1) / counts.sum(1) - mean**2
    return tuple(mean.tolist()), tuple(variance.clamp(min=1e-12).sqrt().tolist())
