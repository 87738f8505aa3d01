"""Spec files: what is written is read back, whatever the network; and any value anywhere is read or clearly refused."""

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
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.specfile import (
    ACTIVATIONS,
    check_spec,
    dump_spec,
    parse_spec,
    spec_to_tree,
)
from madnas.network.yamlfile import parse_yaml
from tests import strategies
from tests.network.trees import CELLS, CONVNEXT, DENSE, MLP, TREE, VGG, changed


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


ANYWHERE = ("conv", "basic", "bottleneck", "inverted-residual", "separable", "preact")


@st.composite
def groups(draw: st.DrawFn) -> Group:
    """A group of any size, of the kinds that fit anywhere; never a 'pad' that would drop channels."""
    block = draw(st.sampled_from(ANYWHERE))
    kind = CATALOGUE[block]
    keys: dict[str, Any] = {"kernel": draw(ODD), "stride": draw(st.sampled_from([1, 2]))}
    keys["act"] = draw(st.sampled_from(ACTIVATIONS))
    if "hidden" in kind.needs or (block == "basic" and draw(st.booleans())):
        keys["hidden"] = draw(CHANNELS)
    if block == "inverted-residual":
        keys |= draw(st.sampled_from([{"hidden": draw(CHANNELS)}, {"expand": draw(st.floats(1, 8))}, {"expand": 6}]))
    if "se" in kind.takes:
        fits = [se for se in kind.se if se != "deepmad" or "hidden" in keys]
        keys["se"] = draw(st.sampled_from(["none", *fits]))
    if "group_width" in kind.takes and draw(st.booleans()):
        keys["group_width"] = draw(st.sampled_from([n for n in range(1, 99) if keys["hidden"] % n == 0]))
    if kind.shortcuts:
        keys["shortcut"] = draw(st.sampled_from([None, *(s for s in kind.shortcuts if s != "pad")]))
    return Group(block, draw(CHANNELS), draw(st.integers(1, 50)), **keys)


@st.composite
def networks(draw: st.DrawFn) -> NetworkSpec:
    if draw(st.booleans()):
        spec = draw(strategies.networks() | strategies.mlps())
        return replace(spec, name=draw(NAMES), provenance=draw(st.dictionaries(TEXT, JSON, max_size=3)))
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


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_value_anywhere_gives_a_network_or_a_clear_error(data):
    tree = deepcopy(data.draw(st.sampled_from([TREE, MLP, VGG, DENSE, CELLS, CONVNEXT])))
    paths = ["schema", "name", "input", "stem", "groups", "head", "provenance", "x"]
    paths += [f"stem.{key}" for key in ("out", "kernel", "stride", "norm", "x")]
    paths += [f"head.{key}" for key in ("conv", "norm", "hidden", "pool", "classes")]
    paths += [f"groups.{i}.{f.name}" for i in range(3) for f in fields(Group)] + ["groups.0.x"]
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
