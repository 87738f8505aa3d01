"""Backbones in ``segmentation_models_pytorch``."""

import pytest
import torch
from torch import nn

from madnas.models import register
from tests.tasks.test_detectors import SMALL

smp = pytest.importorskip("segmentation_models_pytorch", reason="an optional library")


@pytest.mark.parametrize("kind", ["Unet", "UPerNet", "FPN", "DeepLabV3Plus"])
def test_a_description_of_ones_own_learns_a_square(kind: str) -> None:
    name = register("own_small", SMALL)
    torch.manual_seed(0)
    model = getattr(smp, kind)(f"tu-{name}", encoder_weights=None, classes=1)
    image, mask = torch.zeros(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)
    image[:, :, 16:48, 8:40], mask[:, :, 16:48, 8:40] = 1, 1
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    losses = []
    for _ in range(8):
        loss = nn.functional.binary_cross_entropy_with_logits(model(image), mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    ("name", "depth"), [("madnas_mobilenetv2", 5), ("madnas_convnext_t_pruned_40", 5), ("madnas_vgg11", 4)]
)
def test_every_form_of_backbone(name: str, depth: int) -> None:
    with torch.device("meta"):
        chs = (256, 128, 64, 32, 16)[-depth:]
        model = smp.Unet(f"tu-{name}", encoder_weights=None, encoder_depth=depth, decoder_channels=chs, classes=3)
        assert model(torch.empty(2, 3, 64, 96)).shape == (2, 3, 64, 96)
