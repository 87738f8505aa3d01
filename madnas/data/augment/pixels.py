"""What AutoAugment's operations do to pixels, for batches; equal to Pillow's but for the last bit of an interpolation.

Images are (n, channels, height, width) of whole numbers from 0 to 255 in float32, RGB or grey; ``amount`` is (n,), the
operation's argument for each image. Pillow cuts fractions off where it blends and rounds where it filters: so do these.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

GREY = (19595 / 65536, 38470 / 65536, 7471 / 65536)
"""Weights of red, green and blue in Pillow's grey [ITU-R 601-2]."""

ROUNDING = 2e-4
"""Added before fractions are cut off, because float32 falls short of whole numbers."""

Op = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Takes images, amounts, and the colour (channels,) that comes in from outside."""


def grey(images: Tensor) -> Tensor:
    """Brightness of every pixel (n, 1, height, width)."""
    if images.shape[1] == 1:
        return images
    weights = images.new_tensor(GREY).view(1, -1, 1, 1)
    return (images * weights).sum(1, keepdim=True).add_(0.5).floor_()


def blend(base: Tensor, images: Tensor, amount: Tensor) -> Tensor:
    """``base`` at amount 0, the images at 1, beyond them above."""
    return (base + _per_image(amount) * (images - base)).clamp_(0, 255).floor_()


def brightness(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Towards black, or away from it."""
    return blend(torch.zeros_like(images), images, amount)


def contrast(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Towards the mean grey."""
    return blend(grey(images).mean((1, 2, 3), keepdim=True).add_(0.5).floor_(), images, amount)


def color(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Towards grey."""
    return images if images.shape[1] == 1 else blend(grey(images), images, amount)


def sharpness(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Towards a smooth image; the outermost pixels stay as they are."""
    channels = images.shape[1]
    if min(images.shape[2:]) < 3:
        return images
    kernel = images.new_ones(3, 3)
    kernel[1, 1] = 5
    inner = F.conv2d(images, (kernel / kernel.sum()).expand(channels, 1, 3, 3), groups=channels)
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = inner.add_(0.5).floor_().clamp_(0, 255)
    return blend(smooth, images, amount)


def desaturate(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Towards grey, the more the larger the amount."""
    return color(images, (1 - amount).clamp(0, 1), fill)


def invert(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """The negative."""
    return 255 - images


def solarize(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """The negative of pixels at or above the amount."""
    return torch.where(images < _per_image(amount), images, 255 - images)


def solarize_add(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """The amount more for pixels below 128."""
    return torch.where(images < 128, (images + _per_image(amount)).clamp_(max=255), images)


def posterize(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Only the uppermost bits, as many as the amount."""
    step = _per_image(torch.exp2(8 - amount.clamp(0, 8)))
    return (images / step).floor_() * step


def autocontrast(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """The range of every channel stretched to 0 ... 255."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    span = (high - low).clamp_(min=1).double()
    scale = torch.full_like(span, 255) / span  # 255 / span would multiply with 1 / span, and miss whole numbers
    stretched = (images * scale - low * scale).floor_().clamp_(0, 255)
    return torch.where(high > low, stretched.to(images.dtype), images)


def equalize(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Every channel's histogram made as even as it can be."""
    n, channels, height, width = images.shape
    flat = images.view(n * channels, height * width).long()
    histogram = torch.zeros(n * channels, 256, dtype=torch.long, device=images.device)
    histogram.scatter_add_(1, flat, torch.ones_like(flat))
    highest = histogram.gather(1, flat.amax(1, keepdim=True))
    step = (height * width - highest) // 255
    before = histogram.cumsum(1) - histogram
    table = ((before + step // 2) // step.clamp(min=1)).clamp_(max=255)
    return torch.where(step > 0, table.gather(1, flat), flat).view_as(images).to(images.dtype)


def shear_x(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Rows moved in proportion to their place."""
    return affine(images, _matrices(amount, b=amount), fill)


def shear_y(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Columns moved in proportion to their place."""
    return affine(images, _matrices(amount, d=amount), fill)


def translate_x(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Moved to the left, by pixels."""
    return affine(images, _matrices(amount, c=amount), fill)


def translate_y(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Moved upwards, by pixels."""
    return affine(images, _matrices(amount, f=amount), fill)


def translate_x_rel(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Moved to the left, by shares of the width."""
    return translate_x(images, amount * images.shape[3], fill)


def translate_y_rel(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Moved upwards, by shares of the height."""
    return translate_y(images, amount * images.shape[2], fill)


def rotate(images: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Turned about the centre, counter-clockwise, by degrees."""
    angle = -amount * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    x, y = images.shape[3] / 2, images.shape[2] / 2
    c, f = x - cos * x - sin * y, y + sin * x - cos * y
    return affine(images, _matrices(amount, a=cos, b=sin, c=c, d=-sin, e=cos, f=f), fill)


OPS: dict[str, Op] = {
    "AutoContrast": autocontrast,
    "Equalize": equalize,
    "Invert": invert,
    "Rotate": rotate,
    "Posterize": posterize,
    "Solarize": solarize,
    "SolarizeAdd": solarize_add,
    "Color": color,
    "Contrast": contrast,
    "Brightness": brightness,
    "Sharpness": sharpness,
    "ShearX": shear_x,
    "ShearY": shear_y,
    "TranslateX": translate_x,
    "TranslateY": translate_y,
    "TranslateXRel": translate_x_rel,
    "TranslateYRel": translate_y_rel,
    "Desaturate": desaturate,
}


def affine(images: Tensor, matrices: Tensor, fill: Tensor) -> Tensor:
    """Images seen through affine maps, with bilinear interpolation.

    Args:
        images: (n, channels, height, width).
        matrices: of the places where output pixels come from, in pixels (n, 2, 3).
        fill: colour of places outside (channels,).
    """
    n, _, height, width = images.shape
    y, x = torch.meshgrid(_centres(height, images), _centres(width, images), indexing="ij")
    output = torch.stack([x, y, torch.ones_like(x)]).view(1, 3, -1)
    places = (matrices @ output).view(n, 2, height, width)
    limits = places.new_tensor([width, height]).view(1, 2, 1, 1)
    inside = ((places >= 0) & (places < limits)).all(1, keepdim=True)
    sampled = sample(images, places)
    return torch.where(inside, sampled.add_(ROUNDING).floor_(), fill.view(1, -1, 1, 1))


def sample(images: Tensor, places: Tensor) -> Tensor:
    """Bilinear values of images at places.

    Args:
        images: (n, channels, height, width).
        places: x and y in pixels, the centre of the first pixel being 0.5 (n, 2, out_height, out_width).
    """
    height, width = images.shape[2:]
    grid = places.permute(0, 2, 3, 1) * (2 / places.new_tensor([width, height])) - 1
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _centres(length: int, like: Tensor) -> Tensor:
    return torch.arange(length, device=like.device, dtype=like.dtype) + 0.5


def _matrices(like: Tensor, **entries: Tensor) -> Tensor:
    """Maps with these entries; where nothing is said, those of the identity (n, 2, 3)."""
    found = like.new_tensor([[1.0, 0, 0], [0, 1, 0]]).repeat(len(like), 1, 1)
    for name, value in entries.items():
        row, column = divmod("abcdef".index(name), 3)
        found[:, row, column] = value
    return found


def _per_image(amount: Tensor) -> Tensor:
    return amount.view(-1, 1, 1, 1)
