"""Networks under names of their own in timm."""

import warnings
from pathlib import Path

import pytest
import timm
import torch

from madnas.errors import MadnasError, UsageError
from madnas.models import build, register
from madnas.models.names import timm_name
from madnas.network import named
from madnas.network.count import count
from madnas.network.expand import segments
from madnas.network.spec import NetworkSpec
from madnas.network.specfile import dump_spec
from tests.models.examples import EXAMPLES


def last_maps(spec: NetworkSpec) -> list[tuple[int, int, int]]:
    """Channels and size of the last map of every stage, from the description's layers."""
    last = {}
    for segment in segments(spec):
        main = [layer for layer in segment.layers if layer.main]
        if segment.part != "head" and segment.repeat and main:
            last[segment.stage] = (segment.out_chs, *main[-1].resolution)
    return [last[stage] for stage in sorted(last)]


FAST = {
    *("convnext-t-pruned-40", "deepmad-29m-288", "deepmad-r18", "densenet-cifar", "efficientnet-b0", "mobilenetv2-1.4"),
    *("nnmass-cifar-3.8m", "nnmass-mbv2-b", "ran-e-digits", "ran-e-a", "ran-i-t", "regnety-032", "repvgg-a0"),
    *("resnet50", "vgg11", "wrn-16-8", "zennet-0.1ms", "zennet-400m-se", "zennet-cifar-1m"),
}
"""One or two of every family."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in named.names()]
)
def test_every_named_network_is_a_backbone(name: str) -> None:
    spec = named.get(name)
    with torch.device("meta"):  # shapes without weights or multiplications
        model = timm.create_model(timm_name(name), features_only=True)
        maps = model(torch.empty(2, *spec.input))
    expected = last_maps(spec)
    assert [tuple(one.shape[1:]) for one in maps] == expected
    assert model.feature_info.channels() == [chs for chs, _, _ in expected]
    assert model.feature_info.reduction() == [spec.input[1] // height for _, height, _ in expected]


@pytest.mark.parametrize("out_indices", [(-1,), (-2, -1), (0, 1)], ids=str)
@pytest.mark.parametrize("name", ["resnet18", "densenet-cifar", "vgg11"])
def test_chosen_stages(name: str, out_indices: tuple[int, ...]) -> None:
    expected = last_maps(named.get(name))
    with torch.device("meta"):
        model = timm.create_model(timm_name(name), features_only=True, out_indices=out_indices)
    assert model.feature_info.channels() == [expected[index][0] for index in out_indices]


def test_the_name_builds_the_whole_network_too() -> None:
    torch.manual_seed(0)
    ours = build(named.get("resnet20"), num_classes=7)
    torch.manual_seed(0)
    theirs = timm.create_model("madnas_resnet20", num_classes=7)
    torch.testing.assert_close(dict(theirs.state_dict()), dict(ours.state_dict()))


def test_a_network_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(dump_spec(EXAMPLES["basic-conv"]))
    assert register("own_net", path) == "own_net"
    model = timm.create_model("own_net", num_classes=10)
    assert sum(parameter.numel() for parameter in model.parameters()) == count(EXAMPLES["basic-conv"]).params
    path.unlink()  # the description was read then
    assert timm.create_model("own_net", features_only=True).feature_info.channels() == [8, 16]


def test_the_same_again_is_no_mistake_and_another_is() -> None:
    register("own_twice", EXAMPLES["basic-conv"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register("own_twice", EXAMPLES["basic-conv"])
    with pytest.raises(UsageError, match="another model"):
        register("own_twice", EXAMPLES["conv"])


@pytest.mark.parametrize("name", ["resnet18", "madnas", "madnas_resnet18"])
def test_timms_names_stay_timms(name: str) -> None:
    with pytest.raises(UsageError, match="another model"):
        register(name, EXAMPLES["conv"])


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "hf-hub:a", "a b"])
def test_names_that_timm_would_read_otherwise(name: str) -> None:
    with pytest.raises(UsageError, match="not a name"):
        register(name, EXAMPLES["conv"])


def test_no_such_network() -> None:
    with pytest.raises(MadnasError, match="unknown network"):
        register("own_nothing", "resnet19")
