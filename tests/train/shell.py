"""What the tests of training share: a tiny network, small runs in this process, and real processes."""

import json
import multiprocessing
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file

from madnas.data.resident import ResidentSource
from madnas.data.source import Batch
from madnas.errors import DataError, MadnasError
from madnas.files import write_text_atomic
from madnas.targets import find
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


class Running(Protocol):
    """What :class:`Task` and :class:`subprocess.Popen` have in common."""

    pid: int

    @property
    def returncode(self) -> Any: ...
    def poll(self) -> int | None: ...
    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]: ...
    def send_signal(self, number: int, /) -> None: ...
    def kill(self) -> None: ...


FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["madnas.cli.main", "madnas.cli.train_report", "madnas.train.run", "madnas.train.report"])


class Task:
    """A process of its own, forked from one that has torch loaded: interpreters take seconds to load it.

    Args:
        folder: where it works.
        work: what it does; a function of a module.
        arguments: of that.
        variables: of its environment.
        largest_file: bytes that it may write into a file.
    """

    def __init__(
        self,
        folder: Path,
        work: Callable[..., None],
        *arguments: Any,
        largest_file: int | None = None,
        **variables: str,
    ) -> None:
        self._texts = [Path(tempfile.mkstemp(prefix=name, dir=folder)[1]) for name in (".out-", ".err-")]
        given = (folder, self._texts, variables, largest_file, work, arguments)
        self._process = FORKS.Process(target=_task, args=given)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("task", timeout or 0)
        out, err = (path.read_text() for path in self._texts)
        return out, err

    def send_signal(self, number: int, /) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _task(
    folder: Path,
    texts: list[Path],
    variables: dict[str, str],
    largest_file: int | None,
    work: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.update(environment(**variables))
    for number, path in enumerate(texts, 1):
        os.dup2(os.open(path, os.O_WRONLY), number)
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    work(*arguments)


def madnas(*arguments: str) -> None:
    """``python -m madnas train`` in a :class:`Task`."""
    from madnas.__main__ import main

    sys.argv = ["madnas", "train", *arguments]
    main()


def recorded_run(folder: Path) -> None:
    with recorded(folder):
        finish(job(folder, recovery_interval=3))


def one_fails(folder: Path) -> None:
    """The second process cannot go on with the fifth update."""
    train_batches = ResidentSource.train

    def broken(self: ResidentSource, order: Any, start: int, stop: int, process: Any) -> Iterator[Batch]:
        for step, batch in enumerate(train_batches(self, order, start, stop, process)):
            if step == 4 and process.rank == 1:
                raise DataError("sample 17 is broken")
            yield batch

    ResidentSource.train = broken
    try:
        finish(job(folder))
    except MadnasError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def environment(**variables: str) -> dict[str, str]:
    """One thread for each process: that is what makes sums on a CPU the same, however many processes there are."""
    return {**os.environ, "OMP_NUM_THREADS": "1", **variables}


def small(folder: Path, *arguments: str) -> list[str]:
    """Arguments of a small run."""
    changes = [part for change in SMALL for part in ("--set", change)]
    return [network(folder), "--log-interval", "1", "--recovery-interval", "3", *changes, *arguments]


def start(folder: Path, *arguments: str, launcher: list[str] | None = None, **settings: Any) -> Running:
    """A small run in a process of its own; with a launcher, in an interpreter of its own."""
    if launcher is None:
        return Task(folder, madnas, *small(folder, *arguments), **settings)
    return subprocess.Popen([*launcher, *small(folder, *arguments)], cwd=folder, env=environment(), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip


def together(folder: Path, world: int, work: Callable[..., None], *arguments: Any, slurm: bool = False) -> list[Task]:
    """Processes that work together, as torchrun or ``srun`` start them."""
    names = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS") if slurm else ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    places = [dict(zip(names, (str(one), str(one), str(world)), strict=True)) for one in range(world)]
    return [Task(folder, work, *arguments, **address, **place) for place in places]


def ended(tasks: list[Task], seconds: float = 300) -> list[tuple[int | None, str]]:
    """Exit codes and what was said; when one has ended, the others are told to, as launchers do."""
    end = time.monotonic() + seconds
    while all(task.poll() is None for task in tasks) and time.monotonic() < end:
        time.sleep(0.002)
    for task in tasks:
        with suppress(ProcessLookupError):
            if task.poll() is None and any(other.poll() for other in tasks):
                task.send_signal(signal.SIGTERM)
    texts = [task.communicate(timeout=seconds)[1] for task in tasks]
    return [(task.returncode, text) for task, text in zip(tasks, texts, strict=True)]


def when(condition: Callable[[], bool], process: Running, seconds: float = 120) -> None:
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


def kill_all(*processes: Running) -> None:
    """SIGKILL to processes and everything that they started; torchrun gives its processes groups of their own."""
    for pid in [pid for process in processes for pid in (process.pid, *descendants(process.pid))]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for process in processes:
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


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
