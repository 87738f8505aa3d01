"""``build`` and ``timm.create_model("madnas", ...)``."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from timm.data import resolve_model_data_config

from madnas.errors import MadnasError, SpecError, UsageError
from madnas.models import build
from madnas.models.names import timm_name
from madnas.models.network import MadNet
from madnas.network import named
from madnas.network.spec import Group, Head, Stem
from madnas.network.specfile import ACTIVATIONS, dump_spec
from tests.models.examples import EXAMPLES, network

SPEC = EXAMPLES["basic-conv"]


def test_timm_lists_it() -> None:
    assert timm.is_model("madnas")
    assert sorted(timm.list_models("madnas*")) == sorted(["madnas", *map(timm_name, named.names())])
    assert len(timm.list_models("madnas_*")) == len(named.names()) > 70


def test_timm_builds_a_description() -> None:
    torch.manual_seed(0)
    ours = build(SPEC)
    torch.manual_seed(0)
    theirs = timm.create_model("madnas", spec=SPEC)
    assert isinstance(theirs, MadNet)
    assert theirs.spec == SPEC
    torch.testing.assert_close(dict(theirs.state_dict()), dict(ours.state_dict()))


def test_timm_passes_its_usual_options() -> None:
    model = timm.create_model("madnas", spec=SPEC, num_classes=3, in_chans=1, drop_rate=0.25, drop_path_rate=0.5)
    assert (model.num_classes, model.in_chans) == (3, 1)
    assert model.head.drop.p == 0.25
    assert model.groups[-1][-1].drop_path.drop_prob == 0.5
    assert timm.create_model("madnas", spec=SPEC, num_classes=0).get_classifier().__class__ is torch.nn.Identity


def test_timm_knows_the_input_size() -> None:
    spec = replace(SPEC, input=(1, 40, 48))
    assert resolve_model_data_config(timm.create_model("madnas", spec=spec))["input_size"] == (1, 40, 48)


def test_misspelt_option_is_an_error() -> None:
    with pytest.raises(TypeError, match="drop_paht"):
        timm.create_model("madnas", spec=SPEC, drop_paht=0.1)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_checkpoint_of_a_state_loads(tmp_path: Path, suffix: str) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(0)
    saved = build(SPEC)
    path = tmp_path / f"weights.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(saved.state_dict(), path)
    loaded = timm.create_model("madnas", spec=SPEC, checkpoint_path=str(path))
    tuned = timm.create_model(
        "madnas", spec=SPEC, pretrained=True, pretrained_cfg_overlay={"file": str(path)}, num_classes=3
    )
    torch.testing.assert_close(dict(loaded.state_dict()), dict(saved.state_dict()))
    torch.testing.assert_close(tuned.stem.conv.weight, saved.stem.conv.weight)
    assert tuned.num_classes == 3


def test_there_are_no_pretrained_weights() -> None:
    with pytest.raises(RuntimeError, match="No pretrained weights"):
        timm.create_model("madnas", spec=SPEC, pretrained=True)


@pytest.mark.parametrize("spec", [{"name": "x"}, 3, ("resnet18",)], ids=["dict", "int", "tuple"])
def test_spec_of_another_type_is_an_error(spec: object) -> None:
    with pytest.raises(UsageError, match=f"not {type(spec).__name__}"):
        timm.create_model("madnas", spec=spec)


def test_missing_spec_is_an_error() -> None:
    with pytest.raises(UsageError, match="not NoneType") as error:
        timm.create_model("madnas")
    assert "spec=" in str(error.value.hint)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (Group("basik", 8, 1, kernel=3), r"groups\[0\]\.block.*'basik'"),
        (Group("basic", 8.5, 1, kernel=3), r"groups\[0\]\.out"),
        (Group("basic", 8, 1), r"groups\[0\]\.kernel"),
        (Group("basic", 8, 1, kernel=3, act="rleu"), r"groups\[0\]\.act"),
        (Group("basic", 4, 1, kernel=3, shortcut="pad"), "8 in and 4 out"),
    ],
    ids=["unknown-kind", "fraction", "no-kernel", "unknown-act", "padding-that-narrows"],
)
def test_what_no_module_can_be_made_of_is_an_error(group: Group, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        build(network(group))


def test_many_candidates_at_once_are_no_module() -> None:
    with pytest.raises(UsageError, match="example: no module can be built"):
        build(network(Group("basic", 8, np.array([1, 2]), kernel=3)))


def test_counts_of_numpy_are_counts() -> None:
    model = build(network(Group("basic", np.int64(8), np.int64(2), kernel=np.int64(3))))
    assert len(model.groups[0]) == 2


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_every_activation_of_spec_files_builds_and_learns(act: str) -> None:
    torch.manual_seed(0)
    block = Group("inverted-residual", 8, 2, expand=2, kernel=3, act=act, se="efficientnet")
    model = build(network(block, stem=Stem(8, act=act), head=Head(10, 12, act)), zero_init_last=False).eval()
    model(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_file_builds(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(dump_spec(SPEC))
    assert timm.create_model("madnas", spec=str(path)).spec == SPEC
    assert timm.create_model("madnas", spec=path).spec == SPEC


def test_named_network_builds() -> None:
    assert timm.create_model("madnas", spec="resnet20").spec == named.get("resnet20")


@pytest.mark.parametrize("spec", ["no-such-network", "no/such/file.yaml"])
def test_unknown_name_or_file_is_an_error(spec: str) -> None:
    with pytest.raises(MadnasError, match=spec):
        timm.create_model("madnas", spec=spec)
