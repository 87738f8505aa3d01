"""Strict YAML: what scalars become, what is refused, and that every problem is named with its place."""

import subprocess
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madnas.errors import MadnasError, SpecError, UsageError
from madnas.network.yamlfile import MAX_DEPTH, did_you_mean, dotted, parse_yaml, read_yaml, shorten, validate


@pytest.mark.parametrize(
    "module", ["files", "network.yamlfile", "network.specfile", "network.named", "network.tinynas", "network.target"]
)
def test_imports_nothing_heavy(module):
    code = f"import sys, madnas.{module}; print({{'pydantic', 'yaml', 'numpy', 'torch', 'pyomo'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


SCALARS = {
    "1e-3": 0.001,
    "4.5e9": 4.5e9,
    "-1.5E+2": -150.0,
    ".5": 0.5,
    "1.": 1.0,
    "12": 12,
    "+3": 3,
    "012": 12,
    "0o14": 12,
    "0x1F": 31,
    "true": True,
    "False": False,
    "null": None,
    "~": None,
    "": None,
    "off": "off",
    "yes": "yes",
    "No": "No",
    "y": "y",
    "11.7M": "11.7M",
    "1_000": "1_000",
    "1:30": "1:30",
    "2020-01-01": "2020-01-01",
    "=": "=",
    "0b1": "0b1",
    "'12'": "12",
    '"1e-3"': "1e-3",
    "e3": "e3",
    "1e": "1e",
    "--1": "--1",
}


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_follow_yaml_1_2(text):
    value = parse_yaml(f"key: {text}", "x")["key"]
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


def test_quoted_merge_sign_is_a_key():
    assert parse_yaml("'<<': 1", "x") == {"<<": 1}


def test_nested_values():
    text = "a:\n  - {b: [1, 2.5], c: text}\n  - null\nd: |\n  two\n  lines\n"
    assert parse_yaml(text, "x") == {"a": [{"b": [1, 2.5], "c": "text"}, None], "d": "two\nlines\n"}


REFUSED = {
    "": "the file is empty",
    "# only a comment\n": "the file is empty",
    "---\n": "the file is empty",
    "- 1\n- 2": "expected a mapping",
    "just text": "expected a mapping",
    "a: 1\nb: 2\na: 3": "line 3, column 1: a: key given twice",
    "a:\n  b: {c: 1, c: 2}": "line 2, column 13: a.b.c: key given twice",
    "a: [{b: 1}, {b: 1, b: 2}]": r"a\[1\].b: key given twice",
    "a: &x 1": "line 1, column 4: anchors",
    "a: &x [1]\nb: *x": "anchors",
    "a: *x": "aliases",
    "<<: {a: 1}": "line 1, column 1: merge keys",
    "a: {<<: {b: 1}}": "merge keys",
    "a: !!python/object/apply:os.system ['true']": "tags such as",
    "a: !!str 1": "tags such as",
    "!x {a: 1}": "tags such as",
    "a: 1\n---\nb: 2": "line 2, column 1: a second document",
    "a: 1\n...\n---\nb: 2": "a second document",
    "1: 2": "keys are text; put 1 in quotes",
    "true: 2": "keys are text; put true in quotes",
    "? [a]\n: 2": "keys are text",
    "a:\n\t- 1": "line 2, column 1: .*indent with spaces, not tabs",
    "a: [1, 2": "line 1, column 9: ",
    "a: {b: 1": "line 1, column 9: ",
    "a: 'text": "unexpected end of stream",
    "a: b: c": "line 1, column 5: mapping values are not allowed here",
    "a:\n  b\n c: 1": "line 3",
    "a: @x": "cannot start any token",
    "a: x\x00y": "line 1, column 5: character 0x00 is not allowed",
    "b: 1\na: \x07": "line 2, column 4: character 0x07 is not allowed",
    'a: "\\U99999999"': "not YAML",
    'a: "\\ud800"': "half a character",
    '"\\ud800": 1': "half a character",
    "a: " + "9" * 101: "a: a number of 101 digits",
    "a: " + "[" * 100 + "]" * 100: f"nested more than {MAX_DEPTH} levels deep",
    "a: " + "{b: " * 100: f"nested more than {MAX_DEPTH} levels deep",
    "- " * 400_000: f"nested more than {MAX_DEPTH} levels deep",
    "a: [" + "1," * 60_000 + "]": "more than 50000 values",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text[:20]))
