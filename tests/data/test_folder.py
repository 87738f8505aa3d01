"""Processes that read end with the one that reads from them, and with nobody else."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from madnas.data.folder import FileSource, SeededSamples, _let_the_parent_decide
from madnas.data.order import Order
from madnas.data.source import Batch, Facts, Process
from tests.train.shell import FORKS, Task

ORDER = Order(64, 8, 0)


class Numbers(SeededSamples):
    """Black images."""

    kept: Iterator[Batch]

    def __init__(self) -> None:
        super().__init__(range(64), None, 0)

    def load(self, index):
        return index

    def finish(self, loaded):
        return np.zeros((3, 4, 4), np.uint8), loaded


def ends_while_it_reads() -> None:
    """The loader is still referred to: a traceback that somebody keeps does that."""
    source = FileSource(Numbers(), Numbers(), Facts(64, 64, 2, (3, 4, 4), (0.5,) * 3, (0.5,) * 3), workers=2)
    batches = source.train(ORDER, 0, 100, Process())
    next(batches)
    Numbers.kept = batches
    print("read")


def test_a_process_that_ends_while_it_reads_does_not_wait_for_its_readers(tmp_path: Path) -> None:
    task = Task(tmp_path, ends_while_it_reads)
    try:
        out, err = task.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        task.kill()
        raise
    assert (task.returncode, out) == (0, "read\n"), err


def reads(ready) -> None:
    _let_the_parent_decide(0)
    ready.send(True)
    while True:
        signal.pause()


@pytest.mark.skipif("sys.platform == 'darwin'", reason="does not say who sent a signal")
def test_a_reader_ends_at_its_parents_signal_and_at_nobody_elses() -> None:
    here, there = FORKS.Pipe()
    reader = FORKS.Process(target=reads, args=(there,), daemon=True)
    reader.start()
    try:
        assert here.poll(60) and here.recv()
        for name in ("TERM", "INT", "USR1", "HUP", "TERM"):
            subprocess.run(["sh", "-c", f"kill -{name} {reader.pid}"], check=True)
        reader.join(0.2)
        assert reader.is_alive()
        reader.terminate()
        reader.join(60)
        assert reader.exitcode == 0
    finally:
        reader.kill()


def starts_a_reader(tell) -> None:
    here, there = FORKS.Pipe()
    reader = FORKS.Process(target=reads, args=(there,), daemon=True)
    reader.start()
    here.recv()
    tell.send(reader.pid)
    signal.pause()


def test_a_reader_ends_when_its_parent_is_killed_though_a_server_forked_it() -> None:
    here, there = FORKS.Pipe()
    parent = FORKS.Process(target=starts_a_reader, args=(there,))
    parent.start()
    reader = here.recv()
    parent.kill()
    parent.join()
    end = time.monotonic() + 60
    while alive(reader) and time.monotonic() < end:
        time.sleep(0.02)
    assert not alive(reader)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
