"""What a search ended with: networks with everything recomputed from their descriptions, and how they were found."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import madnas
from madnas.errors import SolverError
from madnas.network.analyse import Structure, analyse
from madnas.network.count import Counts, count
from madnas.network.spec import NetworkSpec
from madnas.network.zen import zen_closed
from madnas.program.evaluator import LAST_DIGIT
from madnas.scores.catalogue import ON_REQUEST
from madnas.search.closed import ClosedSearch
from madnas.search.effort import Effort
from madnas.search.family import Family
from madnas.search.goal import Goal
from madnas.search.history import History
from madnas.search.measured import MeasuredSearch
from madnas.search.rows import Rows
from madnas.search.timed import Timed

SAME = 1e-9
"""Relative difference up to which a closed form of a description is what the search had."""


@dataclass(frozen=True, slots=True)
class Found:
    """A network that a search found.

    Attributes:
        spec: the network; its provenance says where it comes from.
        counts, structure: recomputed from it.
        fitness: what was maximised; the mean over the draws.
        std: its standard deviation over the draws; 0 in closed form, None of a single draw.
        n: draws.
        scores: the scores in it by name: ``value``, ``std``, ``n``.
        costs: the costs that budgets and front are about, by name.
        depth: layers as Zen-NAS counts them, and the most that the space has; None of a space that does not count them.
    """

    spec: NetworkSpec
    counts: Counts
    structure: Structure
    fitness: float
    std: float | None
    n: int
    scores: dict[str, dict[str, Any]]
    costs: dict[str, float]
    depth: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The mathematical program's answer to the same problem.

    Attributes:
        objective: of its network, nats.
        bound: no network of the space has more, nats.
        gap: relative distance of the two.
        spec: its network.
    """

    objective: float
    bound: float
    gap: float
    spec: NetworkSpec


@dataclass(frozen=True, slots=True)
class Outcome:
    """A search's result.

    Attributes:
        method: ``evolution`` or ``random``.
        family: the space.
        goal: what was asked.
        effort: how it was searched.
        best: the network with the highest fitness.
        front: networks that no other dominates, where a front was asked for, the fittest first.
        numbers: rounds, proposals, scored candidates ..., of which none depends on the machine.
        rates: seconds and rates, which do.
        failed: candidates without a fitness, by reason.
        history: the course.
        interrupted: whether it was stopped before its end.
        program: the comparison, where there is one.
        program_failure: why there is none although the program knows such problems.
    """

    method: str
    family: Family
    goal: Goal
    effort: Effort
    best: Found
    front: tuple[Found, ...]
    numbers: dict[str, int]
    rates: dict[str, float]
    failed: dict[str, int]
    history: History
    interrupted: bool = False
    program: Comparison | None = field(default=None)
    program_failure: str = ""

    def used(self, found: Found) -> dict[str, tuple[float, float]]:
        """Value and limit of every budget."""
        return {name: (found.costs[name], limit) for name, limit in self.goal.budgets.items()}


def closed_found(search: ClosedSearch, candidate: np.ndarray, fitness: float, name: str) -> Found:
    """A candidate of a search in closed form."""
    values = _values(search.family, candidate, search.goal.closed)
    scores = {one: {"value": values[one], "std": 0.0, "n": 1} for one in search.goal.fitness.names}
    return _found(search.family, search.goal, candidate, name, values, fitness, 0.0, 1, scores)


