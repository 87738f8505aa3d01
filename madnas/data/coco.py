"""Images with boxes in COCO's layout: ``SPLIT/IMAGE`` and ``annotations/instances_SPLIT.json``.

What the files say is in :mod:`madnas.data.annotations`; here are the images, how they are shown, and the data of a run.
"""

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from madnas.data.annotations import LARGEST_AREA, Annotations, annotation_file, read_annotations
from madnas.data.colours import in_colours
from madnas.data.folder import FileSource, SeededSamples
from madnas.data.source import IMAGENET_MEAN, IMAGENET_STD, Facts
from madnas.errors import DataError

Loaded = tuple[Image.Image, NDArray[np.float64], NDArray[np.int64], int]
"""An image, its boxes (n, 4: left, top, right, bottom in pixels), their labels (n,), and its place."""


class CocoReader:
    """Images of a split with their boxes.

    Args:
        folder: of the images.
        annotations: of them.
        chosen: places of the images that are read.
    """

    def __init__(self, folder: Path, annotations: Annotations, chosen: list[int]) -> None:
        self._folder, self._places = folder, chosen
        self._images = [annotations.images[place] for place in chosen]
        self._boxes = [annotations.of(place) for place in chosen]

    def __len__(self) -> int:
        return len(self._images)

    def filename(self, index: int) -> str:
        """The file of an image."""
        return str(self._folder / self._images[index][0])

    def load(self, index: int) -> Loaded:
        """An image with its boxes; raises whatever a decoder raises, and what does not fit the annotations."""
        name, width, height = self._images[index]
        with Image.open(self._folder / name) as image:
            if image.size != (width, height):
                raise ValueError(
                    f"{image.size[0]} x {image.size[1]} pixels, and the annotations say {width} x {height}"
                )
            return in_colours(image), *self._boxes[index], self._places[index]


class CocoSamples(SeededSamples):
    """Resized and flipped images (3, height, width) with their boxes.

    Args:
        reader: of the images.
        short_side: range in which the shorter side is drawn, in pixels; where nothing is drawn its upper end.
        longest: side that no image exceeds, in pixels.
        hflip: probability of a horizontal flip; None draws neither that nor the side.
        seed: of what is drawn.
    """

    def __init__(
        self, reader: CocoReader, short_side: tuple[int, int], longest: int, hflip: float | None, seed: int
    ) -> None:
        super().__init__(reader, None, seed)  # type: ignore[arg-type] # finish needs no transform
        self._short_side, self._longest, self._hflip = short_side, longest, hflip

    def load(self, index: int) -> Loaded:
        """See :class:`CocoReader`."""
        found: Loaded = self._reader.load(index)
        return found

    def finish(self, loaded: Loaded) -> tuple[Tensor, dict[str, Tensor]]:
        """The image, uint8, and ``boxes``, ``labels``, ``image_id`` (its place), ``scale`` (new over old sides)."""
        image, boxes, labels, place = loaded
        short = self._short_side[1] if self._hflip is None else random.randint(*self._short_side)
        flips = self._hflip is not None and random.random() < self._hflip
        width, height = image.size
        factor = min(short / min(width, height), self._longest / max(width, height))
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        pixels = np.array(image.resize(size, Image.Resampling.BILINEAR))
        scale = np.array([size[0] / width, size[1] / height])
        boxes = boxes * np.tile(scale, 2)
        if flips:
            pixels = pixels[:, ::-1]
            boxes = np.stack([size[0] - boxes[:, 2], boxes[:, 1], size[0] - boxes[:, 0], boxes[:, 3]], 1)
        boxes = boxes.astype(np.float32)
        kept = (boxes[:, 2:] > boxes[:, :2]).all(1)  # small images of large ones may have boxes rounded to lines
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))), {
            "boxes": torch.from_numpy(boxes[kept]),
            "labels": torch.from_numpy(labels[kept]),
            "image_id": torch.tensor(place),
            "scale": torch.from_numpy(scale),
        }


class CocoSource(FileSource):
    """Images with boxes.

    Args:
        train, test: samples.
        facts: of them.
        workers: processes that read.
        truth: of the test images, for pycocotools.
    """

    def __init__(
        self, train: CocoSamples, test: CocoSamples, facts: Facts, workers: int, truth: dict[str, Any]
    ) -> None:
        super().__init__(train, test, facts, workers, stacked=False)
        self.truth = truth


