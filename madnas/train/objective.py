"""What is minimised: cross-entropy with the labels, and with a teacher's outputs and features."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timm.data import Mixup
from torch import Tensor, nn

from madnas.train.recipe import TrainRecipe


class Mixing:
    """Mixup and cutmix, by timm; without them, labels with smoothing."""

    def __init__(self, recipe: TrainRecipe, classes: int) -> None:
        self._off_epoch = recipe.mixup_off_epoch
        self._mixup = None
        if recipe.mixup or recipe.cutmix:
            self._mixup = Mixup(
                mixup_alpha=recipe.mixup,
                cutmix_alpha=recipe.cutmix,
                prob=recipe.mixup_prob,
                switch_prob=recipe.mixup_switch_prob,
                label_smoothing=recipe.smoothing,
                num_classes=classes,
            )

    def __call__(self, images: Tensor, labels: Tensor, epoch: int, seed: int) -> tuple[Tensor, Tensor]:
        """Mixed images, which may be changed in place; targets are labels (n,) or shares of classes (n, classes).

        Args:
            images: normalised (n, channels, height, width); n is even where they are mixed.
            labels: (n,).
            epoch: from 0.
            seed: of this batch.
        """
        if self._mixup is None:
            return images, labels
        self._mixup.mixup_enabled = not self._off_epoch or epoch < self._off_epoch
        np.random.seed(seed % 2**32)
        mixed, targets = self._mixup(images, labels)
        return mixed, targets


class Student(nn.Module):
    """A model with what is compared of it; with a teacher of features also a map into their space.

    Args:
        model: with timm's interface where features are compared.
        features: of the teacher, or None.
    """

    def __init__(self, model: nn.Module, features: int | None = None) -> None:
        super().__init__()
        self.model = model
        self.project: nn.Module | None = None
        if features is not None:
            self.project = nn.Linear(_features(model), features)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Outputs (n, classes), and features in the teacher's space."""
        if self.project is None:
            return self.model(images), None
        outputs, features = with_features(self.model, images)
        return outputs, self.project(features)


class Objective:
    """The loss of a batch.

    Args:
        recipe: its weights.
        teacher: in evaluation mode, or None.
    """

    def __init__(self, recipe: TrainRecipe, teacher: nn.Module | None) -> None:
        self._recipe, self._teacher = recipe, teacher

    def __call__(self, student: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """The loss; targets as :class:`Mixing` gives them."""
        outputs, features = student(images)
        hard = F.cross_entropy(outputs.float(), targets, label_smoothing=0.0 if targets.ndim > 1 else self._smoothing)
        if self._teacher is None:
            return hard
        recipe = self._recipe
        with torch.no_grad():
            theirs, their_features = with_features(self._teacher, images) if features is not None else (
                self._teacher(images), None
            )  # fmt: skip
        loss = recipe.kd_hard * hard
        if recipe.kd_soft:
            loss = loss + recipe.kd_soft * soft_cross_entropy(outputs, theirs, recipe.kd_temperature)
        if features is not None and their_features is not None:
            loss = loss + recipe.kd_feature * F.smooth_l1_loss(features.float(), their_features.float())
        return loss

    @property
    def _smoothing(self) -> float:
        return self._recipe.smoothing


def soft_cross_entropy(outputs: Tensor, theirs: Tensor, temperature: float) -> Tensor:
    """Cross-entropy with a teacher's outputs, times the temperature squared [Hinton et al. 2015]."""
    shares = (theirs.float() / temperature).softmax(-1)
    return F.cross_entropy(outputs.float() / temperature, shares) * temperature**2


def with_features(model: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """A timm model's outputs, and the features that its classifier sees (n, features)."""
    maps = model.forward_features(images)
    features = model.forward_head(maps, pre_logits=True).flatten(1)
    return model.forward_head(maps), features


def _features(model: Any) -> int:
    return int(getattr(model, "head_hidden_size", None) or model.num_features)
