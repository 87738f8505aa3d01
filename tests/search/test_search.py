"""Whole searches: against brute force and the program, the same for any number of processes, and after SIGKILL."""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from madnas.errors import InfeasibleError, UsageError
from madnas.network.specfile import load_spec
from madnas.program.problem import Problem
from madnas.program.recipe import load_recipe
from madnas.search.closed import ClosedSearch
from madnas.search.effort import Effort
from madnas.search.fixed import Fixed
from madnas.search.goal import make_goal
from madnas.search.journal import Journal, pack, unpack
from madnas.search.measure import Result, Task, lost, work
from madnas.search.measured import MeasuredSearch, OutOfTime
from madnas.search.rows import Rows
from madnas.search.run import Search, run
from madnas.search.space import load_evolution_space
from madnas.workers import pool
from tests.program.spaces import brute_force, tiny_space
from tests.search import fatal

QUICK = Effort(population=64, proposals=256, survivors=6, repeats=3, batch_size=2, candidates=3_000)


def zen_rows(side: int = 16, **changes) -> Rows:
    space = load_evolution_space("zen-residual").customised(resolution=side, classes=10)
    return Rows(replace(space, **changes))


def closed(family, score: str, budgets: dict, effort: Effort, front=()) -> ClosedSearch:
    search = ClosedSearch(family, make_goal(score, family, budgets, front), effort)
    for _ in search.rounds():
        if search.proposed >= (effort.candidates or 0):
            break
    return search


@pytest.mark.parametrize("name", ["tiny-bottleneck", "tiny-basic", "tiny-mobile-se"])
def test_finds_the_optimum_of_spaces_that_can_be_listed(name, tmp_path):
    problem = Problem(tiny_space(name, tmp_path), {"params": 40_000, "macs": 4_000_000}, rho=0.8)
    best, feasible = brute_force(problem)
    assert feasible
    family = Fixed(problem)
    search = closed(family, "objective", problem.budgets | {"rho": 0.8}, replace(QUICK, candidates=20_000))
    assert search.best.judged[0, 0] == pytest.approx(best, rel=1e-12)


def test_never_beats_the_programs_bound_and_comes_near():
    problem = load_recipe("29m").problem()
    effort = Effort(proposals=2048, candidates=120_000)
    family = Fixed(problem)
    goal = make_goal("objective", family, problem.budgets | {"rho": problem.rho})
    outcome = run(Search(family, goal, effort, {}))
    assert outcome.program is not None
    assert 0.9 * outcome.program.objective < outcome.best.fitness <= outcome.program.bound


def test_duplicates_are_never_scored_twice():
    family = zen_rows(max_depth=7, rows=1)
    asked: list[bytes] = []

    class Counting(Rows):
        def closed(self, candidates, names):
            if "zen-closed" in names:
                asked.extend(candidate.tobytes() for candidate in candidates)
            return super().closed(candidates, names)

    closed(Counting(family.space), "zen-closed", {"params": 60_000}, QUICK)
    assert len(asked) == len(set(asked)) > 500


def test_no_network_within_the_budgets(monkeypatch):
    monkeypatch.setattr("madnas.search.closed.PATIENCE", 10)
    with pytest.raises(InfeasibleError, match=r"params .* of 1K"):
        for _ in closed_rounds({"params": 1_000}):
            pass


def test_a_score_that_is_never_finite_is_no_matter_of_budgets(monkeypatch):
    monkeypatch.setattr("madnas.search.closed.PATIENCE", 10)
    family = zen_rows()
    goal = make_goal("zen-closed/(layers-layers)", family, {"params": 100_000})
    with pytest.raises(InfeasibleError, match=r"is not finite for any of .* within the budgets"):
        for _ in ClosedSearch(family, goal, replace(QUICK, population=16)).rounds():
            pass


def closed_rounds(budgets):
    family = zen_rows()
    return ClosedSearch(family, make_goal("zen-closed", family, budgets), replace(QUICK, population=16)).rounds()


