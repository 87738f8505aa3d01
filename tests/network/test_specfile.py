"""Spec files: what they become, and every kind of mistake with its dotted key."""

from copy import deepcopy
from dataclasses import fields
from typing import Any

import pytest

from madnas.errors import SpecError
from madnas.network.spec import SCHEMA, Group, Head, NetworkSpec, Stem
from madnas.network.specfile import (
    ACTIVATIONS,
    dump_spec,
    load_spec,
    parse_spec,
)
from madnas.network.specfile.read import _Document
from tests.network.trees import CELLS, CONVNEXT, DENSE, MLP, TREE, VGG, changed


def problems(tree: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_spec(tree, "net.yaml")
    assert str(caught.value).startswith("net.yaml: ")
    return caught.value.problems


def test_tree_becomes_a_network():
    assert parse_spec(TREE, "x") == NetworkSpec(
        "net",
        (3, 64, 64),
        (
            Group("bottleneck", 32, 2, 8, None, 3, 2, "relu", "none", "pool"),
            Group("inverted-residual", 48, 1, 64, None, 5, 1, "relu", "deepmad"),
            Group("basic", 64, 1, None, None, 3, 1, "relu", "none", "pad"),
        ),
        Head(10, 100),
        Stem(16, act="silu"),
    )
    assert parse_spec(MLP, "x").stem is None


def test_document_has_the_fields_of_a_network():
    assert {f.name for f in fields(_Document)} == {f.name for f in fields(NetworkSpec)} | {"schema"}


def test_trees_become_networks():
    first, second = parse_spec(CELLS, "x").groups
    assert first == Group("random-skip", 8, 5, kernel=3, links=9, seed=3, bare=True)
    assert (second.links, second.expand) == (0, 2)
    assert parse_spec(VGG, "x").head == Head(10, hidden=(64, 32), pool=7)
    assert [group.pool for group in parse_spec(VGG, "x").groups] == [False, True]
    assert parse_spec(CONVNEXT, "x").stem == Stem(8, 4, 4, norm="layer")
    assert [group.growth for group in parse_spec(DENSE, "x").groups] == [4, 6]


WRONG_KINDS: dict[str, tuple[dict[str, Any], str, Any, str]] = {
    "stem norm": (DENSE, "stem.norm", "latter", "stem.norm: unknown 'latter'; did you mean 'later'"),
    "stem act later": (DENSE, "stem.act", "silu", "stem.act: with 'norm: later' no activation follows the stem"),
    "stem act layer": (CONVNEXT, "stem.act", "gelu", "stem.act: with 'norm: layer' no activation follows the stem"),
    "patches that overlap": (CONVNEXT, "stem.stride", 2, "stem.stride: with 'norm: layer' it has to be the kernel"),
    "patches of another size": (CONVNEXT, "stem.kernel", 3, "stem.stride: with 'norm: layer' it has to be the kernel"),
    "patch too large": (CONVNEXT, "stem", {"out": 8, "kernel": 32, "stride": 32, "norm": "layer"}, "stem.stride: with"),
    "patches of a deep stem": (CONVNEXT, "stem.hidden", [8], "stem.hidden: with 'norm: layer' the stem has one conv"),
    "stride without patches": (
        CONVNEXT,
        "stem",
        {"out": 8, "kernel": 3, "stride": 4},
        "stem.stride: expected 1 or 2, found 4",
    ),
    "stem missing": (DENSE, "stem", ..., "stem: missing; only networks that begin with conv, linear, random-skip"),
    "group norm": (VGG, "groups.0.norm", "layer", "groups[0].norm: unknown 'layer'; one of batch, none"),
    "norm not taken": (CELLS, "groups.0.norm", "none", "groups[0].norm: not a key of block 'random-skip', which takes"),
    "pool without stride": (VGG, "groups.0.pool", True, "groups[0].pool: a 2x2 pooling needs stride 2"),
    "pool not taken": (DENSE, "groups.1.pool", True, "groups[1].pool: not a key of block 'dense', which takes"),
    "growth needed": (DENSE, "groups.0.growth", ..., "groups[0].growth: missing; block 'dense' needs it"),
    "dense out": (
        DENSE,
        "groups.0.out",
        24,
        "groups[0].out: a dense group gives out all that it has, here 20, found 24",
    ),
    "dense out strided": (DENSE, "groups.1.out", 26, "groups[1].out: a dense group gives out all that it has, here 16"),
    "dense se": (DENSE, "groups.1.se", "deepmad", "groups[1].se: not a key of block 'dense', which takes"),
    "links needed": (CELLS, "groups.0.links", ..., "groups[0].links: missing; block 'random-skip' needs it"),
    "links negative": (CELLS, "groups.0.links", -1, "groups[0].links: expected 0 to 1000000, found -1"),
    "links huge": (CELLS, "groups.0.links", 10**9, "groups[0].links: expected 0 to 1000000, found 1000000000"),
    "links not taken": (VGG, "groups.0.links", 3, "groups[0].links: not a key of block 'conv', which takes"),
    "seed negative": (CELLS, "groups.0.seed", -1, "groups[0].seed: expected 0 to 9223372036854775807, found -1"),
    "seed huge": (CELLS, "groups.0.seed", 2**63, "groups[0].seed: expected 0 to 9223372036854775807"),
    "seed type": (CELLS, "groups.0.seed", "x", "groups[0].seed: expected an integer, found 'x'"),
    "seed not taken": (VGG, "groups.0.seed", 3, "groups[0].seed: not a key of block 'conv', which takes"),
    "cell too short": (
        CELLS,
        "groups.0.depth",
        2,
        "groups[0].depth: a random-skip cell has at least 3 layers, found 2",
    ),
    "bare not taken": (CELLS, "groups.1.bare", True, "groups[1].bare: not a key of block 'random-skip-mobile', which"),
    "bare type": (CELLS, "groups.0.bare", 1, "groups[0].bare: expected true or false, found 1"),
    "expand of the links": (
        CELLS,
        "groups.1",
        CELLS["groups"][1] | {"links": 10**6, "depth": 9_000, "out": 1000},
        "groups[1].expand: 2.0 times 1001000 channels is not between 1 and 1000000",
    ),
    "both widths": (CONVNEXT, "groups.0.hidden", 3, "groups[0].hidden: given beside 'expand'"),
    "no width": (CONVNEXT, "groups.1.hidden", ..., "groups[1].hidden: missing; block 'convnext' needs exactly one"),
    "small expand": (CONVNEXT, "groups.0.expand", 0.01, "groups[0].expand: 0.01 times 8 channels is not between 1"),
    "shortcut not taken": (CONVNEXT, "groups.0.shortcut", "conv", "groups[0].shortcut: not a key of block 'convnext'"),
    "head norm": (DENSE, "head.norm", "group", "head.norm: unknown 'group'; one of none, batch, layer"),
    "two head norms": (DENSE, "head.conv", 32, "head.norm: 'batch' is for heads without a convolution, which has"),
    "head pool": (VGG, "head.pool", 0, "head.pool: expected 1 to 64, found 0"),
    "head pool huge": (VGG, "head.pool", 65, "head.pool: expected 1 to 64, found 65"),
    "head hidden": (VGG, "head.hidden", [64, 0], "head.hidden[1]: expected 1 to 1000000, found 0"),
    "head hidden type": (VGG, "head.hidden", 64, "head.hidden: expected a list, found 64"),
    "head hidden text": (VGG, "head.hidden", ["a"], "head.hidden[0]: expected an integer, found 'a'"),
    "growth zero": (DENSE, "groups.0.growth", 0, "groups[0].growth: expected 1 to 1000000, found 0"),
    "dense depth": (DENSE, "groups.0.depth", 0, "groups[0].depth: expected 1 to 10000, found 0"),
    "too small for patches": (CONVNEXT, "input", [3, 3, 32], "input: 3 x 32 pixels are too few: none is left in stem"),
    "too small for blocks": (
        CONVNEXT,
        "input",
        [3, 7, 32],
        "input: 7 x 32 pixels are too few: none is left in groups[1]",
    ),
    "too small for pooling": (VGG, "input", [3, 1, 1], "input: 1 x 1 pixels are too few: none is left in groups[1]"),
}


@pytest.mark.parametrize("case", WRONG_KINDS)
def test_mistakes_of_each_kind(case):
    tree, path, value, expected = WRONG_KINDS[case]
    found = problems(changed(path, value, tree))
    assert found[0].startswith(expected)
    assert len(found) == 1


WRONG = {
    "schema missing": ("schema", ..., "schema: missing"),
    "schema other": ("schema", "madnas/space/1", f"schema: expected '{SCHEMA}', found 'madnas/space/1'"),
    "schema type": ("schema", 1, "schema: expected text"),
    "name missing": ("name", ..., "name: missing"),
    "name empty": ("name", "", "name: expected 1 to 100 printable characters"),
    "name lines": ("name", "a\nb", "name: expected 1 to 100 printable characters, found 'a\\nb'"),
    "name long": ("name", "a" * 101, "name: expected 1 to 100 printable characters"),
    "input zero": ("input", [3, 0, 64], "input: expected channels, height and width from 1 to 16384"),
    "input huge": ("input", [3, 64, 16385], "input: expected channels, height and width from 1 to 16384"),
    "input short": ("input", [3, 64], "input[2]: missing"),
    "input type": ("input", 64, "input: expected a list, found 64"),
    "stem missing": (
        "stem",
        ...,
        "stem: missing; only networks that begin with conv, linear, random-skip, random-skip-",
    ),
    "stem key": ("stem.pol", True, "stem.pol: unknown key; did you mean 'pool'?"),
    "stem out": ("stem.out", ..., "stem.out: missing"),
    "stem kernel": ("stem.kernel", 2, "stem.kernel: expected an odd number from 1 to 31, found 2"),
    "stem stride": ("stem.stride", 4, "stem.stride: expected 1 or 2, found 4"),
    "stem act": ("stem.act", "sillu", "stem.act: unknown 'sillu'; did you mean 'silu'"),
    "stem pool": ("stem.pool", 1, "stem.pool: expected true or false, found 1"),
    "groups missing": ("groups", ..., "groups: missing"),
    "groups empty": ("groups", [], "groups: expected 1 to 100 groups, found none"),
    "groups many": ("groups", TREE["groups"][1:2] * 101, "groups: expected 1 to 100 groups, found more"),
    "groups type": ("groups", "x", "groups: expected a list, found 'x'"),
    "group type": ("groups.1", 3, "groups[1]: expected a mapping, found 3"),
    "block unknown": (
        "groups.0.block",
        "botleneck",
        "groups[0].block: unknown 'botleneck'; did you mean 'bottleneck'?",
    ),
    "block missing": ("groups.0.block", ..., "groups[0].block: missing"),
    "block linear": ("groups.0.block", "linear", "groups[0].block: a convolutional network has no 'linear' blocks"),
    "out zero": ("groups.0.out", 0, "groups[0].out: expected 1 to 1000000, found 0"),
    "out negative": ("groups.0.out", -8, "groups[0].out: expected 1 to 1000000, found -8"),
    "out huge": ("groups.0.out", 10**60, "groups[0].out: expected 1 to 1000000, found 1000"),
    "out text": ("groups.0.out", "96", "groups[0].out: expected an integer, found '96'"),
    "out float": ("groups.0.out", 96.0, "groups[0].out: expected an integer, found 96.0"),
    "out bool": ("groups.0.out", True, "groups[0].out: expected an integer, found true"),
    "out nothing": ("groups.0.out", None, "groups[0].out: expected an integer, found nothing"),
    "depth zero": ("groups.0.depth", 0, "groups[0].depth: expected 1 to 10000, found 0"),
    "depth huge": ("groups.0.depth", 10_001, "groups[0].depth: expected 1 to 10000, found 10001"),
    "hidden needed": ("groups.0.hidden", ..., "groups[0].hidden: missing; block 'bottleneck' needs it"),
    "hidden typo": ("groups.0.hiden", 3, "groups[0].hiden: unknown key; did you mean 'hidden'?"),
    "hidden zero": ("groups.0.hidden", 0, "groups[0].hidden: expected 1 to 1000000, found 0"),
    "kernel needed": ("groups.0.kernel", ..., "groups[0].kernel: missing; block 'bottleneck' needs it"),
    "kernel even": ("groups.0.kernel", 4, "groups[0].kernel: expected an odd number from 1 to 31, found 4"),
    "kernel huge": ("groups.0.kernel", 33, "groups[0].kernel: expected an odd number from 1 to 31, found 33"),
    "stride": ("groups.0.stride", 3, "groups[0].stride: expected 1 or 2, found 3"),
    "act": ("groups.0.act", "prelu", "groups[0].act: unknown 'prelu'"),
    "group width": ("groups.0.group_width", 7, "groups[0].group_width: expected a divisor of hidden, here"),
    "group width 0": ("groups.0.group_width", 0, "groups[0].group_width: expected 1 to"),
    "group width not taken": ("groups.1.group_width", 8, "groups[1].group_width: not a key of block"),
    "grn not taken": ("groups.0.grn", True, "groups[0].grn: not a key of block 'bottleneck'"),
    "deep stem": ("stem.hidden", [8, 0], "stem.hidden[1]: expected 1 to"),
    "growth not taken": (
        "groups.0.growth",
        8,
        "groups[0].growth: not a key of block 'bottleneck', which takes act, group_width, hidden",
    ),
    "se unknown": ("groups.1.se", "deepmadd", "groups[1].se: unknown 'deepmadd'; did you mean 'deepmad'?"),
    "shortcut": ("groups.0.shortcut", "pad", "groups[0].shortcut: unknown 'pad'; one of conv, pool"),
    "both widths": ("groups.1.expand", 6, "groups[1].hidden: given beside 'expand'"),
    "no width": ("groups.1.hidden", ..., "groups[1].hidden: missing; block 'inverted-residual' needs exactly one"),
    "expand not taken": ("groups.0.expand", 6, "groups[0].expand: not a key of block 'bottleneck'"),
    "pad drops": (
        "groups.2.out",
        40,
        "groups[2].shortcut: 'pad' adds channels and cannot drop any, here 48 in and 40 out",
    ),
    "head missing": ("head", ..., "head: missing"),
    "head type": ("head", 10, "head: expected a mapping, found 10"),
    "classes missing": ("head.classes", ..., "head.classes: missing"),
    "classes zero": ("head.classes", 0, "head.classes: expected 1 to 1000000, found 0"),
    "head conv": ("head.conv", 0, "head.conv: expected 1 to 1000000, found 0"),
    "head act": ("head.act", "x", "head.act: unknown 'x'; one of relu"),
    "top key": ("heads", 1, "heads: unknown key; did you mean 'head'?"),
    "provenance type": ("provenance", [1], "provenance: expected a mapping"),
    "provenance nan": ("provenance", {"gap": float("nan")}, "provenance.gap: expected a finite number, found nan"),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_mistake_gives_one_problem(case):
    path, value, expected = WRONG[case]
    found = problems(changed(path, value))
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_se_of_hidden_needs_hidden():
    tree = changed("groups.1.hidden", ...)
    tree["groups"][1]["expand"] = 4
    assert problems(tree) == ["groups[1].se: 'deepmad' is a quarter of hidden; give hidden instead of expand"]
    tree["groups"][1] = {"block": "separable", "out": 48, "depth": 1, "kernel": 3, "se": "deepmad"}
    assert problems(tree) == ["groups[1].se: unknown 'deepmad'; one of none, efficientnet"]


@pytest.mark.parametrize("expand", [0, -1, 1001, 0.001, 1e5])
def test_expand_must_leave_sane_widths(expand):
    tree = changed("groups.1", {"block": "inverted-residual", "out": 48, "depth": 2, "kernel": 3, "expand": expand})
    found = problems(tree)
    assert len(found) == 1
    assert found[0].startswith("groups[1].expand: ")


def test_transition_of_one_channel():
    group = {"block": "dense", "out": 6, "depth": 1, "kernel": 3, "stride": 2, "growth": 6}
    tree = changed("groups", [group], changed("stem.out", 1, DENSE))
    assert problems(tree) == ["groups[0].stride: a dense group of stride 2 halves its input's channels, here 1"]


def test_cell_of_an_mlp():
    cell = {"block": "random-skip-linear", "out": 8, "depth": 2, "links": 4}
    assert problems(changed("groups", [*MLP["groups"], cell], MLP)) == [
        "groups[1].depth: a random-skip cell has at least 3 layers, found 2"
    ]
    assert parse_spec(changed("groups", [cell | {"depth": 3}], MLP), "x").is_mlp
    message = "a network without a stem that begins with linear layers is an MLP and has no others"
    assert problems(changed("groups", [*VGG["groups"], cell], VGG))[:2] == [
        f"groups[{index}].block: {message}" for index in (0, 1)
    ]
    assert problems(changed("groups", [*DENSE["groups"], cell | {"depth": 3}], DENSE)) == [
        "groups[2].block: a convolutional network has no 'random-skip-linear' blocks"
    ]


def test_mistakes_of_mlps():
    assert problems(changed("head.conv", 3, MLP)) == ["head.conv: an MLP has no head convolution"]
    mixed = changed("groups", [*MLP["groups"], {"block": "conv", "out": 8, "depth": 1, "kernel": 3}], MLP)
    assert problems(mixed) == [
        "groups[1].block: a network without a stem that begins with linear layers is an MLP and has no others"
    ]
    assert problems(changed("groups.0.kernel", 3, MLP)) == [
        "groups[0].kernel: not a key of block 'linear', which takes act"
    ]
    for key, value in {"norm": "layer", "pool": 7}.items():
        assert problems(changed(f"head.{key}", value, MLP)) == [
            "head.norm and pool: an MLP has no maps to normalise or pool"
        ]
    assert problems(changed("groups.0.stride", 2, MLP)) == [
        "groups[0].stride: not a key of block 'linear', which takes act"
    ]


def test_all_problems_come_together_in_the_order_of_the_file():
    tree = deepcopy(TREE)
    tree |= {"name": 3, "input": [0, 1, 1], "stem": {"out": 0, "act": "x"}}
    tree["groups"][0] = {"block": "bottleneck", "out": "a", "depth": 1, "hidden": 8, "kernel": 3}
    tree["groups"][1]["kernel"] = 2
    tree["groups"][2] = None
    tree["head"]["clases"] = tree["head"].pop("classes")
    assert [problem.partition(":")[0] for problem in problems(tree)] == [
        *("name", "input", "stem.out", "stem.act", "groups[0].out", "groups[1].kernel", "groups[2]"),
        *("head.classes", "head.clases"),
    ]


def test_default_written_out_is_no_foreign_key():
    tree = changed("groups.0.se", "none")
    assert parse_spec(tree, "x") == parse_spec(TREE, "x")


def test_not_a_mapping():
    assert problems([1]) == ["expected a mapping, found [1]"]


def test_hint_without_schema():
    with pytest.raises(SpecError) as caught:
        parse_spec({"name": "x"}, "x")
    assert caught.value.hint == f"a spec file begins with 'schema: {SCHEMA}'"


def test_load_spec_from_a_file(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(dump_spec(parse_spec(TREE, "x")))
    assert load_spec(path) == parse_spec(TREE, "x")
    path.write_text("a: [")
    with pytest.raises(SpecError, match=r"net\.yaml: line 1, column"):
        load_spec(path)


@pytest.mark.slow
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_activations_are_timms_and_have_no_parameters(act):
    from timm.layers import create_act_layer

    layer = create_act_layer(act, inplace=True)
    assert layer is not None
    assert not list(layer.parameters())
