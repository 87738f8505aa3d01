"""Classification: images with one label each, cross-entropy, top-1 and top-5 accuracy."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from madnas.data.augment.batch import cutout, erase, lighting
from madnas.data.seeds import generator
from madnas.data.source import Batch, Facts, Process, Source
from madnas.models.weights import load_initial
from madnas.targets import Target
from madnas.train.data import open_data
from madnas.train.distributed import total
from madnas.train.learner import ImageLearner
from madnas.train.model import Network, build_model, fitted
from madnas.train.objective import Mixing, Objective, Student, Teacher, feature_size
from madnas.train.recipe import TrainRecipe

TEST_BATCH = 256
"""Images at once in a test, in each process: a number of its own, so that a test needs no more memory than training."""


class Classification:
    """The task; see :class:`madnas.train.task.Task`."""

    test_batch = TEST_BATCH

    def open_data(
        self, recipe: TrainRecipe, folder: Path, seed: int, target: Target, workers: int, device: torch.device
    ) -> Source:
        """See :func:`madnas.train.data.open_data`."""
        return open_data(recipe, folder, seed, target, workers, device)

    def fitted(self, target: Target, facts: Facts) -> Network:
        """See :func:`madnas.train.model.fitted`."""
        return fitted(target, facts)

    def build_model(self, network: Network, facts: Facts, recipe: TrainRecipe, seed: int) -> nn.Module:
        """See :func:`madnas.train.model.build_model`."""
        return build_model(network, facts, recipe, seed)

    def load_initial(self, model: nn.Module, path: Path) -> str | None:
        """See :func:`madnas.models.weights.load_initial`."""
        missing = load_initial(model, path)
        if not missing:
            return None
        return f"{path}: {len(missing)} of the network's tensors begin anew, such as {missing[0]}"

    def learner(
        self, model: nn.Module, recipe: TrainRecipe, facts: Facts, process: Process, seed: int, teacher: Teacher | None
    ) -> "ClassificationLearner":
        """See :class:`ClassificationLearner`."""
        return ClassificationLearner(model, recipe, facts, process, seed, teacher)

    def check_start(self, recipe: TrainRecipe, has_weights: bool) -> None:
        """Every recipe makes sense from the beginning."""


class ClassificationLearner(ImageLearner):
    """See :class:`madnas.train.task.Learner`.

    Args:
        model: on the device.
        recipe: the settings.
        facts: of the data.
        process: this one.
        seed: of erasing and lighting.
        teacher: for distillation, on the device.
    """

    def __init__(
        self, model: nn.Module, recipe: TrainRecipe, facts: Facts, process: Process, seed: int, teacher: Teacher | None
    ) -> None:
        super().__init__(recipe, facts, process)
        features = None if teacher is None or not recipe.kd_feature else feature_size(teacher.model)
        student = Student(model, features).to(process.device)
        self.student: nn.Module = student
        self.beside = student.project
        self._seed = seed
        self._objective = Objective(recipe, teacher)
        self._mixing = Mixing(recipe, facts.classes)

    def prepare(self, batch: Batch, epoch: int, step: int, seed: int) -> tuple[Tensor, Tensor]:
        """Normalised, erased and mixed images, and their targets."""
        recipe = self._recipe
        images = self._normalise(batch.images)
        if self._facts.std is not None:
            chance = generator(self._seed, "finish", step, self._process.rank)
            if recipe.lighting:
                images = lighting(images, recipe.lighting, images.new_tensor(self._facts.std), chance)
            if recipe.cutout:
                images = cutout(images, recipe.cutout, chance)
            if recipe.reprob:
                images = erase(images, recipe.reprob, recipe.remode, chance)
        images, targets = self._mixing(images, batch.labels, epoch, seed)
        return self._laid_out(images), targets

    def loss(self, runner: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """The objective's."""
        return self._objective(runner, images, targets)

    def blank(self, samples: int) -> tuple[Tensor, Tensor]:
        """Black images of the first class."""
        images = torch.zeros(samples, *self._facts.shape, device=self._process.device)
        return self._laid_out(images), torch.zeros(samples, dtype=torch.long, device=self._process.device)

    def scores(self, source: Source) -> "Accuracies":
        """See :class:`Accuracies`."""
        return Accuracies(self._process.device)


class Accuracies:
    """Loss, top-1 and top-5 accuracy.

    Args:
        device: where the outputs are.
    """

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(4, dtype=torch.float64, device=device)

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Outputs (n, classes) and labels (n,)."""
        self._sums += _sums(outputs.float(), targets)

    def result(self, process: Process) -> dict[str, float | int | None]:
        """Means over all processes' samples."""
        loss, top1, top5, n = total(self._sums, process).tolist()
        return {"loss": loss / n, "top1": top1 / n, "top5": top5 / n, "n": int(n)}


def _sums(outputs: Tensor, labels: Tensor) -> Tensor:
    """Sums over a batch: loss, top-1, top-5, samples (4,)."""
    best = outputs.topk(min(5, outputs.shape[1]), 1).indices == labels[:, None]
    loss = F.cross_entropy(outputs, labels, reduction="sum")
    return torch.stack(
        [
            loss.double(),
            best[:, 0].sum().double(),
            best.sum().double(),
            best.new_full((), len(labels), dtype=torch.float64),
        ]
    )


TASK = Classification()
