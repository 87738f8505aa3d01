"""What the tests of training share: a tiny network, small runs in this process, and real processes."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from madnas.data.source import Batch
from madnas.files import write_text_atomic
from madnas.scores.targets import find
from madnas.train.engine import Engine, Update
from madnas.train.job import Job
from madnas.train.memory import Progress
from madnas.train.recipe import load_recipe
from madnas.train.run import train

TINY = """schema: madnas/network/1
name: tiny
input: [1, 8, 8]
stem: {out: 8, kernel: 3, stride: 1}
groups:
  - {block: basic, out: 8, depth: 1, kernel: 3, stride: 1}
  - {block: basic, out: 16, depth: 1, kernel: 3, stride: 2}
head: {classes: 10}
"""

SMALL = ("image_size=8", "batch_size=128", "epochs=2", "pad=1", "lr=0.05", "warmup_epochs=0")
"""digits/quick in two epochs of ten updates, a fraction of a second each."""

MADNAS = [sys.executable, "-m", "madnas", "train"]
LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
TORCHRUN = [*LAUNCHER, "-m", "madnas", "train"]


class Crash(BaseException):
    """What a power cut is to a process: nothing catches it."""


def network(folder: Path) -> str:
    path = folder / "tiny.yaml"
    write_text_atomic(path, TINY, overwrite=True)  # another process may be reading it
    return str(path)


def job(folder: Path, *changes: str, recipe: str = "digits/quick", name: str = "run", **settings: Any) -> Job:
    """A small run; ``log_interval`` is 1, so that the log has every update."""
    small = SMALL if recipe == "digits/quick" else ()
    given: dict[str, Any] = {"log_interval": 1, **settings}
    return Job(find(network(folder)), recipe, load_recipe(recipe, [*small, *changes]), 0, folder / name, **given)


def finish(one: Job) -> dict[str, Any]:
    return train(one, lambda progress: None, lambda text: None)


def crash_at(one: Job, step: int) -> None:
    """Run until an update is done, and then stop dead."""

    def show(progress: Progress) -> None:
        if progress.step == step:
            raise Crash

    try:
        train(one, show, lambda text: None)
    except Crash:
        return
    raise AssertionError(f"the run ended before update {step}")


@contextmanager
def recorded(folder: Path) -> Iterator[None]:
    """Write ``seen.jsonl``: update, rank, number of processes and indices of every batch."""
    propose = Engine.propose

    def keep(self: Engine, batch: Batch, step: int) -> Update:
        line = json.dumps([step, self.process.rank, self.process.world, batch.indices.tolist()])
        with open(folder / "seen.jsonl", "a") as file:  # one write to the end of a file is not mixed with others
            file.write(line + "\n")
        return propose(self, batch, step)

    Engine.propose = keep
    try:
        yield
    finally:
        Engine.propose = propose


def assert_equal_runs(one: Path, other: Path) -> None:
    """Weights, moving average, optimiser, log and ledger of two runs are the same, bit for bit."""
    for name in ("best.safetensors", "last.safetensors"):
        assert_equal(load_file(one / name), load_file(other / name))
    last, its = (
        folder / "checkpoints" / (folder / "checkpoints" / "last").read_text().strip() for folder in (one, other)
    )
    for name in ("model.safetensors", "ema.safetensors"):
        assert (last / name).exists() == (its / name).exists()
        if (last / name).exists():
            assert_equal(load_file(last / name), load_file(its / name))
    assert_equal(*(torch.load(path / "training.pt", weights_only=True) for path in (last, its)))
    for name in ("metrics.jsonl", "ledger.jsonl", "summary.csv"):
        assert (one / name).exists() == (other / name).exists()
        if (one / name).exists():
            assert (one / name).read_bytes() == (other / name).read_bytes()


def assert_equal(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_equal(value, other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for value, its in zip(one, other, strict=True):
            assert_equal(value, its)
    else:
        assert one == other


def environment(**variables: str) -> dict[str, str]:
    """One thread for each process: that is what makes sums on a CPU the same, however many processes there are."""
    return {**os.environ, "OMP_NUM_THREADS": "1", **variables}


def start(folder: Path, *arguments: str, launcher: list[str] = MADNAS) -> "subprocess.Popen[str]":
    command = [*launcher, network(folder), "--log-interval", "1", "--recovery-interval", "3"]
    for change in SMALL:
        command += ["--set", change]
    command += arguments
    return subprocess.Popen(command, cwd=folder, env=environment(), text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip


def when(condition: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 120) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}: {process.communicate()[1]}")
        if time.monotonic() > end:
            raise AssertionError("took too long")
        time.sleep(0.002)


def steps_logged(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return path.read_text().count('"train"') if path.exists() else 0


def kill_all(process: "subprocess.Popen[str]") -> None:
    """SIGKILL to the process and everything that it started; torchrun gives its processes groups of their own."""
    for pid in [process.pid, *descendants(process.pid)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def descendants(parent: int) -> list[int]:
    """Processes below another, the nearest first."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = [parent]
    for one in found:
        found += [pid for pid, its in parents.items() if its == one]
    return found[1:]


def free_port() -> str:
    """A port below those that the system hands out itself: nobody else's connection takes it before it is used."""
    while True:
        port = random.SystemRandom().randrange(20_000, 30_000)
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return str(port)


def rank(parent: int, number: int) -> int:
    """The process of a rank below torchrun."""
    for pid in descendants(parent):
        with suppress(OSError):
            if f"RANK={number}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                return pid
    raise AssertionError(f"no process of rank {number}")


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
