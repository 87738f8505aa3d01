"""The small sets of coloured shapes: what is on disk is what was drawn."""

import json

import numpy as np
import pytest
from PIL import Image

from madnas.data.shapes.__main__ import main
from madnas.data.shapes.scene import NAMES, draw_motion, draw_scene
from madnas.data.shapes.write import CATEGORY_IDS, FRAMES, write_shapes
from madnas.errors import UsageError


def test_boxes_are_tight_around_pixels_brighter_than_the_ground(tmp_path):
    write_shapes("detection", tmp_path / "set", 6, 2)
    found = json.loads((tmp_path / "set" / "annotations" / "instances_train2017.json").read_text())
    assert len(found["images"]) == 6 and {one["image_id"] for one in found["annotations"]} == set(range(1, 7))
    assert {one["id"] for one in found["categories"]} == set(CATEGORY_IDS)
    image = found["images"][0]
    pixels = np.array(Image.open(tmp_path / "set" / "train2017" / image["file_name"])).astype(int)
    assert pixels.shape == (image["height"], image["width"], 3)
    bright = pixels.max(2) > 160  # JPEG's colours spread over edges
    inside = np.zeros_like(bright)
    for one in found["annotations"]:
        if one["image_id"] == image["id"]:
            left, top, width, height = one["bbox"]
            inside[top : top + height, left : left + width] = True
            assert abs(bright[top : top + height, left : left + width].sum() - one["area"]) < 0.15 * one["area"]
    assert not bright[~inside].any()


def test_shapes_do_not_overlap():
    for seed in range(20):
        scene = draw_scene(np.random.default_rng(seed), 100, 120)
        assert sum(one.mask(*scene.size).astype(int) for one in scene.shapes).max() == 1
        assert scene.labels().max() <= len(NAMES)


def test_masks_are_labels_from_one(tmp_path):
    write_shapes("segmentation", tmp_path / "set", 3, 1)
    for image in (tmp_path / "set" / "images" / "training").iterdir():
        with (
            Image.open(image) as picture,
            Image.open(tmp_path / "set" / "annotations" / "training" / f"{image.stem}.png") as mask,
        ):
            assert mask.mode == "L" and mask.size == picture.size
            assert np.array(mask).min() == 1 and np.array(mask).max() <= 1 + len(NAMES)


def test_videos_move_and_are_listed(tmp_path):
    write_shapes("video", tmp_path / "set", 4, 3)
    lines = (tmp_path / "set" / "shapes_train_split_1_rawframes.txt").read_text().splitlines()
    for line in lines:
        video, frames, label = line.split()
        there = sorted(path.name for path in (tmp_path / "set" / "rawframes" / video).iterdir())
        assert there == [f"img_{one:05d}.jpg" for one in range(1, FRAMES + 1)] and int(frames) == FRAMES
        assert video.startswith(NAMES[int(label)])
    first, *_, last = draw_motion(np.random.default_rng(0), 64, 8, 1)
    assert (first != last).any()


def test_the_same_seed_gives_the_same_set_and_another_one_another(tmp_path):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        write_shapes("detection", tmp_path / name, 2, 1, seed)
    texts = [(tmp_path / name / "annotations" / "instances_train2017.json").read_text() for name in ("one", "same")]
    assert texts[0] == texts[1]
    pictures = [(tmp_path / name / "train2017" / "000000000001.jpg").read_bytes() for name in ("one", "same", "other")]
    assert pictures[0] == pictures[1] != pictures[2]


def test_what_cannot_be_written_leaves_nothing(tmp_path, capsys):
    assert main(["detection", str(tmp_path / "set"), "--train", "2", "--test", "1"]) == 0
    assert main(["detection", str(tmp_path / "set")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["detection", str(tmp_path / "none"), "--train", "0"]) == 2
    with pytest.raises(UsageError, match="no such task"):
        write_shapes("sorting", tmp_path / "none")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