def test_refused(text):
    with pytest.raises(SpecError, match=REFUSED[text]) as caught:
        parse_yaml(text, "net.yaml")
    assert str(caught.value).startswith("net.yaml: ")
    assert all("\n" not in problem for problem in caught.value.problems)


def test_alias_bomb_is_refused_at_once():
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(SpecError, match="line 1, column 4: anchors"):
        parse_yaml(bomb, "x")


def test_all_duplicates_are_named():
    with pytest.raises(SpecError) as caught:
        parse_yaml("a: 1\na: 2\nb: {c: 1, c: 2}\n1: 2\n", "x")
    assert len(caught.value.problems) == 3


def test_read_yaml_refuses_what_is_no_small_file(tmp_path):
    with open(tmp_path / "huge.yaml", "wb") as file:
        file.truncate(100_000_000)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00a")
    for name in ("huge.yaml", "binary.yaml", "missing.yaml", "."):
        with pytest.raises(UsageError):
            read_yaml(tmp_path / name)


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from("ab:-[]{},&*!|>'\"#%@\\? \n\t0.1e~<=\x00\ud800\U0001f600")))
def test_any_text_gives_a_mapping_or_a_clear_error(text):
    try:
        assert isinstance(parse_yaml(text, "x"), dict)
    except MadnasError as error:
        assert str(error).isprintable() or "\n  - " in str(error)


# Validation


@dataclass(frozen=True, slots=True)
class Inner:
    width: int
    ratio: float = 0.5
    on: bool = False


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    inner: Inner
    pair: tuple[int, int] = (1, 2)
    rows: tuple[Inner, ...] = ()
    choice: Literal["sgd", "lamb"] = "sgd"
    either: int | tuple[int, int] | None = None
    perhaps: Inner | None = None
    noted: Annotated[float, "noted"] = 1.0
    free: dict[str, Any] = field(default_factory=dict)


VALID: dict[str, Any] = {"name": "net", "inner": {"width": 3}}


