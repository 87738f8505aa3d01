"""Images and their masks move together."""

import random

import numpy as np
import pytest
from PIL import Image

from madnas.data.augment.scene import FILL, SceneAugmentation, distorted, fitted_size, padded
from madnas.data.masks import IGNORED

PLAIN = {"most": 1, "distorts": False}


def scene(width: int = 40, height: int = 24) -> tuple[Image.Image, np.ndarray]:
    """The label of a pixel is its red level."""
    labels = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = labels
    return Image.fromarray(pixels), labels


@pytest.mark.parametrize("seed", range(8))
def test_every_pixel_keeps_its_label(seed: int) -> None:
    random.seed(seed)
    augmentation = SceneAugmentation(16, (24, 24), **PLAIN)
    image, labels = augmentation(scene())
    assert image.size == (16, 16) and labels.shape == (16, 16)
    assert np.array_equal(np.asarray(image)[..., 0], labels)


def test_crops_flips_and_scales_are_all_seen() -> None:
    random.seed(0)
    augmentation = SceneAugmentation(8, (12, 48), **PLAIN)
    found = [augmentation(scene())[1] for _ in range(60)]
    rows = [labels[0].astype(int) for labels in found]
    assert {bool(row[0] < row[-1]) for row in rows} == {True, False}  # mirrored or not
    spreads = [abs(row[0] - row[-1]) for row in rows]
    assert min(spreads) <= 5 and max(spreads) >= 12  # seven pixels are four of the large, fourteen of the small


def test_what_is_beyond_the_border_is_ignored_and_of_the_mean_colour() -> None:
    image, labels = padded(*scene(10, 6), 16)
    assert image.size == (16, 16) and image.getpixel((15, 15)) == FILL
    assert (labels[6:] == IGNORED).all() and (labels[:, 10:] == IGNORED).all() and (labels[:6, :10] != IGNORED).all()


def test_a_crop_of_nearly_one_class_is_tried_again() -> None:
    labels = np.zeros((16, 64), np.uint8)
    labels[:, 60:] = 1
    image = Image.fromarray(np.zeros((16, 64, 3), np.uint8))
    shares = {}
    for most in (0.9, 1.0):
        random.seed(0)
        augmentation = SceneAugmentation(16, (16, 16), most=most, distorts=False)
        shares[most] = np.mean([(augmentation((image, labels))[1] == 1).any() for _ in range(100)])
    assert shares[0.9] > shares[1.0] + 0.2


def test_the_mask_is_not_distorted_and_colours_are() -> None:
    random.seed(1)
    image, _ = scene()
    grey = Image.new("RGB", image.size, (120, 90, 60))
    changed = [np.asarray(distorted(grey))[0, 0] for _ in range(40)]
    assert len({tuple(one) for one in changed}) > 20
    assert all(np.ptp(np.asarray(distorted(grey)), axis=(0, 1)).max() == 0 for _ in range(5))
    random.seed(3)
    _, plain = SceneAugmentation(16, (12, 48), most=1.0, distorts=False)(scene())
    random.seed(3)
    _, labels = SceneAugmentation(16, (12, 48), most=1.0, distorts=True)(scene())
    assert np.array_equal(labels, plain)


def test_sizes_as_the_evaluation_of_ade20k_has_them() -> None:
    assert fitted_size((683, 512), 512) == (683, 512)
    assert fitted_size((512, 683), 512) == (512, 683)  # a portrait's short side is its width
    assert fitted_size((4000, 200), 512) == (2048, 102)
