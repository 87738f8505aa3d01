"""A search from its request to its outcome: processes, journal, limits, and what an interrupt leaves."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import madnas
from madnas.errors import InfeasibleError, MadnasError
from madnas.search.closed import ClosedSearch
from madnas.search.effort import Effort
from madnas.search.family import Family
from madnas.search.fixed import Fixed
from madnas.search.goal import Goal
from madnas.search.journal import Journal
from madnas.search.measure import Result, Task, lost, work
from madnas.search.measured import MeasuredSearch, OutOfTime, Scorer
from madnas.search.outcome import (
    Comparison,
    Outcome,
    closed_found,
    measured_found,
    with_provenance,
)
from madnas.search.timed import Timed

Watch = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Search:
    """What to search and how.

    Attributes:
        family: the space.
        goal: score and budgets.
        effort: sizes and limits.
        described: the space as JSON-able data, for the journal: another space is another search.
        name: of the network.
        workers: processes for measured scores.
        journal: file to go on from, or none.
        restart: empty it.
        compare: whether to ask the mathematical program too, where it knows the score.
        counts_scored: whether the limit of candidates is one of scored ones also where the score is in closed form.
    """

    family: Family
    goal: Goal
    effort: Effort
    described: dict[str, Any]
    name: str = "design"
    workers: int = 1
    journal: Path | None = None
    restart: bool = False
    compare: bool = True
    counts_scored: bool = False

    @property
    def method(self) -> str:
        """Its name on the command line."""
        return "random" if self.effort.random else "evolution"

    def request(self) -> dict[str, Any]:
        """What decides its course, as JSON-able data."""
        goal = self.goal
        tree = {
            "method": self.method, "score": goal.fitness.text, "budgets": dict(goal.budgets), "front": list(goal.front),
            "space": self.described, "effort": self.effort.request(), "madnas": madnas.__version__,
        }  # fmt: skip
        if goal.measured:
            from importlib.metadata import version

            tree["torch"] = version("torch")
        return tree


def run(search: Search, watch: Watch = lambda message: None, scorer: Scorer | None = None) -> Outcome:
    """Search until a limit is reached, nothing new is found, or an interrupt; then give what there is.

    Args:
        search: what and how.
        watch: told after every round how far it is, in a line.
        scorer: what does the scoring; default: processes of this machine.

    Raises:
        InfeasibleError: no network within the budgets, or none that can be scored.
        KeyboardInterrupt: interrupted before there is any answer.
        UsageError: a journal that is another search's, or cannot be written.
    """
    with _journal(search) as journal:
        if not search.goal.measured:
            return _closed(search, journal, watch)
        from madnas.device import check_device  # loads torch

        check_device(search.effort.device)
        if scorer is not None:
            return _measured(search, journal, watch, scorer)
        with processes_of(search.workers, search.effort.device) as here:
            return _measured(search, journal, watch, here)


@contextmanager
def _journal(search: Search) -> Iterator[Journal | None]:
    if search.journal is None:
        yield None
        return
    journal = Journal(search.journal, search.request(), search.restart)
    try:
        yield journal
    finally:
        journal.close()


def _closed(search: Search, journal: Journal | None, watch: Watch) -> Outcome:
    engine = ClosedSearch(search.family, search.goal, search.effort)
    clock = _Clock(search.effort)
    held = len(journal.lines) if journal is not None else 0

    def told() -> str:
        best = f"best {engine.best.judged[0, 0]:,.6g}" if len(engine.best) else "nothing within the budgets yet"
        front = f", front of {len(engine.front)}" if search.goal.front else ""
        return f"round {engine.round}: {best}{front}; {engine.proposed:,} candidates{clock.pace(engine.proposed)}"

    interrupted, before = False, 0
    try:
        for number in engine.rounds(journal):
            clock.fresh += engine.proposed - before if number > held else 0
            before = engine.proposed
            watch(told())
            if clock.over(engine.scored if search.counts_scored else engine.proposed):
                break
    except KeyboardInterrupt:
        interrupted = True
        if not len(engine.best):
            raise
    if not len(engine.best):
        raise engine.infeasible()
    engine.note()
    best = closed_found(engine, engine.best.candidates[0], float(engine.best.judged[0, 0]), search.name)
    front = tuple(
        closed_found(engine, candidate, float(judged[0]), f"{search.name}-{place}")
        for place, (candidate, judged) in enumerate(zip(engine.front.candidates, engine.front.judged, strict=True), 1)
    )
    numbers = {"rounds": engine.round, "proposed": engine.proposed, "scored": engine.scored}
    outcome = Outcome(
        search.method, search.family, search.goal, search.effort, best, front, numbers, clock.rates(),
        {}, engine.history, interrupted,
    )  # fmt: skip
    return _finished(search, outcome)


def _measured(search: Search, journal: Journal | None, watch: Watch, score: Scorer) -> Outcome:
    clock = _Clock(search.effort)
    engine = MeasuredSearch(search.family, search.goal, search.effort, score, clock.left)

    def told() -> str:
        best = engine.best()
        if best is None:
            return f"round {engine.round}: no candidate could be scored yet"
        record = engine.records[best]
        spread = record.draws.spread(search.goal.fitness, record.closed)
        value = (
            f"best {record.fitness:,.6g}"
            + ("" if spread is None else f" ± {spread:.2g}")
            + f" (n {record.draws.number})"
        )
        front = f", front of {len(engine.front)}" if search.goal.front else ""
        failed = f", {sum(engine.failed.values())} failed" if engine.failed else ""
        pace = clock.pace(len(engine.records))
        return f"round {engine.round}: {value}{front}; {engine.scored:,} scored of {engine.proposed:,}{failed}{pace}"

    interrupted = False
    try:
        with suppress(OutOfTime):
            for _ in engine.rounds(journal):
                clock.fresh = engine.fresh
                watch(told())
                if clock.over(len(engine.records)):
                    break
        engine.finish()
    except KeyboardInterrupt:
        interrupted = True
        if engine.best() is None:
            raise
        engine.settle()
    winner = engine.best()
    if winner is None:
        reasons = "; ".join(f"{reason} ({number})" for reason, number in engine.failed.items())
        raise InfeasibleError(f"no candidate could be scored: {reasons}", "try another score or space")
    if search.goal.front:
        winner = max(engine.front, key=lambda key: engine.records[key].fitness)
    numbers = {
        "rounds": engine.round, "proposed": engine.proposed, "screened": engine.screened, "scored": engine.scored,
        "draws": engine.draws,
    }  # fmt: skip
    rates = clock.rates() | {"score_cpu_seconds": engine.cpu_seconds}
    front = tuple(measured_found(engine, key, f"{search.name}-{place}") for place, key in enumerate(engine.front, 1))
    outcome = Outcome(
        search.method, search.family, search.goal, search.effort, measured_found(engine, winner, search.name), front,
        numbers, rates, engine.failed, engine.history, interrupted,
    )  # fmt: skip
    return _finished(search, outcome)


def _finished(search: Search, outcome: Outcome) -> Outcome:
    """With provenance, and the program's answer where it has one."""
    front = tuple(with_provenance(outcome, found) for found in outcome.front)
    outcome = replace(outcome, best=with_provenance(outcome, outcome.best), front=front)
    if not search.compare or outcome.interrupted:
        return outcome
    try:
        return replace(outcome, program=compare(search))
    except MadnasError as error:
        return replace(outcome, program_failure=str(error))
    except KeyboardInterrupt:
        return replace(outcome, interrupted=True)


