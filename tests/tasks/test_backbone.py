"""A classifier's weights go into the backbone that was taken out of it, whatever its library calls them."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

import madnas.models  # noqa: F401  # registers our names with timm
from madnas.errors import UsageError
from madnas.targets import find
from madnas.tasks.backbone import build_body, load_backbone
from madnas.train.recipe import load_recipe

RECIPE = load_recipe("digits/quick")


def backbone(word: str) -> nn.Module:
    return build_body(find(word), RECIPE)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("resnet20", "madnas_resnet20"),
        ("timm/resnet18", "resnet18"),
        ("timm/convnext_atto", "convnext_atto"),
        ("timm/regnetx_002", "regnetx_002"),
        ("timm/mobilenetv3_small_050", "mobilenetv3_small_050"),
        ("timm/swin_tiny_patch4_window7_224", "swin_tiny_patch4_window7_224"),
    ],
)
def test_maps_are_those_of_the_classifier(tmp_path: Path, word: str, name: str) -> None:
    torch.manual_seed(1)
    whole = timm.create_model(name, num_classes=7)
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    torch.manual_seed(2)
    body = backbone(word)
    count = len(body.state_dict())
    told = load_backbone(nn.ModuleDict({"body": body, "head": nn.Linear(3, 3)}), body, tmp_path / "w.safetensors")
    assert f"gives {count} of the backbone's {count} tensors, and 0 of the 2 others" in told
    images = torch.randn(1, 3, 224, 224)
    expected = whole.eval().forward_intermediates(images, intermediates_only=True)[-1]
    with torch.no_grad():
        assert torch.allclose(body.eval()(images)[-1], expected.movedim(1, -1) if "swin" in name else expected)


def test_a_whole_model_goes_on_as_it_was(tmp_path: Path) -> None:
    body = backbone("resnet20")
    model = nn.ModuleDict({"body": body, "head": nn.Linear(3, 3)})
    values = {name: torch.ones_like(one) for name, one in model.state_dict().items()}
    save_file(values, tmp_path / "w.safetensors")
    assert "and 2 of the 2 others" in load_backbone(model, body, tmp_path / "w.safetensors")
    assert all(bool((one == 1).all()) for one in model.state_dict().values())


def test_other_networks_are_refused(tmp_path: Path) -> None:
    save_file(timm.create_model("resnet18", num_classes=7).state_dict(), tmp_path / "w.safetensors")
    body = backbone("resnet20")
    with pytest.raises(UsageError, match="weights of another network"):
        load_backbone(nn.ModuleDict({"body": body}), body, tmp_path / "w.safetensors")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    body = backbone("resnet20")
    values = {name.removeprefix("model."): one.clone() for name, one in body.state_dict().items()}
    values["stem.conv.weight"][0] = float("nan")
    save_file(values, tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match=r"not finite, such as stem\.conv\.weight"):
        load_backbone(nn.ModuleDict({"body": body}), body, tmp_path / "w.safetensors")


def test_torchvision_has_no_backbones() -> None:
    with pytest.raises(UsageError, match="torchvision networks give no maps"):
        backbone("torchvision/resnet18")
