"""Search by a score that needs a network: cheap filters and closed forms first, the score for what is left.

A round proposes many candidates; budgets, and where there is one a closed form of the score, leave a few; these are
scored once each, wherever there is a process for it. A candidate that comes to lead by one draw is drawn again, so that
a lucky draw does not win. The order of the round's candidates, not that of their completion, decides what becomes of
them.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from madnas.errors import UsageError
from madnas.network.spec import NetworkSpec
from madnas.scores.catalogue import ON_REQUEST
from madnas.search.closed import NICHE, PATIENCE, ClosedSearch
from madnas.search.effort import Effort
from madnas.search.expression import parse
from madnas.search.family import Family
from madnas.search.goal import Goal
from madnas.search.history import History
from madnas.search.journal import Journal
from madnas.search.measure import Draws, Result, Task, may_succeed_later, result_of, result_tree
from madnas.search.pool import Pool
from madnas.search.seen import Seen, keys

Scorer = Callable[[Sequence[Task], Callable[[int, Result], None]], None]
"""Does tasks, in any order; tells index and result of each as it is done."""

WARM = 32
"""Rounds by the closed form alone that a search begins with."""

NEUTRAL = "0 * layers"
"""Fitness of a search that only looks for networks within the budgets."""

LEADERS = 4
"""Candidates at the top that are drawn again in one go."""

FIRST_TASKS = 2
"""Tasks that a search with a time limit begins with, to see how long one takes."""

SHARE = 4
"""A round's survivors of the same kinds and depths are at most one in so many."""


class OutOfTime(Exception):
    """No time is left for another task; what was scored until then counts."""


@dataclass
class Record:
    """A candidate that was scored.

    Attributes:
        candidate: (V,).
        closed: closed-form scores and costs.
        draws: of the measured ones.
        fitness: at the means of the draws; not finite where a score failed.
        reason: why it has none; empty where it has one.
    """

    candidate: np.ndarray
    closed: dict[str, float]
    draws: Draws
    fitness: float = float("nan")
    reason: str = ""


