"""Costs of detectors: against formulas by hand and fvcore on the parts."""

import pytest
import timm
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN, fcos_resnet50_fpn

from madnas.errors import UsageError
from madnas.measure.module_count import count_module, count_params
from madnas.models import build
from madnas.network.count import count_backbone
from madnas.network.expand import at_resolution
from madnas.network.named import get
from madnas.tasks import Pyramid, fcos, two_stage
from madnas.tasks.costs import detector_costs
from tests.tasks.test_detectors import SMALL


def test_two_stage_by_hand() -> None:
    detector = two_stage(build(SMALL, features_only=True, out_indices=(-1,)), classes=11, width=20)
    costs = detector_costs(detector, 96, 160)
    backbone = count_backbone(at_resolution(SMALL, 96, 160))
    assert (costs.backbone_params, costs.backbone, costs.pyramid) == (backbone.params, backbone.macs, 0)
    assert costs.dense == (96 // 32) * (160 // 32) * 32 * (9 * 32 + 15 + 4 * 15)
    assert costs.each == 49 * 32 * 20 + 20 * 20 + 20 * (11 + 4 * 11)
    assert costs.params == count_params(detector)
    assert costs.macs(7) - costs.macs() == 7 * costs.each
    assert costs.proposals(costs.macs(7)) == 7


def test_fcos_agrees_with_fvcore_on_the_parts() -> None:
    detector = fcos(build(SMALL, features_only=True, out_indices=(-3, -2, -1)), 11, 64)
    costs = detector_costs(detector, 64, 128)

    class WithHead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = detector.backbone, detector.head

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return list(self.head(list(self.backbone(x).values())).values())

    counted = count_module(detector.backbone.maps, (3, 64, 128))
    both = count_module(detector.backbone, (3, 64, 128))
    assert (costs.backbone, costs.pyramid) == (counted.macs, both.macs - counted.macs)
    assert costs.macs() == count_module(WithHead(), (3, 64, 128)).macs
    with pytest.raises(UsageError, match="no second stage"):
        costs.proposals(1e9)


def test_fcos_over_resnet50_is_torchvisions() -> None:
    with torch.device("meta"):
        theirs = fcos_resnet50_fpn(weights=None, weights_backbone=None)
        ours = fcos(timm.create_model("madnas_resnet50", features_only=True, out_indices=(-3, -2, -1)))
    assert detector_costs(ours, 64, 64).params == count_params(theirs)


def test_counting_leaves_the_detector_alone() -> None:
    detector = two_stage(build(SMALL, features_only=True, out_indices=(-1,)), 2, width=8)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    modes = [part.training for part in detector.modules()]
    detector_costs(detector, 64, 64)
    assert {part.device.type for part in detector.parameters()} == {"cpu"}
    assert [part.training for part in detector.modules()] == modes
    torch.testing.assert_close(dict(detector.state_dict()), before)


def test_on_the_meta_device_it_is_the_same() -> None:
    with torch.device("meta"):
        empty = fcos(timm.create_model("madnas_resnet18", features_only=True, out_indices=(-3, -2, -1)), 3)
    full = fcos(timm.create_model("madnas_resnet18", features_only=True, out_indices=(-3, -2, -1)), 3)
    costs = detector_costs(empty, 800, 1333)
    assert costs == detector_costs(full, 800, 1333)
    assert costs.backbone == count_backbone(at_resolution(get("resnet18"), 800, 1333)).macs


def test_another_backbone_is_refused() -> None:
    pyramid = Pyramid(build(SMALL, features_only=True))
    other = nn.Sequential(pyramid)
    other.out_channels = 256
    with pytest.raises(UsageError, match="expected a Pyramid"):
        detector_costs(FasterRCNN(other, 2), 64, 64)
