"""Searches by a score that is measured: draws, failures, time, and what comes of them."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from madnas.search.goal import make_goal
from madnas.search.journal import Journal
from madnas.search.measure import Result, Task, lost, work
from madnas.search.measured import MeasuredSearch, OutOfTime
from madnas.workers import pool
from tests.search import fatal
from tests.search.shell import QUICK, fake, measured, state, zen_rows


def test_the_order_of_completion_changes_nothing():
    straight, _ = measured()
    backwards, _ = measured(lambda places: places[::-1])
    chance = random.Random(0)
    shuffled, _ = measured(lambda places: chance.sample(places, len(places)))
    assert state(straight) == state(backwards) == state(shuffled)


def test_a_failed_score_is_a_reason_and_no_number():
    search, _ = measured()
    failed = {key: record for key, record in search.records.items() if record.draws.failed}
    assert failed and search.failed == {"synflow does not like it": len(failed)}
    assert all(np.isnan(record.fitness) for record in failed.values())
    assert not set(failed) & set(search.population)
    assert search.scored == len(search.records) - len(failed)


def test_a_network_that_gets_its_process_killed_is_a_failed_one():
    family, asked = zen_rows(), Counter()
    with pool(fatal.work, 2, lost) as do:

        def scorer(tasks, on_done):
            asked.update(task.spec for task in tasks)
            do(tasks, lambda index, share: None, on_done)

        goal = make_goal("synflow", family, {"params": 100_000})
        search = MeasuredSearch(family, goal, replace(QUICK, repeats=1, proposals=32), scorer)
        for number in search.rounds():
            if number == 4:
                break
    died = [record for record in search.records.values() if record.reason]
    assert 0 < len(died) < len(search.records)
    assert {record.reason for record in died} == {
        "synflow its process was killed by signal 9, probably because the system was out of memory"
    }
    assert all(asked[spec] == 1 + fatal.is_fatal(spec) for spec in asked), "only they are tried once more, alone"


def test_what_goes_wrong_with_a_network_is_its_reason(monkeypatch):
    def broken(spec):
        raise ValueError("no such block\nand more")

    monkeypatch.setattr("madnas.scores.subject.subject_of", broken)
    family = zen_rows()
    result = work(Task(family.network(family.first[0], "one"), ("zen",), 0, 1, 0, 2), lambda share: None)
    assert result.failed == {"zen": "ValueError: no such block"} and not result.values


def test_zen_is_what_madnas_score_says(tmp_path):
    from madnas.scores.registry import measure
    from madnas.scores.subject import Settings, subject_of

    family = zen_rows()
    spec = family.network(family.first[0], "one")
    result = work(Task(spec, ("zen",), 0, 2, seed=5, batch_size=4), lambda share: None)
    again = work(Task(spec, ("zen",), 2, 3, seed=5, batch_size=4), lambda share: None)
    values = [*result.values["zen"], *again.values["zen"]]
    assert np.mean(values) == pytest.approx(measure(subject_of(spec), "zen", 3, 5, Settings(4)).value, rel=1e-12)


def test_a_leader_has_all_its_draws():
    search, done = measured()
    best = search.records[search.best()]
    assert best.draws.number == QUICK.repeats
    assert best.fitness == pytest.approx(np.mean(best.draws.values["synflow"]))
    single = [record.fitness for record in search.records.values() if record.draws.number == 1]
    assert max(one for one in single if np.isfinite(one)) <= best.fitness
    asked = [(task.spec, place) for task in done for place in range(task.first, task.last)]
    assert len(set(asked)) == len(asked), "no draw is made twice"


def test_every_member_of_a_front_has_all_its_draws():
    search, _ = measured(front=["macs"])
    assert search.front
    assert all(search.records[key].draws.number == QUICK.repeats for key in search.front)


def test_leaders_that_all_fail_when_drawn_again_end_the_search_with_their_reason():
    family = zen_rows()

    def scorer(tasks, on_done):
        for place, task in enumerate(tasks):
            on_done(place, Result({"synflow": [1.0]}) if task.first == 0 else Result(failed={"synflow": "broke"}))

    for front in ([], ["macs"]):
        goal = make_goal("synflow", family, {"params": 100_000}, front)
        search = MeasuredSearch(family, goal, replace(QUICK, repeats=2), scorer)
        next(search.rounds())
        search.finish()
        assert sum(search.failed.values()) + search.scored == len(search.records)
        assert search.failed["synflow broke"] > 0 and not set(search.front) & {
            key for key, record in search.records.items() if record.reason
        }


def test_a_search_out_of_time_ends_within_a_round_and_keeps_what_was_scored(tmp_path, monkeypatch):
    family = zen_rows()
    done = []
    monkeypatch.setattr("madnas.search.measured.time.monotonic", lambda: float(len(done)))  # a second for each

    def scorer(tasks, on_done):
        for place, task in enumerate(tasks):
            done.append(task)
            on_done(place, fake(task))

    goal = make_goal("synflow", family, {"params": 100_000})
    journal = Journal(tmp_path / "journal", {})
    effort = replace(QUICK, survivors=64, proposals=1024)
    search = MeasuredSearch(family, goal, effort, scorer, lambda: 40.0 - len(done))
    with pytest.raises(OutOfTime):
        for _ in search.rounds(journal):
            pass
    assert 30 < len(search.records) == len(done) <= 40
    assert all(record.draws.values or record.draws.failed for record in search.records.values())
    search.finish()
    assert search.records[search.best()].draws.number == QUICK.repeats
    journal.close()
    again, anew = measured(journal=Journal(tmp_path / "journal", {}), effort=effort, rounds=1)
    assert set(search.records) <= set(again.records)
    asked = {(task.spec, task.first) for task in done}
    assert asked and not asked & {(task.spec, task.first) for task in anew}


def test_an_interrupt_within_a_round_keeps_what_was_scored():
    family = zen_rows()

    def scorer(tasks, on_done):
        on_done(0, fake(tasks[0]))
        on_done(2, fake(tasks[2]))
        raise KeyboardInterrupt

    search = MeasuredSearch(family, make_goal("synflow", family, {"params": 100_000}), QUICK, scorer)
    with pytest.raises(KeyboardInterrupt):
        next(search.rounds())
    assert len(search.records) == 2 and search.scored == 2 - sum(search.failed.values())
