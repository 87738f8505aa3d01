"""What is minimised: cross-entropy with the labels, and with a teacher's outputs and features."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timm.data import Mixup
from torch import Tensor, nn

from madnas.train.recipe import TrainRecipe

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation by channel."""


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
            self.project = nn.Linear(feature_size(model), features)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Outputs (n, classes), and features in the teacher's space."""
        if self.project is None:
            return self.model(images), None
        outputs, features = with_features(self.model, images)
        return outputs, self.project(features)


class Teacher(nn.Module):
    """A trained timm model, in evaluation mode and without gradients, that is shown the student's images.

    Args:
        model: knows the data's classes.
        theirs: mean and standard deviation of the normalisation that it was trained with.
        given: those of the images that it is shown; the two pairs for a range of 0 to 1.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, model: Any, theirs: Normalisation, given: Normalisation) -> None:
        super().__init__()
        self.model = model
        (mean, std), (its_mean, its_std) = (torch.tensor(pair).view(2, 1, -1, 1, 1) for pair in (given, theirs))
        self.register_buffer("scale", std / its_std)
        self.register_buffer("shift", (mean - its_mean) / its_std)
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor, features: bool) -> tuple[Tensor, Tensor | None]:
        """Outputs (n, classes), and features (n, features) if they are wanted."""
        images = images * self.scale + self.shift
        return with_features(self.model, images) if features else (self.model(images), None)


class Objective:
    """The loss of a batch.

    Args:
        recipe: its weights.
        teacher: or None.
    """

    def __init__(self, recipe: TrainRecipe, teacher: Teacher | None) -> None:
        self._recipe, self._teacher = recipe, teacher

    def __call__(self, student: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """The loss; targets as :class:`Mixing` gives them."""
        outputs, features = student(images)
        hard = F.cross_entropy(outputs.float(), targets, label_smoothing=0.0 if targets.ndim > 1 else self._smoothing)
        if self._teacher is None:
            return hard
        recipe = self._recipe
        theirs, their_features = self._teacher(images, features is not None)
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
    features = model.forward_head(model.forward_features(images), pre_logits=True)
    return model.get_classifier()(features), features.flatten(1)


def feature_size(model: Any) -> int:
    """Features that the classifier of a timm model sees."""
    return int(getattr(model, "head_hidden_size", None) or model.num_features)


def has_features(model: Any) -> bool:
    """Whether a model can be taken apart as timm's can."""
    return all(hasattr(model, name) for name in ("forward_features", "forward_head", "get_classifier"))
