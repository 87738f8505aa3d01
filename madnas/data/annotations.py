"""COCO's annotations of a split: ``annotations/instances_SPLIT.json``.

A file is read once and checked as a whole: what makes it meaningless is an error, and a box that nothing
can be learned from (without area, or outside its image) is left out, counted and named. Category ids, which have gaps,
become labels 1 ... classes in the order of the ids; 0 is the background. Images are known by their places in the
order of their ids, whatever numbers these are.
"""

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madnas.data.categories import Categories, differences
from madnas.errors import DataError

TOLD = 3
"""Problems of a kind that a message names."""

LEAST_SIDE = 0.01
"""Of a box within its image, in pixels: rounding leaves slivers at borders, which are no objects."""

LARGEST_AREA = 1e10
"""Of objects that average precision counts, in square pixels, as pycocotools has it."""

LONGEST_SIDE = 2**31 - 1
"""Of an image, in pixels."""

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