def problems(tree: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        validate(tree, Outer, "x.yaml")
    return caught.value.problems


def test_valid_tree():
    tree = VALID | {"rows": [{"width": 1, "ratio": 2}], "pair": [3, 4], "either": [5, 6], "perhaps": None}
    outer = validate(tree | {"free": {"deep": [1, {"x": None}]}}, Outer, "x")
    assert outer == Outer(
        "net", Inner(3), (3, 4), (Inner(1, 2.0),), either=(5, 6), perhaps=None, free={"deep": [1, {"x": None}]}
    )
    assert isinstance(outer.rows[0].ratio, float)


WRONG = {
    "unknown key": ({"inner": {"width": 1, "ratoi": 2}}, "inner.ratoi: unknown key; did you mean 'ratio'?"),
    "unknown key without likeness": (
        {"inner": {"width": 1, "zzz": 2}},
        "inner.zzz: unknown key; known are width, ratio, on",
    ),
    "unknown key in a list": ({"rows": [{"width": 1}, {"width": 1, "widht": 2}]}, "rows[1].widht: unknown key"),
    "unknown key in an optional part": ({"perhaps": {"width": 1, "oon": True}}, "perhaps.oon: unknown key; did you"),
    "unknown top key": ({"inne": {}}, "inne: unknown key; did you mean 'inner'?"),
    "missing": ({"inner": {}}, "inner.width: missing"),
    "bool is no int": ({"inner": {"width": True}}, "inner.width: expected an integer, found true"),
    "text is no int": ({"inner": {"width": "3"}}, "inner.width: expected an integer, found '3'"),
    "float is no int": ({"inner": {"width": 3.0}}, "inner.width: expected an integer, found 3.0"),
    "int is no bool": ({"inner": {"width": 1, "on": 1}}, "inner.on: expected true or false, found 1"),
    "text is no bool": ({"inner": {"width": 1, "on": "off"}}, "inner.on: expected true or false, found 'off'"),
    "bool is no float": ({"inner": {"width": 1, "ratio": True}}, "inner.ratio: expected a number, found true"),
    "nan": ({"inner": {"width": 1, "ratio": float("nan")}}, "inner.ratio: expected a finite number, found nan"),
    "infinity where anything goes": ({"free": {"a": [float("-inf")]}}, "free.a[0]: expected a finite number"),
    "int is no text": ({"name": 3}, "name: expected text, found 3 (put it in quotes)"),
    "list is no part": ({"inner": [1]}, "inner: expected a mapping, found [1]"),
    "part is no list": ({"rows": {"a": 1}}, "rows: expected a list, found a mapping"),
    "long tuple": ({"pair": [1, 2, 3]}, "pair: list should have at most 2 items, not 3, found [1, 2, 3]"),
    "short tuple": ({"pair": [1]}, "pair[1]: missing"),
    "literal": ({"choice": "adam"}, "choice: expected 'sgd' or 'lamb', found 'adam'"),
    "union": ({"either": "x"}, "either: expected an integer, or a list, found 'x'"),
    "inside a union": ({"either": [1, "x"]}, "either[1]: expected an integer, found 'x'"),
    "annotated": ({"noted": "x"}, "noted: expected a number, found 'x'"),
    "huge integer": ({"inner": {"width": 10**200}}, "inner.width: a number of more than 100 digits"),
    "surrogate": ({"name": "\ud800"}, "name: holds half a character"),
    "object": ({"free": {"a": object()}}, "free.a: a file cannot hold a value of type object"),
    "key": ({"free": {3: 1}}, "free: keys are text, found 3"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_value_is_named(case):
    tree, expected = WRONG[case]
    assert [problem for problem in problems(VALID | tree) if problem.startswith(expected)], problems(VALID | tree)


def test_all_problems_come_together():
    found = problems({"inner": {"width": "1", "on": 3}, "rows": [{"width": 1, "a": 1}], "x": 1})
    assert [problem.partition(":")[0] for problem in found] == ["name", "inner.width", "inner.on", "rows[0].a", "x"]


def test_top_level_that_is_no_mapping():
    assert problems([1]) == ["the file: expected a mapping, found [1]"]


def test_deep_trees_are_refused():
    tree: Any = 1
    for _ in range(5_000):
        tree = {"a": tree}
    assert problems(VALID | {"free": tree}) == [f"free.a.a: nested more than {MAX_DEPTH} levels deep"]


def test_custom_conversion_by_declared_type():
    from pydantic import BeforeValidator

    def number(value: Any) -> Any:
        if isinstance(value, str) and value.endswith("M"):
            return float(value[:-1]) * 1e6
        if isinstance(value, str):
            raise ValueError("expected a number such as 4.5M")
        return value

    @dataclass
    class Budget:
        params: Annotated[float, BeforeValidator(number)]

    assert validate({"params": "11.5M"}, Budget, "x").params == 11.5e6
    with pytest.raises(SpecError, match=r"params: expected a number such as 4.5M, found 'x'"):
        validate({"params": "x"}, Budget, "x")


def test_small_helpers():
    assert dotted(("a", 0, "b")) == "a[0].b"
    assert dotted(()) == "the file"
    assert shorten("a\nb\x00") == "a\\nb\\x00"
    assert len(shorten("x" * 100)) == 60
    assert did_you_mean("Kernal", ["kernel", "hidden"]) == "; did you mean 'kernel'?"
    assert did_you_mean("q", ["kernel"]) == ""
