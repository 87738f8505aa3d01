"""Images with a class for every pixel, in the layout of ADE20K's scene parsing benchmark.

``images/training/NAME.jpg`` has its mask in ``annotations/training/NAME.png``: one channel of 8 or 16 bits, 0 for what
is none of the classes, and 1, 2, ... for these. Here the classes are counted from 0, and what is none is
:data:`IGNORED`.
"""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from madnas.data.colours import in_colours
from madnas.errors import DataError

FOLDER = "ADEChallengeData2016"
"""Of the published archive, below the folder of the data sets."""

IMAGES, MASKS = "images", "annotations"
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Of images; a mask ends with .png."""

SPLITS = {"train": ("training", "train"), "validation": ("validation", "val", "testing", "test")}
"""Names that a split's folder may have."""

IGNORED = 255
"""The label of pixels that are none of the classes; with classes from 0 to 254 a mask fits into 8 bits."""

MOST = IGNORED
"""Classes there may be."""

DEPTHS = ("L", "I;16", "I;16B", "I")
"""Pillow's modes of one channel of whole numbers."""

LAYOUT = "the layout is images/training/NAME.jpg with annotations/training/NAME.png, and likewise validation"

MAKE = "python -m madnas.data.shapes segmentation FOLDER makes a small set"


@dataclass(frozen=True, slots=True)
class Scenes:
    """Images and their masks, by number.

    Attributes:
        pairs: files, sorted by name.
        classes: of the masks.
    """

    pairs: tuple[tuple[Path, Path], ...]
    classes: int

    def __len__(self) -> int:
        return len(self.pairs)

    def filename(self, index: int) -> str:
        """What to call a sample that cannot be read."""
        return str(self.pairs[index][0])

    def read(self, index: int) -> tuple[Image.Image, np.ndarray]:
        """An image in colours, and its labels (height, width), uint8.

        Raises:
            ValueError: the mask is of another size than the image, no labels, or has labels beyond the classes.
            OSError: a file that is missing or broken; Pillow raises others too.
        """
        path, mask = self.pairs[index]
        with Image.open(path) as file:
            image = in_colours(file)
        labels = read_mask(mask, self.classes)
        if labels.shape != (image.height, image.width):
            raise ValueError(
                f"{mask.name} has {labels.shape[1]} x {labels.shape[0]} pixels, and its image {image.width} x "
                f"{image.height}"
            )
        return image, labels

    def digest(self) -> str:
        """Of the files' names, the masks' bytes and the number of classes, without decoding them."""
        found = hashlib.sha256(f"{self.classes}\n".encode())
        for image, mask in self.pairs:
            found.update(os.fsencode(f"{image.name}\n"))  # names need not be UTF-8
            with suppress(OSError):  # which is told when it is read
                found.update(mask.read_bytes())
        return found.hexdigest()


def open_scenes(folder: Path, split: str, classes: int) -> Scenes:
    """A split of a data set.

    Args:
        folder: that of the data sets, or the data set's own.
        split: ``train``, ``validation``, or the name of a folder.
        classes: of the masks.

    Raises:
        DataError: a folder that is missing or empty; images without masks, or masks without images.
    """
    base = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    if not (base / IMAGES).is_dir() or not (base / MASKS).is_dir():
        missing = IMAGES if not (base / IMAGES).is_dir() else MASKS
        raise DataError(f"{base / missing}: no such folder", f"--data names the folder of {FOLDER}; {LAYOUT}; {MAKE}")
    names = SPLITS.get(split, (split,))
    place = next((name for name in names if (base / IMAGES / name).is_dir()), names[0])
    images = _files(base / IMAGES / place, ENDINGS)
    masks = _files(base / MASKS / place, (".png",))
    _check_pairs(base, place, images, masks)
    return Scenes(tuple((images[name], masks[name]) for name in sorted(images)), classes)


def read_mask(path: Path, classes: int) -> np.ndarray:
    """Labels (height, width), uint8, of a mask: classes from 0, and :data:`IGNORED`.

    Raises:
        ValueError: not one channel of whole numbers, or labels beyond the classes.
        OSError: a file that is missing or broken; Pillow raises others too.
    """
    with Image.open(path) as file:
        if file.mode not in DEPTHS:
            kind = {"P": "a palette", "1": "one bit"}.get(file.mode, f"the channels {file.mode}")
            raise ValueError(f"{path.name} has {kind}: a mask has one channel of labels, of 8 or 16 bits")
        values = np.asarray(file).astype(np.int64)
    most = int(values.max())
    if most > classes or int(values.min()) < 0:
        raise ValueError(f"{path.name} has the label {most}: there are {classes} classes, and 0 for what is none")
    return np.where(values == 0, IGNORED, values - 1).astype(np.uint8)


def _files(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Files by their names without ending.

    Raises:
        DataError: no such folder, nothing in it, or two of the same name.
    """
    try:
        entries = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}", LAYOUT) from error
    found: dict[str, Path] = {}
    for name in entries:
        stem, ending = os.path.splitext(name)
        if ending.lower() not in endings:
            continue
        if stem in found:
            raise DataError(f"{folder}: {found[stem].name} and {name} have the same name", "take one of them out")
        found[stem] = folder / name
    if not found:
        raise DataError(f"{folder}: no files that end with {', '.join(endings)}", LAYOUT)
    return found


def _check_pairs(base: Path, place: str, images: Iterable[str], masks: Iterable[str]) -> None:
    """Refuse images without masks and masks without images: which were meant cannot be known."""
    for one, its, what, other in ((images, masks, "image", "mask"), (masks, images, "mask", "image")):
        alone = sorted(set(one) - set(its))
        if alone:
            folder = base / (IMAGES if what == "image" else MASKS) / place
            raise DataError(
                f"{folder}: {len(alone)} without {other}, such as {', '.join(alone[:3])}",
                "every image has a mask of its name; mend that, or take them out",
            )