def test_front_is_what_nothing_seen_dominates():
    family = zen_rows()
    goal = make_goal("zen-closed", family, {"params": 100_000}, ["macs"])
    search = ClosedSearch(family, goal, QUICK)
    seen = []
    for _ in search.rounds():
        seen.append(search.population.within().judged)
        if search.proposed > 4000:
            break
    everything = np.concatenate(seen)
    front = search.front.judged
    for one in front:
        assert not ((everything >= one).all(axis=1) & (everything > one).any(axis=1)).any()
    assert len(front) > 5
    assert search.best.judged[0, 0] == front[:, 0].max() == everything[:, 0].max()
    assert (np.diff(front[:, 0]) <= 0).all() and (np.diff(front[:, 1]) >= 0).all()


def test_random_search_is_no_better_than_evolution():
    family = zen_rows()
    found = {
        kind: closed(family, "zen-closed", {"params": 100_000}, replace(QUICK, random=kind, candidates=6_000))
        for kind in (False, True)
    }
    assert found[True].best.judged[0, 0] < found[False].best.judged[0, 0]


def fake(task: Task) -> Result:
    """A score that depends on the network and the draw, and fails for some networks."""
    if sum(group.out for group in task.spec.groups) % 3 == 0:
        return Result(failed={"synflow": "does not like it"})
    draw = random.Random(f"{task.spec.groups} {task.seed}")
    noise = [draw.gauss(0, 3) for _ in range(task.last)][task.first :]
    return Result({"synflow": [float(sum(group.out for group in task.spec.groups) / 10) + one for one in noise]})


def measured(order=lambda places: places, effort=QUICK, journal=None, rounds=4, score="synflow", front=()):
    family = zen_rows()
    goal = make_goal(score, family, {"params": 100_000}, front)
    done = []

    def scorer(tasks, on_done):
        for place in order(list(range(len(tasks)))):
            done.append(tasks[place])
            on_done(place, fake(tasks[place]))

    search = MeasuredSearch(family, goal, effort, scorer)
    for number in search.rounds(journal):
        if number >= rounds:
            break
    search.finish()
    return search, done


def state(search: MeasuredSearch):
    return [(key, search.records[key].draws, search.records[key].fitness) for key in search.population]


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


@pytest.mark.parametrize("values", [[], [7, 255], [0, 4096], [-1, 3], [-(2**40), 2**62], [0.5, -np.inf]])
def test_a_journal_gives_arrays_back_as_they_were(values):
    array = np.array(values).reshape(-1, 1)
    again = unpack(json.loads(json.dumps(pack(array))))
    assert (again == array).all() and again.dtype == array.dtype and again.shape == array.shape
    assert again.flags.writeable


def test_lines_that_cost_little_are_in_the_file_at_once_and_wait_for_the_disk_together(tmp_path, monkeypatch):
    synced: list[int] = []
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


def _all(rounds):
    return [number for number, _ in zip(rounds, range(3), strict=False)]


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


def test_a_cost_that_is_not_finite_is_beyond_every_front():
    class Partly(Rows):
        def closed(self, candidates, names):
            found = super().closed(candidates, names)
            return found | {"macs": np.where(found["macs"] > 3e6, np.inf, found["macs"])} if "macs" in names else found

    search = closed(Partly(zen_rows().space), "zen-closed", {"params": 100_000}, QUICK, ["macs"])
    assert len(search.front) and np.isfinite(search.front.judged).all()


@pytest.mark.parametrize("random_", [False, True])
def test_pictures_of_searches_that_hardly_began(random_, tmp_path):
    from madnas.figures import render
    from madnas.report.search_plot import draw_search

    family = zen_rows()
    for seed in range(4):
        effort = replace(QUICK, random=random_, seed=seed, candidates=300)
        goal = make_goal("zen-closed", family, {"params": 100_000})
        assert render(draw_search(run(Search(family, goal, effort, {}))), "png")

    def scorer(tasks, on_done):
        on_done(0, Result({"synflow": [1.0]}))
        raise KeyboardInterrupt

    for front in ([], ["macs"]):
        goal = make_goal("synflow", family, {"params": 100_000}, front)
        outcome = run(Search(family, goal, replace(QUICK, random=random_), {}), scorer=scorer)
        assert outcome.interrupted and len(outcome.front) == len(front)
        assert render(draw_search(outcome), "png")


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


