"""Tasks over processes: what goes wrong in one reaches the parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from madnas.errors import DataError, MadnasError
from madnas.workers import pool, run_tasks


def work(task, report):
    """What the processes do with a task."""
    report(0.5)
    if task == "data":
        raise DataError("the data is gone", "look for it")
    if task == "bug":
        raise ZeroDivisionError("a bug")
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "ended":
        os._exit(3)
    return task * 2


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_results_and_progress(workers):
    progress, done = [], {}
    run_tasks(work, [1, 2, 3], workers, lambda *report: progress.append(report), done.__setitem__)
    assert done == {0: 2, 1: 4, 2: 6}
    assert sorted(progress) == [(0, 0.5), (1, 0.5), (2, 0.5)]


def test_no_tasks():
    run_tasks(work, [], 2, pytest.fail, pytest.fail)


def test_a_users_mistake_keeps_its_exit_code_and_hint():
    with pytest.raises(MadnasError, match="the data is gone") as error:
        run_tasks(work, ["data", 1], 2, lambda *_: None, lambda *_: None)
    assert (error.value.exit_code, error.value.hint) == (5, "look for it")


def test_a_bug_shows_where_it_is():
    with pytest.raises(RuntimeError, match=r"in work\n.*\n.*ZeroDivisionError: a bug"):
        run_tasks(work, ["bug", 1], 2, lambda *_: None, lambda *_: None)


def test_a_process_that_dies():
    with pytest.raises(MadnasError, match="ended with code -9"):
        run_tasks(work, ["killed", 1], 2, lambda *_: None, lambda *_: None)


def test_a_process_that_is_killed_costs_its_task_alone():
    done = {}
    with pool(work, 2, lambda task, signal: (task, signal)) as run:
        run([1, "killed", 2, "killed", "killed", 3], lambda *_: None, done.__setitem__)
        run([4], lambda *_: None, lambda index, result: done.__setitem__("later", result))
    assert done == {0: 2, 1: ("killed", 9), 2: 4, 3: ("killed", 9), 4: ("killed", 9), 5: 6, "later": 8}


def test_a_process_that_ends_by_itself_ends_it_all():
    with pytest.raises(MadnasError, match="ended with code 3"), pool(work, 2, pytest.fail) as run:
        run([1, "ended", 2], lambda *_: None, lambda *_: None)


def work_for_ever(task, report):
    while True:
        report(0.1)
        time.sleep(0.02)


FOR_EVER = """
from madnas.workers import run_tasks
from tests.test_workers import work_for_ever

if __name__ == "__main__":
    seen = set()
    try:
        run_tasks(work_for_ever, [1, 2], 2, lambda index, share: seen.add(index) or print(len(seen), flush=True), print)
    except KeyboardInterrupt:
        print("interrupted")
"""


def children(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        return [int(number) for number in file.read().split()]


def alive(number):
    """Whether a process is there and not only waiting to be buried."""
    try:
        with open(f"/proc/{number}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="looks for child processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_running(how):
    process = subprocess.Popen(
        [sys.executable, "-c", FOR_EVER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[1], start_new_session=True,
    )  # fmt: skip
    while process.stdout.readline() != "2\n":  # until both work
        assert process.poll() is None, process.communicate()
    workers = children(process)
    assert len(workers) >= 2
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does it: to all of them
    else:
        process.send_signal(how)
    out, err = process.communicate(timeout=30)
    assert err == ""
    assert out.endswith("interrupted\n") == (how == signal.SIGINT)
    for _ in range(200):
        if not any(map(alive, workers)):
            return
        time.sleep(0.05)
    raise AssertionError("workers outlive the run")
