"""Images with boxes in COCO's layout: ``SPLIT/IMAGE`` and ``annotations/instances_SPLIT.json``.

The annotations are read once and checked as a whole: what makes them meaningless is an error, and a box that nothing
can be learned from (without area, or outside its image) is left out, counted and named. Category ids, which have gaps,
become labels 1 ... classes in the order of the ids; 0 is the background. Images are known by their places in the
order of their ids, whatever numbers these are.
"""

import hashlib
import json
import math
import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from madnas.data.categories import Categories, differences
from madnas.data.folder import FileSource, SeededSamples
from madnas.data.source import IMAGENET_MEAN, IMAGENET_STD, Facts
from madnas.errors import DataError

TOLD = 3
"""Problems of a kind that a message names."""

LEAST_SIDE = 0.01
"""Of a box within its image, in pixels: rounding leaves slivers at borders, which are no objects."""

LARGEST_AREA = 1e10
"""Of objects that average precision counts, in square pixels, as pycocotools has it."""

LONGEST_SIDE = 2**31 - 1
"""Of an image, in pixels."""

Loaded = tuple[Image.Image, NDArray[np.float64], NDArray[np.int64], int]
"""An image, its boxes (n, 4: left, top, right, bottom in pixels), their labels (n,), and its place."""


Listed = tuple[str, int, int]
"""An image's file, width and height in pixels."""


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a split's file says, checked.

    Attributes:
        images: in the order of their ids: file's name, width and height in pixels.
        boxes: of all images one after the other (n, 4): left, top, right, bottom, within their image; no crowds.
        labels: of the boxes (n,), from 1.
        starts: where the boxes of an image begin (images + 1,).
        categories: COCO's ids and names by label - 1.
        left_out: boxes that nothing can be learned from.
        truth: images, categories and annotations as pycocotools takes them, crowds included; ids are places and labels.
        digest: of the file.
    """

    images: list[Listed]
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    starts: NDArray[np.int64]
    categories: Categories
    left_out: tuple[dict[str, Any], ...]
    truth: dict[str, Any] = field(repr=False)
    digest: str = ""

    def of(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Boxes and labels of an image."""
        place = slice(self.starts[index], self.starts[index + 1])
        return self.boxes[place], self.labels[place]


def annotation_file(folder: Path, split: str) -> Path:
    """Where a split's annotations are."""
    return folder / "annotations" / f"instances_{split}.json"


def read_annotations(file: Path, categories: Categories | None = None) -> Annotations:
    """Read and check a split's annotations.

    Args:
        file: COCO's json.
        categories: ids and names that it has to have; absent: any.

    Raises:
        DataError: it is missing, no json, or says what makes no sense.
    """
    tree, digest = _parsed(file)
    images, ids = _images(file, tree["images"])
    found = _categories(file, tree["categories"])
    if categories is not None and found != categories:
        raise DataError(
            f"{file}: other categories than in training: ids {differences(categories, found)}",
            "classes are told apart by id and name: both files have to give the same",
        )
    label_of = {one: label for label, (one, _) in enumerate(found, 1)}
    truth, left_out = _annotations(file, tree["annotations"], images, ids, label_of)
    boxes: list[list[tuple[float, ...]]] = [[] for _ in images]
    labels: list[list[int]] = [[] for _ in images]
    unusable = {one["annotation"] for one in left_out}
    for number, one in enumerate(truth):
        if not one["iscrowd"] and number not in unusable:
            place = one["image_id"]
            boxes[place].append(_clipped(one["bbox"], *images[place][1:]))
            labels[place].append(one["category_id"])
    return Annotations(
        images,
        np.array([box for part in boxes for box in part], dtype=np.float64).reshape(-1, 4),
        np.array([label for part in labels for label in part], dtype=np.int64),
        np.cumsum([0, *(len(part) for part in labels)]),
        found,
        tuple(one | {"annotation": tree["annotations"][one["annotation"]].get("id")} for one in left_out),
        {
            "info": {},
            "images": [{"id": place, "width": one[1], "height": one[2]} for place, one in enumerate(images)],
            "categories": [{"id": label, "name": name} for label, (_, name) in enumerate(found, 1)],
            "annotations": truth,
        },
        digest,
    )


def _parsed(file: Path) -> tuple[dict[str, Any], str]:
    try:
        data = file.read_bytes()
        tree = json.loads(data)
    except FileNotFoundError:
        raise DataError(
            f"{file}: no such file",
            "the layout is SPLIT/IMAGE and annotations/instances_SPLIT.json below --data; "
            "'python -m madnas.data.shapes detection shapes' makes a small set",
        ) from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not json, nested beyond all bounds
        reason = "the file is empty" if not data.strip() else f"not json: {error}"
        raise DataError(f"{file}: {reason}", "is the download complete?") from error
    missing = [key for key in ("images", "annotations", "categories")
               if not isinstance(tree, dict) or not isinstance(tree.get(key), list)]  # fmt: skip
    if missing:
        raise DataError(f"{file}: no list of {' and no list of '.join(missing)}", "COCO's instances_*.json have them")
    return tree, hashlib.sha256(data).hexdigest()


