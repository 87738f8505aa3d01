"""PlainNet text: the published networks come out of it and go back, and every mistake has its block."""

import warnings
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madnas.errors import MadnasError, SpecError
from madnas.network.named import get
from madnas.network.plainnet import dump_plainnet, load_plainnet, parse_plainnet
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.target import resolve
from madnas.network.zoo.zennet import MOBILE, RESIDUAL

# Table 17 in the form of the authors' files.
CIFAR_1M = (
    "SuperConvK3BNRELU(3,88,1,1)SuperResK1K7K1(88,120,1,16,1)SuperResK1K7K1(120,192,2,16,3)"
    "SuperResK1K5K1(192,224,1,24,4)SuperResK1K5K1(224,96,2,24,2)SuperResK1K3K1(96,168,2,40,3)"
    "SuperResK1K3K1(168,112,1,48,3)SuperConvK1BNRELU(112,512,1,1)"
)


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_plainnet(text, "net.txt")
    return caught.value.problems


def test_published_form_is_the_named_network(tmp_path):
    path = tmp_path / "zennet-cifar-1m.txt"
    path.write_text(CIFAR_1M + "\nsecond line\n")
    assert load_plainnet(path, classes=10, resolution=32) == get("zennet-cifar-1m")
    assert resolve(str(path)) == replace(get("zennet-cifar-1m"), input=(3, 224, 224), head=Head(1000, 512))
    assert dump_plainnet(get("zennet-cifar-1m")) == CIFAR_1M + "\n"


@pytest.mark.parametrize("name", [*RESIDUAL, *MOBILE])
def test_zennets_there_and_back_again(name):
    spec = get(name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        text = dump_plainnet(spec)
    assert bool(caught) == name.endswith("-se")
    back = parse_plainnet(text, "x", spec.head.classes, spec.input[-1], se=name.endswith("-se"), name=name)
    assert back == spec


def test_every_kind_with_names_and_blanks():
    text = " SuperConvK5BNRELU(stem|3, 8,2,3) SuperResK3K3(a|b|8,16,2,4,2)SuperResIDWE6K7(16,24,1,12,2)"
    assert parse_plainnet(text, "x", 10, 64, name="n") == NetworkSpec(
        "n",
        (3, 64, 64),
        (
            Group("conv", 8, 2, kernel=5),
            Group("basic", 16, 2, 4, kernel=3, stride=2, shortcut="biased"),
            Group("mobile-pair", 24, 2, 12, 6, 7, 1),
        ),
        Head(10),
        Stem(8, 5, 2),
    )


STEM = "SuperConvK3BNRELU(3,8,2,1)"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the first line is empty"),
        ("\n" + STEM[:9], "block 1: expected NAME(numbers), found 'SuperConv'"),
        (STEM + "SuperResK3K5(8,8,1,8,1)", "block 2: unknown 'SuperResK3K5'; known are"),
        (
            STEM + "SuperResK3K3(8,8,1,1)",
            "block 2: SuperResK3K3: expected the whole numbers in, out, stride, bottleneck",
        ),
        (STEM + "SuperResK3K3(8,8,1,-8,1)", "block 2: SuperResK3K3: expected the whole numbers"),
        (STEM + "SuperResK3K3(9,8,1,8,1)", "block 2: 9 input channels, but the block before gives out 8"),
        (STEM + "SuperResK3K3(8,8,1,8,0)", "block 2: layers: at least 1, found 0"),
        ("SuperResK3K3(8,8,1,8,1)", "block 1: a network begins with a convolution"),
        (STEM + "SuperResK4K4(8,8,1,8,1)", "groups[0].kernel: expected an odd number from 1 to 31, found 4"),
        (STEM, "groups: expected 1 to 100 groups, found none"),
    ],
)
def test_mistakes(text, problem):
    assert problems(text)[0].startswith(problem)


def test_all_mistakes_at_once():
    found = problems(STEM + "Sup(8)SuperResK3K3(8)")
    assert [problem[:7] for problem in found] == ["block 2", "block 3"]


@pytest.mark.parametrize(
    ("name", "part"),
    {
        "resnet18": "groups[0].shortcut: 'conv'",
        "convnext-t": "groups[0].block: 'convnext'",
        "vgg11": "a network without a stem",
        "wrn-16-8": "head: norm",
        "mobilenetv2": "groups[1].block: 'inverted-residual'",
    }.items(),
)
def test_networks_without_a_counterpart(name, part):
    with pytest.raises(SpecError) as caught:
        dump_plainnet(get(name))
    assert any(problem.startswith(part) for problem in caught.value.problems)


def test_odd_number_of_bottlenecks():
    group = Group("bottleneck", 8, 3, 4, kernel=3, shortcut="biased")
    with pytest.raises(SpecError, match="an odd number of bottlenecks, 3"):
        dump_plainnet(NetworkSpec("n", (3, 32, 32), (group,), Head(10), Stem(8)))


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="SuperConvResK137BNLUIDWE()|,048 \n", max_size=80))
def test_any_text_gives_a_network_or_a_clear_error(text):
    try:
        parse_plainnet(STEM + text, "x")
    except MadnasError as error:
        assert "x: " in str(error)
