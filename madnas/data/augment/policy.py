"""AutoAugment and RandAugment for batches: which operation with which argument for which image.

A policy is read by timm, from timm's own strings, so that it is the same one that timm's transforms follow.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from timm.data import auto_augment_transform, rand_augment_transform
from timm.data.auto_augment import AugmentOp, AutoAugment, RandAugment
from torch import Tensor

from madnas.data.augment.pixels import OPS
from madnas.errors import UsageError

TOP = 10.0
"""The highest magnitude, where a policy names no other (timm's and the papers' scale)."""

Level = Callable[[Tensor, Tensor], Tensor]
"""Takes magnitudes over :data:`TOP` (n,) and signs, -1 or 1 (n,)."""


def _steps(top: float, most: float = float("inf")) -> Level:
    return lambda share, sign: (share * top).floor().clamp(max=most)


def _signed(top: float) -> Level:
    return lambda share, sign: sign * share * top


def _enhance(share: Tensor, sign: Tensor) -> Tensor:
    return share * 1.8 + 0.1


def _enhance_increasing(share: Tensor, sign: Tensor) -> Tensor:
    return (1 + sign * share * 0.9).clamp(min=0.1)


LEVELS: dict[str, tuple[str, Level]] = {
    "AutoContrast": ("AutoContrast", _steps(0)),
    "Equalize": ("Equalize", _steps(0)),
    "Invert": ("Invert", _steps(0)),
    "Rotate": ("Rotate", _signed(30)),
    "Posterize": ("Posterize", _steps(4)),
    "PosterizeIncreasing": ("Posterize", lambda share, sign: 4 - (share * 4).floor()),
    "PosterizeOriginal": ("Posterize", lambda share, sign: 4 + (share * 4).floor()),
    "Solarize": ("Solarize", _steps(256, 256)),
    "SolarizeIncreasing": ("Solarize", lambda share, sign: 256 - (share * 256).floor().clamp(max=256)),
    "SolarizeAdd": ("SolarizeAdd", _steps(110, 128)),
    "Color": ("Color", _enhance),
    "ColorIncreasing": ("Color", _enhance_increasing),
    "Contrast": ("Contrast", _enhance),
    "ContrastIncreasing": ("Contrast", _enhance_increasing),
    "Brightness": ("Brightness", _enhance),
    "BrightnessIncreasing": ("Brightness", _enhance_increasing),
    "Sharpness": ("Sharpness", _enhance),
    "SharpnessIncreasing": ("Sharpness", _enhance_increasing),
    "ShearX": ("ShearX", _signed(0.3)),
    "ShearY": ("ShearY", _signed(0.3)),
    "TranslateXRel": ("TranslateXRel", _signed(0.45)),
    "TranslateYRel": ("TranslateYRel", _signed(0.45)),
    "Desaturate": ("Desaturate", lambda share, sign: 0.5 + 0.5 * share),
}
"""What timm's operations do, and the argument that a magnitude stands for [AutoAugment and RandAugment papers]."""


@dataclass(frozen=True, slots=True)
class _Slots:
    """A policy as tables: ``choices`` of ``slots`` operations each.

    Attributes:
        names: of all operations that occur.
        op: index into the names (choices, slots).
        probability, magnitude: (choices, slots).
        std: standard deviation of magnitudes; infinite: uniform from 0.
        top: the highest magnitude.
    """

    names: list[str]
    op: Tensor
    probability: Tensor
    magnitude: Tensor
    std: float
    top: float


class BatchPolicy:
    """A policy for batches of images.

    Args:
        config: timm's string, such as ``rand-m9-mstd0.5`` or ``original``.
        fill: colour that comes in from outside (channels,), from 0 to 255.

    Raises:
        UsageError: a string that timm does not know, or an operation that is for single images only.
    """

    def __init__(self, config: str, fill: Tensor) -> None:
        self.fill = fill
        self._weights: Tensor | None = None
        self._layers = 0
        try:
            if config.startswith("rand"):
                policy = rand_augment_transform(config, {"img_mean": (128, 128, 128)})
            else:
                policy = auto_augment_transform(config, {"img_mean": (128, 128, 128)})
        except (AssertionError, ValueError, KeyError) as error:
            raise UsageError(f"aa: timm knows no policy {config[:60]!r}", "for example rand-m9-mstd0.5") from error
        if isinstance(policy, RandAugment):
            self._slots = _tables([[op] for op in policy.ops], config)
            self._layers = policy.num_layers
            if policy.choice_weights is not None:
                self._weights = torch.from_numpy(np.asarray(policy.choice_weights))
        else:
            assert isinstance(policy, AutoAugment)
            self._slots = _tables(policy.policy, config)

    def __call__(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Augment images (n, channels, height, width) of whole numbers from 0 to 255 in float32.

        Args:
            images: they may be changed in place.
            random: on the CPU, so that the same numbers come on every device.
        """
        choices = self._choose(len(images), random)
        slots = self._slots
        for column in range(choices.shape[1]):
            for slot in range(slots.op.shape[1]):
                images = self._apply(images, choices[:, column], slot, random)
        return images

    def _choose(self, n: int, random: torch.Generator) -> Tensor:
        """Choices of every image, one after the other (n, layers)."""
        count = len(self._slots.op)
        if not self._layers:
            return torch.randint(count, (n, 1), generator=random)
        if self._weights is not None:
            return torch.multinomial(self._weights.expand(n, -1), self._layers, generator=random)
        return torch.randint(count, (n, self._layers), generator=random)

    def _apply(self, images: Tensor, choice: Tensor, slot: int, random: torch.Generator) -> Tensor:
        slots, n = self._slots, len(choice)
        happens = torch.rand(n, generator=random) <= slots.probability[choice, slot]
        magnitude = slots.magnitude[choice, slot]
        if slots.std == float("inf"):
            magnitude = magnitude * torch.rand(n, generator=random)
        elif slots.std:
            magnitude = magnitude + slots.std * torch.randn(n, generator=random)
        share = magnitude.clamp(0, slots.top) / TOP
        sign = torch.randint(2, (n,), generator=random) * 2.0 - 1
        op = slots.op[choice, slot]
        for index, name in enumerate(slots.names):
            rows = torch.nonzero(happens & (op == index)).flatten()
            if len(rows):
                operation, level = LEVELS[name]
                amount = level(share[rows], sign[rows]).to(images.device, images.dtype)
                rows = rows.to(images.device)
                images[rows] = OPS[operation](images[rows], amount, self.fill)
        return images


def _tables(policy: list[list[AugmentOp]], config: str) -> _Slots:
    names = list(dict.fromkeys(op.name for choice in policy for op in choice))
    unknown = [name for name in names if name not in LEVELS]
    if unknown:
        raise UsageError(
            f"aa: {config} uses {unknown[0]}, which works on single images only", "choose a policy without it"
        )
    first = policy[0][0]
    return _Slots(
        names,
        torch.tensor([[names.index(op.name) for op in choice] for choice in policy]),
        torch.tensor([[float(op.prob) for op in choice] for choice in policy]),
        torch.tensor([[float(op.magnitude) for op in choice] for choice in policy]),
        float(first.magnitude_std),
        float(first.magnitude_max or TOP),
    )
