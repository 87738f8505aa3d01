"""Tasks over processes: results as they come, and nothing left running when the parent stops, however it stops."""

import multiprocessing
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from madnas.errors import MadnasError

Task = TypeVar("Task")
Result = TypeVar("Result")

PATIENCE = 5.0
"""Seconds that a process has to end when there is nothing left to do."""

Work = Callable[[Task, Callable[[float], None]], Result]
"""Takes a task and a function that reports the share that is done; importable by name, for it runs elsewhere."""


def run_tasks(
    work: Work[Task, Result],
    tasks: Sequence[Task],
    workers: int,
    on_progress: Callable[[int, float], None],
    on_done: Callable[[int, Result], None],
) -> None:
    """Do tasks, in their order, in so many processes; with one worker, in this process.

    An interrupt reaches this process alone, which then ends the others. Where this process is killed, the others find
    nobody to report to and end.

    Args:
        work: what to do with a task.
        tasks: what to do.
        workers: at least 1.
        on_progress: takes the index of a task and the share that is done.
        on_done: takes the index of a task and its result.

    Raises:
        MadnasError: what a task raised, or a process that died.
        RuntimeError: a bug in a task, with its traceback.
    """
    with pool(work, min(workers, len(tasks))) as run:
        run(tasks, on_progress, on_done)


Run = Callable[[Sequence[Any], Callable[[int, float], None], Callable[[int, Any], None]], None]
"""Does tasks: takes them, and ``on_progress`` and ``on_done`` of :func:`run_tasks`."""


Lost = Callable[[Any, int], Any]
"""Takes a task and the signal that killed the process that was at it; the result of the task."""


@contextmanager
def pool(work: Work[Task, Result], workers: int, lost: Lost | None = None) -> Iterator[Run]:
    """Processes that stay for several rounds of tasks; with one worker, this process. See :func:`run_tasks`.

    Args:
        work: what to do with a task.
        workers: how many.
        lost: what a task comes to whose process was killed, by the system for its memory or by itself; another process
            takes its place. Default: that ends it all.

    Returns:
        what does tasks.
    """
    if workers <= 1:
        yield lambda tasks, on_progress, on_done: _here(work, tasks, on_progress, on_done)
        return
    with _processes(work, workers) as processes:
        yield lambda tasks, on_progress, on_done: _elsewhere(processes, tasks, on_progress, on_done, lost)


def _here(
    work: Work[Task, Result],
    tasks: Sequence[Task],
    on_progress: Callable[[int, float], None],
    on_done: Callable[[int, Result], None],
) -> None:
    for index, task in enumerate(tasks):
        on_done(index, work(task, lambda share, index=index: on_progress(index, share)))  # type: ignore[misc]


def _elsewhere(
    processes: "_Processes",
    tasks: Sequence[Any],
    on_progress: Callable[[int, float], None],
    on_done: Callable[[int, Any], None],
    lost: Lost | None,
) -> None:
    todo = iter(enumerate(tasks))
    busy: dict[Connection, int] = {}
    for connection in processes.connections:
        _give_next(connection, todo, busy)
    while busy:
        ready = wait(list(busy))
        for connection in [one for one in busy if one in ready]:
            kind, value = _receive(connection)
            if kind == "progress":
                on_progress(busy[connection], value)
            elif kind == "done":
                on_done(busy.pop(connection), value)
                _give_next(connection, todo, busy)
            elif kind == "failed":
                raise _failure(*value)
            else:
                index, code = busy.pop(connection), processes.exit_code(connection)
                if lost is None or code >= 0:
                    raise _ended(code)
                on_done(index, lost(tasks[index], -code))
                _give_next(processes.replace(connection), todo, busy)


def _give_next(connection: Connection, todo: Iterator[tuple[int, Any]], busy: dict[Connection, int]) -> None:
    for index, task in todo:
        with suppress(ConnectionError):  # it has died: that shows when its result is waited for
            connection.send(task)
        busy[connection] = index
        return


def _receive(connection: Connection) -> tuple[str, Any]:
    try:
        return connection.recv()
    except (EOFError, OSError):
        return "gone", None


def _ended(code: int) -> MadnasError:
    return MadnasError(
        f"a worker process ended with code {code}, probably for want of memory",
        "give fewer --workers; with -o, the same command goes on with what is left",
    )


def _failure(code: int | None, message: str, hint: str | None) -> Exception:
    if code is None:
        return RuntimeError(f"a worker process failed:\n{message}")
    error = MadnasError(message, hint)
    error.exit_code = code
    return error


class _Processes:
    """Processes that wait for tasks, by their connections."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._running: dict[Connection, SpawnProcess] = {}

    @property
    def connections(self) -> list[Connection]:
        """To all of them."""
        return list(self._running)

    def start(self) -> Connection:
        """One more."""
        context = multiprocessing.get_context("spawn")  # forked processes inherit locks and, with CUDA, do not work
        with _interrupts_ignored():  # by the process, which inherits it
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(self._work, there), daemon=True)
            process.start()
            there.close()
        self._running[here] = process
        return here

    def exit_code(self, connection: Connection) -> int:
        """Of one that is gone; -9 where it was killed by signal 9."""
        process = self._running[connection]
        process.join()
        assert process.exitcode is not None
        return process.exitcode

    def replace(self, connection: Connection) -> Connection:
        """Another one for one that is gone."""
        connection.close()
        del self._running[connection]
        return self.start()

    def dismiss(self) -> None:
        """All is done: they may go in peace, and clean up."""
        for connection, process in self._running.items():
            connection.close()
            process.join(PATIENCE)

    def kill(self) -> None:
        """End them, whatever they do."""
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.join()


@contextmanager
def _processes(work: Work, workers: int) -> Iterator[_Processes]:
    """So many processes, ended whatever happens."""
    processes = _Processes(work)
    try:
        for _ in range(workers):
            processes.start()
        yield processes
        processes.dismiss()
    finally:
        processes.kill()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # which alone may change what signals do
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(work: Work, connection: Connection) -> None:
    """The life of a worker process."""
    try:
        while True:
            task = connection.recv()
            connection.send(_attempt(work, task, connection))
    except (EOFError, ConnectionError):  # the parent is gone
        return


def _attempt(work: Work, task: Any, connection: Connection) -> tuple[str, Any]:
    try:
        return "done", work(task, lambda share: connection.send(("progress", share)))
    except ConnectionError:
        raise
    except MadnasError as error:
        return "failed", (error.exit_code, str(error), error.hint)
    except Exception:
        return "failed", (None, traceback.format_exc(), None)
