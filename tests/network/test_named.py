"""Named networks: their structure against the papers' tables, spellings, unknown names, registration."""

import pytest

from madnas.errors import UsageError
from madnas.network import named
from madnas.network.expand import segments
from madnas.network.named import UnknownName, get, make_divisible, names, unknown_name
from madnas.network.specfile import check_spec


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
