"""ADE20K's layout: what is read, and what is refused by name."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from madnas.data.masks import FOLDER, IGNORED, open_scenes, read_mask
from madnas.errors import DataError

LABELS = np.array([[0, 1, 2], [3, 150, 0]], np.uint8)


def ade(folder: Path, count: int = 2) -> Path:
    """A tiny set of 3 x 2 pixels; its own folder."""
    base = folder / FOLDER
    for split in ("training", "validation"):
        for part in ("images", "annotations"):
            (base / part / split).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (3, 2), (number, 0, 0)).save(base / f"images/{split}/{number}.jpg")
            Image.fromarray(LABELS).save(base / f"annotations/{split}/{number}.png")
    return base


def test_labels_begin_at_one_and_what_is_none_is_ignored(tmp_path: Path) -> None:
    ade(tmp_path)
    scenes = open_scenes(tmp_path, "train", 150)
    image, labels = scenes.read(1)
    assert len(scenes) == 2 and image.size == (3, 2) and image.mode == "RGB"
    assert labels.tolist() == [[IGNORED, 0, 1], [2, 149, IGNORED]] and labels.dtype == np.uint8
    assert open_scenes(tmp_path / FOLDER, "validation", 150).filename(0).endswith("validation/0.jpg")


def test_masks_of_sixteen_bits(tmp_path: Path) -> None:
    Image.fromarray(LABELS.astype(np.uint16)).save(tmp_path / "deep.png")
    assert read_mask(tmp_path / "deep.png", 150).tolist() == [[IGNORED, 0, 1], [2, 149, IGNORED]]


def test_the_digest_is_that_of_names_masks_and_classes(tmp_path: Path) -> None:
    base = ade(tmp_path)
    mask = base / "annotations/training/0.png"
    other, kept = open_scenes(base, "train", 150).digest(), mask.read_bytes()
    Image.fromarray(np.full_like(LABELS, 7).astype(np.uint8)).save(mask)
    before = open_scenes(base, "train", 150).digest()
    assert before != other
    mask.write_bytes(kept)
    assert open_scenes(base, "train", 150).digest() == other
    before = other
    assert before == open_scenes(base, "train", 150).digest() != open_scenes(base, "train", 151).digest()
    for part, ending in (("images", "jpg"), ("annotations", "png")):
        (base / f"{part}/training/0.{ending}").rename(base / f"{part}/training/7.{ending}")
    assert open_scenes(base, "train", 150).digest() != before


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (Image.new("RGB", (3, 2)), "the channels RGB"),
        (Image.new("P", (3, 2)), "a palette"),
        (Image.new("1", (3, 2)), "one bit"),
        (Image.new("L", (2, 3)), "2 x 3 pixels, and its image 3 x 2"),
        (Image.new("L", (3, 2), 151), "the label 151: there are 150 classes"),
    ],
)
def test_masks_that_would_give_wrong_numbers(tmp_path: Path, mask: Image.Image, text: str) -> None:
    base = ade(tmp_path)
    mask.save(base / "annotations/training/1.png")
    with pytest.raises(ValueError, match=text):
        open_scenes(base, "train", 150).read(1)


def test_a_broken_png(tmp_path: Path) -> None:
    base = ade(tmp_path)
    path = base / "annotations/training/1.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises((OSError, SyntaxError)):
        open_scenes(base, "train", 150).read(1)


@pytest.mark.parametrize(
    ("gone", "text"),
    [
        ("annotations/training/1.png", "images/training: 1 without mask, such as 1"),
        ("images/training/1.jpg", "annotations/training: 1 without image, such as 1"),
        ("images/training/*", "images/training: no files that end with"),
        ("images", "images: no such folder"),
        ("annotations", "annotations: no such folder"),
        ("annotations/training", "annotations/training: cannot be read: No such file"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, gone: str, text: str) -> None:
    base = ade(tmp_path)
    for path in list(base.glob(gone)):
        path.rename(tmp_path / f"gone-{path.name}")
    with pytest.raises(DataError, match=text):
        open_scenes(tmp_path, "train", 150)


def test_two_images_of_one_name(tmp_path: Path) -> None:
    base = ade(tmp_path)
    Image.new("RGB", (3, 2)).save(base / "images/training/1.png")
    with pytest.raises(DataError, match=r"1\.jpg and 1\.png have the same name"):
        open_scenes(tmp_path, "train", 150)
