"""Backbones in torchvision's form."""

import pytest
import timm
import torch

import madnas.models  # noqa: F401  # registers with timm
from madnas.errors import UsageError
from madnas.models import build
from madnas.tasks import Pyramid, SingleMap
from tests.models.examples import EXAMPLES


@pytest.mark.parametrize(("more", "levels"), [("p6p7", 5), ("pool", 4), ("none", 3)])
def test_levels_are_as_large_as_they_say(more: str, levels: int) -> None:
    body = timm.create_model("madnas_resnet18", features_only=True, out_indices=(-3, -2, -1))
    pyramid = Pyramid(body, 32, more).eval()
    maps = pyramid(torch.zeros(2, 3, 256, 128))
    assert len(maps) == len(pyramid.reduction) == levels
    for one, reduction in zip(maps.values(), pyramid.reduction, strict=True):
        assert one.shape == (2, 32, 256 // reduction, 128 // reduction)


@pytest.mark.parametrize(
    "name", ["madnas_mobilenetv2", "madnas_convnext_t_pruned_40", "madnas_densenet_121", "madnas_ran_e_a"]
)
def test_backbones_of_every_form(name: str) -> None:
    with torch.device("meta"):
        pyramid = Pyramid(timm.create_model(name, features_only=True, out_indices=(-3, -2, -1)), 16)
        maps = pyramid(torch.empty(1, 3, 128, 128))
    assert [one.shape[-1] for one in maps.values()] == [16, 8, 4, 2, 1]


def test_a_backbone_with_channels_last() -> None:
    body = timm.create_model("swin_tiny_patch4_window7_224", features_only=True, out_indices=(1, 2, 3)).eval()
    maps = Pyramid(body, 16)(torch.zeros(1, 3, 224, 224))
    assert maps["0"].shape == (1, 16, 28, 28)
    assert SingleMap(body)(torch.zeros(1, 3, 224, 224)).shape == (1, 768, 7, 7)


def test_of_several_maps_the_last() -> None:
    body = build(EXAMPLES["bottleneck-pool"], features_only=True).eval()
    single, image = SingleMap(body), torch.randn(1, 3, 32, 32)
    assert (single.out_channels, single.reduction) == (16, [4])
    torch.testing.assert_close(single(image), body(image)[-1])


def test_whole_network_is_no_backbone() -> None:
    with pytest.raises(UsageError, match="gives no list of maps"):
        Pyramid(build(EXAMPLES["conv"]))
    with pytest.raises(UsageError, match="gives no list of maps"):
        SingleMap(torch.nn.Conv2d(3, 8, 3))


def test_maps_whose_sides_do_not_halve() -> None:
    dilated = timm.create_model("madnas_resnet18", features_only=True, out_indices=(2, 3, 4), output_stride=16)
    with pytest.raises(UsageError, match=r"reduced by \[8, 16, 16\]"):
        Pyramid(dilated)


def test_unknown_levels() -> None:
    with pytest.raises(UsageError, match="p6p7, pool or none"):
        Pyramid(build(EXAMPLES["conv"], features_only=True), more="p8")
