"""Maps of every stage, in timm's form."""

import pytest
import timm
import torch
from hypothesis import given, settings
from torch import Tensor, nn

import madnas.models  # noqa: F401  # registers with timm
from madnas.errors import UsageError
from madnas.models import build
from madnas.network import named
from madnas.network.expand import segments
from madnas.network.spec import Group, NetworkSpec, Stem
from tests.models.examples import EXAMPLES, network
from tests.strategies import networks

THREE_STAGES = network(
    Group("conv", 12, 1, kernel=3),
    Group("basic", 16, 2, kernel=3, stride=2),
    Group("basic", 20, 1, kernel=3),
    Group("basic", 24, 1, kernel=3, stride=2),
    stem=Stem(8, stride=2),
)
"""Stage 0: stem and the first group; stage 1: two groups; stage 2: one."""


def backbone(spec: NetworkSpec, **kwargs: object) -> nn.Module:
    return timm.create_model("madnas", spec=spec, features_only=True, **kwargs).eval()


def sizes(maps: list[Tensor]) -> list[tuple[int, ...]]:
    return [tuple(feature.shape[1:]) for feature in maps]


def test_last_map_of_every_stage() -> None:
    model = backbone(THREE_STAGES)
    assert sizes(model(torch.randn(2, 3, 32, 48))) == [(12, 16, 24), (20, 8, 12), (24, 4, 6)]
    assert model.feature_info.channels() == [12, 20, 24]
    assert model.feature_info.reduction() == [2, 4, 8]
    assert model.feature_info.module_name() == ["groups.0", "groups.2", "groups.3"]


def test_resnet_has_the_maps_of_timms() -> None:
    theirs = timm.create_model("resnet50", features_only=True)
    ours = backbone(named.get("resnet50"))
    assert ours.feature_info.channels() == theirs.feature_info.channels()
    assert ours.feature_info.reduction() == theirs.feature_info.reduction()
    assert sizes(ours(torch.randn(1, 3, 64, 64))) == sizes(theirs(torch.randn(1, 3, 64, 64)))


def test_efficientnet_has_the_maps_of_timms() -> None:
    # The head's convolution, 1280 channels, is part of neither.
    theirs = timm.create_model("efficientnet_b0", features_only=True)
    ours = backbone(named.get("efficientnet-b0"))
    assert ours.feature_info.channels() == theirs.feature_info.channels() == [16, 24, 40, 112, 320]
    assert ours.feature_info.reduction() == theirs.feature_info.reduction()


def test_convnext_has_the_maps_of_timms() -> None:
    theirs = timm.create_model("convnext_tiny", features_only=True)
    ours = backbone(named.get("convnext-t"))
    assert ours.feature_info.channels() == theirs.feature_info.channels()
    assert ours.feature_info.reduction() == theirs.feature_info.reduction()
    assert sizes(ours(torch.randn(1, 3, 64, 64))) == sizes(theirs(torch.randn(1, 3, 64, 64)))


def test_densenet_has_the_maps_of_timms() -> None:
    # timm's last one has the batch norm that here is the head's.
    theirs = timm.create_model("densenet121", features_only=True)
    ours = backbone(named.get("densenet-121"))
    assert ours.feature_info.channels() == theirs.feature_info.channels() == [64, 256, 512, 1024, 1024]
    assert ours.feature_info.reduction() == theirs.feature_info.reduction()


@pytest.mark.parametrize(
    ("name", "modules", "reduction"),
    [
        ("vgg16", [f"groups.{n}" for n in range(5)], [1, 2, 4, 8, 16]),
        ("densenet-cifar", ["groups.0", "groups.1", "groups.2"], [1, 2, 4]),
        ("wrn-16-8", ["groups.0", "groups.1", "groups.2"], [1, 2, 4]),
    ],
)
def test_stages_of_networks_with_little_or_no_stem(name: str, modules: list[str], reduction: list[int]) -> None:
    model = build(named.get(name))
    assert [info["module"] for info in model.feature_info] == modules
    assert [info["reduction"] for info in model.feature_info] == reduction


@pytest.mark.parametrize(
    ("out_indices", "channels"),
    [((0, 2), [12, 24]), ((1,), [20]), (2, [20, 24]), ((-1,), [24]), ((-3, -1), [12, 24])],
    ids=str,
)
def test_out_indices(out_indices: int | tuple[int, ...], channels: list[int]) -> None:
    model = backbone(THREE_STAGES, out_indices=out_indices)
    assert model.feature_info.channels() == channels
    assert [shape[0] for shape in sizes(model(torch.randn(1, 3, 32, 32)))] == channels


