"""Maps of restructured networks."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

import madnas.models  # noqa: F401  # registers with timm
from madnas.errors import UsageError
from madnas.models import build
from madnas.models.norms import unsettle
from madnas.network.named import get
from madnas.network.restructured import SCHEMA, Description, dump
from madnas.network.specfile import spec_to_tree
from madnas.restructure.collapse import collapse
from madnas.targets.backbone import RestructuredMaps

SPEC = get("ran-e-digits")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collapsed network, its weights and the maps that it has to have."""
    torch.manual_seed(0)
    model = build(SPEC).eval()
    unsettle(model, 0)
    collapsed = collapse(model, SPEC.input)
    merged = tuple(one.modules for one in collapsed.merged)
    described = Description(SCHEMA, "small", SPEC.input, SPEC.head.classes, merged, spec=spec_to_tree(SPEC))
    folder = tmp_path_factory.mktemp("collapsed")
    (folder / "network.yaml").write_text(dump(described))
    save_file(collapsed.model.state_dict(), folder / "weights.safetensors")
    image = torch.randn(2, *SPEC.input)
    with torch.no_grad():
        maps = model.forward_intermediates(image, intermediates_only=True)
        torch.save([image, *maps, model(image)], folder / "expected.pt")
    return folder


def created(folder: Path, **kwargs: object) -> torch.nn.Module:
    model = timm.create_model(
        "madnas", spec=str(folder / "network.yaml"), weights=folder / "weights.safetensors", **kwargs
    )
    return model.eval()


def test_maps_are_those_of_the_network_before(folder: Path) -> None:
    image, *maps, _ = torch.load(folder / "expected.pt")
    backbone = created(folder, features_only=True)
    assert isinstance(backbone, RestructuredMaps)
    before = build(SPEC, features_only=True).feature_info
    assert backbone.feature_info.channels() == before.channels()
    assert backbone.feature_info.reduction() == before.reduction()
    with torch.no_grad():
        torch.testing.assert_close(backbone(image), maps, rtol=1e-3, atol=1e-3)
        assert backbone(torch.zeros(1, 1, 48, 40))[-1].shape[-2:] == (48 // 16, 3)


def test_chosen_maps_need_no_more_than_they_use(folder: Path) -> None:
    image, *maps, _ = torch.load(folder / "expected.pt")
    backbone = created(folder, features_only=True, out_indices=(-3, 1))
    with torch.no_grad():
        found = backbone(image)
    torch.testing.assert_close(found[-1], maps[1], rtol=1e-3, atol=1e-3)
    assert len(list(backbone.parameters())) < len(list(created(folder, features_only=True).parameters()))


def test_the_whole_network(folder: Path) -> None:
    image, *_, logits = torch.load(folder / "expected.pt")
    with torch.no_grad():
        torch.testing.assert_close(created(folder)(image), logits, rtol=1e-3, atol=1e-3)


def test_what_it_has_no_use_for_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="takes no num_classes"):
        created(folder, num_classes=3)
