"""Many targets: over processes, into a file that the same command goes on with, results in the order of the targets."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from madnas.errors import MadnasError
from madnas.scores.evaluate import Request, Tree, evaluate
from madnas.scores.journal import Journal, key_of, only_writer
from madnas.targets import Target, find
from madnas.workers import run_tasks

NOT_SCORED = "target"
"""Under this name stands, instead of a score, why a target has none at all."""


def score_all(
    requests: Sequence[Request], workers: int | None, output: Path | None, restart: bool, say: Callable[[str], None]
) -> list[Tree]:
    """Score every target, in as many processes as there are cores or GPUs; what the file has is not computed again.

    Of several targets, one that cannot be run has its reason under ``failed`` and stops nobody else.

    Args:
        requests: the targets.
        workers: processes; default: one for every core or GPU.
        output: JSON lines, one as soon as a target is done.
        restart: empty that file.
        say: takes what is done, for people.

    Raises:
        UsageError: a target that names nothing, before any work; a file that is none of ours, or that another process
            is writing; the only target cannot be run.
    """
    targets = [find(request.word) for request in requests]
    if any(request.metrics for request in requests):
        from madnas.device import check_device  # loads torch

        check_device(requests[0].device)
    if output is None:
        return _score_all(requests, targets, workers, None, say)
    with only_writer(output):
        return _score_all(requests, targets, workers, Journal(output, restart), say)


def _score_all(
    requests: Sequence[Request],
    targets: Sequence[Target],
    workers: int | None,
    journal: Journal | None,
    say: Callable[[str], None],
) -> list[Tree]:
    keys = [key_of(*pair) if journal else "" for pair in zip(requests, targets, strict=True)]
    found = {place: journal.lines[key] for place, key in enumerate(keys) if journal and key in journal.lines}
    first = {request: place for place, request in reversed(list(enumerate(requests)))}  # a word given twice is one
    todo = [place for place in range(len(requests)) if place not in found and first[requests[place]] == place]
    measures = any(request.metrics for request in requests)
    heavy = measures or any(target.spec is None for target in targets)
    processes = min(process_count(workers, requests[0].device), len(requests)) if heavy else 1
    # Of all requests, so that what an interrupt left over is computed as it would have been.
    placed = _placed(requests, processes)

    def progress(index: int, share: float) -> None:
        say(f"{len(found)} of {len(requests)} targets scored; {requests[todo[index]].word} {share:.0%}")

    def done(index: int, result: Tree) -> None:
        place = todo[index]
        found[place] = result
        if journal is not None and not _may_succeed_later(result):
            journal.add(keys[place], result)
        say(f"{len(found)} of {len(requests)} targets scored")

    work = evaluate_quickly if len(requests) == 1 else evaluate_or_fail
    run_tasks(work, [placed[place] for place in todo], processes, progress, done)
    return [found[place if place in found else first[request]] for place, request in enumerate(requests)]


def evaluate_quickly(request: Request, on_progress: Callable[[float], None]) -> Tree:
    """:func:`~madnas.scores.evaluate.evaluate` in a process of ours, whose allocator may be set for it."""
    if request.metrics:
        from madnas.device import keep_freed_memory

        keep_freed_memory()
    return evaluate(request, on_progress)


def evaluate_or_fail(request: Request, on_progress: Callable[[float], None]) -> Tree:
    """The same; a target that cannot be run gives a result without scores."""
    try:
        return evaluate_quickly(request, on_progress)
    except MadnasError as error:
        return {"target": request.word, "name": request.word, "input": [], "scores": {}, "stages": [],
                "failed": {NOT_SCORED: str(error)}}  # fmt: skip


def _may_succeed_later(result: Tree) -> bool:
    """Whether a result should be computed again by the next run."""
    return NOT_SCORED in result["failed"] or any("out of memory" in reason for reason in result["failed"].values())


def process_count(workers: int | None, device: str) -> int:
    """Processes: as many as asked for, else one for every core, or for every GPU of ``cuda``."""
    if workers is not None:
        return workers
    if device == "cpu":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if device == "cuda":
        import torch

        return max(1, torch.cuda.device_count())
    return 1


def _placed(requests: Sequence[Request], processes: int) -> list[Request]:
    """Requests with the device and threads that each will have: GPUs in turn; one thread beside other processes."""
    if processes <= 1:
        return list(requests)
    if requests[0].device == "cuda":
        import torch

        gpus = torch.cuda.device_count()
        return [replace(request, device=f"cuda:{place % gpus}") for place, request in enumerate(requests)]
    return [replace(request, single_thread=True) for request in requests]
