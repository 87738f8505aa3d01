"""Scoring by several processes, on one machine or many, started by torchrun or srun as a training is.

The first process searches; in every round it tells all of them the candidates to be scored, each scores its share, and
the first one gets the results. The share of a process depends on its rank, and nothing on the share: the result of a
search is that of a single process. torch.distributed is there anyway, and training is started the same way; Ray would
be one more service to install and to keep alive for a few tasks of seconds.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch.distributed as dist

from madnas.data.source import Process
from madnas.search.measure import Result, Task, work
from madnas.search.measured import Scorer

PORTION = 4
"""Tasks that each process has at a time; the journal gets their results together, and a crash loses so many."""


@contextmanager
def shared(process: Process) -> Iterator[Scorer]:
    """What scores tasks together with the other processes; these end with it.

    Args:
        process: this one, the first of the run.
    """

    def score(tasks: Sequence[Task], on_done: Callable[[int, Result], None]) -> None:
        for start in range(0, len(tasks), PORTION * process.world):
            some = list(tasks[start : start + PORTION * process.world])
            dist.broadcast_object_list([some], src=0)
            gathered: list[Any] = [None] * process.world
            dist.gather_object(_share(some, process), gathered)
            for index, result in sorted((one for part in gathered for one in part), key=lambda one: one[0]):
                on_done(start + index, result)

    try:
        yield score
    finally:
        with suppress(RuntimeError):  # another process has ended already
            dist.broadcast_object_list([None], src=0)


def serve(process: Process) -> None:
    """Score what the first process asks for, until it has no more, or is gone."""
    while True:
        told: list[Any] = [None]
        with suppress(RuntimeError):
            dist.broadcast_object_list(told, src=0)
        if told[0] is None:
            return
        found = _share(told[0], process)
        with suppress(RuntimeError):
            dist.gather_object(found, None)


def _share(tasks: list[Task], process: Process) -> list[tuple[int, Result]]:
    """The tasks of a process, done, with their places."""
    device = str(process.device)
    return [
        (place, work(replace(task, device=device), lambda share: None))
        for place, task in enumerate(tasks)
        if place % process.world == process.rank
    ]
