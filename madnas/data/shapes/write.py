"""The small sets on disk: COCO's json, ADE20K's folders of masks, and folders of frames with lists."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from madnas.data.shapes.scene import NAMES, Pixels, Scene, draw_motion, draw_scene
from madnas.errors import UsageError

SIDES = (96, 128)
"""Sides of the pictures in pixels: each is drawn from this range, so that pictures differ in size and in form."""

CATEGORY_IDS = (1, 3, 6)
"""Of :data:`~madnas.data.shapes.scene.NAMES` in COCO's json: with gaps, as COCO's own."""

GROUND = "ground"
"""Name of ADE20K's first label here; 0 means no label there."""

FRAMES, FRAME_SIDE = 12, 64
"""Pictures of a video, and their side in pixels."""


def write_shapes(task: str, folder: Path, train: int = 400, test: int = 100, seed: int = 0) -> None:
    """Write a small set, the same one for the same seed.

    Args:
        task: one of :data:`WRITERS`.
        folder: where to; created, and complete or not there.
        train: pictures or videos for training.
        test: likewise, for testing.
        seed: of everything.

    Raises:
        UsageError: an unknown task, a number below 1, or a folder that is there or cannot be written.
    """
    if task not in WRITERS:
        raise UsageError(f"{task[:60]}: no such task", f"known: {', '.join(WRITERS)}")
    if min(train, test) < 1:
        raise UsageError(f"{train} and {test} samples: both splits need at least one")
    if seed < 0:
        raise UsageError(f"{seed}: expected a seed of 0 or more")
    with _whole(folder) as place:
        WRITERS[task](place, train, test, seed)


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder that gets its name when all is written."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is there already", "name a folder that is not there, or delete it")
    place = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir()
        yield place
        os.replace(place, folder)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _scene(seed: int, split: int, index: int) -> Scene:
    chance = np.random.default_rng([seed, split, index])
    width, height = (int(one) for one in chance.integers(SIDES[0], SIDES[1] + 1, 2))
    return draw_scene(chance, width, height)


def write_coco(folder: Path, train: int, test: int, seed: int) -> None:
    """``train2017/``, ``val2017/`` and ``annotations/instances_*.json``."""
    (folder / "annotations").mkdir()
    for split, (name, number) in enumerate((("train2017", train), ("val2017", test))):
        (folder / name).mkdir()
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index in range(number):
            scene = _scene(seed, split, index)
            file = f"{index + 1:012d}.jpg"
            _save(folder / name / file, scene.image())
            width, height = scene.size
            images.append({"id": index + 1, "file_name": file, "width": width, "height": height})
            annotations += _instances(scene, index + 1, len(annotations))
        found = {
            "info": {"description": f"madnas shapes, seed {seed}"},
            "images": images,
            "annotations": annotations,
            "categories": [
                {"id": one, "name": word, "supercategory": "shape"}
                for one, word in zip(CATEGORY_IDS, NAMES, strict=True)
            ],
        }
        (folder / "annotations" / f"instances_{name}.json").write_text(json.dumps(found), encoding="utf-8")


def _instances(scene: Scene, image: int, before: int) -> Iterator[dict[str, Any]]:
    """COCO's annotations of a picture; boxes are tight around the pixels."""
    for number, shape in enumerate(scene.shapes, before + 1):
        mask = shape.mask(*scene.size)
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        left, top = int(columns[0]), int(rows[0])
        yield {
            "id": number,
            "image_id": image,
            "category_id": CATEGORY_IDS[shape.kind],
            "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
            "area": int(mask.sum()),
            "iscrowd": 0,
            "segmentation": [[round(value, 2) for corner in shape.polygon for value in corner]],
        }


def write_ade20k(folder: Path, train: int, test: int, seed: int) -> None:
    """``images/`` and ``annotations/``, ``training/`` and ``validation/`` in each; ``objectInfo.txt`` has the names.

    Label 1 is the ground, and then come the shapes; 0, which means no label in ADE20K, marks no pixel.
    """
    for split, (name, number) in enumerate((("training", train), ("validation", test))):
        for part in ("images", "annotations"):
            (folder / part / name).mkdir(parents=True)
        for index in range(number):
            scene = _scene(seed, split, index)
            file = f"ADE_{name[:5]}_{index + 1:08d}"
            _save(folder / "images" / name / f"{file}.jpg", scene.image())
            _save(folder / "annotations" / name / f"{file}.png", scene.labels() + 1)
    lines = [f"{label}\t{word}" for label, word in enumerate((GROUND, *NAMES), 1)]
    (folder / "objectInfo.txt").write_text("Idx\tName\n" + "\n".join(lines) + "\n", encoding="utf-8")


def write_frames(folder: Path, train: int, test: int, seed: int) -> None:
    """``rawframes/CLASS/VIDEO/img_00001.jpg`` and a list of each split: folder, frames, label."""
    for split, (name, number) in enumerate((("train", train), ("val", test))):
        lines = []
        for index in range(number):
            kind = index % len(NAMES)
            video = f"{NAMES[kind]}/v_{NAMES[kind]}_{name}_{index + 1:05d}"
            (folder / "rawframes" / video).mkdir(parents=True)
            chance = np.random.default_rng([seed, split, index])
            for frame, picture in enumerate(draw_motion(chance, FRAME_SIDE, FRAMES, kind), 1):
                _save(folder / "rawframes" / video / f"img_{frame:05d}.jpg", picture)
            lines.append(f"{video} {FRAMES} {kind}")
        text = "\n".join(lines) + "\n"
        (folder / f"shapes_{name}_split_1_rawframes.txt").write_text(text, encoding="utf-8")


def _save(path: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels).save(path, quality=92)  # which PNG does not ask for


WRITERS: dict[str, Callable[[Path, int, int, int], None]] = {
    "detection": write_coco,
    "segmentation": write_ade20k,
    "video": write_frames,
}
"""What writes the set of a task."""
