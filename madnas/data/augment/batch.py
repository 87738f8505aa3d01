"""Crops, flips, colours and erasing of whole batches on the device, in the order of timm's transforms.

Random numbers come from a generator on the CPU: the same on every device, and no step waits for a GPU.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from madnas.data.augment.pixels import brightness, color, contrast, sample
from madnas.data.augment.policy import BatchPolicy

ATTEMPTS = 10
"""Times that a crop or a rectangle is drawn anew where it does not fit (torchvision's and timm's number)."""

ERASED_AREA = (0.02, 1 / 3)
ERASED_ASPECT = (0.3, 1 / 0.3)
"""Share of the image, and height / width, of an erased rectangle [Zhong et al. 2017]."""

PCA_VALUES = (0.2175, 0.0188, 0.0045)
PCA_VECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""Principal components of ImageNet's colours [Krizhevsky et al. 2012], in units of 1 for white."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is done to training images; fields as in :class:`madnas.train.recipe.TrainRecipe`."""

    size: int
    crop: str = "none"
    pad: int = 4
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (0.75, 4 / 3)
    hflip: float = 0.0
    color_jitter: float = 0.0
    policy: BatchPolicy | None = None

    def __call__(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Augment a batch.

        Args:
            images: uint8 (n, channels, height, width), no larger than ``size``.
            random: on the CPU.

        Returns:
            Whole numbers from 0 to 255 in float32 (n, channels, size, size).
        """
        found = images.float()
        if self.crop == "pad":
            found = pad_crop(found, self.size, self.pad, random)
        elif self.crop == "resized":
            found = resized_crop(found, self.size, self.scale, self.ratio, random)
        if self.hflip:
            flip = (torch.rand(len(found), generator=random) < self.hflip).to(found.device).view(-1, 1, 1, 1)
            found = torch.where(flip, found.flip(3), found)
        if self.policy is not None:  # as in timm, colours are then the policy's matter
            return self.policy(found, random)
        return jitter(found, self.color_jitter, random) if self.color_jitter else found


def pad_crop(images: Tensor, size: int, pad: int, random: torch.Generator) -> Tensor:
    """Crops of ``size`` pixels from images with a black border of ``pad``."""
    n, channels, height, width = images.shape
    padded = torch.nn.functional.pad(images, (pad, pad, pad, pad))
    top = torch.randint(height + 2 * pad - size + 1, (n,), generator=random).to(images.device)
    left = torch.randint(width + 2 * pad - size + 1, (n,), generator=random).to(images.device)
    steps = torch.arange(size, device=images.device)
    rows = (top[:, None] + steps).view(n, 1, size, 1).expand(n, channels, size, padded.shape[3])
    columns = (left[:, None] + steps).view(n, 1, 1, size).expand(n, channels, size, size)
    return padded.gather(2, rows).gather(3, columns)


def resized_crop(
    images: Tensor, size: int, scale: tuple[float, float], ratio: tuple[float, float], random: torch.Generator
) -> Tensor:
    """A random part of every image, resized bilinearly to ``size`` pixels; torchvision's RandomResizedCrop."""
    n, _, height, width = images.shape
    top, left, rows, columns = (
        part.to(images.device, torch.float32).view(n, 1) for part in _crops(n, height, width, scale, ratio, random)
    )
    steps = (torch.arange(size, device=images.device) + 0.5) / size
    y = (top + steps * rows).clamp(top + 0.5, top + rows - 0.5)  # of what is outside the part, nothing comes in
    x = (left + steps * columns).clamp(left + 0.5, left + columns - 0.5)
    places = torch.stack([x[:, None, :].expand(n, size, size), y[:, :, None].expand(n, size, size)], 1)
    return sample(images, places).add_(0.5).floor_()


def _crops(
    n: int, height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float], random: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Top, left, height and width of crops (n,) each; of images in which none fits, the centre."""
    area = height * width * _uniform((n, ATTEMPTS), scale, random)
    aspect = _uniform((n, ATTEMPTS), (math.log(ratio[0]), math.log(ratio[1])), random).exp()
    columns, rows = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    fits = (columns > 0) & (columns <= width) & (rows > 0) & (rows <= height)
    first = fits.long().argmax(1, keepdim=True)
    rows, columns = rows.gather(1, first)[:, 0], columns.gather(1, first)[:, 0]
    whole = width / height
    centre_columns = width if whole <= ratio[1] else round(height * ratio[1])
    centre_rows = height if whole >= ratio[0] else round(width / ratio[0])
    found = fits.any(1)
    rows, columns = torch.where(found, rows, centre_rows), torch.where(found, columns, centre_columns)
    top, left = (_below(height - rows + 1, random), _below(width - columns + 1, random))
    return (
        torch.where(found, top, (height - centre_rows) // 2),
        torch.where(found, left, (width - centre_columns) // 2),
        rows,
        columns,
    )


def jitter(images: Tensor, amount: float, random: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation times 1 - amount to 1 + amount, in random order, as torchvision's."""
    n = len(images)
    order = torch.rand(n, 3, generator=random).argsort(1)
    factors = _uniform((n, 3), (max(0.0, 1 - amount), 1 + amount), random)
    fill = images.new_zeros(images.shape[1])
    for place in range(3):
        for index, op in enumerate((brightness, contrast, color)):
            rows = torch.nonzero(order[:, place] == index).flatten()
            factor, rows = factors[rows, index].to(images.device), rows.to(images.device)
            images[rows] = op(images[rows], factor, fill)
    return images


def erase(images: Tensor, probability: float, mode: str, random: torch.Generator) -> Tensor:
    """Random erasing of normalised images: a rectangle becomes 0 (``const``) or noise (``pixel``)."""
    n, _, height, width = images.shape
    area = height * width * _uniform((n, ATTEMPTS), ERASED_AREA, random)
    aspect = _uniform((n, ATTEMPTS), (math.log(ERASED_ASPECT[0]), math.log(ERASED_ASPECT[1])), random).exp()
    rows, columns = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    fits = (rows < height) & (columns < width)
    first = fits.long().argmax(1, keepdim=True)
    rows, columns = rows.gather(1, first)[:, 0], columns.gather(1, first)[:, 0]
    happens = (torch.rand(n, generator=random) < probability) & fits.any(1)
    top, left = _below((height - rows + 1).clamp(min=1), random), _below((width - columns + 1).clamp(min=1), random)
    chosen = torch.nonzero(happens).flatten()  # known on the CPU: noise costs time, and only these need it
    rows, columns, top, left = (part[chosen] for part in (rows, columns, top, left))
    places = chosen.to(images.device)
    return images.index_copy(0, places, _filled(images[places], rows, columns, top, left, mode, random))


def cutout(images: Tensor, side: int, random: torch.Generator) -> Tensor:
    """A square of ``side`` pixels around a random pixel becomes 0, cut off at the borders [DeVries and Taylor 2017]."""
    n, _, height, width = images.shape
    sides = torch.full((n,), side)
    top = torch.randint(height, (n,), generator=random) - side // 2
    left = torch.randint(width, (n,), generator=random) - side // 2
    return _filled(images, sides, sides, top, left, "const", random)


def lighting(images: Tensor, std: float, spread: Tensor, random: torch.Generator) -> Tensor:
    """PCA lighting noise on normalised RGB images; ``spread`` is the standard deviation they were divided by (3,)."""
    if images.shape[1] != 3:
        return images
    strength = std * torch.randn(len(images), 3, generator=random) * torch.tensor(PCA_VALUES)
    shift = (strength @ torch.tensor(PCA_VECTORS).T).to(images.device, images.dtype)
    return images + (shift / spread).view(-1, 3, 1, 1)


def _filled(
    images: Tensor, rows: Tensor, columns: Tensor, top: Tensor, left: Tensor, mode: str, random: torch.Generator
) -> Tensor:
    height, width = images.shape[2:]
    box = torch.stack([top, top + rows, left, left + columns]).to(images.device).view(4, -1, 1, 1, 1)
    y = torch.arange(height, device=images.device).view(1, 1, -1, 1)
    x = torch.arange(width, device=images.device).view(1, 1, 1, -1)
    inside = (y >= box[0]) & (y < box[1]) & (x >= box[2]) & (x < box[3])
    if mode == "const":
        return images.masked_fill(inside, 0.0)
    noise = torch.empty_like(images)
    seed = int(torch.randint(2**62, (), generator=random))
    noise.normal_(generator=torch.Generator(images.device).manual_seed(seed))
    return torch.where(inside, noise, images)


def _uniform(shape: tuple[int, ...], limits: tuple[float, float], random: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=random) * (limits[1] - limits[0]) + limits[0]


def _below(limits: Tensor, random: torch.Generator) -> Tensor:
    """Whole numbers from 0 to below each limit, all equally likely."""
    return (torch.rand(limits.shape, generator=random, dtype=torch.float64) * limits).long()
