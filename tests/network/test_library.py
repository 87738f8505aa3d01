"""Files by name or path: which are found, and what is refused before their content is looked at."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from madnas.errors import SpecError, UsageError
from madnas.network.library import load, shipped

RECIPES = Path(__file__).parents[2] / "recipes"


@dataclass(frozen=True)
class Thing:
    size: int


@pytest.mark.parametrize("folder", ["space", "design"])
def test_shipped_are_all_files_of_the_folder_by_name(folder):
    files = sorted((RECIPES / folder).glob("*.yaml"))
    assert len(files) > 5
    assert list(shipped(folder)) == [path.stem for path in files]
    assert all(path.samefile(shipped(folder)[path.stem]) for path in files)


def write(folder, text):
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_by_name_and_by_path(tmp_path):
    path = write(tmp_path, "schema: thing/1\nsize: 3\n")
    for name in ("mine", str(path)):
        assert load(name, "thing", {"mine": path}, {"thing/1": Thing}) == (Thing(3), str(path))


def test_unknown_name(tmp_path):
    with pytest.raises(UsageError, match="unknown thing 'mien'; did you mean 'mine'") as caught:
        load("mien", "thing", {"mine": tmp_path}, {"thing/1": Thing})
    assert caught.value.hint == "known: mine; or give the path of a thing file (.yaml)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema: thing/2\nsize: 3\n", "schema: expected 'thing/1', found 'thing/2'"),
        ("size: 3\n", "schema: expected 'thing/1', found None"),
        ("schema: thing/1\nsiez: 3\n", "siez: unknown key; did you mean 'size'"),
        ("", "the file is empty"),
    ],
)
def test_wrong_files_name_themselves(text, message, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(SpecError, match=message) as caught:
        load(str(path), "thing", {}, {"thing/1": Thing})
    assert str(caught.value).startswith(str(path))
