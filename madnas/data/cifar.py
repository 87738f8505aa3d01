"""CIFAR-10 and CIFAR-100 from their published files, which are pickles: read without running what is in them."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from madnas.errors import DataError

FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
FILES = {
    ("cifar10", "train"): [f"data_batch_{number}" for number in range(1, 6)],
    ("cifar10", "test"): ["test_batch"],
    ("cifar100", "train"): ["train"],
    ("cifar100", "test"): ["test"],
}
LABELS = {"cifar10": b"labels", "cifar100": b"fine_labels"}
CLASSES = {"cifar10": 10, "cifar100": 100}

ARRAYS = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
"""All that a pickle of arrays, numbers and bytes needs."""


class _ArrayUnpickler(pickle.Unpickler):
    """Reads dictionaries of arrays, and refuses every other call that a pickle asks for."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"asks for {module}.{name}, which data does not need")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_cifar(folder: Path, name: str, part: str) -> tuple[Tensor, Tensor]:
    """Images, uint8 (n, 3, 32, 32), and labels, int64 (n,).

    Args:
        folder: what torchvision calls ``root``, or the files' own folder.
        name: ``cifar10`` or ``cifar100``.
        part: ``train`` or ``test``.

    Raises:
        DataError: a file that is missing, broken, or more than data.
    """
    base = folder / FOLDERS[name] if (folder / FOLDERS[name]).is_dir() else folder
    batches = [_read(base / file, name, folder) for file in FILES[name, part]]
    return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])


def _read(path: Path, name: str, folder: Path) -> tuple[Tensor, Tensor]:
    try:
        with open(path, "rb") as file:
            found = _ArrayUnpickler(file, encoding="bytes").load()
        images = _whole(found, b"data").reshape(-1, 3, 32, 32)
        labels = _whole(found, LABELS[name]).long()
        if images.dtype != torch.uint8:
            raise ValueError(f"pixels are {images.dtype}, not uint8")
        if len(images) != len(labels) or not len(labels):
            raise ValueError(f"{len(images)} images, {len(labels)} labels")
        if not 0 <= int(labels.min()) <= int(labels.max()) < CLASSES[name]:
            raise ValueError(f"labels from {labels.min()} to {labels.max()}")
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: no such file",
            f"the folder {FOLDERS[name]} belongs into {folder}; where there is internet, "
            f"torchvision.datasets.{name.upper()}({str(folder)!r}, download=True) puts it there",
        ) from error
    except Exception as error:  # a broken pickle may raise anything
        reason = str(error) or type(error).__name__
        raise DataError(f"{path}: not a file of {name.upper()}: {reason}", "unpack the archive once more") from error
    return images, labels


def _whole(found: Any, key: bytes) -> Tensor:
    """An entry as it is, if it is whole numbers: a cast would make others of 0.5 and of 255.9 in silence."""
    values = np.asarray(found[key])
    if values.dtype.kind not in "iu":
        raise ValueError(f"{key.decode()}: whole numbers expected, found {values.dtype}")
    return torch.from_numpy(values.copy())
