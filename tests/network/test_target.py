"""TARGET: paths and names, formats told from content, and errors that say what would have worked."""

import json
import os

import pytest

from madnas.errors import MadnasError, SpecError, UsageError
from madnas.network.named import get
from madnas.network.specfile import dump_spec, spec_to_tree
from madnas.network.target import resolve
from madnas.network.tinynas import dump_tinynas

SPEC = get("deepmad-r18")
TREE = spec_to_tree(SPEC)


@pytest.fixture(autouse=True)
def inside_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


CONTENTS = {
    "net.yaml": dump_spec(SPEC),
    "net.yml": "# made by hand\n\n" + dump_spec(SPEC),
    "no-suffix": dump_spec(SPEC),
    "spec.json": json.dumps(TREE, indent=2),
    "design.json": json.dumps({"schema": "madnas/design/1", "spec": TREE, "rho": 0.3, "seconds": 1.5}),
    "design.yaml": json.dumps({"spec": TREE}),
    "deepmad-r18.txt": dump_tinynas(SPEC),
    "folder/deepmad-r18.txt": "# from the authors\n" + dump_tinynas(SPEC),
    "deepmad-r18.json": dump_tinynas(SPEC).replace("'", '"'),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_formats_are_told_from_content(name):
    os.makedirs("folder")
    with open(name, "w") as file:
        file.write(CONTENTS[name])
    assert resolve(name) == SPEC
    assert resolve(os.path.join(".", name)) == SPEC
    assert resolve(os.path.abspath(name)) == SPEC


def test_yaml_in_braces():
    with open("flow.yaml", "w") as file:
        file.write(
            "{schema: madnas/network/1, name: x, input: [3, 32, 32], stem: {out: 8},\n"
            " groups: [{block: conv, out: 8, depth: 1, kernel: 3}], head: {classes: 10}}"
        )
    assert resolve("flow.yaml").name == "x"


def test_names():
    assert resolve("resnet18") == get("resnet18")
    assert resolve("DeepMAD-R18") == SPEC


def test_file_wins_over_name_and_name_over_folder(tmp_path):
    os.mkdir("resnet50")
    assert resolve("resnet50") == get("resnet50")
    (tmp_path / "resnet18").write_text(dump_spec(SPEC))
    assert resolve("resnet18") == SPEC


UNFIT = {
    "empty.yaml": ("", "the file is empty"),
    "blank.txt": (" \n ", "the file is empty"),
    "comment.yaml": ("# nothing", "the file is empty"),
    "list.yaml": ("- 1", "expected a mapping"),
    "text.txt": ("hello", "expected a mapping"),
    "other.yaml": ("a: 1", "not a network: expected 'schema: madnas/network/1'"),
    "space.yaml": ("schema: madnas/space/1\nname: x", "schema: expected 'madnas/network/1', found 'madnas/space/1'"),
    "number.json": ("3", "expected a mapping"),
    "list.json": ("[1, 2]", "not a TinyNAS structure"),
    "spec.json": ('{"spec": 3}', "not a network"),
    "sweep.json": ('{"schema": "x", "results": [{}, {}]}', "holds 2 results, not one network"),
    "twice.json": ('{"spec": {"name": 1, "name": 2}}', "name: key given twice in one object"),
    "nan.json": ('{"spec": NaN}', "NaN is not a number that JSON knows"),
    "cut.json": ('{"schema": "madnas/network/1", "name": ', "line 1, column 40"),
    "deep.json": ("[" * 200_000, "nested too deeply"),
    "deeper.json": ('{"a":' * 150_000, "nested too deeply"),
    "digits.json": ('{"a": ' + "9" * 5_000 + "}", "too many digits"),
    "surrogate.json": ('{"groups": [], "name": "\\ud800"}', "half a character"),
    "code.txt": ("[__import__('os')]", "expected a mapping"),
    "tinynas.txt": ("{'best_structures': [[{'class': 'X'}]]}", "[0].class: 'X' cannot be read"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_unfit_files(name):
    content, expected = UNFIT[name]
    with open(name, "w") as file:
        file.write(content)
    with pytest.raises(SpecError) as caught:
        resolve(name)
    assert str(caught.value).startswith(name)
    assert expected in str(caught.value)


def test_design_that_is_broken_names_its_keys():
    with open("design.json", "w") as file:
        json.dump({"spec": TREE | {"name": 3}}, file)
    with pytest.raises(SpecError, match=r"design\.json, spec: name: expected text, found 3"):
        resolve("design.json")


def test_unreadable_paths(tmp_path):
    os.mkdir("folder")
    os.mkfifo("pipe")
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    with open("huge.yaml", "wb") as file:
        file.truncate(100_000_000)
    os.symlink("nowhere", "dangling")
    for target, expected in {
        "missing.yaml": "missing.yaml: cannot be read: no such file",
        "missing/net": "no such file",
        "dangling": "no such file",
        "folder": "folder: is a folder, not a network",
        "./folder": "is a folder, not a file",
        "pipe": "not a regular file",
        "binary.yaml": "not a text file",
        "huge.yaml": "too large",
        "/dev/zero": "not a regular file",
        "a" * 5_000 + ".yaml": "name too long",
        "nu\0ll.yaml": "null byte",
    }.items():
        with pytest.raises(UsageError, match=expected):
            resolve(target)


def test_unknown_name_says_what_is_accepted():
    with pytest.raises(UsageError, match="unknown network 'resnt18'; did you mean 'resnet18'") as caught:
        resolve("resnt18")
    hint = str(caught.value.hint)
    assert hint.startswith("known: convnext-b, ")
    assert hint.endswith(
        "give the path of a spec file (.yaml), of 'design --json' output or of a TinyNAS or PlainNet file (.txt)"
    )


@pytest.mark.parametrize(
    "target", ["", " ", "\0", "-", "..", "~", "*", "a" * 5_000, "\ud800", "resnet18\n", "mobilenetv2-99"]
)
def test_odd_words_give_errors(target):
    with pytest.raises(MadnasError):
        resolve(target)
