"""Spec files: round trips, and every kind of mistake with its dotted key."""

import json
from copy import deepcopy
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madnas.errors import MadnasError, SpecError
from madnas.network.blocks import CATALOGUE
from madnas.network.count import count
from madnas.network.named import get, names
from madnas.network.spec import SCHEMA, Group, Head, NetworkSpec, Stem
from madnas.network.specfile import (
    ACTIVATIONS,
    SQUEEZE_EXCITE,
    _Document,
    check_spec,
    dump_spec,
    load_spec,
    parse_spec,
    spec_to_tree,
)
from madnas.network.yamlfile import parse_yaml

TREE: dict[str, Any] = {
    "schema": SCHEMA,
    "name": "net",
    "input": [3, 64, 64],
    "stem": {"out": 16, "act": "silu"},
    "groups": [
        {"block": "bottleneck", "out": 32, "depth": 2, "hidden": 8, "kernel": 3, "stride": 2, "shortcut": "pool"},
        {"block": "inverted-residual", "out": 48, "depth": 1, "hidden": 64, "kernel": 5, "se": "deepmad"},
        {"block": "basic", "out": 64, "depth": 1, "kernel": 3, "shortcut": "pad"},
    ],
    "head": {"classes": 10, "conv": 100},
}

MLP: dict[str, Any] = {
    "schema": SCHEMA,
    "name": "mlp",
    "input": [1, 28, 28],
    "groups": [{"block": "linear", "out": 100, "depth": 3}],
    "head": {"classes": 10},
}


