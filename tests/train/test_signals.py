"""Being told to end, by schedulers and by people."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from madnas.data.resident import ResidentSource
from madnas.errors import RequeueError
from madnas.train.checkpoint import newest
from madnas.train.signals import ENDING, Wish, wishes
from tests.train.shell import (
    MADNAS,
    assert_equal_runs,
    finish,
    job,
    metrics,
    start,
    steps_logged,
    when,
)


def test_who_was_told_to_end_hears_nothing_any_more():
    """A launcher that sees one process end signals the others, and would spoil their exit codes."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        with wishes(until_exit=True) as wish:
            wish.waits = True
            os.kill(os.getpid(), signal.SIGUSR1)
        assert [signal.getsignal(number) for number in ENDING] == [signal.SIG_IGN] * 3
    finally:
        for number in ENDING:
            signal.signal(number, before)
    with wishes(until_exit=True):
        pass
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_command_listens_over_all_of_its_trainings(tmp_path):
    """A signal between two of them ends the command as one during a training does."""
    with pytest.raises(RequeueError, match="told to end"), wishes(until_exit=False) as outer:
        with wishes() as inner:
            assert inner is outer
        assert isinstance(signal.getsignal(signal.SIGTERM), Wish)
        finish(job(tmp_path, name="first"))
        assert not outer.waits
        os.kill(os.getpid(), signal.SIGTERM)
    assert not isinstance(signal.getsignal(signal.SIGTERM), Wish)


def test_nohup_is_respected(tmp_path):
    signals = subprocess.run([sys.executable, "-c", NOHUP], text=True, capture_output=True, timeout=60, check=False)
    assert signals.stdout.split() == ["True", "False"], signals.stderr


NOHUP = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from madnas.train.signals import wishes
with wishes():
    for number in (signal.SIGHUP, signal.SIGTERM):
        print(signal.getsignal(number) is signal.SIG_IGN)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_a_test_puts_the_test_off(tmp_path, monkeypatch, number):
    finish(job(tmp_path, name="whole"))
    one = job(tmp_path)
    test = ResidentSource.test
    calls = []

    def told_to_end(self, batch_size, process):
        for count, batch in enumerate(test(self, 100, process)):
            calls.append(count)
            if count == 1 and len(calls) == 2:
                os.kill(os.getpid(), number)
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(ResidentSource, "test", told_to_end)
        patch.setattr("madnas.train.classification.Classification.test_batch", 100)
        with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else RequeueError):
            finish(one)
    assert calls == [0, 1]
    found = newest(tmp_path / "run", lambda text: None)
    assert found.state["step"] == 10 and found.state["pending"]["epoch"] == 0
    assert not [line for line in metrics(tmp_path / "run") if line["event"] == "eval"]
    finish(one)
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGHUP, 75),
                                              (signal.SIGINT, 130)])  # fmt: skip
def test_signals_end_with_a_checkpoint(tmp_path, number, code):
    process = start(tmp_path, "-o", "run", "--set", "epochs=200")
    when(lambda: steps_logged(tmp_path / "run") >= 5, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, ""), err
    assert "of 2000 is saved in run" in err
    found = newest(tmp_path / "run", lambda text: None)
    assert found is not None
    logged = [line["step"] for line in metrics(tmp_path / "run")]
    assert found.state["step"] == logged[-1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_signals_before_the_first_update_end_at_once(tmp_path, number, code):
    """While data is listed and modules are built: there is nothing to save, and the scheduler is to ask again."""
    process = start(tmp_path, "-o", "run", "--set", "epochs=200", launcher=MADNAS)
    when(lambda: caught(process.pid, signal.SIGUSR1), process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, ""), err
    assert "Traceback" not in err


def caught(pid, number):
    """Whether a process has a handler for a signal."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return int(line.split()[1], 16) >> (number - 1) & 1


def test_a_run_that_is_worked_on_is_not_touched(tmp_path):
    first = start(tmp_path, "-o", "run", "--set", "epochs=200")
    when(lambda: steps_logged(tmp_path / "run") >= 2, first)
    second = start(tmp_path, "-o", "run", "--set", "epochs=200")
    _, err = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "another process is working in it" in err
    first.kill()
    first.communicate()