def compare(search: Search) -> Comparison | None:
    """The mathematical program's answer, if it maximises the same over the same space within the same budgets.

    Raises:
        MadnasError: the program has no answer.
    """
    family, goal = search.family, search.goal
    table = family.table if isinstance(family, Timed) and "latency" in goal.budgets else None
    if isinstance(family, Timed):
        family = family.family
    if not isinstance(family, Fixed) or not goal.fitness.single or goal.front:
        return None
    if goal.fitness.names[0] not in ("objective", "entropy"):
        return None
    from madnas.program.design import design

    problem = family.problem
    if table is not None:
        problem = replace(problem, budgets=problem.budgets | {"latency": goal.budgets["latency"]}, table=table)
    if goal.fitness.names[0] == "entropy":  # Eq. (5) without its penalty of uneven depths
        problem = replace(problem, guidelines=problem.guidelines - {2}, depth_penalty=None)
    answer = design(problem, name=f"{search.name}-program")
    return Comparison(answer.objective, answer.bound, answer.gap, answer.spec)


class _Clock:
    """Seconds, rates, and when to stop.

    Attributes:
        fresh: candidates done in this run, those that the journal held not counted.
    """

    def __init__(self, effort: Effort) -> None:
        self.effort = effort
        self.begin, self.cpu = time.monotonic(), time.process_time()
        self.fresh = 0

    def over(self, done: int) -> bool:
        """Whether a limit is reached."""
        limit = self.effort.candidates
        return self.left() <= 0 or (limit is not None and done >= limit)

    def left(self) -> float:
        """Seconds until the time limit."""
        seconds = self.effort.seconds
        return math.inf if seconds is None else seconds - (time.monotonic() - self.begin)

    def pace(self, done: int) -> str:
        """Rate and what is left, for people."""
        rate, limit = self.fresh / max(time.monotonic() - self.begin, 1e-6), self.effort.candidates
        if not rate:
            return ""
        left = "" if limit is None else f", {_duration(max(limit - done, 0) / rate)} left of {limit:,}"
        return f" ({rate:,.3g}/s{left})"

    def rates(self) -> dict[str, float]:
        """Seconds, CPU seconds of this process, candidates a second."""
        seconds = time.monotonic() - self.begin
        return {
            "seconds": seconds,
            "cpu_seconds": time.process_time() - self.cpu,
            "per_second": self.fresh / max(seconds, 1e-9),
        }


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def processes_of(workers: int, device: str) -> Iterator[Scorer]:
    """What scores tasks on this machine: this process, or a pool of others.

    Args:
        workers: processes; with 1, this one.
        device: of several GPUs (``cuda``) each has its share.
    """
    from madnas.workers import pool

    with pool(work, workers, lost) as do:

        def score(tasks: Sequence[Task], on_done: Callable[[int, Result], None]) -> None:
            do(_placed(tasks, device), lambda index, share: None, on_done)

        yield score


def _placed(tasks: Sequence[Task], device: str) -> list[Task]:
    """Tasks with a GPU each, in turn, where there are several."""
    if device != "cuda":
        return list(tasks)
    import torch

    gpus = torch.cuda.device_count()
    return [replace(task, device=f"cuda:{place % gpus}") for place, task in enumerate(tasks)]
