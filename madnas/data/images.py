"""Small image sets that fit into memory as a whole: scikit-learn's digits, MNIST, CIFAR; and synthetic features."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from madnas.data.names import CIFAR, RESIDENT, SYNTHETIC
from madnas.errors import UsageError

AT_ONCE = 1000
"""Images that are resized together: in between they take four times the memory."""


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images with their labels.

    Attributes:
        images: uint8 (n, channels, height, width); features of synthetic samples are float32 (n, features, 1, 1).
        labels: int64 (n,).
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return self.images.shape[1]

    def coloured(self) -> "ImageSet":
        """The same with three channels; grey is repeated."""
        return replace(self, images=self.images.expand(-1, 3, -1, -1)) if self.channels == 1 else self

    def resized(self, size: int, crop_pct: float = 1.0) -> "ImageSet":
        """The centres of the images, ``crop_pct`` of their side, at ``size`` pixels; bilinear, as Pillow's resizing."""
        side = int(size / crop_pct)  # as timm rounds
        images = self.images
        if tuple(images.shape[2:]) != (side, side):
            images = torch.cat([_resized(part, side) for part in images.split(AT_ONCE)])
        start = (side - size) // 2
        return replace(self, images=images[:, :, start : start + size, start : start + size].contiguous())


def _resized(images: Tensor, side: int) -> Tensor:
    resized = F.interpolate(images.float(), (side, side), mode="bilinear", antialias=True)
    return resized.add_(0.5).floor_().clamp_(0, 255).to(torch.uint8)


def load_images(name: str, folder: Path, seed: int = 0, samples: int | None = None) -> tuple[ImageSet, ImageSet, int]:
    """Training set, test set and number of classes.

    The digits' division is always the same one: a quarter, drawn once, is for testing.

    Args:
        name: one of :data:`~madnas.data.names.RESIDENT`, or a synthetic one.
        folder: what torchvision calls ``root``.
        seed: of synthetic samples.
        samples: training samples of a synthetic set.

    Raises:
        DataError: files that are missing or broken.
        UsageError: an unknown name.
    """
    if name == "digits":
        from madnas.data.real import load_digits

        found = load_digits(0)
        train, test = (_square(part, 8) for part in (found.inputs, found.test_inputs))
        return ImageSet(train, found.labels), ImageSet(test, found.test_labels), found.classes
    if name == "mnist":
        from madnas.data.real import load_mnist

        found = load_mnist(folder)
        side = round(found.features**0.5)
        train, test = (_square(part, side) for part in (found.inputs, found.test_inputs))
        return ImageSet(train, found.labels), ImageSet(test, found.test_labels), found.classes
    if name in CIFAR:
        from madnas.data.cifar import read_cifar

        sets = [ImageSet(*read_cifar(folder, name, part)) for part in ("train", "test")]
        return sets[0], sets[1], CIFAR[name]
    if SYNTHETIC.fullmatch(name):
        from madnas.data.datasets import load_dataset

        found = load_dataset(name, samples, None, seed)
        train, test = (part[:, :, None, None] for part in (found.inputs, found.test_inputs))
        return ImageSet(train, found.labels), ImageSet(test, found.test_labels), found.classes
    raise UsageError(f"unknown dataset {name[:60]!r}", f"known: {', '.join(RESIDENT)}, seg<N>, circle<N>, folder")


def _square(pixels: Tensor, side: int) -> Tensor:
    return (pixels * 255).round().to(torch.uint8).view(-1, 1, side, side)
