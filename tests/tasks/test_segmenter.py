"""UPerNet over our backbones and timm's."""

import pytest
import timm
import torch
from torch import nn

import madnas.models  # noqa: F401  # registers our names with timm
from madnas.errors import UsageError
from madnas.tasks.segmenter import LEVELS, Segmenter, pixel_loss, upsampled

pytest.importorskip("segmentation_models_pytorch", reason="segmentation's decoder, an extra")


def body(name: str) -> nn.Module:
    count = len(timm.create_model(name, features_only=True).feature_info)
    return timm.create_model(name, features_only=True, out_indices=tuple(range(-min(LEVELS, count), 0)))


@pytest.mark.parametrize("name", ["madnas_deepmad_r18", "resnet50", "madnas_convnext_t", "vgg11", "madnas_resnet20"])
def test_every_backbone(name: str) -> None:
    with torch.device("meta"):
        model = Segmenter(body(name), 7, decoder_chs=32)
        logits, auxiliary = model(torch.empty(2, 3, 96, 128))
        first, before_last = (model.maps.reduction[index] for index in (0, -2))
        assert logits.shape == (2, 7, 96 // first, 128 // first)
        assert auxiliary is not None and auxiliary.shape == (2, 7, 96 // before_last, 128 // before_last)
        assert model.eval()(torch.empty(1, 3, 96, 128)).shape == (1, 7, 96 // first, 128 // first)


def test_the_decoder_takes_reductions_of_4_to_32() -> None:
    with torch.device("meta"):
        assert Segmenter(body("resnet50"), 2).maps.reduction == [4, 8, 16, 32]


def test_all_that_is_trained_has_a_gradient() -> None:
    torch.manual_seed(0)
    model = Segmenter(body("madnas_resnet20"), 3, decoder_chs=16)
    logits, auxiliary = model(torch.randn(2, 3, 32, 32))
    labels = torch.randint(3, (2, 32, 32))
    (pixel_loss(logits, labels, 255) + pixel_loss(auxiliary, labels, 255)).backward()
    assert all(one.grad is not None for one in model.parameters())


def test_a_single_map_is_no_pyramid() -> None:
    with pytest.raises(UsageError, match="needs 2 maps or more, and the network gives 1"):
        Segmenter(timm.create_model("resnet18", features_only=True, out_indices=(-1,)), 3)


def test_pixels_without_a_label_count_nothing_and_parts_add_up() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 5, 4, 4), torch.randint(5, (4, 8, 8))
    labels[1], labels[2, :4] = 255, 255
    whole = pixel_loss(logits, labels, 255)
    halves = [pixel_loss(one, its, 255) for one, its in zip(logits.split(2), labels.split(2), strict=True)]
    assert torch.allclose(whole, sum(halves) / 2)
    kept = labels != 255
    full = upsampled(logits, (8, 8)).movedim(1, -1)
    mean = nn.functional.cross_entropy(full[kept], labels[kept])
    assert torch.allclose(whole, mean * kept.sum() / kept.numel())
    assert pixel_loss(logits[1:2], labels[1:2], 255) == 0


def test_views_are_mean_probabilities() -> None:
    torch.manual_seed(0)
    one = Segmenter(body("madnas_resnet20"), 3, decoder_chs=16).eval()
    several = Segmenter(body("madnas_resnet20"), 3, 16, scales=(0.5, 1.0), flip=True).eval()
    several.load_state_dict(one.state_dict())
    images = torch.randn(2, 3, 32, 48)
    small = nn.functional.interpolate(images, (16, 24), mode="bilinear", antialias=True)
    with torch.no_grad():
        shares = [upsampled(one(view), (32, 48)).softmax(1) for view in (small, images)]
        mirrored = [upsampled(one(view.flip(-1)), (32, 48)).softmax(1).flip(-1) for view in (small, images)]
        assert torch.allclose(several(images).exp(), sum(shares + mirrored) / 4, atol=1e-6)
