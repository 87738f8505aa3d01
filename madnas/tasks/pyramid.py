"""A timm backbone as torchvision's detectors take one: named maps of one width, from a feature pyramid."""

from collections import OrderedDict
from itertools import pairwise
from typing import Any, Literal

from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import (
    ExtraFPNBlock,
    FeaturePyramidNetwork,
    LastLevelMaxPool,
    LastLevelP6P7,
)

from madnas.errors import UsageError


class Maps(nn.Module):
    """What gives the maps of a timm backbone, channels first.

    Args:
        body: ``timm.create_model(..., features_only=True)``.

    Attributes:
        channels: of each map.
        reduction: input side / side of each map.

    Raises:
        UsageError: ``body`` gives no list of maps.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        info: Any = getattr(body, "feature_info", None)
        if not hasattr(info, "channels"):  # a whole network has a list there
            raise UsageError(
                f"{type(body).__name__}: gives no list of maps",
                "build it with timm.create_model(..., features_only=True)",
            )
        self.body = body
        self.channels: list[int] = info.channels()
        self.reduction: list[int] = info.reduction()
        self.last = getattr(body, "output_fmt", "NCHW") == "NHWC"

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map ``(B, 3, H, W)`` to maps ``(B, C, H', W')``."""
        maps: list[Tensor] = self.body(x)
        return [one.permute(0, 3, 1, 2).contiguous() for one in maps] if self.last else maps


class Pyramid(nn.Module):
    """Feature pyramid [Lin et al. 2017] over any timm backbone, in the form of torchvision's detectors.

    ``FCOS(Pyramid(body), num_classes=91)``, ``RetinaNet(...)`` and, with ``more="pool"``, ``FasterRCNN(...)``. The
    usual maps are those of reduction 8, 16 and 32 (FCOS, RetinaNet: ``out_indices=(-3, -2, -1)``) and 4 to 32
    (Faster R-CNN, Mask R-CNN: ``out_indices=(-4, -3, -2, -1)``), which give five levels with the further ones.

    Args:
        body: ``timm.create_model(..., features_only=True)``.
        out_chs: channels of every level.
        more: further levels: ``p6p7``, two strided convolutions over the last level [Tian et al. 2019, FCOS]; ``pool``,
            every second pixel of it; ``none``.

    Attributes:
        out_channels: as torchvision asks for it.
        reduction: input side / side of every level.

    Raises:
        UsageError: ``body`` gives no list of maps; maps whose sides do not halve from one to the next.
    """

    def __init__(self, body: nn.Module, out_chs: int = 256, more: Literal["p6p7", "pool", "none"] = "p6p7") -> None:
        super().__init__()
        self.maps = Maps(body)
        reduction = self.maps.reduction
        if any(after != 2 * before for before, after in pairwise(reduction)):
            raise UsageError(f"a pyramid needs maps whose sides halve, and these are reduced by {reduction}")
        extra: ExtraFPNBlock | None = None
        if more == "p6p7":
            extra = LastLevelP6P7(out_chs, out_chs)
        elif more == "pool":
            extra = LastLevelMaxPool()
        elif more != "none":
            raise UsageError(f"more: expected p6p7, pool or none, got {more!r}")
        self.fpn = FeaturePyramidNetwork(self.maps.channels, out_chs, extra)
        self.out_channels = out_chs
        levels = {"p6p7": 2, "pool": 1, "none": 0}[more]
        self.reduction = [*reduction, *(reduction[-1] * 2 ** (level + 1) for level in range(levels))]

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        """Map ``(B, 3, H, W)`` to the levels by name, ``(B, out_channels, H', W')`` each, the largest first."""
        found: OrderedDict[str, Tensor] = self.fpn(
            OrderedDict((str(index), one) for index, one in enumerate(self.maps(x)))
        )
        return found
