"""Detectors of torchvision over backbones of ours."""

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

from madnas.models import build
from madnas.network.spec import Group, NetworkSpec, Stem
from madnas.tasks import Pyramid, fcos, two_stage
from tests.models.examples import network

SMALL = network(
    Group("bottleneck", 16, 1, hidden=8, kernel=3, stride=2, shortcut="pool"),
    Group("bottleneck", 24, 1, hidden=12, kernel=3, stride=2, shortcut="pool"),
    Group("bottleneck", 32, 1, hidden=16, kernel=3, stride=2, shortcut="pool"),
    Group("bottleneck", 32, 1, hidden=16, kernel=3, stride=2, shortcut="pool"),
    stem=Stem(8, stride=2),
)
"""Maps of reduction 2 to 32."""

SIDE = 96
SIZE = {"min_size": SIDE, "max_size": SIDE}


def toy() -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Two images with a bright square each, and where it is."""
    images, targets = [], []
    for left, top, side in ((16, 24, 40), (48, 8, 32)):
        image = torch.zeros(3, SIDE, SIDE)
        image[:, top : top + side, left : left + side] = 1
        images.append(image)
        box = torch.tensor([[left, top, left + side, top + side]], dtype=torch.float)
        targets.append({"boxes": box, "labels": torch.tensor([1])})
    return images, targets


def body(spec: NetworkSpec = SMALL, out_indices: tuple[int, ...] = (-3, -2, -1)) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("madnas", spec=spec, features_only=True, out_indices=out_indices)


def losses_of(detector: nn.Module, steps: int) -> list[float]:
    torch.manual_seed(0)
    images, targets = toy()
    optimiser = torch.optim.Adam(detector.parameters(), 2e-3)
    losses = []
    for _ in range(steps):
        loss = sum(detector(images, targets).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def test_fcos_learns_and_finds_the_squares() -> None:
    detector = fcos(body(), 2, out_chs=64, **SIZE).train()
    losses = losses_of(detector, 40)
    assert losses[-1] < 0.5 * losses[0]
    images, targets = toy()
    for found, target in zip(detector.eval()(images), targets, strict=True):
        best, (box,) = found["boxes"][0], target["boxes"]
        overlap = (torch.minimum(best[2:], box[2:]) - torch.maximum(best[:2], box[:2])).clamp(0).prod()
        union = (best[2:] - best[:2]).prod() + (box[2:] - box[:2]).prod() - overlap
        assert overlap / union > 0.5


@pytest.mark.parametrize("kind", ["retinanet", "faster-rcnn", "two-stage"])
def test_other_detectors_learn(kind: str) -> None:
    if kind == "retinanet":
        detector = RetinaNet(Pyramid(body(), 32), 2, **SIZE)
    elif kind == "faster-rcnn":
        anchors = AnchorGenerator(((16,), (32,), (64,)), ((1.0,),) * 3)
        backbone = Pyramid(body(out_indices=(-4, -3)), 32, "pool")
        head = TwoMLPHead(32 * 7 * 7, 32)
        own = {"box_head": head, "box_predictor": FastRCNNPredictor(32, 2), "rpn_post_nms_top_n_train": 64}
        detector = FasterRCNN(backbone, rpn_anchor_generator=anchors, **own, **SIZE)
    else:
        detector = two_stage(body(out_indices=(-1,)), 2, width=32, proposals=64, **SIZE)
    losses = losses_of(detector.train(), 15)
    assert losses[-1] < 0.85 * losses[0]
    assert all(parameter.grad is not None for parameter in detector.backbone.maps.parameters())


def test_ran_hands_on_as_many_boxes_as_it_says() -> None:
    detector = two_stage(build(SMALL, features_only=True, out_indices=(-1,)))
    assert (detector.rpn.post_nms_top_n(), detector.transform.min_size, detector.transform.max_size) == (
        512,
        (800,),
        800,
    )
    assert detector.rpn.head.cls_logits.out_channels == 15
    assert len([part for part in detector.rpn.head.modules() if isinstance(part, nn.Conv2d)]) == 3