@pytest.mark.parametrize("out_indices", [(0,), (0, 1), (-1,)], ids=str)
@pytest.mark.parametrize(
    "name", ["bottleneck-conv", "inverted-identity", "convnext", "dense", "preact", "random-skip", "vgg"]
)
def test_backbone_keeps_no_parameter_that_its_maps_do_not_use(name: str, out_indices: tuple[int, ...]) -> None:
    # Unused parameters stop distributed training, and cost memory.
    model = timm.create_model("madnas", spec=EXAMPLES[name], features_only=True, out_indices=out_indices)
    sum(feature.sum() for feature in model(torch.randn(2, 3, 32, 32))).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_maps_are_those_of_the_whole_network() -> None:
    torch.manual_seed(0)
    model = build(THREE_STAGES, zero_init_last=False).eval()
    image = torch.randn(1, 3, 32, 32)
    seen: dict[str, Tensor] = {}
    for name in ("groups.0", "groups.2", "groups.3"):
        model.get_submodule(name).register_forward_hook(lambda *args, name=name: seen.update({name: args[-1]}))
    last, maps = model.forward_intermediates(image)
    torch.testing.assert_close(maps, list(seen.values()))
    torch.testing.assert_close(last, model.forward_features(image))
    early = model.forward_intermediates(image, indices=[1], stop_early=True, intermediates_only=True)
    torch.testing.assert_close(early, maps[1:2])


def test_all_maps_come_with_the_features_of_the_head() -> None:
    model = build(EXAMPLES["inverted-identity"]).eval()
    image = torch.randn(1, 3, 32, 32)
    last, maps = model.forward_intermediates(image)
    assert sizes([last, *maps]) == [(32, 8, 8), (8, 16, 16), (12, 8, 8)]
    torch.testing.assert_close(last, model.forward_features(image))


def test_stopping_early_gives_the_last_map_as_features() -> None:
    model = build(THREE_STAGES).eval()
    last, maps = model.forward_intermediates(torch.randn(1, 3, 32, 32), indices=[0, 1], stop_early=True)
    assert sizes([last, *maps]) == [(20, 8, 8), (12, 16, 16), (20, 8, 8)]


def test_pruned_network_says_so() -> None:
    model = build(EXAMPLES["bottleneck-conv"]).eval()
    assert model.prune_intermediate_layers([-3]) == [0]
    assert (model.num_classes, model.num_features) == (0, 8)
    image = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(model(image), model.stem(image))  # neither pooling nor groups nor a head


@pytest.mark.parametrize("feature_cls", ["hook", "fx"])
@pytest.mark.parametrize(
    "spec",
    [THREE_STAGES, *(EXAMPLES[name] for name in ("convnext", "dense", "preact", "random-skip", "vgg"))],
    ids=["three", "convnext", "dense", "preact", "random-skip", "vgg"],
)
def test_timms_other_extractors_see_the_same_maps(spec: NetworkSpec, feature_cls: str) -> None:
    torch.manual_seed(0)
    ours = backbone(spec)
    torch.manual_seed(0)
    theirs = backbone(spec, feature_cls=feature_cls)
    image = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(theirs(image), ours(image))


@pytest.mark.parametrize("pool", [False, True], ids=["stem", "stem-with-pool"])
def test_stem_alone_in_its_stage(pool: bool) -> None:
    spec = network(Group("conv", 12, 1, kernel=3, stride=2), stem=Stem(8, pool=pool))
    model = backbone(spec)
    # A pooling without layers before the next stride makes no stage.
    assert model.feature_info.module_name() == ["stem", "groups.0"]
    assert model.feature_info.reduction() == [2, 8 if pool else 4]
    assert sizes(model(torch.randn(1, 3, 32, 32)))[0] == (8, 16, 16)


def test_mlp_has_no_maps() -> None:
    with pytest.raises(UsageError, match="MLP"):
        timm.create_model("madnas", spec=EXAMPLES["mlp"], features_only=True)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(spec=networks())
def test_maps_have_the_sizes_that_the_closed_form_says(spec: NetworkSpec) -> None:
    last = {}
    for segment in segments(spec):
        main = [layer for layer in segment.layers if layer.main]
        if segment.part != "head" and segment.repeat and main:
            last[segment.stage] = (segment.out_chs, *main[-1].resolution)
    maps = backbone(spec)(torch.zeros(1, *spec.input))
    assert sizes(maps) == [last[stage] for stage in sorted(last)]
