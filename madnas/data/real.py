"""Real data: MNIST in its published files, and the digits that come with scikit-learn."""

import struct
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from madnas.data.datasets import Dataset
from madnas.data.seeds import generator
from madnas.errors import DataError, UsageError

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CLASSES = 10
TEST_SHARE = 0.25
"""Of scikit-learn's digits, which have no test set of their own."""


def load_mnist(folder: Path) -> Dataset:
    """MNIST from its four files; pixels from 0 to 1, 784 to an image.

    Args:
        folder: what torchvision calls ``root`` (the files are in ``MNIST/raw`` below it), or the files' own folder.

    Raises:
        DataError: a file that is missing or broken.
    """
    inputs, labels = _mnist_part(folder, train=True)
    test_inputs, test_labels = _mnist_part(folder, train=False)
    if inputs.shape[1] != test_inputs.shape[1]:
        raise DataError(f"{folder}: training and test images have different sizes")
    return Dataset(inputs, labels, test_inputs, test_labels, CLASSES)


def _mnist_part(folder: Path, train: bool) -> tuple[Tensor, Tensor]:
    try:
        part = _opened(folder, train)
    except (
        OSError,
        ValueError,
        AssertionError,
        AttributeError,
        KeyError,
        IndexError,
        struct.error,
        RuntimeError,
    ) as error:
        raise DataError(
            f"MNIST cannot be read below {folder}: {_reason(error)}",
            f"the files {FILES[0]} and so on, unpacked, belong into {folder / 'MNIST' / 'raw'}; where there is "
            f"internet, torchvision.datasets.MNIST({str(folder)!r}, download=True) puts them there",
        ) from error
    images, labels = part.data, part.targets
    if images.ndim != 3 or len(images) != len(labels) or not len(labels):
        raise DataError(f"{folder}: {tuple(images.shape)} images do not fit {tuple(labels.shape)} labels")
    if not 0 <= int(labels.min()) <= int(labels.max()) < CLASSES:
        raise DataError(f"{folder}: labels from {labels.min()} to {labels.max()}, expected 0 to {CLASSES - 1}")
    return images.flatten(1).float() / 255, labels.long()


def _reason(error: Exception) -> str:
    """What was wrong, without torchvision's advice, which has no meaning here."""
    text = str(error).partition(" You can use download")[0].strip()
    return text or f"a file is cut off or of another kind ({type(error).__name__})"


def _opened(folder: Path, train: bool) -> Any:
    from torchvision.datasets import MNIST

    if not any((folder / name).exists() for name in FILES):
        return MNIST(str(folder), train=train, download=False)

    class FlatMNIST(MNIST):
        @property
        def raw_folder(self) -> str:
            return str(folder)

    return FlatMNIST(str(folder), train=train, download=False)


def load_digits(seed: int) -> Dataset:
    """The 1,797 digits of 8 x 8 pixels that come with scikit-learn; pixels from 0 to 1, a quarter for testing.

    Args:
        seed: of the division into training and test set.

    Raises:
        UsageError: scikit-learn is not installed.
    """
    pixels, classes = _digits()
    inputs, labels = torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(classes).long()
    order = torch.randperm(len(labels), generator=generator(seed, "digits"))
    test, train = order.tensor_split([round(TEST_SHARE * len(order))])
    return Dataset(inputs[train], labels[train], inputs[test], labels[test], CLASSES)


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels from 0 to 16 (1797, 64) and classes (1797,), from scikit-learn's file.

    scikit-learn itself, which needs seconds to load, is asked only where it keeps the file in another place.
    """
    found = find_spec("sklearn")
    if found is None:
        raise UsageError("the digits come with scikit-learn, which is not installed", "pip install scikit-learn")
    for folder in found.submodule_search_locations or ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1]
    pixels, classes = import_module("sklearn.datasets").load_digits(return_X_y=True)
    return pixels, classes
