"""The papers' detectors, from torchvision's parts."""

from typing import Any

from torch import Tensor, nn
from torchvision.models.detection import FCOS, FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign

from madnas.tasks.pyramid import Maps, Pyramid

COCO = 91
"""Classes of COCO with the background, as its category ids run."""

SIZES, RATIOS = (32, 64, 128, 256, 512), (0.5, 1.0, 2.0)
"""Sides of the anchors in pixels and their height / width: 15 at every place of a single map."""

WINDOW = 7
"""Side of what RoIAlign cuts out of the map, in places."""


class SingleMap(nn.Module):
    """The last map of a timm backbone, for detectors without a pyramid.

    Args:
        body: ``timm.create_model(..., features_only=True, out_indices=(-1,))``; of several maps the last is taken.

    Attributes:
        out_channels: as torchvision asks for it.
        reduction: input side / side of the map, in a list.

    Raises:
        UsageError: ``body`` gives no list of maps.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.maps = Maps(body)
        self.out_channels = self.maps.channels[-1]
        self.reduction = self.maps.reduction[-1:]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, 3, H, W)`` to ``(B, out_channels, H', W')``."""
        return self.maps(x)[-1]


def fcos(body: nn.Module, classes: int = COCO, out_chs: int = 256, **kwargs: Any) -> FCOS:
    """FCOS [Tian et al. 2019], the detector of DeepMAD's Table 4 and of Zen-NAS's Appendix H.

    Args:
        body: a timm backbone with the maps of reduction 8, 16 and 32.
        classes: with the background.
        out_chs: channels of the pyramid and of the head.
        **kwargs: those of torchvision's ``FCOS``.

    Raises:
        UsageError: maps that no pyramid takes.
    """
    return FCOS(Pyramid(body, out_chs), classes, **kwargs)


def two_stage(
    body: nn.Module, classes: int = COCO, width: int = 1024, proposals: int = 512, **kwargs: Any
) -> FasterRCNN:
    """RAN's detector [Section 3.5]: Faster R-CNN on the last map alone, images of 800 x 800.

    A 3x3 convolution and two 1x1 propose boxes from 15 anchors a place, at most ``proposals`` of them are cut out by
    RoIAlign, and two linear layers classify and move each.

    Args:
        body: a timm backbone.
        classes: with the background.
        width: of the two linear layers: 512 in the paper's text; 1024 gives the params of its Table 3.
        proposals: boxes that the first stage hands on.
        **kwargs: those of torchvision's ``FasterRCNN``.

    Raises:
        UsageError: ``body`` gives no list of maps.
    """
    backbone = SingleMap(body)
    own: dict[str, Any] = {
        "rpn_anchor_generator": AnchorGenerator((SIZES,), (RATIOS,)),
        "box_roi_pool": MultiScaleRoIAlign(["0"], WINDOW, 2),
        "box_head": TwoMLPHead(backbone.out_channels * WINDOW**2, width),
        "box_predictor": FastRCNNPredictor(width, classes),
        "rpn_post_nms_top_n_train": proposals,
        "rpn_post_nms_top_n_test": proposals,
        "min_size": 800,
        "max_size": 800,
    }
    return FasterRCNN(backbone, **own | kwargs)