ZEN = [
    "design", "--method", "evolution", "--score", "zen - 0.01*macs/1M", "--params", "60K", "--input", "3x16x16",
    "--classes", "10", "--max-depth", "8", "--batch-size", "2", "--survivors", "6", "--repeats", "2",
    "--candidates", "18", "--proposals", "256", "--population", "16",
]  # fmt: skip
CLOSED = [
    "design", "--method", "evolution", "--score", "zen-closed", "--params", "60K", "--input", "3x16x16", "--proposals",
    "256", "--classes", "10", "--candidates", "12000",
]  # fmt: skip


def command(*arguments, cwd, **options):
    return subprocess.Popen([sys.executable, "-m", "madnas", *arguments], cwd=cwd, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)  # fmt: skip


def finished(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    return out


@pytest.mark.slow
def test_any_number_of_processes_gives_the_same(tmp_path):
    documents = []
    for workers in (1, 2, 16):
        out = finished(command(*ZEN, "--workers", str(workers), "-o", f"{workers}.yaml", "--json", cwd=tmp_path))
        documents.append({name: one for name, one in json.loads(out).items() if name != "rates"})
    assert documents[0] == documents[1] == documents[2]  # the population's course among it
    assert len({(tmp_path / f"{workers}.yaml").read_bytes() for workers in (1, 2, 16)}) == 1


@pytest.mark.slow
def test_torchrun_gives_what_one_process_gives(tmp_path):
    finished(command(*ZEN, "--workers", "1", "-o", "1.yaml", cwd=tmp_path))
    run_ = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d",
            "--rdzv-endpoint", "127.0.0.1:0", "-m", "madnas"]  # fmt: skip
    done = subprocess.run([*run_, *ZEN, "-o", "2.yaml", "--json"], cwd=tmp_path, capture_output=True, timeout=200)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["search"]["scored"] >= 18
    assert (tmp_path / "1.yaml").read_bytes() == (tmp_path / "2.yaml").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [ZEN, CLOSED])
def test_killed_at_any_moment_the_same_command_goes_on_to_the_same_result(arguments, tmp_path):
    finished(command(*arguments, "-o", "whole.yaml", cwd=tmp_path))
    choose, kills = random.Random(0), 0
    journal = tmp_path / "net.yaml.jsonl"
    while not (tmp_path / "net.yaml").exists():
        process = command(*arguments, "-o", "net.yaml", cwd=tmp_path)
        size = journal.stat().st_size if journal.exists() else 0
        until = time.monotonic() + 60
        while kills < 4 and process.poll() is None and time.monotonic() < until:
            if journal.exists() and journal.stat().st_size > size + 50:
                time.sleep(choose.random() * 0.2)
                process.kill()
                kills += 1
                break
            time.sleep(0.002)
        process.communicate(timeout=120)
        assert process.returncode in (0, -signal.SIGKILL)
    assert kills
    assert (tmp_path / "net.yaml").read_bytes() == (tmp_path / "whole.yaml").read_bytes()


@pytest.mark.slow
def test_an_interrupt_leaves_a_usable_result_and_the_same_command_goes_on(tmp_path):
    process = command(*CLOSED[:-1], "100000000", "-o", "net.yaml", "--json", cwd=tmp_path)
    journal, until = tmp_path / "net.yaml.jsonl", time.monotonic() + 60
    while not (journal.exists() and journal.stat().st_size > 100_000) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    document = json.loads(out)
    assert document["interrupted"] and document["spec"]["groups"]
    assert load_spec(str(tmp_path / "net.yaml")).groups
    rounds = document["search"]["rounds"]
    more = json.loads(
        finished(command(*CLOSED[:-1], str(256 * rounds + 2000), "-o", "net.yaml", "--json", cwd=tmp_path))
    )
    assert not more["interrupted"] and more["search"]["rounds"] > rounds
    assert more["fitness"]["value"] >= document["fitness"]["value"]