def problems(tree: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_spec(tree, "net.yaml")
    assert str(caught.value).startswith("net.yaml: ")
    return caught.value.problems


def changed(path: str, value: Any, tree: dict[str, Any] = TREE) -> dict[str, Any]:
    """A copy of the tree with one value changed, or removed if it is ``...``."""
    tree = deepcopy(tree)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    part: Any = tree
    for step in steps:
        part = part[step]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return tree


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
    "stem missing": ("stem", ..., "stem: missing; only a network of 'linear' blocks, an MLP, has none"),
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
    "block linear": ("groups.0.block", "linear", "groups[0].block: a network with a stem has no 'linear' blocks"),
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
    "se not taken": (
        "groups.0.se",
        "deepmad",
        "groups[0].se: not a key of block 'bottleneck', which takes act, hidden",
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
    assert problems(tree) == ["groups[1].se: 'deepmad' is a quarter of hidden; which block 'separable' does not have"]


@pytest.mark.parametrize("expand", [0, -1, 1001, 0.001, 1e5])
def test_expand_must_leave_sane_widths(expand):
    tree = changed("groups.1", {"block": "inverted-residual", "out": 48, "depth": 2, "kernel": 3, "expand": expand})
    found = problems(tree)
    assert len(found) == 1
    assert found[0].startswith("groups[1].expand: ")


def test_mistakes_of_mlps():
    assert problems(changed("head.conv", 3, MLP)) == [
        "head.conv: a network without a stem is an MLP and has no head convolution"
    ]
    mixed = changed("groups", [*MLP["groups"], {"block": "conv", "out": 8, "depth": 1, "kernel": 3}], MLP)
    assert problems(mixed) == ["groups[1].block: a network without a stem is an MLP and has 'linear' blocks only"]
    assert problems(changed("groups.0.kernel", 3, MLP)) == [
        "groups[0].kernel: not a key of block 'linear', which takes act"
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


# Writing


def test_dump_is_written_for_people():
    spec = replace(parse_spec(TREE, "x"), provenance={"solver": {"name": "ipopt", "gap": 1e-05}, "budgets": ["off", 3]})
    assert dump_spec(spec) == (
        "schema: madnas/network/1\n"
        "name: net\n"
        "input: [3, 64, 64]\n"
        "stem: {out: 16, kernel: 3, stride: 2, act: silu}\n"
        "groups:\n"
        "  - {block: bottleneck, out: 32, depth: 2, hidden: 8, kernel: 3, stride: 2, shortcut: pool}\n"
        "  - {block: inverted-residual, out: 48, depth: 1, hidden: 64, kernel: 5, stride: 1, se: deepmad}\n"
        "  - {block: basic, out: 64, depth: 1, kernel: 3, stride: 1, shortcut: pad}\n"
        "head: {classes: 10, conv: 100}\n"
        "provenance:\n"
        "  solver: {name: ipopt, gap: 1.0e-05}\n"
        "  budgets: ['off', 3]\n"
    )


@pytest.mark.parametrize(
    "text", ["\x85", "a\nb", "\t", "\u2028", "\ufeff", "\x00\x1b", "\U0001f600", "é", " a ", "", "- x", "off", "<<"]
)
def test_awkward_text_survives(text):
    spec = replace(parse_spec(TREE, "x"), provenance={"note": text, text or "empty": [text]})
    assert parse_spec(parse_yaml(dump_spec(spec), "x"), "x").provenance == spec.provenance


def test_mlp_is_written_without_strides():
    assert "{block: linear, out: 100, depth: 3}" in dump_spec(parse_spec(MLP, "x"))


@pytest.mark.parametrize("name", names())
def test_named_networks_survive_yaml_and_json(name):
    spec = get(name)
    assert parse_spec(parse_yaml(dump_spec(spec), "x"), "x") == spec
    assert parse_spec(json.loads(json.dumps(spec_to_tree(spec))), "x") == spec


def test_numpy_numbers_become_plain():
    group = Group("conv", np.int64(8), np.int32(2), kernel=np.int64(3))
    spec = NetworkSpec("net", (3, 8, 8), (group,), Head(10), Stem(np.int64(4)), {"gap": np.float64(0.5)})
    tree = spec_to_tree(spec)
    assert json.loads(json.dumps(tree)) == tree
    assert check_spec(spec) == spec


def test_what_is_no_single_network_is_not_written():
    spec = parse_spec(TREE, "x")
    with pytest.raises(TypeError, match="ndarray"):
        spec_to_tree(replace(spec, stem=Stem(np.array([1, 2]))))
    with pytest.raises(SpecError, match=r"groups\[0\].out: expected an integer, found 8.5"):
        dump_spec(replace(spec, groups=(replace(spec.groups[0], out=8.5),)))
    with pytest.raises(SpecError, match=r"provenance.gap: expected a finite number"):
        dump_spec(replace(spec, provenance={"gap": float("inf")}))
    with pytest.raises(SpecError, match="keys are text"):
        dump_spec(replace(spec, provenance={1: 2}))


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=40)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.sampled_from(
        ["off", "1e-3", "0x10", "1:30", "null", "~", "<<", "=", "2020-01-01", "0o7", ".inf", "- a", "&a"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
CHANNELS = st.integers(1, 3000)
ODD = st.sampled_from([1, 3, 5, 7, 31])


@st.composite
def groups(draw: st.DrawFn) -> Group:
    """A group of any kind but linear, with any keys that it may have; never a 'pad' that would drop channels."""
    block = draw(st.sampled_from(sorted(set(CATALOGUE) - {"linear"})))
    kind = CATALOGUE[block]
    keys: dict[str, Any] = {"kernel": draw(ODD), "stride": draw(st.sampled_from([1, 2]))}
    keys["act"] = draw(st.sampled_from(ACTIVATIONS))
    if "hidden" in kind.needs or (block == "basic" and draw(st.booleans())):
        keys["hidden"] = draw(CHANNELS)
    if block == "inverted-residual":
        keys |= draw(st.sampled_from([{"hidden": draw(CHANNELS)}, {"expand": draw(st.floats(1, 8))}, {"expand": 6}]))
    if "se" in kind.takes:
        keys["se"] = draw(st.sampled_from(SQUEEZE_EXCITE if "hidden" in keys else ("none", "efficientnet")))
    if kind.shortcuts:
        keys["shortcut"] = draw(st.sampled_from([None, *(s for s in kind.shortcuts if s != "pad")]))
    return Group(block, draw(CHANNELS), draw(st.integers(1, 50)), **keys)


@st.composite
def networks(draw: st.DrawFn) -> NetworkSpec:
    sides = st.integers(1, 300)
    shape = (draw(st.integers(1, 4)), draw(sides), draw(sides))
    provenance = draw(st.dictionaries(TEXT, JSON, max_size=3))
    if draw(st.integers(0, 4)) == 0:
        linear = st.builds(Group, st.just("linear"), CHANNELS, st.integers(1, 9), act=st.sampled_from(ACTIVATIONS))
        body = draw(st.lists(linear, min_size=1, max_size=4))
        return NetworkSpec(draw(NAMES), shape, tuple(body), Head(draw(CHANNELS)), None, provenance)
    stem = st.builds(Stem, CHANNELS, ODD, st.sampled_from([1, 2]), st.sampled_from(ACTIVATIONS), st.booleans())
    head = st.builds(Head, CHANNELS, st.none() | CHANNELS, st.sampled_from(ACTIVATIONS))
    body = draw(st.lists(groups(), min_size=1, max_size=5))
    return NetworkSpec(draw(NAMES), shape, tuple(body), draw(head), draw(stem), provenance)


@settings(deadline=None, max_examples=150)
@given(networks())
def test_any_network_survives_its_file(spec):
    text = dump_spec(spec)
    again = parse_spec(parse_yaml(text, "x"), "x")
    assert again == spec
    assert again.provenance == spec.provenance
    assert dump_spec(again) == text
    assert sum(line.startswith("  - {block: ") for line in text.splitlines()) == len(spec.groups)
    assert count(again) == count(spec)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_any_value_anywhere_gives_a_network_or_a_clear_error(data):
    tree = deepcopy(TREE)
    paths = ["schema", "name", "input", "stem", "groups", "head", "provenance", "x", "stem.out", "stem.x", "head.conv"]
    paths += [
        f"groups.{i}.{key}" for i in range(3) for key in ("block", "out", "kernel", "se", "expand", "shortcut", "x")
    ]
    for path in data.draw(st.lists(st.sampled_from(paths), max_size=3, unique=True)):
        if path.count(".") and not isinstance(tree.get(path.split(".")[0]), dict | list):
            continue
        try:
            tree = changed(path, data.draw(JSON), tree)
        except (IndexError, KeyError, TypeError):  # an earlier change took the place away
            continue
    try:
        assert isinstance(parse_spec(tree, "x"), NetworkSpec)
    except MadnasError as error:
        assert "x: " in str(error)
