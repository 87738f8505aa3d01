"""The journal: a search goes on from any line of its own, and from no other's."""

import json

import numpy as np
import pytest

from madnas.errors import UsageError
from madnas.search.closed import ClosedSearch
from madnas.search.goal import make_goal
from madnas.search.journal import Journal, pack, unpack
from tests.search.shell import QUICK, measured, state, zen_rows


def test_goes_on_from_any_line_of_its_journal(tmp_path):
    whole, _ = measured(journal=Journal(tmp_path / "whole", {}))
    text = (tmp_path / "whole").read_bytes()
    for cut in (len(text) // 3, len(text) // 2, len(text) - 1):
        path = tmp_path / str(cut)
        path.write_bytes(text[:cut])
        again, done = measured(journal=Journal(path, {}))
        assert state(again) == state(whole)
        assert path.read_bytes() == text
        assert len(done) < whole.draws


def test_closed_search_goes_on_from_any_line_of_its_journal(tmp_path):
    family = zen_rows()
    goal = make_goal("zen-closed - 0.1*macs/1M", family, {"params": 100_000})

    def go(path):
        search = ClosedSearch(family, goal, QUICK)
        for _ in search.rounds(Journal(path, {"a": 1})):
            if search.proposed >= 3000:
                return search
        raise AssertionError

    whole = go(tmp_path / "whole")
    text = (tmp_path / "whole").read_bytes()
    for cut in (len(text) // 3, len(text) - 5):
        (tmp_path / "cut").write_bytes(text[:cut])
        again = go(tmp_path / "cut")
        assert (again.population.candidates == whole.population.candidates).all()
        assert (tmp_path / "cut").read_bytes() == text


def test_journal_of_another_search_is_refused(tmp_path):
    Journal(tmp_path / "one", {"score": "zen", "seed": 0})
    with pytest.raises(UsageError, match='score: "zen" there, "snip" here'):
        Journal(tmp_path / "one", {"score": "snip", "seed": 0})
    (tmp_path / "two").write_text("hello\n")
    with pytest.raises(UsageError, match="line 1"):
        Journal(tmp_path / "two", {})
    again = Journal(tmp_path / "two", {}, restart=True)
    again.add({"round": 0})
    with pytest.raises(UsageError, match="another search is writing it"):
        Journal(tmp_path / "two", {})
    again.close()
    with pytest.raises(UsageError, match="a line is broken"):
        measured(journal=Journal(tmp_path / "two", {}))


def test_journal_of_a_closed_search_has_every_round_once(tmp_path):
    family = zen_rows()
    goal = make_goal("zen-closed", family, {"params": 100_000})
    journal = Journal(tmp_path / "journal", {})
    for number in ClosedSearch(family, goal, QUICK).rounds(journal):
        if number == 3:
            break
    journal.close()
    head, *lines = (tmp_path / "journal").read_text().splitlines()
    for wrong in ([lines[0], lines[0]], [lines[1]], [lines[0].replace('"proposed"', '"suggested"')]):
        (tmp_path / "journal").write_text("\n".join([head, *wrong]) + "\n")
        with pytest.raises(UsageError, match="a line is broken"):
            next(iter(_all(ClosedSearch(family, goal, QUICK).rounds(Journal(tmp_path / "journal", {})))))


def _all(rounds):
    return [number for number, _ in zip(rounds, range(3), strict=False)]


@pytest.mark.parametrize("values", [[], [7, 255], [0, 4096], [-1, 3], [-(2**40), 2**62], [0.5, -np.inf]])
def test_a_journal_gives_arrays_back_as_they_were(values):
    array = np.array(values).reshape(-1, 1)
    again = unpack(json.loads(json.dumps(pack(array))))
    assert (again == array).all() and again.dtype == array.dtype and again.shape == array.shape
    assert again.flags.writeable


def test_lines_that_cost_little_are_in_the_file_at_once_and_wait_for_the_disk_together(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("madnas.search.journal.os.fsync", synced.append)
    journal = Journal(tmp_path / "journal", {})
    before = len(synced)
    for number in range(3):
        journal.add({"round": number}, cheap=True)
    assert len((tmp_path / "journal").read_text().splitlines()) == 4 and len(synced) == before
    monkeypatch.setattr("madnas.search.journal.EVERY", 0.0)
    journal.add({"round": 3}, cheap=True)
    assert len(synced) == before + 1
    journal.add({"round": 4})
    assert len(synced) == before + 2
    monkeypatch.setattr("madnas.search.journal.EVERY", 1e9)
    journal.add({"round": 5}, cheap=True)
    journal.close()
    assert len(synced) == before + 3
    journal.close()  # again does no harm
