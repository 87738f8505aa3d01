"""Average precision as COCO computes it, by pycocotools, over the boxes of all processes."""

import contextlib
import io
import json
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from madnas.data.annotations import LARGEST_AREA
from madnas.data.source import Process
from madnas.errors import UsageError
from madnas.train.distributed import gathered, told, total

NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
"""Of the first six numbers that pycocotools gives."""


def check_installed() -> None:
    """Refuse to begin what could not be tested.

    Raises:
        UsageError: pycocotools is not installed.
    """
    if find_spec("pycocotools") is None:
        raise UsageError("detection is tested with pycocotools, which is not installed",
                         "pip install 'madnas[detection]'")  # fmt: skip


class AveragePrecision:
    """A test; see :class:`madnas.train.task.Scores`.

    Args:
        truth: images, categories and annotations, as :class:`madnas.data.annotations.Annotations` has them.
    """

    def __init__(self, truth: dict[str, Any]) -> None:
        self._truth = truth
        self._rows: list[Tensor] = []
        self._images = 0

    def add(self, outputs: list[dict[str, Tensor]], targets: list[dict[str, Tensor]]) -> None:
        """Boxes, labels and scores as torchvision's detectors give them; of the images, place and scale."""
        for found, target in zip(outputs, targets, strict=True):
            boxes = found["boxes"].detach().double().cpu() / target["scale"].cpu().repeat(2)
            labels = found["labels"].cpu().double()
            place = torch.full_like(labels, float(target["image_id"]))
            scores = found["scores"].detach().double().cpu()
            sides = boxes[:, 2:] - boxes[:, :2]
            self._rows.append(torch.cat([place[:, None], labels[:, None], boxes[:, :2], sides, scores[:, None]], 1))
            self._images += 1

    def result(self, process: Process) -> dict[str, float | int | None]:
        """COCO's average precisions; None where the test set has no such objects."""
        images = total(torch.tensor([self._images], dtype=torch.float64), process)
        mine = torch.cat([torch.zeros(0, 7, dtype=torch.float64), *self._rows])
        parts = [one["rows"] for one in gathered([{"rows": mine}], process)]
        text = ""
        if process.is_first:
            text = json.dumps(average_precision(self._truth, torch.cat(parts).numpy()))
        found: dict[str, float | int | None] = json.loads(told(text, process))
        return found | {"n": int(images[0])}


def average_precision(truth: dict[str, Any], rows: NDArray[np.float64]) -> dict[str, float | None]:
    """COCO's average precisions of boxes, from 0 to 1; None for sizes that no object has.

    Args:
        truth: images, categories and annotations; the annotations' ids are not 0, which pycocotools takes for no match.
        rows: a box each (n, 7): image's place, label, left, top, width, height in pixels, score.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not len(rows):  # pycocotools cannot load nothing
        areas = [*[(0.0, LARGEST_AREA)] * 3, (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, LARGEST_AREA)]
        own = [one["area"] for one in truth["annotations"] if not one["iscrowd"]]
        there = [any(least <= area <= most for area in own) for least, most in areas]
        return {name: 0.0 if one else None for name, one in zip(NAMES, there, strict=True)}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints, and stdout is data
        reference = COCO()
        reference.dataset = truth
        reference.createIndex()
        boxes = [
            {"image_id": int(row[0]), "category_id": int(row[1]), "bbox": row[2:6].tolist(), "score": float(row[6])}
            for row in rows
        ]
        evaluation = COCOeval(reference, reference.loadRes(boxes), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(one) if one >= 0 else None for name, one in zip(NAMES, evaluation.stats[:6], strict=True)}
