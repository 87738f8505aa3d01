"""Batches are augmented as Pillow and timm augment single images: operations exactly, what is random statistically."""

import random

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import Mixup, auto_augment_transform, rand_augment_transform
from timm.data.auto_augment import LEVEL_TO_ARG, NAME_TO_OP
from timm.data.random_erasing import RandomErasing
from torchvision import transforms

from madnas.data.augment.batch import Augmentation, cutout, erase, jitter, lighting, pad_crop, resized_crop
from madnas.data.augment.pixels import OPS
from madnas.data.augment.policy import LEVELS, BatchPolicy
from madnas.errors import UsageError

FILL = (50, 100, 200)


def picture(seed: int, side: int = 16, channels: int = 3) -> np.ndarray:
    """Noise on a gradient, so that every operation has something to do."""
    generator = np.random.default_rng(seed)
    base = np.linspace(40, 200, side)[:, None, None] + np.zeros((side, side, channels))
    return (base + generator.normal(0, 30, base.shape)).clip(0, 255).astype(np.uint8)


def tensor(*pictures: np.ndarray) -> torch.Tensor:
    return torch.stack([torch.from_numpy(one).permute(2, 0, 1).float() for one in pictures])


AMOUNTS = {
    "AutoContrast": (0,), "Equalize": (0,), "Invert": (0,), "Rotate": (-30, -7.3, 0, 12.5, 30),
    "Posterize": (1, 3, 4, 8), "Solarize": (0, 100, 256), "SolarizeAdd": (0, 37, 110),
    "Color": (0.1, 0.7, 1, 1.9), "Contrast": (0.1, 0.7, 1, 1.9), "Brightness": (0.1, 0.7, 1, 1.9),
    "Sharpness": (0.1, 0.7, 1, 1.9), "ShearX": (-0.3, 0.11, 0.3), "ShearY": (-0.3, 0.11, 0.3),
    "TranslateX": (-3.7, 2), "TranslateY": (-3.7, 2), "TranslateXRel": (-0.45, 0.2), "TranslateYRel": (-0.45, 0.2),
    "Desaturate": (0, 0.4, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", OPS)
def test_operations_are_pillows(name):
    """To the last bit where nothing is interpolated, else within one level."""
    pictures = [picture(seed) for seed in range(4)]
    interpolates = name in ("Rotate", "ShearX", "ShearY") or name.startswith("Translate")
    for amount in AMOUNTS[name]:
        arguments = () if name in ("AutoContrast", "Equalize", "Invert") else (amount,)
        expected = [
            np.array(NAME_TO_OP[name](Image.fromarray(one), *arguments, fillcolor=FILL, resample=Image.BILINEAR))
            for one in pictures
        ]
        found = OPS[name](tensor(*pictures), torch.full((4,), float(amount)), torch.tensor(FILL).float())
        difference = (found - tensor(*expected)).abs()
        assert difference.max() <= (1 if interpolates else 0), (name, amount)
        assert difference.mean() <= 0.06


def test_every_operation_of_timm_has_its_level():
    """The same argument for the same magnitude; signs are drawn."""
    for name, (operation, level) in LEVELS.items():
        assert NAME_TO_OP[name] is NAME_TO_OP[operation]
        timms = LEVEL_TO_ARG[name]
        for magnitude in (0.0, 1.7, 5.0, 9.3, 10.0):
            ours = {float(level(torch.tensor([magnitude / 10]), torch.tensor([sign]))[0]) for sign in (-1.0, 1.0)}
            if timms is None:
                assert ours == {0.0}
                continue
            drawn = set()
            for seed in range(20):
                random.seed(seed)
                drawn.add(float(timms(magnitude, {"translate_const": 7})[0]) if timms else 0.0)
            assert sorted(ours) == pytest.approx(sorted(drawn), abs=1e-6), (name, magnitude)


@pytest.mark.parametrize("config", ["original", "originalr", "rand-m9-mstd0.5", "rand-m7-n3-mstd0.5-inc1",
                                    "rand-m6-p1.0-tweights", "rand-m9-mstd101-inc1"])  # fmt: skip
def test_policies_change_images_as_timms_do(config):
    """Mean and spread of every pixel over 3,000 draws, ours and timm's; the tolerance is that of timm with itself."""
    one = picture(3)
    make = rand_augment_transform if config.startswith("rand") else auto_augment_transform
    timms = make(config, {"img_mean": FILL, "interpolation": Image.BILINEAR, "translate_const": 7})
    draws = 3000
    random.seed(0)
    np.random.seed(0)
    theirs = tensor(*(np.array(timms(Image.fromarray(one))) for _ in range(draws)))
    policy = BatchPolicy(config, torch.tensor(FILL).float())
    ours = policy(tensor(one).repeat(draws, 1, 1, 1), torch.Generator().manual_seed(0))
    assert ours.min() >= 0 and ours.max() <= 255 and torch.equal(ours, ours.round())
    error = (theirs.var(0) / draws * 2).sqrt().clamp(min=0.05)  # standard error of the difference of two means
    deviations = (ours.mean(0) - theirs.mean(0)) / error
    assert deviations.square().mean() < 4  # pixels hang together, so that one unlucky draw moves all of them
    assert ours.std(0).mean() == pytest.approx(float(theirs.std(0).mean()), rel=0.05)
    unchanged = [float((part == tensor(one)).flatten(1).all(1).float().mean()) for part in (ours, theirs)]
    assert unchanged[0] == pytest.approx(unchanged[1], abs=0.04)


@pytest.mark.parametrize("config", ["rand-m9-t3a", "3a", "augmix-m5", "nonsense"])
def test_policies_for_single_images_are_refused(config):
    with pytest.raises(UsageError, match=r"aa: "):
        BatchPolicy(config, torch.zeros(3))


def test_grey_images():
    policy = BatchPolicy("rand-m9-mstd0.5", torch.tensor([128.0]))
    found = policy(tensor(picture(0, channels=1)).repeat(500, 1, 1, 1), torch.Generator().manual_seed(1))
    assert found.shape == (500, 1, 16, 16)


def test_resized_crops_are_torchvisions():
    """The same box gives the same image, and boxes are drawn alike."""
    one = picture(1)
    chance = torch.Generator().manual_seed(0)
    ours = resized_crop(tensor(one).repeat(4000, 1, 1, 1), 16, (0.08, 1.0), (0.75, 4 / 3), chance)
    torch.manual_seed(0)
    crop = transforms.RandomResizedCrop(16, (0.08, 1.0), (0.75, 4 / 3), interpolation=Image.BILINEAR)
    theirs = tensor(*(np.array(crop(Image.fromarray(one))) for _ in range(4000)))
    assert (ours.mean(0) - theirs.mean(0)).abs().mean() < 1.0
    assert ours.std(0).mean() == pytest.approx(float(theirs.std(0).mean()), rel=0.03)
    whole = resized_crop(tensor(one), 16, (1.0, 1.0), (1.0, 1.0), chance)
    assert torch.equal(whole, tensor(one))
    larger = resized_crop(tensor(one), 32, (1.0, 1.0), (1.0, 1.0), chance)
    expected = tensor(np.array(Image.fromarray(one).resize((32, 32), Image.BILINEAR)))
    assert (larger - expected).abs().max() <= 1


def test_padded_crops_are_parts_of_the_padded_image():
    one = tensor(picture(2))
    found = pad_crop(one.repeat(300, 1, 1, 1), 16, 2, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(one[0], (2, 2, 2, 2))
    parts = {(y, x): padded[:, y : y + 16, x : x + 16] for y in range(5) for x in range(5)}
    places = [next(place for place, part in parts.items() if torch.equal(part, crop)) for crop in found]
    counts = np.bincount([5 * y + x for y, x in places], minlength=25)
    assert counts.min() > 2 and counts.max() < 30


def test_colours_are_jittered_as_torchvision_does():
    one = picture(5)
    ours = jitter(tensor(one).repeat(3000, 1, 1, 1), 0.4, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    timms = transforms.ColorJitter(0.4, 0.4, 0.4)
    theirs = tensor(*(np.array(timms(Image.fromarray(one))) for _ in range(3000)))
    assert (ours.mean(0) - theirs.mean(0)).abs().mean() < 1.5
    assert ours.std(0).mean() == pytest.approx(float(theirs.std(0).mean()), rel=0.04)


@pytest.mark.parametrize("mode", ["const", "pixel"])
def test_erasing_is_timms(mode):
    images = torch.full((4000, 3, 16, 16), 5.0)
    ours = erase(images, 0.5, mode, torch.Generator().manual_seed(0))
    random.seed(0)
    torch.manual_seed(0)
    theirs = RandomErasing(0.5, mode=mode, device="cpu")(images.clone())
    shares = [(part != 5).float().mean(0) for part in (ours, theirs)]
    assert (shares[0] - shares[1]).abs().max() < 0.04
    erased = [float((part != 5).any(1).flatten(1).any(1).float().mean()) for part in (ours, theirs)]
    assert erased == pytest.approx([0.5, 0.5], abs=0.03)
    noise = ours[ours != 5]
    assert (noise == 0).all() if mode == "const" else noise.std() == pytest.approx(1, abs=0.02)


def test_cutout_blanks_a_square_that_may_hang_over():
    found = cutout(torch.ones(2000, 3, 16, 16), 6, torch.Generator().manual_seed(0))
    areas = (found[:, 0] == 0).flatten(1).sum(1)
    assert areas.max() == 36 and areas.min() == 9
    middle = (found[:, 0, 8, 8] == 0).float().mean()
    assert middle == pytest.approx(36 / 256, abs=0.03)


def test_lighting_shifts_colours_along_their_principal_axes():
    spread = torch.tensor([0.2, 0.3, 0.4])
    shifts = lighting(torch.zeros(20_000, 3, 1, 1), 0.1, spread, torch.Generator().manual_seed(0)) * spread.view(
        3, 1, 1
    )
    values, _ = torch.linalg.eigh(shifts[:, :, 0, 0].T.cov())
    assert values.sqrt().flip(0) == pytest.approx(torch.tensor([0.02175, 0.00188, 0.00045]), rel=0.15)
    grey = torch.zeros(2, 1, 4, 4)
    assert lighting(grey, 0.1, spread[:1], torch.Generator()) is grey


def test_the_same_numbers_give_the_same_batch():
    augment = Augmentation(16, "resized", hflip=0.5, policy=BatchPolicy("rand-m9-mstd0.5", torch.zeros(3)))
    images = tensor(*(picture(seed) for seed in range(8))).to(torch.uint8)
    before = images.clone()
    one, other, third = (augment(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, other) and not torch.equal(one, third)
    assert torch.equal(images, before)


def test_flips():
    images = torch.arange(4, dtype=torch.uint8).view(1, 1, 1, 4).repeat(2000, 1, 1, 1)
    found = Augmentation(4, hflip=0.3)(images, torch.Generator().manual_seed(0))
    flipped = (found[:, 0, 0] == torch.tensor([3.0, 2, 1, 0])).all(1)
    assert flipped.float().mean() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(found[~flipped], images[~flipped].float())


def test_timms_mixup_takes_our_batches():
    mixed, targets = Mixup(mixup_alpha=0.2, num_classes=3)(torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 0]))
    assert mixed.shape == (4, 3, 8, 8) and targets.sum(1) == pytest.approx(torch.ones(4))
