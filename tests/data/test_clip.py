"""Frames of a video are cropped and mirrored alike."""

import random
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

from madnas.data.augment.clip import ClipAugmentation, multiscale_box, shortened, views


def frame(width: int = 60, height: int = 40) -> Image.Image:
    """Red is the column, green the row."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(width), np.arange(height)[:, None]
    return Image.fromarray(pixels)


@pytest.mark.parametrize("crop", ["resized", "multiscale", "none"])
def test_frames_move_alike_and_samples_differ(crop: Literal["resized", "multiscale", "none"]) -> None:
    random.seed(0)
    torch.manual_seed(0)
    augmentation = ClipAugmentation(32, (40, 40), crop, (0.08, 1.0), (0.75, 4 / 3), 0.5)
    seen = set()
    for _ in range(10):
        found = augmentation([frame()] * 3)
        assert len(found) == 3 and found[0].size == (32, 32)
        assert len({one.tobytes() for one in found}) == 1
        seen.add(found[0].tobytes())
    assert len(seen) == 2 if crop == "none" else len(seen) >= 8


def test_multiscale_crops_have_the_papers_sizes_and_places() -> None:
    random.seed(0)
    boxes = {multiscale_box(340, 256) for _ in range(5000)}
    sides = {(width, height) for _, _, height, width in boxes}
    assert {side for pair in sides for side in pair} == {256, 224, 192, 168}
    assert (256, 192) not in sides and (256, 224) in sides and len(sides) == 10
    assert {(left, top) for top, left, height, width in boxes if (width, height) == (224, 224)} == {
        (116 * x // 4, 32 * y // 4) for x in range(5) for y in range(5) if (x + y) % 2 == 0
    }
    assert all(left + width <= 340 and top + height <= 256 for top, left, height, width in boxes)


def test_short_sides() -> None:
    assert shortened([frame(60, 40)], 20)[0].size == (30, 20)
    assert shortened([frame(40, 60)], 20)[0].size == (20, 30)
    assert shortened([frame(60, 40)], 40)[0].size == (60, 40)


def test_views() -> None:
    frames = [frame(60, 40), frame(60, 40)]
    (centre, _) = views(frames, 40, 1)
    assert centre.getpixel((0, 0))[:2] == (10, 0)
    three = views(frames, 40, 3)
    assert [one.getpixel((0, 0))[0] for one in three] == [0, 10, 20] * 2
    assert [one.getpixel((0, 0))[1] for one in views([frame(40, 60)], 40, 3)] == [0, 10, 20]
    ten = views(frames, 40, 10)
    assert len(ten) == 20 and sum(one.getpixel((0, 0))[0] > one.getpixel((39, 0))[0] for one in ten) == 10
