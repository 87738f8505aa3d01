"""Augmentation of an image together with its mask: what moves pixels moves both, what changes colours the image alone.

Random numbers come from Python's generator, which is seeded for every sample.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torchvision.transforms.v2.functional as F
from PIL import Image

from madnas.data.masks import IGNORED
from madnas.data.source import IMAGENET_MEAN

FILL = tuple(round(255 * level) for level in IMAGENET_MEAN)
"""Colour of what is padded: the mean, so that it is about 0 after normalisation."""

LONGEST = 4
"""Most that an image's long side may have, over the short side that is asked for: 2048 to 512."""

TRIES = 10
"""Crops that are tried until one is not of a single class."""

CHANCE = 0.5
"""Of each distortion of colours."""

BRIGHTNESS, CONTRAST, SATURATION, HUE = (0.875, 1.125), (0.5, 1.5), (0.5, 1.5), (-0.1, 0.1)
"""Factors of brightness (32 / 255 either way), contrast and saturation; hue in turns (18 of 180 either way)."""

Scene = tuple[Image.Image, np.ndarray]
"""An image, and labels (height, width), uint8."""


@dataclass(frozen=True, slots=True)
class SceneAugmentation:
    """Random scale, crop, flip and colours, as OpenMMLab trains UPerNet on ADE20K.

    Attributes:
        size: side of the crop.
        short: range of the short side before the crop; the long side has at most four times as much.
        most: share of a crop's labelled pixels that one class may have; from it on another is tried. 1 takes any.
        hflip: probability of a horizontal flip.
        distorts: whether brightness, contrast, saturation and hue change.
    """

    size: int
    short: tuple[float, float]
    most: float = 0.75
    hflip: float = 0.5
    distorts: bool = True

    def __call__(self, scene: Scene) -> Scene:
        """An image of ``size`` x ``size`` and its labels; beyond the border lies :data:`FILL`, which is ignored."""
        image, labels = scene
        image, labels = resized(image, labels, fitted_size(image.size, random.uniform(*self.short)))
        image, labels = self._cropped(*padded(image, labels, self.size))
        if random.random() < self.hflip:
            image, labels = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), labels[:, ::-1]
        return distorted(image) if self.distorts else image, np.ascontiguousarray(labels)

    def _cropped(self, image: Image.Image, labels: np.ndarray) -> Scene:
        for _ in range(TRIES):
            top = random.randint(0, labels.shape[0] - self.size)
            left = random.randint(0, labels.shape[1] - self.size)
            found = labels[top : top + self.size, left : left + self.size]
            counts = np.bincount(found[found != IGNORED])
            if self.most >= 1 or (np.count_nonzero(counts) > 1 and counts.max() < self.most * counts.sum()):
                break
        return image.crop((left, top, left + self.size, top + self.size)), found


def fitted_size(size: tuple[int, int], short: float) -> tuple[int, int]:
    """Width and height at which an image just fits into ``short`` x ``4 short`` pixels, either way.

    >>> fitted_size((640, 480), 512), fitted_size((3000, 500), 512)
    ((683, 512), (2048, 341))
    """
    ratio = min(short / min(size), LONGEST * short / max(size))
    width, height = (max(1, int(side * ratio + 0.5)) for side in size)
    return width, height


def resized(image: Image.Image, labels: np.ndarray, size: tuple[int, int]) -> Scene:
    """Both at ``size`` (width, height): bilinear, and the nearest label."""
    moved = Image.fromarray(labels).resize(size, Image.Resampling.NEAREST)
    return image.resize(size, Image.Resampling.BILINEAR), np.asarray(moved)


def padded(image: Image.Image, labels: np.ndarray, least: int) -> Scene:
    """Both with sides of ``least`` or more, padded to the right and below."""
    width, height = max(least, image.width), max(least, image.height)
    if (width, height) == image.size:
        return image, labels
    canvas = Image.new("RGB", (width, height), FILL)
    canvas.paste(image, (0, 0))
    more = ((0, height - image.height), (0, width - image.width))
    return canvas, np.pad(labels, more, constant_values=IGNORED)


def distorted(image: Image.Image) -> Image.Image:
    """Other brightness, contrast, saturation and hue, each with probability one half [Liu et al. 2016, SSD].

    The contrast changes before or after saturation and hue, at random.
    """
    contrast = (F.adjust_contrast, CONTRAST)
    colours = [(F.adjust_saturation, SATURATION), (F.adjust_hue, HUE)]
    middle = [contrast, *colours] if random.random() < CHANCE else [*colours, contrast]
    steps: list[tuple[Callable[[Image.Image, float], Image.Image], tuple[float, float]]]
    steps = [(F.adjust_brightness, BRIGHTNESS), *middle]
    for change, bounds in steps:
        if random.random() < CHANCE:
            image = change(image, random.uniform(*bounds))
    return image
