"""A file of results that a crash does not spoil."""

import json

import pytest

from madnas.errors import UsageError
from madnas.scores.evaluate import Request
from madnas.scores.journal import Journal, key_of, only_writer
from madnas.targets import find


def test_is_read_again(tmp_path):
    path = tmp_path / "scores.jsonl"
    journal = Journal(path)
    assert path.read_text() == ""
    journal.add("a", {"target": "x"})
    journal.add("b", {"target": "y"})
    assert Journal(path).lines == {"a": {"target": "x"}, "b": {"target": "y"}}
    assert [set(json.loads(line)) for line in path.read_text().splitlines()] == [{"schema", "key", "result"}] * 2
    assert Journal(path, restart=True).lines == {}
    assert path.read_text() == ""


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_line_that_a_crash_cut_off_is_dropped(tmp_path, cut):
    path = tmp_path / "scores.jsonl"
    journal = Journal(path)
    journal.add("a", {"target": "x"})
    whole = path.read_bytes()
    journal.add("b", {"target": "y"})
    path.write_bytes(path.read_bytes()[:-cut] if cut < 60 else whole[: len(whole) - 1])
    again = Journal(path)
    assert again.lines == ({"a": {"target": "x"}} if cut < 60 else {})
    again.add("c", {"target": "z"})
    assert "c" in Journal(path).lines


@pytest.mark.parametrize("text", ["hello\n", "[1]\n", '{"schema": "madnas/score/1"}\n', "null\n", "hello", "{}"])
def test_other_files_are_left_alone(tmp_path, text):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(UsageError, match="line 1 is no line of 'madnas score -o'"):
        Journal(path)
    assert path.read_text() == text


def test_keys_tell_what_decides_a_result(tmp_path):
    request = Request("resnet20", ("zen",))
    target = find("resnet20")
    key = key_of(request, target)
    assert key == key_of(Request("resnet20", ("zen",), single_thread=True), target)
    for other in (
        Request("resnet20"),
        Request("resnet20", ("zen",), seed=1),
        Request("resnet20", ("zen",), batch_size=8),
    ):
        assert key_of(other, target) != key
    assert key_of(request, find("resnet18")) != key


def test_one_command_at_a_time_writes_it(tmp_path):
    path = tmp_path / "scores.jsonl"
    with only_writer(path):
        Journal(path).add("a", {"target": "x"})
        with pytest.raises(UsageError, match="another 'madnas score' is writing it"), only_writer(path):
            pass
    with only_writer(path):
        assert set(Journal(path).lines) == {"a"}


@pytest.mark.parametrize("restart", [True, False])
def test_stays_locked_while_it_is_emptied_or_mended(tmp_path, restart):
    path = tmp_path / "scores.jsonl"
    Journal(path).add("a", {"target": "x"})
    path.write_bytes(path.read_bytes() + b'{"schema": "madnas/score-line/1", "key')
    with only_writer(path):
        assert set(Journal(path, restart).lines) == (set() if restart else {"a"})
        with pytest.raises(UsageError, match="another"), only_writer(path):
            pass
