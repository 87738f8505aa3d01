"""Action recognition: TSN over the classification network itself, so that its weights are those of any classifier."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from madnas.data.augment.clip import ClipAugmentation
from madnas.data.clips import TestedClips, TrainingClips
from madnas.data.folder import FileSource
from madnas.data.frames import check_av
from madnas.data.source import IMAGENET_MEAN, IMAGENET_STD, Batch, Facts, Process, Source
from madnas.data.videolist import VideoList, check_apart, read_list
from madnas.targets import Target
from madnas.tasks.backbone import as_written
from madnas.tasks.tsn import TSN, consensus
from madnas.train.classification import Accuracies, Classification
from madnas.train.learner import ImageLearner
from madnas.train.model import Network, build_model
from madnas.train.objective import Teacher
from madnas.train.recipe import TrainRecipe


class Video(Classification):
    """The task; see :class:`madnas.train.task.Task`. Networks and their weights are classification's."""

    test_batch = 4

    def open_data(
        self, recipe: TrainRecipe, folder: Path, seed: int, target: Target, workers: int, device: torch.device
    ) -> Source:
        """The lists of both splits, and what reads their videos.

        Raises:
            DataError: a list that is missing or wrong.
            UsageError: video files, and nothing that decodes them.
        """
        assert recipe.num_classes and recipe.image_size and recipe.short_side  # its checks saw to it
        assert recipe.segments and recipe.test_segments and recipe.crop != "pad"
        names = recipe.train_split, recipe.val_split
        train, test = (
            read_list(folder / name, recipe.num_classes, split)
            for name, split in zip(names, ("train", "val"), strict=True)
        )
        check_apart(train, test, names)
        if not (train.has_frames and test.has_frames):
            check_av()
        size, short = recipe.image_size, recipe.short_side
        augmentation = ClipAugmentation(size, short, recipe.crop, recipe.scale, recipe.ratio, recipe.hflip)
        return FileSource(
            TrainingClips(train, recipe.segments, augmentation, seed),
            TestedClips(test, recipe.test_segments, recipe.test_crops or 1, short[1], size),
            _facts(train, test, size),
            workers,
        )

    def build_model(self, network: Network, facts: Facts, recipe: TrainRecipe, seed: int) -> nn.Module:
        """The network itself, which looks at single frames."""
        target = as_written(network.target)
        own = network if target is network.target else Network(target, None)
        return build_model(own, facts, recipe, seed)

    def learner(  # type: ignore[override]  # only what every task has is asked for
        self, model: nn.Module, recipe: TrainRecipe, facts: Facts, process: Process, seed: int, teacher: Teacher | None
    ) -> "VideoLearner":
        """See :class:`VideoLearner`."""
        return VideoLearner(model, recipe, facts, process)


def _facts(train: VideoList, test: VideoList, size: int) -> Facts:
    shape = (3, size, size)
    digest = f"{train.digest()[:16]}{test.digest()[:16]}"
    return Facts(len(train.videos), len(test.videos), train.classes, shape, IMAGENET_MEAN, IMAGENET_STD, digest)


class VideoLearner(ImageLearner):
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
        self.student = TSN(model, recipe.channels_last)

    def prepare(self, batch: Batch, epoch: int, step: int, seed: int) -> tuple[Tensor, Tensor]:
        """Normalised frames and labels."""
        return self._normalise(batch.images), batch.labels

    def loss(self, runner: Any, images: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of the frames' consensus."""
        return F.cross_entropy(runner(images), targets, label_smoothing=self._recipe.smoothing)

    def blank(self, samples: int) -> tuple[Tensor, Tensor]:
        """Black frames of the first class."""
        device = self._process.device
        images = torch.zeros(samples, self._recipe.segments or 1, *self._facts.shape, device=device)
        return images, torch.zeros(samples, dtype=torch.long, device=device)

    def normalised(self, images: Tensor) -> Tensor:
        """All frames of all videos, one after the other."""
        return self.student.frames(self._normalise(images))

    def scores(self, source: Source) -> "VideoAccuracies":
        """See :class:`VideoAccuracies`."""
        return VideoAccuracies(self._process.device)


class VideoAccuracies(Accuracies):
    """Loss, top-1 and top-5 accuracy of the consensus of all views of a video."""

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Outputs of all views (n * views, classes) and labels (n,)."""
        super().add(consensus(outputs, len(targets)), targets)


TASK = Video()
