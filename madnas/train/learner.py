"""What learners of one tensor of images have in common."""

import torch
from torch import Tensor

from madnas.data.source import Facts, Process
from madnas.train.normalise import normaliser
from madnas.train.recipe import TrainRecipe


class ImageLearner:
    """Normalised images in the recipe's memory layout; what else a :class:`madnas.train.task.Learner` has is added.

    Args:
        recipe: the settings.
        facts: of the data.
        process: this one.
    """

    def __init__(self, recipe: TrainRecipe, facts: Facts, process: Process) -> None:
        self._recipe, self._facts, self._process = recipe, facts, process
        self._normalise = normaliser(facts, process.device)

    def normalised(self, images: Tensor) -> Tensor:
        """Normalised, in the recipe's memory layout."""
        return self._laid_out(self._normalise(images))

    def _laid_out(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last) if self._recipe.channels_last else images
