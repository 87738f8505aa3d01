"""Augmentation of the frames of a video, all alike; and the views of them that are tested.

Random numbers come from Python's and torch's generators, which are seeded for every sample.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as F

Frames = list[Image.Image]

STEPS = (1.0, 0.875, 0.75, 0.66)
"""Sides of multi-scale crops as shares of the frame's short side [Wang et al. 2016, TSN: 256, 224, 192, 168]."""

FURTHEST = 1
"""Steps that width and height of a multi-scale crop may lie apart."""


@dataclass(frozen=True, slots=True)
class ClipAugmentation:
    """Crop and flip of training.

    Attributes:
        size: side of the frames that come out.
        short: range of the frames' short side before the crop.
        crop: ``resized`` (a random part, resized), ``multiscale`` (a corner, an edge or the centre, in one of four
            widths and heights, resized) or ``none`` (all of it, resized).
        scale, ratio: share of the area, and aspect ratio, of resized crops.
        hflip: probability of a horizontal flip.
    """

    size: int
    short: tuple[int, int]
    crop: Literal["resized", "multiscale", "none"]
    scale: tuple[float, float]
    ratio: tuple[float, float]
    hflip: float

    def __call__(self, frames: Frames) -> Frames:
        """Frames of ``size`` x ``size``."""
        frames = shortened(frames, random.randint(*self.short))
        if self.crop != "none":
            top, left, height, width = self._box(frames[0])
            frames = [one.crop((left, top, left + width, top + height)) for one in frames]
        frames = [one.resize((self.size, self.size), Image.Resampling.BILINEAR) for one in frames]
        if random.random() < self.hflip:
            frames = [one.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for one in frames]
        return frames

    def _box(self, frame: Image.Image) -> tuple[int, int, int, int]:
        """Top, left, height and width."""
        if self.crop == "resized":
            top, left, height, width = RandomResizedCrop.get_params(frame, list(self.scale), list(self.ratio))
            return top, left, height, width
        return multiscale_box(frame.width, frame.height)


def multiscale_box(width: int, height: int) -> tuple[int, int, int, int]:
    """Top, left, height and width of a crop at one of thirteen places [TSN: corners and centre; and between them]."""
    sides = [int(min(width, height) * step) for step in STEPS]
    pairs = [(w, h) for i, w in enumerate(sides) for j, h in enumerate(sides) if abs(i - j) <= FURTHEST]
    w, h = random.choice(pairs)
    quarters = [(x, y) for x in range(5) for y in range(5) if x % 2 == y % 2]
    x, y = random.choice(quarters)
    return (height - h) * y // 4, (width - w) * x // 4, h, w


def shortened(frames: Frames, short: int) -> Frames:
    """Frames whose short side has so many pixels."""
    width, height = frames[0].size
    ratio = short / min(width, height)
    size = (max(short, round(width * ratio)), max(short, round(height * ratio)))
    if size == (width, height):
        return frames
    return [one.resize(size, Image.Resampling.BILINEAR) for one in frames]


def views(frames: Sequence[Image.Image], size: int, crops: int) -> Frames:
    """What is tested of frames.

    Args:
        frames: not smaller than ``size`` either way.
        size: of the crops.
        crops: 1 (the centre), 3 (both ends and the centre of the long side) or 10 (corners and centre, and their mirror
            images).

    Returns:
        all views of the first frame, then those of the next one.
    """
    return [view for frame in frames for view in _views(frame, size, crops)]


def _views(frame: Image.Image, size: int, crops: int) -> Frames:
    if crops == 1:
        return [F.center_crop(frame, [size, size])]
    if crops == 10:
        return list(F.ten_crop(frame, [size, size]))
    if crops != 3:
        raise ValueError(f"{crops} crops: 1, 3 or 10")
    across, down = frame.width - size, frame.height - size
    ends = [(step * across // 2, down // 2) if across >= down else (across // 2, step * down // 2) for step in range(3)]
    return [frame.crop((left, top, left + size, top + size)) for left, top in ends]
