"""Detection: boxes with a class each, by torchvision's detectors over any backbone with maps."""

from pathlib import Path
from typing import Any

import torch
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from madnas.data.coco import CocoSource, Views, open_coco
from madnas.data.source import Batch, Facts, Process, Source
from madnas.errors import UsageError
from madnas.models.norms import set_norms
from madnas.targets import Target
from madnas.tasks.average_precision import AveragePrecision, check_installed
from madnas.tasks.backbone import build_body, check_runs, load_backbone
from madnas.tasks.detectors import fcos, two_stage
from madnas.train.model import Network
from madnas.train.normalise import normaliser
from madnas.train.objective import Teacher
from madnas.train.recipe import TrainRecipe

REDUCTIONS = (8, 16, 32)
"""Of the maps under FCOS's pyramid."""

LEAST_SCORE = 0.05
"""Of boxes that FCOS gives out. torchvision's own, 0.2, is for looking at; average precision asks for the rest too."""

BLANK_SIDE = 128
"""Of images that are no data, in pixels."""


class Batched(GeneralizedRCNNTransform):
    """torchvision's padding of images to one size; they come resized and normalised.

    Args:
        channels_last: memory layout of the batch.
    """

    def __init__(self, channels_last: bool) -> None:
        super().__init__(1, 1, [0.0], [1.0])
        self._format = torch.channels_last if channels_last else torch.contiguous_format

    def normalize(self, image: Tensor) -> Tensor:
        """The image itself."""
        return image

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Image and target themselves."""
        return image, target

    def batch_images(self, images: list[Tensor], size_divisible: int = 32) -> Tensor:
        """Images (3, height, width), padded with zeros at the right and at the bottom, as (n, 3, height, width)."""
        found: Tensor = super().batch_images(images, size_divisible)
        return found.contiguous(memory_format=self._format)


class Detection:
    """The task; see :class:`madnas.train.task.Task`."""

    test_batch = 1
    """An image of its own each: in a batch, padding would depend on the neighbours, and so on how many processes there
    are."""

    def open_data(
        self, recipe: TrainRecipe, folder: Path, seed: int, target: Target, workers: int, device: torch.device
    ) -> CocoSource:
        """See :func:`madnas.data.coco.open_coco`."""
        check_installed()
        assert recipe.short_side is not None and recipe.image_size is not None  # a recipe of this task has them
        splits = (recipe.train_split, recipe.val_split)
        views = Views(recipe.short_side, recipe.image_size, recipe.hflip)
        return open_coco(folder, splits, views, recipe.bad_data_rate, seed, workers)

    def fitted(self, target: Target, facts: Facts) -> Network:
        """The target as it is: its input and its classes are those that it was made for.

        Raises:
            UsageError: an MLP.
        """
        if target.spec is not None and target.spec.is_mlp:
            raise UsageError(f"{target.word}: an MLP has no maps, and detection needs some")
        return Network(target, target.spec)

    def build_model(self, network: Network, facts: Facts, recipe: TrainRecipe, seed: int) -> nn.Module:
        """The recipe's detector over the network.

        Raises:
            UsageError: a network without the maps that the detector needs, or that does not run at other sizes.
        """
        torch.manual_seed(seed)
        is_fcos = recipe.detector == "fcos"
        body = build_body(network.target, recipe, REDUCTIONS if is_fcos else None)
        set_norms(body, recipe.bn_momentum, recipe.bn_eps)
        if recipe.freeze_norm:
            body = freeze_batch_norm_2d(body)
        classes = facts.classes + 1  # with the background
        model: Any
        if is_fcos:
            model = fcos(body, classes, recipe.head_chs or 256, score_thresh=LEAST_SCORE)
        else:
            model = two_stage(body, classes, recipe.head_width or 1024, recipe.proposals or 512)
        model.transform = Batched(recipe.channels_last)
        for head in [model.head] if is_fcos else [model.rpn.head, model.roi_heads.box_predictor]:
            head.register_forward_hook(_in_float32)
        check_runs(network.target, model, [torch.zeros(3, BLANK_SIDE, BLANK_SIDE // 2)])
        found: nn.Module = model.to(memory_format=torch.channels_last) if recipe.channels_last else model
        return found

    def load_initial(self, model: nn.Module, path: Path) -> str | None:
        """See :func:`madnas.tasks.backbone.load_backbone`."""
        detector: Any = model
        return load_backbone(model, detector.backbone.maps.body, path)

    def learner(
        self, model: nn.Module, recipe: TrainRecipe, facts: Facts, process: Process, seed: int, teacher: Teacher | None
    ) -> "DetectionLearner":
        """See :class:`DetectionLearner`."""
        return DetectionLearner(model, facts, process)

    def check_start(self, recipe: TrainRecipe, has_weights: bool) -> None:
        """Refuse norms that would stay as they begin.

        Raises:
            UsageError: frozen norms without weights.
        """
        if recipe.freeze_norm and not has_weights:
            raise UsageError(
                "freeze_norm: the backbone's batch norms stay as the initial weights have them, and there are none",
                "--initial-checkpoint FILE gives some, of a classifier, say; or --set freeze_norm=false",
            )


def _in_float32(head: nn.Module, inputs: Any, outputs: Any) -> Any:
    """What a head gives out, for losses and boxes: bfloat16 has too few digits for coordinates."""
    if isinstance(outputs, Tensor):
        return outputs.float()
    if isinstance(outputs, dict):
        return {name: _in_float32(head, inputs, one) for name, one in outputs.items()}
    return type(outputs)(_in_float32(head, inputs, one) for one in outputs)


class DetectionLearner:
    """See :class:`madnas.train.task.Learner`.

    Args:
        model: torchvision's detector, on the device.
        facts: of the data.
        process: this one.
    """

    def __init__(self, model: nn.Module, facts: Facts, process: Process) -> None:
        self.student = model
        self.beside: nn.Module | None = None
        self._process = process
        self._normalise = normaliser(facts, process.device)

    def prepare(self, batch: Batch, epoch: int, step: int, seed: int) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        """Normalised images, and boxes with labels."""
        targets = [{name: one[name] for name in ("boxes", "labels")} for one in batch.labels]
        return self.normalised(batch.images), targets

    def loss(self, runner: Any, images: list[Tensor], targets: list[dict[str, Tensor]]) -> Tensor:
        """The sum of the detector's losses."""
        return torch.stack([one.float() for one in runner(images, targets).values()]).sum()

    def blank(self, samples: int) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        """Grey images with one box of the first class."""
        device = self._process.device
        box = torch.tensor([[BLANK_SIDE / 4, BLANK_SIDE / 4, BLANK_SIDE / 2, BLANK_SIDE / 2]], device=device)
        label = torch.ones(1, dtype=torch.long, device=device)
        images = [torch.zeros(3, BLANK_SIDE, BLANK_SIDE, device=device) for _ in range(samples)]
        return images, [{"boxes": box, "labels": label} for _ in range(samples)]

    def normalised(self, images: list[Tensor]) -> list[Tensor]:
        """Mean 0 and standard deviation 1."""
        return [self._normalise(one) for one in images]

    def scores(self, source: Source) -> AveragePrecision:
        """See :class:`~madnas.tasks.average_precision.AveragePrecision`."""
        assert isinstance(source, CocoSource)
        return AveragePrecision(source.truth)


TASK = Detection()