def _images(file: Path, found: list[Any]) -> tuple[list[Listed], dict[int, int]]:
    """Images in the order of their ids, as pycocotools goes through them, and their places by id."""
    images: dict[int, Listed] = {}
    wrong, again = [], 0
    for number, one in enumerate(found):
        try:
            key, name, width, height = one["id"], one["file_name"], one["width"], one["height"]
            if not (_is_int(key) and isinstance(name, str) and _is_int(width) and _is_int(height)):
                raise TypeError
            if not 1 <= min(width, height) <= max(width, height) <= LONGEST_SIDE:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            wrong.append(f"images[{number}]: expected id, file_name, width and height")
        else:
            again += key in images
            images[key] = (name, width, height)
    if again:
        wrong.append(f"{again} images have the id of another")
    if not found:
        wrong.append("no images")
    _refuse(file, wrong)
    order = sorted(images)
    return [images[key] for key in order], {key: place for place, key in enumerate(order)}


def _categories(file: Path, found: list[Any]) -> Categories:
    """Ids in order, with their names."""
    names: dict[int, str] = {}
    wrong = []
    for number, one in enumerate(found):
        if not isinstance(one, dict) or not _is_int(one.get("id")):
            wrong.append(f"categories[{number}]: expected id and name")
        elif one["id"] in names:
            wrong.append(f"categories[{number}]: id {one['id']} is there already")
        else:
            names[one["id"]] = str(one.get("name", one["id"]))
    if not found:
        wrong.append("no categories")
    _refuse(file, wrong)
    return tuple(sorted(names.items()))


def _annotations(
    file: Path, found: list[Any], images: list[Listed], ids: dict[int, int], label_of: dict[int, int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Annotations as pycocotools takes them, numbered from 1 (0 means no match there), and those without use."""
    truth: list[dict[str, Any]] = []
    left_out, wrong = [], []
    for number, one in enumerate(found):
        problem = _problem(one, ids, label_of)
        if problem:
            wrong.append(f"annotations[{number}]: {problem}")
            continue
        box = [float(value) for value in one["bbox"]]
        crowd = int(bool(one.get("iscrowd", 0)))
        place = ids[one["image_id"]]
        name, width, height = images[place]
        left, top, right, bottom = _clipped(box, width, height)
        least = min(right - left, bottom - top)
        if not crowd and least < LEAST_SIDE:
            why = "outside its image" if least <= 0 < min(box[2:]) else "no area"
            left_out.append({"file": name, "annotation": len(truth), "error": f"box {box}: {why}"})
        area = float(one.get("area", max(0.0, box[2]) * max(0.0, box[3])))
        truth.append({"id": number + 1, "image_id": place, "category_id": label_of[one["category_id"]], "bbox": box,
                      "area": area, "iscrowd": crowd})  # fmt: skip
    _refuse(file, wrong)
    return truth, left_out


def _problem(one: Any, ids: dict[int, int], known: dict[int, int]) -> str:
    """Why an annotation makes no sense; empty where it does."""
    if not isinstance(one, dict):
        return "expected a mapping"
    if not _is_int(one.get("image_id")) or one["image_id"] not in ids:
        return f"image_id {one.get('image_id')!r}: no such image"
    if not _is_int(one.get("category_id")) or one["category_id"] not in known:
        return f"category_id {one.get('category_id')!r}: no such category"
    box = one.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_finite(value) for value in box):
        return f"bbox {box!r}: expected four finite numbers (left, top, width, height)"
    if not _is_finite(one.get("area", 0)) or one.get("area", 0) < 0:
        return f"area {one['area']!r}: expected a finite number that is not negative"
    if one.get("iscrowd", 0) not in (0, 1):
        return f"iscrowd {one['iscrowd']!r}: expected iscrowd: 0 or 1"
    return ""


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    """Whether this is a number that a float holds; json's integers have no end."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _clipped(box: list[float], width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the part within the image."""
    left, top, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
    return max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)


def _refuse(file: Path, wrong: list[str]) -> None:
    if wrong:
        more = f" and {len(wrong) - TOLD} more" if len(wrong) > TOLD else ""
        raise DataError(f"{file}: {'; '.join(wrong[:TOLD])}{more}", "mend the annotations")


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
            return image.convert("RGB"), *self._boxes[index], self._places[index]


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