@dataclass
class MeasuredSearch:
    """A search by a measured score.

    Attributes:
        family: the space.
        goal: score and budgets.
        effort: sizes and limits.
        score: does the scoring.
        left: seconds until the search is to end.
        records: every scored candidate by its key, in the order of the search.
        population: keys of the parents, from the best on.
        front: keys of those that no other dominates, where a front is kept.
        history: the course.
        round: number of the next round.
        proposed: candidates proposed.
        screened: distinct ones that were within the budgets and so could have been scored, those by whose closed form
            the search began among them.
        fresh: candidates scored in this run, those that the journal held not counted.
        draws: of all candidates together.
        cpu_seconds: that these took, of the processes that did them.
    """

    family: Family
    goal: Goal
    effort: Effort
    score: Scorer
    left: Callable[[], float] = lambda: math.inf
    records: dict[int, Record] = field(default_factory=dict)
    population: list[int] = field(default_factory=list)
    front: list[int] = field(default_factory=list)
    history: History = field(default_factory=History)
    round: int = 0
    proposed: int = 0
    screened: int = 0
    fresh: int = 0
    draws: int = 0
    cpu_seconds: float = 0.0
    seen: Seen = field(default_factory=Seen)
    _parents: np.ndarray | None = None
    _known: dict[tuple[int, int, int], Result] = field(default_factory=dict)
    _journal: Journal | None = None
    _pace: float | None = None

    @property
    def failed(self) -> dict[str, int]:
        """Candidates without a fitness, by reason."""
        return dict(Counter(record.reason for record in self.records.values() if record.reason))

    @property
    def scored(self) -> int:
        """Candidates with a fitness."""
        return sum(not record.reason for record in self.records.values())

    @property
    def needed(self) -> int:
        """Draws that a leader needs."""
        random = any(name in ON_REQUEST and ON_REQUEST[name].random for name in self.goal.measured)
        return self.effort.repeats if random else 1

    def rounds(self, journal: Journal | None = None) -> Iterator[int]:
        """Go on round by round until nothing new is found; gives the rounds' numbers.

        What the journal holds is not computed again.

        Raises:
            InfeasibleError: no candidate within the budgets is found, or none of them can be scored.
            UsageError: a journal that cannot be written, or is broken.
            OutOfTime: :attr:`left` has come to its end, in the middle of a round.
        """
        self._journal = journal
        self._known = _results(journal) if journal is not None else {}
        self._parents = self._warm()
        idle = 0
        while idle < PATIENCE:
            chosen, closed = self._survivors()
            idle = 0 if len(chosen) else idle + 1
            self._measure(chosen, closed)
            self._select()
            self._confirm(once=bool(self.goal.front))
            if self.history.wants(self.round):
                self.note()
            self.round += 1
            if len(chosen):
                yield self.round

    def finish(self) -> None:
        """Draw again until the winner, or every member of the front, has all its draws, however long that takes."""
        self.left = lambda: math.inf
        self._select()
        self._confirm(once=False, number=1)
        self.note()

    def settle(self) -> None:
        """After an interrupt within a round: take account of all that was scored until then."""
        self._select()
        self.note()

    # A round

    def _warm(self) -> np.ndarray:
        """The first parents (N, V): the best by the closed form, or else any within the budgets."""
        surrogate = self.goal.surrogate
        fitness = surrogate or parse(NEUTRAL, list(self.family.known))
        goal = replace(self.goal, fitness=fitness, measured=(), surrogate=None)
        effort = replace(self.effort, random=surrogate is None, warming=True)
        search = ClosedSearch(self.family, goal, effort)
        for _ in search.rounds():
            within = search.population.within()
            enough = len(within) >= min(self.effort.population, self.effort.survivors)
            if enough and (surrogate is None or search.round >= WARM or self.left() <= 0):
                break
        if surrogate is not None:
            self.screened += search.scored
        within = search.population.within()
        if not len(within):
            raise search.infeasible()
        return within.candidates

    def _survivors(self) -> tuple[np.ndarray, list[dict[str, float]]]:
        """The candidates of this round to be scored (N, V), and their closed forms."""
        parents = self._parents if not self.population else self._candidates(self.population)
        assert parents is not None
        generator = self.effort.generator(self.round, "parents")
        drawn = parents[generator.integers(0, len(parents), self.effort.proposals)]
        proposals = self.family.mutate(self.effort.generator(self.round, "mutate"), drawn)
        if self.round == 0:
            proposals = np.concatenate([parents, proposals])
        self.proposed += len(proposals)
        found = keys(proposals)
        _, first = np.unique(found, return_index=True)
        first = np.sort(first)
        new = proposals[first[~self.seen.has(found[first])]]
        new = new[self.family.breach(new) <= 0]
        if not len(new):
            return new, []
        values = self.family.closed(new, self.goal.closed)
        within = np.flatnonzero(self.goal.breach(values, len(new)) <= 0)
        self.screened += len(within)
        new, values = new[within], {name: np.asarray(column)[within] for name, column in values.items()}
        places = np.arange(len(new))
        if self.goal.surrogate is not None and len(new):
            judged = self.goal.judged(np.asarray(self.goal.surrogate(values), float), values)
            pool = Pool(places[:, None], judged, np.zeros(len(new)))
            most = max(1, self.effort.survivors // SHARE)
            places = pool.diverse(self.effort.survivors, self.family.niche(new), most).candidates[:, 0]
        places = places[: self.effort.survivors]
        return new[places], [{name: float(column[place]) for name, column in values.items()} for place in places]

    def _measure(self, candidates: np.ndarray, closed: list[dict[str, float]]) -> None:
        """Score candidates once each."""
        names = keys(candidates).tolist()
        self.seen.add(keys(candidates))
        for name, candidate, values in zip(names, candidates, closed, strict=True):
            self.records[name] = Record(candidate, values, Draws())
        self._draw(names, 1)

    def _draw(self, names: list[int], until: int) -> None:
        """Draw scores of candidates until they have so many draws; what the journal holds is taken from it."""
        places = [(name, place) for name in names for place in range(self.records[name].draws.number, until)]
        done = {(name, place): self._known[name, place, place + 1] for name, place in places
                if (name, place, place + 1) in self._known}  # fmt: skip
        todo = [one for one in places if one not in done]

        def keep(index: int, result: Result) -> None:
            name, place = todo[index]
            done[name, place] = result
            self.fresh += place == 0
            if self._journal is not None and not may_succeed_later(result):
                self._journal.add(self._line(name, place, result))

        try:
            self._score([self._task(self.records[name].candidate, place) for name, place in todo], keep)
            self._again([one for one in todo if may_succeed_later(done[one])], done, keep, todo.index)
        finally:  # an interrupt, or the end of the time, loses nothing that was scored
            for name, place in places:
                record = self.records[name]
                if (name, place) in done and place == record.draws.number and not record.reason:
                    self._take(record, done[name, place])
            for name in names:
                if not self.records[name].draws.number and not self.records[name].reason:
                    del self.records[name]

    def _again(
        self, places: list[tuple[int, int]], done: dict[tuple[int, int], Result],
        keep: Callable[[int, Result], None], index: Callable[[tuple[int, int]], int],
    ) -> None:  # fmt: skip
        """Draw alone what may have failed for want of memory beside others."""
        for name, place in places:
            task, where = self._task(self.records[name].candidate, place), index((name, place))
            self.score([task], _shifted(keep, where))

    def _score(self, tasks: Sequence[Task], keep: Callable[[int, Result], None]) -> None:
        """Have tasks done, in one go while there is time for twice as many, and else in ever smaller portions.

        Raises:
            OutOfTime: the time that is left would not suffice to draw a leader again after another task.
        """
        start = 0
        while start < len(tasks):
            left = self.left()
            number = len(tasks) - start
            if math.isinf(left):
                pass
            elif self._pace is None:
                number = min(number, FIRST_TASKS)
            else:
                left -= self._pace * self.needed
                if left <= 0:
                    raise OutOfTime
                number = min(number, max(1, int(left / self._pace / 2) if self._pace else FIRST_TASKS))
            begin = time.monotonic()
            self.score(tasks[start : start + number], _shifted(keep, start))
            draws = sum(task.last - task.first for task in tasks[start : start + number])
            # The first tasks wait for processes to start; they say nothing about those that follow.
            self._pace = 0.0 if self._pace is None else (time.monotonic() - begin) / draws
            start += number

    def _take(self, record: Record, result: Result) -> None:
        record.draws = record.draws + result
        self.draws += 1
        self.cpu_seconds += result.seconds
        reasons = [f"{name} {reason}" for name, reason in record.draws.failed.items()]
        record.fitness = float("nan") if reasons else record.draws.fitness(self.goal.fitness, record.closed)
        if not reasons and not np.isfinite(record.fitness):
            reasons = [f"{self.goal.fitness.text} is not finite"]
        record.reason = reasons[0] if reasons else ""

    def _task(self, candidate: np.ndarray, place: int) -> Task:
        effort, names = self.effort, self.goal.measured
        if place:  # what is not random is known already
            names = tuple(name for name in names if name in ON_REQUEST and ON_REQUEST[name].random)
        return Task(self.network(candidate), names, place, place + 1, effort.seed, effort.batch_size, effort.device,
                    effort.dtype)  # fmt: skip

    def network(self, candidate: np.ndarray) -> NetworkSpec:
        """A candidate's network."""
        return self.family.network(candidate, "candidate")

    def _line(self, name: int, place: int, result: Result) -> dict[str, Any]:
        record = self.records[name]
        head = {"round": self.round, "key": f"{name:016x}", "first": place, "last": place + 1}
        body = {} if place else {"candidate": record.candidate.tolist(), "closed": record.closed}
        return head | body | result_tree(result)

    # Who stays

    def _select(self) -> None:
        """Parents for the next round, and the front."""
        names = [name for name, record in self.records.items() if not record.reason]
        if not names:
            self.population, self.front = [], []
            return
        pool = self._pool(names)
        number = self.effort.population
        if self.effort.random:
            pool = pool.drawn(number, self.effort.generator(self.round, "survivors"))
        else:
            niches = self.family.niche(self._candidates(names))
            pool = pool.diverse(number, niches, max(1, round(NICHE * number)))
        self.population = [names[place] for place in pool.candidates[:, 0]]
        if self.goal.front:
            self.front = [names[place] for place in self._pool(names).front().candidates[:, 0]]

    def _pool(self, names: list[int]) -> Pool:
        """Scored candidates by their places in a list, with what they are judged by."""
        records = [self.records[name] for name in names]
        fitness = np.array([record.fitness for record in records])
        values = {name: np.array([record.closed[name] for record in records]) for name in self.goal.front}
        judged = self.goal.judged(fitness, values)
        return Pool(np.arange(len(names))[:, None], judged, np.zeros(len(names)))

    def _candidates(self, names: list[int]) -> np.ndarray:
        return np.stack([self.records[name].candidate for name in names])

    def best(self) -> int | None:
        """Key of the candidate with the highest fitness, of equals the earliest; None before there is one."""
        names = [name for name, record in self.records.items() if not record.reason]
        return max(names, key=lambda name: self.records[name].fitness, default=None)

    def leaders(self, number: int = LEADERS) -> list[int]:
        """Keys of the front, or of so many of the best, that have not all their draws yet, from the best on."""
        if self.goal.front:
            at_top = self.front
        else:
            names = [name for name, record in self.records.items() if not record.reason]
            at_top = sorted(names, key=lambda name: -self.records[name].fitness)[:number]
        wanting = [name for name in at_top if self.records[name].draws.number < self.needed]
        return [name for name in wanting if not self.records[name].reason][:LEADERS]

    def _confirm(self, once: bool, number: int = LEADERS) -> None:
        """Draw leaders again until the best one, or the whole front, has all its draws; or one time only."""
        while leaders := self.leaders(number):
            self._draw(leaders, self.needed)
            self._select()
            best = self.best()
            if once or (not self.goal.front and (best is None or self.records[best].draws.number >= self.needed)):
                return

    def note(self) -> None:
        """Note the present state in the history."""
        best = self.best()
        if best is None:
            return
        pool = self._pool(self.population)
        population = Pool(self._candidates(self.population), pool.judged, pool.breach)
        fitness = self.records[best].fitness
        self.history.note(
            self.family, population, self.goal.budgets, self.round, self.proposed, self.scored, fitness,
            len(self.front),
        )  # fmt: skip


def _shifted(keep: Callable[[int, Result], None], start: int) -> Callable[[int, Result], None]:
    return lambda index, result: keep(start + index, result)


def _results(journal: Journal) -> dict[tuple[int, int, int], Result]:
    """What a journal knows: results by key and places of the draws."""
    found = {}
    try:
        for line in journal.lines:
            found[int(line["key"], 16), int(line["first"]), int(line["last"])] = result_of(line)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{journal.path}: a line is broken: {error}", "--restart begins anew") from error
    return found
