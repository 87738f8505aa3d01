"""What a detector costs: backbone, pyramid and heads on the whole image, and what every proposed box adds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet

from madnas.errors import UsageError
from madnas.measure.module_count import count_params
from madnas.tasks.detectors import WINDOW, SingleMap
from madnas.tasks.pyramid import Pyramid


@dataclass(frozen=True, slots=True)
class DetectorCosts:
    """Costs of a detector for one image; one multiply-add is 1, convolutions and linear layers.

    Attributes:
        params: trainable parameters of all of it.
        backbone_params: of its backbone.
        backbone: MACs of its backbone.
        pyramid: MACs of its feature pyramid.
        dense: MACs of what looks at all places: FCOS's head, or the network that proposes boxes.
        each: MACs of the second stage for one proposed box; 0 without one.
    """

    params: int
    backbone_params: int
    backbone: int
    pyramid: int
    dense: int
    each: int = 0

    def macs(self, proposals: int = 0) -> int:
        """MACs of an image with so many proposed boxes: backbone + pyramid + dense + proposals * each."""
        return self.backbone + self.pyramid + self.dense + proposals * self.each

    def proposals(self, macs: float) -> float:
        """How many proposed boxes would make up these MACs.

        Raises:
            UsageError: a detector without a second stage.
        """
        if not self.each:
            raise UsageError("the detector has no second stage, so no proposals")
        return (macs - self.macs()) / self.each


def detector_costs(detector: FCOS | RetinaNet | FasterRCNN, height: int, width: int) -> DetectorCosts:
    """Count a detector of torchvision over a backbone of :mod:`madnas.tasks`.

    Nothing is computed: build it under ``torch.device("meta")`` where its weights are not needed.

    Args:
        detector: the detector.
        height: of the image as the backbone sees it, resized and padded, in pixels.
        width: likewise.

    Raises:
        UsageError: its backbone is neither a :class:`~madnas.tasks.pyramid.Pyramid` nor a
            :class:`~madnas.tasks.detectors.SingleMap`.
    """
    backbone = detector.backbone
    if not isinstance(backbone, Pyramid | SingleMap):
        raise UsageError(f"{type(backbone).__name__}: expected a Pyramid or a SingleMap of madnas.tasks")
    params = count_params(detector), count_params(backbone.maps)
    detector = detector.to("meta") if next(detector.parameters()).device.type == "meta" else _copy(detector)
    image = torch.empty(1, 3, height, width, device="meta")
    body, _ = _counted(detector.backbone.maps, image)
    both, found = _counted(detector.backbone, image)
    levels = list(found.values()) if isinstance(found, dict) else [found]
    each = 0
    if isinstance(detector, FasterRCNN):
        dense, _ = _counted(detector.rpn.head, levels)
        each = _second_stage(detector, levels[0].shape[1])
    else:
        dense, _ = _counted(detector.head, levels)
    return DetectorCosts(*params, body, both - body, dense, each)


def _copy(detector: Any) -> Any:
    """The same modules without weights, so that the detector itself stays as it is."""
    import copy

    memo = {id(one): one.to("meta") for one in (*detector.parameters(), *detector.buffers())}
    return copy.deepcopy(detector, memo)


def _second_stage(detector: Any, chs: int) -> int:
    """MACs of one proposed box, from the difference that a second makes: there may be a part that is the same."""
    heads = detector.roi_heads

    def run(boxes: torch.Tensor) -> Any:
        return heads.box_predictor(heads.box_head(boxes))

    one, two = (_counted(run, torch.empty(n, chs, WINDOW, WINDOW, device="meta"))[0] for n in (1, 2))
    return two - one


def _counted(part: Callable[..., Any], inputs: Any) -> tuple[int, Any]:
    """MACs of a call, and what it gives."""
    counter = FlopCounterMode(display=False)
    modules = [part] if isinstance(part, nn.Module) else []
    training = [module.training for module in modules]
    for module in modules:
        module.eval()
    with torch.no_grad(), counter:
        found = part(inputs)
    for module, mode in zip(modules, training, strict=True):
        module.train(mode)
    return counter.get_total_flops() // 2, found
