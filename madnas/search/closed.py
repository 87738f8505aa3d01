"""Search by a score in closed form: whole rounds as arrays, a hundred thousand candidates a second and more.

A round proposes changed copies of parents that are drawn uniformly, drops those that were seen before, and keeps the
best of old and new. Nothing but the seed and the number of the round decides what it draws.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from madnas.errors import InfeasibleError, UsageError
from madnas.search.effort import Effort
from madnas.search.family import Family
from madnas.search.goal import Goal
from madnas.search.history import History
from madnas.search.journal import Journal, pack, unpack
from madnas.search.pool import Pool
from madnas.search.seen import Seen, keys
from madnas.units import short_quantity

NICHE = 1 / 16
"""Share of the population that may have the same kinds and depths: another depth needs time to find its widths."""

PATIENCE = 200
"""Rounds in a row without anything new, or without coming nearer to the budgets, after which a search ends."""


@dataclass
class ClosedSearch:
    """A search by a score in closed form.

    Attributes:
        family: the space.
        goal: score and budgets.
        effort: sizes and limits.
        population: parents.
        best: the best candidate so far, or none.
        front: those that no other dominates, where a front is kept.
        history: the course.
        round: number of the next round.
        proposed: candidates proposed, those that were dropped included.
        scored: distinct candidates within the budgets whose score is finite.
        without: those within the budgets whose score is not finite.
        seen: keys of all that were looked at.
    """

    family: Family
    goal: Goal
    effort: Effort
    population: Pool = field(init=False)
    best: Pool = field(init=False)
    front: Pool = field(init=False)
    history: History = field(default_factory=History)
    round: int = 0
    proposed: int = 0
    scored: int = 0
    without: int = 0
    seen: Seen = field(default_factory=Seen)
    _idle: int = 0

    def __post_init__(self) -> None:
        self.population = self.best = self.front = Pool.empty(self.family.columns, self.goal.objectives)

    def rounds(self, journal: Journal | None = None) -> Iterator[int]:
        """Go on round by round, from what the journal holds, until nothing new is found; gives the rounds' numbers.

        Raises:
            InfeasibleError: no candidate within the budgets is found.
            UsageError: a journal that cannot be written, or is broken.
        """
        if journal is not None:
            for line in journal.lines:
                self._merge(*self._round_of(line, journal))
                yield self.round
        while self._idle < PATIENCE:
            proposals = self.propose(self.effort.proposals)
            new = self.judge(proposals)
            if journal is not None:
                packed = {name: pack(array) for name, array in new.arrays().items()}
                journal.add({"round": self.round, "proposed": len(proposals)} | packed, cheap=True)
            self._merge(new, len(proposals))
            yield self.round
        if not len(self.best):
            raise self.infeasible()

    def _round_of(self, line: dict[str, Any], journal: Journal) -> tuple[Pool, int]:
        """What a line of the journal says of the next round: its new candidates, and how many were proposed."""
        try:
            pool = Pool(*(unpack(line[name]) for name in ("candidates", "judged", "breach")))
            shapes = (len(pool), self.family.columns), (len(pool), self.goal.objectives), (len(pool),)
            if line["round"] != self.round or tuple(one.shape for one in pool.arrays().values()) != shapes:
                raise ValueError(f"it is not round {self.round} of this search")
            return pool, int(line["proposed"])
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{journal.path}: a line is broken: {error}", "--restart begins anew") from error

    def propose(self, number: int) -> np.ndarray:
        """Candidates of this round, as they come: those seen before among them."""
        if not len(self.population):
            return self.family.start(self.effort.generator(self.round, "start"), max(number, self.effort.population))
        parents = self.effort.generator(self.round, "parents").integers(0, len(self.population), number)
        return self.family.mutate(self.effort.generator(self.round, "mutate"), self.population.candidates[parents])

    def judge(self, proposals: np.ndarray) -> Pool:
        """What is new among proposals, with fitness and breach.

        Costs come first, and only what is within the budgets gets a fitness; one that is not finite counts as an
        infinite breach. Once all parents are within the budgets, what is not is dropped.
        """
        found = keys(proposals)
        _, first = np.unique(found, return_index=True)
        first = np.sort(first)
        first = first[~self.seen.has(found[first])]
        structural = self.family.breach(proposals)[first]
        settled = len(self.population) >= self.effort.population and not self.population.breach.any()
        if settled:
            first, structural = first[structural <= 0], structural[structural <= 0]
        new = proposals[first]
        if not len(new):
            return Pool.empty(self.family.columns, self.goal.objectives)
        names = self.goal.fitness.names
        together = self.family.together.issuperset(names)
        costs = self.family.closed(new, (*self.goal.budgets, *self.goal.front, *(names if together else ())))
        breach = structural + self.goal.breach(costs, len(new))
        if settled:
            kept = breach <= 0
            new, breach, costs = new[kept], breach[kept], {name: column[kept] for name, column in costs.items()}
        fitness = np.full(len(new), -np.inf)
        inside = np.flatnonzero(breach <= 0)
        if len(inside):
            values = (
                {name: costs[name][inside] for name in names} if together else self.family.closed(new[inside], names)
            )
            fitness[inside] = self.goal.fitness(values)
        without = ~np.isfinite(fitness)
        breach[inside[without[inside]]] = np.inf
        self.without += int(without[inside].sum())
        return Pool(new, self.goal.judged(np.where(without, -np.inf, fitness), costs), breach)

    def _merge(self, new: Pool, proposed: int) -> None:
        """Take a round's candidates in; afterwards the search is in the next round."""
        together = self.population + new
        if self.effort.random:
            population = together.drawn(self.effort.population, self.effort.generator(self.round, "survivors"))
        else:
            niches = self.family.niche(together.candidates)
            most = max(1, round(NICHE * self.effort.population))
            population = together.diverse(self.effort.population, niches, most)
        inside = new.within()
        nearer = len(population) and (not len(self.population) or population.breach[0] < self.population.breach[0])
        self._idle = 0 if len(inside) or nearer else self._idle + 1
        self.seen.add(keys(new.candidates))
        self.population = population
        self.best = (self.best + inside).fittest()
        if self.goal.front:
            self.front = (self.front + inside).front()
        self.proposed, self.scored = self.proposed + proposed, self.scored + len(inside)
        if self.history.wants(self.round):
            self.note()
        self.round += 1

    def note(self) -> None:
        """Note the present state in the history."""
        best = float(self.best.judged[0, 0]) if len(self.best) else None
        self.history.note(
            self.family, self.population, self.goal.budgets, self.round, self.proposed, self.scored, best,
            len(self.front),
        )  # fmt: skip

    def infeasible(self) -> InfeasibleError:
        """Why there is no answer: what the nearest candidate exceeds, or that no score is finite."""
        if self.without:
            return InfeasibleError(
                f"{self.goal.fitness.text} is not finite for any of {self.without:,} networks within the budgets",
                "give another score",
            )
        return _nearest(self.family, self.goal, self.population)


def _nearest(family: Family, goal: Goal, population: Pool) -> InfeasibleError:
    """The error for a search without any candidate within the budgets."""
    hint = "raise a budget, or widen the space"
    if not len(population):
        return InfeasibleError(f"no network of space {family.name} has a finite score", "try another score")
    one = population.best(1).candidates
    if family.breach(one)[0] > 0:
        return InfeasibleError(f"no network of space {family.name} within the budgets was found", hint)
    values = family.closed(one, tuple(goal.budgets))
    texts = [
        f"{name} {_short(name, float(values[name][0]))} of {_short(name, limit)}"
        for name, limit in goal.budgets.items()
        if values[name][0] > limit
    ]
    if np.isinf(values.get("latency", 0.0)):
        return InfeasibleError(
            f"the latency table covers no network of space {family.name} that was found",
            "madnas benchmark latency-table --space ... measures one of the same space, resolution and classes",
        )
    return InfeasibleError(
        f"no network of space {family.name} within the budgets was found; the nearest needs {', '.join(texts)}", hint
    )


def _short(name: str, value: float) -> str:
    if name == "latency":
        return f"{1e3 * value:.4g} ms"
    return f"{value:.4g}" if name == "rho" else short_quantity(value)
