"""Measured scores of candidates: tasks that any process may do, and what the draws of a candidate come to."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from signal import SIGKILL
from statistics import fmean, stdev
from typing import Any

from madnas.errors import MadnasError
from madnas.network.mass import nn_mass
from madnas.network.spec import NetworkSpec
from madnas.scores.catalogue import ON_REQUEST
from madnas.search.expression import Expression


@dataclass(frozen=True, slots=True)
class Task:
    """A network to score.

    Attributes:
        spec: the network.
        names: scores that need it.
        first, last: draws from this place on, and up to and without that one.
        seed: of all draws, as in ``madnas score --seed``.
        batch_size, device, dtype: how.
    """

    spec: NetworkSpec
    names: tuple[str, ...]
    first: int
    last: int
    seed: int
    batch_size: int = 16
    device: str = "cpu"
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Result:
    """What a task gave.

    Attributes:
        values: draws of every score; a single one of what is not random.
        failed: why a score has none, by name; then the candidate has no fitness.
        seconds: CPU time of the process.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def work(task: Task, on_progress: Callable[[float], None]) -> Result:
    """Score a network on one thread; what goes wrong with it is part of the result."""
    begin = time.process_time()
    values: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    for name in task.names:
        try:
            values[name] = _measured(task, name) if name in ON_REQUEST else [_described(task.spec, name)]
        except MadnasError as error:
            failed[name] = str(error)
            break
        except Exception as error:  # of torch, or of what builds the network; the search goes on without it
            failed[name] = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            break
    return Result(values, failed, time.process_time() - begin)


def _measured(task: Task, name: str) -> list[float]:
    import torch

    from madnas.device import keep_freed_memory
    from madnas.scores.registry import draws
    from madnas.scores.subject import Settings, subject_of

    keep_freed_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums have another order on several
    try:
        settings = Settings(task.batch_size, task.device, getattr(torch, task.dtype))
        return draws(subject_of(task.spec), name, range(task.first, task.last), task.seed, settings)
    finally:
        torch.set_num_threads(threads)


def _described(spec: NetworkSpec, name: str) -> float:
    """A score in closed form that is not computed for whole batches."""
    mass = nn_mass(spec)
    return float({"nn-mass": mass.mass, "density": mass.density, "units": mass.units}[name])


def lost(task: Task, signal: int) -> Result:
    """The result of a task whose process was killed."""
    memory = ", probably because the system was out of memory" if signal == SIGKILL else ""
    return Result(failed={task.names[0]: f"its process was killed by signal {signal}{memory}"})


def may_succeed_later(result: Result) -> bool:
    """Whether a failure may be one of the moment: other processes may have had the memory."""
    return any("out of memory" in reason for reason in result.failed.values())


@dataclass(frozen=True, slots=True)
class Draws:
    """All draws of a candidate so far.

    Attributes:
        values: of every score that needs the network, in the order of their places.
        failed: why there are none.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def __add__(self, result: Result) -> "Draws":
        """With the draws that come next."""
        together = {
            name: [*self.values.get(name, []), *new] if name not in ON_REQUEST or ON_REQUEST[name].random else new
            for name, new in result.values.items()
        }
        return replace(self, values=self.values | together, failed=self.failed | result.failed)

    @property
    def number(self) -> int:
        """Draws of each random score."""
        return max((len(values) for values in self.values.values()), default=0)

    def fitness(self, expression: Expression, closed: dict[str, float]) -> float:
        """The expression at the means of all draws."""
        return float(expression(closed | {name: fmean(values) for name, values in self.values.items()}))

    def spread(self, expression: Expression, closed: dict[str, float]) -> float | None:
        """Standard deviation of the expression over the draws; None for a single one."""
        if self.number < 2:
            return None
        values = [
            float(expression(closed | {name: _at(drawn, place) for name, drawn in self.values.items()}))
            for place in range(self.number)
        ]
        return stdev(values)


def _at(drawn: Sequence[float], place: int) -> float:
    return drawn[place] if len(drawn) > 1 else drawn[0]


def result_tree(result: Result) -> dict[str, Any]:
    """A result as a journal holds it."""
    tree: dict[str, Any] = {"values": result.values} if not result.failed else {"failed": result.failed}
    return tree | {"cpu_seconds": round(result.seconds, 4)}


def result_of(tree: dict[str, Any]) -> Result:
    """A result from a journal.

    Raises:
        ValueError: it is none.
    """
    values, failed = tree.get("values", {}), tree.get("failed", {})
    sound = all(isinstance(drawn, list) and all(isinstance(one, float) for one in drawn) for drawn in values.values())
    if not (values or failed) or not sound or not all(isinstance(reason, str) for reason in failed.values()):
        raise ValueError("neither values nor reasons")
    return Result(values, failed, float(tree.get("cpu_seconds", 0.0)))