def measured_found(search: MeasuredSearch, key: int, name: str) -> Found:
    """A candidate of a search by a measured score."""
    from madnas.scores.registry import summary

    record = search.records[key]
    goal = search.goal
    values = _values(search.family, record.candidate, goal.closed)
    scores: dict[str, dict[str, Any]] = {}
    for one in goal.fitness.names:
        if one not in goal.measured:
            scores[one] = {"value": values[one], "std": 0.0, "n": 1}
            continue
        drawn = record.draws.values[one]
        if one in ON_REQUEST:
            found = summary(one, drawn)
            scores[one] = {"value": found.value, "std": found.std, "n": found.n}
        else:
            scores[one] = {"value": drawn[0], "std": 0.0, "n": 1}
    spread = record.draws.spread(goal.fitness, record.closed)
    return _found(
        search.family, goal, record.candidate, name, values, record.fitness,
        spread if record.draws.number > 1 or search.needed > 1 else 0.0, record.draws.number, scores,
    )  # fmt: skip


def _values(family: Family, candidate: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    found = family.closed(candidate[None], names)
    return {name: float(column[0]) for name, column in found.items()}


def _found(
    family: Family, goal: Goal, candidate: np.ndarray, name: str, values: dict[str, float], fitness: float,
    std: float | None, n: int, scores: dict[str, dict[str, Any]],
) -> Found:  # fmt: skip
    spec = family.network(candidate, name)
    counts, structure = count(spec), analyse(spec)
    recheck(family, goal, values, spec, counts, structure)
    costs = {one: values[one] for one in dict.fromkeys([*goal.budgets, *goal.front])}
    rows = family.family if isinstance(family, Timed) else family
    depth = None
    if isinstance(rows, Rows):
        depth = int(rows.depth(candidate[None])[0]), rows.space.max_depth
    return Found(spec, counts, structure, fitness, std, n, scores, costs, depth)


def recheck(
    family: Family, goal: Goal, values: dict[str, float], spec: NetworkSpec, counts: Counts, structure: Structure
) -> None:
    """Check a network against what the search believed of it, each computed anew from its description alone.

    Raises:
        SolverError: a limit is exceeded or a closed form differs; a bug, not a user's mistake.
    """
    exact = {name: float(getattr(counts, name)) for name in ("params", "macs", "activations", "layers")}
    exact |= {"rho": float(structure.rho), "width": float(structure.width)}
    if "zen-closed" in values:
        exact["zen-closed"] = zen_closed(spec)
    if "entropy" in values and isinstance(family, Rows):
        exact["entropy"] = float(structure.weighted_entropy())
    if "latency" in values and isinstance(family, Timed) and np.isfinite(values["latency"]):
        exact["latency"] = family.table.predict(spec)
    wrong = [name for name in values if name in exact and abs(values[name] - exact[name]) > SAME * abs(exact[name])]
    slack = {"rho": 1 + LAST_DIGIT, "latency": 1 + SAME}  # the others are whole numbers
    wrong += [name for name, limit in goal.budgets.items() if exact[name] > limit * slack.get(name, 1)]
    if wrong:
        raise SolverError(f"the answer failed its recheck: {', '.join(dict.fromkeys(wrong))}")


def with_provenance(outcome: Outcome, found: Found) -> Found:
    """A network that says where it comes from; the same on every run and for any number of processes."""
    tree: dict[str, Any] = {
        "search": outcome.method,
        "space": outcome.family.name,
        "score": outcome.goal.fitness.text,
        "budgets": {name: _whole(limit) for name, limit in outcome.goal.budgets.items()},
        "front": list(outcome.goal.front) or None,
        "fitness": round(found.fitness, 6),
        "std": None if found.std is None else round(found.std, 6),
        "n": found.n,
        "seed": outcome.effort.seed,
        "rounds": outcome.numbers["rounds"],
        "scored": outcome.numbers["scored"],
        "madnas": madnas.__version__,
    }
    if isinstance(outcome.family, Timed):
        tree["latency_table"] = outcome.family.describe()
    if outcome.goal.measured:
        tree |= {"batch_size": outcome.effort.batch_size, "dtype": outcome.effort.dtype}
    return replace(
        found, spec=replace(found.spec, provenance={key: one for key, one in tree.items() if one is not None})
    )


def _whole(value: float) -> float:
    return int(value) if value == int(value) else value
