"""Semantic segmentation: UPerNet, cross-entropy of pixels, mean intersection over union of whole images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from madnas.data.augment.scene import SceneAugmentation
from madnas.data.folder import FileSource
from madnas.data.masks import IGNORED, open_scenes
from madnas.data.scenes import TestedScenes, TrainingScenes
from madnas.data.source import IMAGENET_MEAN, IMAGENET_STD, Batch, Facts, Process, Source
from madnas.errors import DataError, UsageError
from madnas.models.norms import set_norms
from madnas.targets import Target
from madnas.tasks.backbone import build_body, check_runs, load_backbone, reductions_of
from madnas.tasks.confusion import confusion, scores
from madnas.tasks.segmenter import LEVELS, Segmenter, pixel_loss, upsampled
from madnas.train.distributed import total
from madnas.train.learner import ImageLearner
from madnas.train.model import Network
from madnas.train.objective import Teacher
from madnas.train.recipe import TrainRecipe

TRIED = (64, 96)
"""Height and width of an image that every backbone should take."""


class Segmentation:
    """The task; see :class:`madnas.train.task.Task`."""

    test_batch = 1
    """Whole images have sizes of their own."""

    def open_data(
        self, recipe: TrainRecipe, folder: Path, seed: int, target: Target, workers: int, device: torch.device
    ) -> Source:
        """Images and masks of both splits.

        Raises:
            DataError: a folder that is missing or empty, images without masks.
        """
        assert recipe.num_classes and recipe.image_size and recipe.short_side  # its checks saw to it
        train, test = (
            open_scenes(folder, split, recipe.num_classes) for split in (recipe.train_split, recipe.val_split)
        )
        size = recipe.image_size
        augmentation = SceneAugmentation(
            size, recipe.short_side, recipe.class_share or 1.0, recipe.hflip, bool(recipe.distort)
        )
        digest = f"{train.digest()[:16]}{test.digest()[:16]}"
        shape = (3, size, size)
        return FileSource(
            TrainingScenes(train, augmentation, seed),
            TestedScenes(test, size * max(_scales(recipe))),
            Facts(len(train), len(test), train.classes, shape, IMAGENET_MEAN, IMAGENET_STD, digest),
            workers,
        )

    def fitted(self, target: Target, facts: Facts) -> Network:
        """The target for images in colours; it keeps its own classes, as its head is left out.

        Raises:
            UsageError: an MLP, which has no maps.
        """
        spec = target.spec
        if spec is None:
            return Network(target, None)
        if spec.is_mlp:
            raise UsageError(f"{target.word} is an MLP, which has no maps")
        return Network(target, replace(spec, input=(3, *spec.input[1:])))

    def build_model(self, network: Network, facts: Facts, recipe: TrainRecipe, seed: int) -> nn.Module:
        """UPerNet over the network's last maps, with fresh weights, which the seed decides."""
        torch.manual_seed(seed)
        scales = _scales(recipe)
        target = replace(network.target, spec=network.spec)
        model = Segmenter(
            build_body(target, recipe, reductions_of(target, recipe)[-LEVELS:]),
            facts.classes,
            recipe.decoder_chs or 512,
            recipe.drop,
            bool(recipe.aux_weight),
            tuple(scale / max(scales) for scale in scales),
            bool(recipe.test_flip),
        )
        check_runs(target, model, torch.zeros(1, 3, *TRIED))
        set_norms(model, recipe.bn_momentum, recipe.bn_eps)
        return model.to(memory_format=torch.channels_last) if recipe.channels_last else model

    def load_initial(self, model: nn.Module, path: Path) -> str | None:
        """See :func:`madnas.tasks.backbone.load_backbone`."""
        segmenter: Any = model
        return load_backbone(model, segmenter.maps.body, path)

    def learner(
        self, model: nn.Module, recipe: TrainRecipe, facts: Facts, process: Process, seed: int, teacher: Teacher | None
    ) -> "SegmentationLearner":
        """See :class:`SegmentationLearner`."""
        return SegmentationLearner(model, recipe, facts, process)

    def check_start(self, recipe: TrainRecipe, has_weights: bool) -> None:
        """Every recipe makes sense from the beginning."""


class SegmentationLearner(ImageLearner):
    """See :class:`madnas.train.task.Learner`.

    Args:
        model: on the device.
        recipe: the settings.
        facts: of the data.
        process: this one.
    """

    beside = None

    def __init__(self, model: nn.Module, recipe: TrainRecipe, facts: Facts, process: Process) -> None:
        super().__init__(recipe, facts, process)
        self.student = model

    def prepare(self, batch: Batch, epoch: int, step: int, seed: int) -> tuple[Tensor, Tensor]:
        """Normalised images (n, 3, size, size), and labels (n, size, size)."""
        return self.normalised(batch.images), batch.labels

    def loss(self, runner: Any, images: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of the pixels, plus that of the auxiliary head times its weight."""
        logits, auxiliary = runner(images)
        loss = pixel_loss(logits, targets, IGNORED)
        if auxiliary is not None:
            loss = loss + (self._recipe.aux_weight or 0.0) * pixel_loss(auxiliary, targets, IGNORED)
        return loss

    def blank(self, samples: int) -> tuple[Tensor, Tensor]:
        """Black images of the first class."""
        device = self._process.device
        images = torch.zeros(samples, *self._facts.shape, device=device)
        labels = torch.zeros(samples, *self._facts.shape[1:], dtype=torch.long, device=device)
        return self._laid_out(images), labels

    def scores(self, source: Source) -> "PixelScores":
        """See :class:`PixelScores`."""
        return PixelScores(self._facts.classes, self._process.device)


class PixelScores:
    """Mean intersection over union and accuracies at the masks' own size, and the mean loss of labelled pixels.

    Args:
        classes: of a pixel.
        device: where the outputs are.
    """

    def __init__(self, classes: int, device: torch.device) -> None:
        self._classes = classes
        self._counts = torch.zeros(classes, classes, dtype=torch.float64, device=device)
        self._sums = torch.zeros(2, dtype=torch.float64, device=device)

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Logits (n, classes, h, w), and labels (n, H, W)."""
        full = upsampled(outputs, targets.shape[-2:])
        self._counts += confusion(targets, full.argmax(1), self._classes)
        loss = F.cross_entropy(full, targets, ignore_index=IGNORED, reduction="sum")
        self._sums += torch.stack([loss.double(), loss.new_full((), len(targets), dtype=torch.float64)])

    def result(self, process: Process) -> dict[str, float | int | None]:
        """Over all processes' images.

        Raises:
            DataError: masks without labels.
        """
        counts = total(self._counts, process)
        loss, n = total(self._sums, process).tolist()
        labelled = float(counts.sum())
        if not labelled:
            raise DataError("no pixel of the test images has a label", "0 in a mask means none, and classes begin at 1")
        return {"loss": loss / labelled, **scores(counts), "n": int(n)}


def _scales(recipe: TrainRecipe) -> tuple[float, ...]:
    return recipe.test_scales or (1.0,)


TASK = Segmentation()
