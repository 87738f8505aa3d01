"""Grey images of more than 8 bits: Pillow's conversion to colours would make white of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from madnas.data.annotations import annotation_file, read_annotations
from madnas.data.coco import CocoReader
from madnas.data.colours import in_colours
from madnas.data.folder import SeededSamples
from madnas.data.frames import read_folder
from madnas.data.masks import Scenes

LEVELS = np.array([[0, 20_000, 65_535]])
"""What Pillow makes 0, 255 and 255 of."""


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_more_than_eight_bits_are_refused(dtype: type) -> None:
    with pytest.raises(ValueError, match="grey image of more than 8 bits"):
        in_colours(Image.fromarray(LEVELS.astype(dtype)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB"])
def test_eight_bits_are_taken(mode: str) -> None:
    assert in_colours(Image.new(mode, (2, 3))).mode == "RGB"


def folder(path: Path) -> None:
    with open(path, "rb") as file:
        SeededSamples([(file, 0)], lambda image: image, 0).load(0)


def scene(path: Path) -> None:
    mask = path.with_name("mask.png")
    Image.new("L", (3, 1), 1).save(mask)
    Scenes(((path, mask),), 2).read(0)


def frame(path: Path) -> None:
    path.rename(path.with_name("img_00001.jpg"))  # Pillow looks into files, not at their names
    read_folder(path.parent, 1, lambda count: [0])


def boxes(path: Path) -> None:
    file = annotation_file(path.parent, "a")
    file.parent.mkdir()
    image = {"id": 1, "file_name": path.name, "width": 3, "height": 1}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 1]}
    file.write_text(json.dumps({"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "cat"}]}))
    CocoReader(path.parent, read_annotations(file), [0]).load(0)


@pytest.mark.parametrize("load", [folder, scene, frame, boxes])
def test_every_reader_takes_such_a_file_for_one_that_cannot_be_read(load, tmp_path: Path) -> None:
    Image.fromarray(LEVELS.astype(np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match="more than 8 bits"):
        load(tmp_path / "deep.png")
