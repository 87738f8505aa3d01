"""Named networks: their structure against the papers' tables, spellings, unknown names, registration."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from madnas.errors import UsageError
from madnas.network import named, zoo
from madnas.network.count import count
from madnas.network.expand import segments
from madnas.network.named import UnknownName, get, names, unknown_name
from madnas.network.spec import Stem
from madnas.network.specfile import check_spec
from madnas.network.zoo.mobile import make_divisible
from madnas.network.zoo.skip import skip_mlp


def test_names():
    assert names() == sorted(names())
    assert {"resnet20", "resnet50", "mobilenetv2-1.4", "efficientnet-b0", "deepmad-29m-288"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_every_network_can_be_built_and_bears_its_name(name):
    assert get(name).name == name
    check_spec(get(name))


@pytest.mark.parametrize(
    ("spelling", "name"),
    {
        "resnet-18": "resnet18",
        "ResNet_50": "resnet50",
        "DeepMAD-R18": "deepmad-r18",
        "deepmad_29m_288": "deepmad-29m-288",
        "deepmad-29m-224": "deepmad-29m",
        "mobilenet_v2": "mobilenetv2",
        "MobileNet-V2": "mobilenetv2",
        "mobilenetv2-1.0": "mobilenetv2",
        "mobilenetv2-1": "mobilenetv2",
        "mobilenetv2_1.40": "mobilenetv2-1.4",
        "mobilenetv2-0.35": "mobilenetv2-0.35",
        "EfficientNet_B0": "efficientnet-b0",
        "ConvNeXt_T": "convnext-t",
        "DenseNet121": "densenet-121",
        "VGG-16": "vgg16",
        "WRN_28_10": "wrn-28-10",
        "wrn-52-1": "wrn-52-1",
        "wrn-imagenet-101-1.5": "wrn-imagenet-101-1.5",
        "RAN-i-T": "ran-i-t",
    }.items(),
)
def test_spellings(spelling, name):
    assert get(spelling).name == name


@pytest.mark.parametrize(
    "name", ["resnet19", "deepmad", "", " ", "\0", "mobilenetv2-1.2.3", "mobilenetv2_140", "é" * 999]
)
def test_unknown_names(name):
    with pytest.raises(UnknownName, match="unknown network") as caught:
        get(name)
    assert len(str(caught.value)) < 300
    assert "resnet18" in str(caught.value.hint)


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownName, match="unknown network 'resnt50'; did you mean 'resnet50'"):
        get("resnt50")


@pytest.mark.parametrize("width", ["0", "0.0", "10.5", "99"])
def test_impossible_widths(width):
    with pytest.raises(UsageError, match=f"mobilenetv2-{width}: the width must be above 0 and at most 10"):
        get(f"mobilenetv2-{width}")


@pytest.mark.parametrize(
    ("name", "message"),
    {
        "wrn-4-2": "a depth of 6 n",
        "wrn-27-10": "a depth of 6 n",
        "wrn-28-0": "a factor of at least 1",
        "wrn-imagenet-50-0.5": "the factor must be at least 1",
    }.items(),
)
def test_impossible_wide_resnets(name, message):
    with pytest.raises(UsageError, match=f"{name}: .*{message}"):
        get(name)


def test_wide_resnet_is_its_table():
    # Zagoruyko and Komodakis 2016, Table 1, with N = (28 - 4) / 6 and k = 10
    spec = get("wrn-28-10")
    assert [(group.block, group.out, group.depth, group.stride) for group in spec.groups] == [
        *(("preact", 160, 4, 1), ("preact", 320, 4, 2), ("preact", 640, 4, 2))
    ]
    assert (spec.stem, spec.head.norm) == (Stem(16, stride=1, norm="later"), "batch")


def test_wide_resnets_of_imagenet_are_wide_in_the_right_place():
    basic, bottleneck = get("wrn-imagenet-18-2"), get("wrn-imagenet-50-2")
    assert [group.out for group in basic.groups] == [128, 256, 512, 1024]
    assert [(group.hidden, group.out) for group in bottleneck.groups] == [
        *((128, 256), (256, 512), (512, 1024), (1024, 2048))
    ]


@pytest.mark.parametrize("name", ["densenet-121", "densenet-169", "densenet-201", "densenet-161"])
def test_densenets_give_out_all_that_they_have(name):
    ends = {"densenet-121": 1024, "densenet-169": 1664, "densenet-201": 1920, "densenet-161": 2208}
    assert get(name).groups[-1].out == ends[name]


def test_cells_of_nn_mass():
    spec = get("nnmass-cifar-5.0m")
    assert [(group.out, group.depth, group.links, group.bare, group.stride) for group in spec.groups] == [
        *((32, 12, 60, True, 1), (64, 12, 130, False, 2), (128, 12, 170, False, 2))
    ]
    assert skip_mlp("mlp", 784, 16, 8, 4, 10).is_mlp
    check_spec(skip_mlp("mlp", 784, 16, 8, 4, 10))


def test_ran_i_is_its_table():
    # RAN, Table 7
    spec = get("ran-i-t")
    assert [(group.out, group.depth) for group in spec.groups] == [(64, 5), (128, 5), (256, 15), (511, 5)]
    assert spec.stem == Stem(64, 4, 4, norm="layer")


def test_every_module_of_the_zoo_is_imported():
    folder = Path(zoo.__file__).parent
    assert sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__") == sorted(zoo.__all__)


def test_unknown_name_of_another_kind():
    error = unknown_name("space", "botleneck", {"mobile": 1, "bottleneck": 2}, "or give a path")
    assert str(error) == "unknown space 'botleneck'; did you mean 'bottleneck'?"
    assert error.hint == "known: bottleneck, mobile; or give a path"


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="two networks named 'ResNet-18'"):
        named.named("ResNet-18")(lambda name: get("resnet50"))
    assert get("resnet18").groups[0].block == "basic"


def test_registering_adds_a_network(monkeypatch):
    monkeypatch.setattr(named, "_NETWORKS", dict(named._NETWORKS))
    named.named("my-net")(lambda name: get("resnet18"))
    assert "my-net" in names()
    assert get("My_Net") == get("resnet18")


def test_resnet50_as_in_its_paper():
    spec = get("resnet50")
    assert [(group.hidden, group.out, group.depth, group.stride) for group in spec.groups] == [
        *((64, 256, 3, 1), (128, 512, 4, 2), (256, 1024, 6, 2), (512, 2048, 3, 2))
    ]
    assert (spec.stem.kernel, spec.stem.stride, spec.stem.out, spec.stem.pool) == (7, 2, 64, True)


@pytest.mark.parametrize(("width", "expected"), {32: 32, 44.8: 48, 22.4: 24, 11: 16, 10.8: 16, 1: 8, 0.001: 8}.items())
def test_make_divisible(width, expected):
    # 11 rounds to 8, which is less than 90 % of it, so to 16
    assert make_divisible(width) == expected


def test_mobilenetv2_widths_of_torchvision():
    # torchvision.models.mobilenet_v2(width_mult=1.4): every channel count of its blocks, its stem and its head
    spec = get("mobilenetv2-1.4")
    assert [spec.stem.out, *(group.out for group in spec.groups), spec.head.conv] == [
        *(48, 24, 32, 48, 88, 136, 224, 448, 1792)
    ]
    narrow = get("mobilenetv2-0.5")
    assert [narrow.stem.out, *(group.out for group in narrow.groups), narrow.head.conv] == [
        *(16, 8, 16, 16, 32, 48, 80, 160, 1280)
    ]


def test_mobilenetv2_blocks():
    spec = get("mobilenetv2")
    hidden = [segment.layers[0].out_chs for segment in segments(spec) if segment.part == "group2"]
    assert hidden == [96, 144]  # six times each block's own input
    assert sum(group.depth for group in spec.groups) == 17


def test_efficientnet_squeezes_to_a_quarter_of_each_blocks_input():
    squeezed = [
        layer.out_chs for part in segments(get("efficientnet-b0")) for layer in part.layers if layer.name == "se_reduce"
    ]
    assert squeezed[:4] == [8, 4, 6, 6]


def test_deepmad_strides_and_inputs():
    for name in ("deepmad-r18", "deepmad-r34", "deepmad-r50"):
        assert [group.stride for group in get(name).groups] == [2, 2, 2, 1, 2]
    assert get("deepmad-29m-288").input == (3, 288, 288)
    assert get("deepmad-89m").input == (3, 224, 224)
    assert all(group.act == "silu" and group.se == "deepmad" for group in get("deepmad-50m").groups)


@pytest.mark.slow
@pytest.mark.parametrize("width", [0.1, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4, 2.0])
def test_mobilenetv2_params_are_torchvisions(width):
    from torchvision.models import mobilenet_v2

    from madnas.network.count import count

    theirs = sum(parameter.numel() for parameter in mobilenet_v2(width_mult=width).parameters())
    assert count(get(f"mobilenetv2-{width}")).params == theirs


ZENNETS = yaml.safe_load((Path(__file__).parents[1] / "golden" / "zennet_published.yaml").read_text())


@pytest.mark.parametrize("name", ZENNETS)
def test_zennets_have_the_published_costs(name):
    spec, printed = get(name), ZENNETS[name]
    bare = replace(spec, groups=tuple(replace(group, se="none") for group in spec.groups))
    costs = count(bare)
    digits = len(printed["params"].partition(".")[2])
    assert f"{costs.params / 1e6:.{digits}f}" == printed["params"]
    assert f"{costs.macs / 1e6:.{len(printed['macs'].partition('.')[2])}f}" == printed["macs"]
    if "with_se" in printed:
        assert f"{count(spec).params / 1e6:.2f}" == printed["with_se"]
