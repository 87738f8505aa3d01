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


@contextmanager
def pool(work: Work[Task, Result], workers: int) -> Iterator[Run]:
    """Processes that stay for several rounds of tasks; with one worker, this process. See :func:`run_tasks`.

    Args:
        work: what to do with a task.
        workers: how many.

    Returns:
        what does tasks.
    """
    if workers <= 1:
        yield lambda tasks, on_progress, on_done: _here(work, tasks, on_progress, on_done)
        return
    with _processes(work, workers) as processes:
        yield lambda tasks, on_progress, on_done: _elsewhere(processes, tasks, on_progress, on_done)


def _here(
    work: Work[Task, Result],
    tasks: Sequence[Task],
    on_progress: Callable[[int, float], None],
    on_done: Callable[[int, Result], None],
) -> None:
    for index, task in enumerate(tasks):
        on_done(index, work(task, lambda share, index=index: on_progress(index, share)))  # type: ignore[misc]


def _elsewhere(
    processes: dict[Connection, SpawnProcess],
    tasks: Sequence[Any],
    on_progress: Callable[[int, float], None],
    on_done: Callable[[int, Any], None],
) -> None:
    todo = iter(enumerate(tasks))
    busy: dict[Connection, int] = {}
    for connection in processes:
        _give_next(connection, todo, busy)
    while busy:
        ready = wait(list(busy))
        for connection in [one for one in busy if one in ready]:
            kind, value = _receive(connection, processes[connection])
            if kind == "progress":
                on_progress(busy[connection], value)
            elif kind == "done":
                on_done(busy.pop(connection), value)
                _give_next(connection, todo, busy)
            else:
                raise _failure(*value)


def _give_next(connection: Connection, todo: Iterator[tuple[int, Any]], busy: dict[Connection, int]) -> None:
    for index, task in todo:
        with suppress(ConnectionError):  # it has died: that shows when its result is waited for
            connection.send(task)
        busy[connection] = index
        return


def _receive(connection: Connection, process: SpawnProcess) -> tuple[str, Any]:
    try:
        return connection.recv()
    except (EOFError, OSError):
        process.join()
        raise MadnasError(
            f"a worker process ended with code {process.exitcode}, probably for want of memory",
            "give fewer --workers; with -o, the same command goes on with what is left",
        ) from None


def _failure(code: int | None, message: str, hint: str | None) -> Exception:
    if code is None:
        return RuntimeError(f"a worker process failed:\n{message}")
    error = MadnasError(message, hint)
    error.exit_code = code
    return error


@contextmanager
def _processes(work: Work, workers: int) -> Iterator[dict[Connection, SpawnProcess]]:
    """Processes that wait for tasks, by their connection; ended whatever happens."""
    context = multiprocessing.get_context("spawn")  # forked processes inherit locks and, with CUDA, do not work
    processes: dict[Connection, SpawnProcess] = {}
    try:
        with _interrupts_ignored():  # by the processes, which inherit it
            for _ in range(workers):
                here, there = context.Pipe()
                process = context.Process(target=_serve, args=(work, there), daemon=True)
                process.start()
                there.close()
                processes[here] = process
        yield processes
        for connection, process in processes.items():  # all is done: they may go in peace, and clean up
            connection.close()
            process.join(PATIENCE)
    finally:
        for process in processes.values():
            process.kill()
        for process in processes.values():
            process.join()


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