@dataclass(frozen=True, slots=True)
class Views:
    """How images are shown.

    Attributes:
        short_side: range in which the shorter side is drawn, in pixels; its upper end is that of testing.
        longest: side that no image exceeds, in pixels.
        hflip: probability of a horizontal flip in training.
    """

    short_side: tuple[int, int]
    longest: int
    hflip: float


def open_coco(
    folder: Path, splits: tuple[str, str], views: Views, most_left_out: float, seed: int, workers: int
) -> CocoSource:
    """Training and test data.

    Args:
        folder: that has the splits' folders and ``annotations/``.
        splits: names for training and testing; the same one where nothing is trained.
        views: how images are shown.
        most_left_out: share of a split's boxes that may be without use.
        seed: of the augmentation.
        workers: processes that read.

    Raises:
        DataError: annotations that are missing or make no sense, images that are missing.
    """
    files = [annotation_file(folder, split) for split in splits]
    train = read_annotations(files[0])
    test = train if splits[0] == splits[1] else read_annotations(files[1], train.categories)
    parts = dict(zip(splits, (train, test), strict=True))
    for split, part in parts.items():
        _check_files(folder / split, part)
    if not any(not one["iscrowd"] and one["area"] <= LARGEST_AREA for one in test.truth["annotations"]):
        raise DataError(
            f"{files[1]}: no boxes to test with, so that average precision is undefined",
            f"crowds, and objects whose area is above {LARGEST_AREA:.0e} square pixels, do not count",
        )
    for split, part in parts.items():
        _check_use(annotation_file(folder, split), part, most_left_out)
    chosen = [place for place in range(len(train.images)) if train.starts[place] < train.starts[place + 1]]
    facts = Facts(
        len(chosen),
        len(test.images),
        len(train.categories),
        (3, views.longest, views.longest),
        IMAGENET_MEAN,
        IMAGENET_STD,
        f"{train.digest[:32]} {test.digest[:32]}",
        _notes(splits, train, test, len(chosen)),
        tuple({"split": split, **one} for split, part in parts.items() for one in part.left_out),
        train.categories,
    )
    readers = [CocoReader(folder / splits[0], train, chosen)]
    readers.append(CocoReader(folder / splits[1], test, list(range(len(test.images)))))
    samples = [
        CocoSamples(reader, views.short_side, views.longest, hflip, seed)
        for reader, hflip in zip(readers, (views.hflip, None), strict=True)
    ]
    return CocoSource(samples[0], samples[1], facts, workers, test.truth)


def _check_use(file: Path, found: Annotations, most_left_out: float) -> None:
    """Refuse annotations of which too many are without use."""
    everything = len(found.boxes) + len(found.left_out)
    if not everything:
        raise DataError(f"{file}: no boxes to train on")
    if len(found.left_out) > most_left_out * everything or not len(found.boxes):
        first = found.left_out[0]
        raise DataError(
            f"{file}: {len(found.left_out)} of {everything} boxes are without use, such as {first['error']} in "
            f"{first['file']}",
            "mend the annotations, or --set bad_data_rate=...",
        )


def _notes(splits: tuple[str, str], train: Annotations, test: Annotations, chosen: int) -> tuple[str, ...]:
    """What is not trained on, and what no detector finds, for people."""
    images = len(train.images)
    notes = []
    if chosen < images:
        notes.append(f"{splits[0]}: {images - chosen} of {images} images have no boxes, and are not trained on")
    if train.left_out:
        notes.append(f"{splits[0]}: {len(train.left_out)} boxes without use are left out; ledger.jsonl names them")
    if test.left_out:
        notes.append(
            f"{splits[1]}: {len(test.left_out)} boxes without use; as pycocotools has it they count as objects, which "
            "lowers what can be reached; ledger.jsonl names them"
        )
    return tuple(notes)


def _check_files(folder: Path, found: Annotations) -> None:
    """Refuse images that are listed and not there; one look into each folder, however many images there are."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder", "the layout is SPLIT/IMAGE and annotations/instances_SPLIT.json")
    there: dict[Path, set[str]] = {}
    missing = []
    for name, _, _ in found.images:
        path = folder / name
        if path.parent not in there:
            there[path.parent] = set(os.listdir(path.parent)) if path.parent.is_dir() else set()
        if path.name not in there[path.parent]:
            missing.append(path)
    if missing:
        raise DataError(f"{missing[0]}: no such file, and {len(missing)} of {len(found.images)} images are missing")
