"""Calls timed in turns, in a random order every round, so that drift of the machine hits all alike."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from madnas.measure.intervals import speed_ratio

FEWEST_ROUNDS = 4
"""Never fewer, however long they take; ..."""

LEAST_ROUNDS = 20
"""... with fewer, ratios do not count as known."""

CHECK_EVERY = 5
SHORT = 0.1
"""Seconds of a call up to which caches matter: such a one is called before every turn, ..."""

WARM = 0.02
"""... for so many seconds at least. What ran before has emptied the caches: of a call of 3 ms, the second is still 10 %
slower than the sixth, and by how much depends on what it runs beside."""

SURE = 0.01
"""Half width of the ratios' intervals at which enough rounds have been measured."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to measure.

    Attributes:
        rounds: how many; None: until the ratios are known to :data:`SURE`, or for ``seconds``.
        seconds: most for each contestant, where ``rounds`` is None.
        turn: seconds of a turn, about; what is shorter is called several times.
        each: whether these calls are timed one by one, and their median counts: on a busy machine a few of them are
            interrupted. On a GPU they queue, and the turn is timed as a whole.
        least: seconds for all together, where ``rounds`` is None: a machine is in one state for a second, and in
            another one some seconds later, and a ratio that is known well in one of them is not known yet.
    """

    rounds: int | None = None
    seconds: float = 20.0
    turn: float = 0.02
    each: bool = True
    least: float = 10.0


def nothing() -> None:
    """Where nothing has to be waited for."""


def in_turns(
    contestants: Mapping[str, Callable[[], Any]],
    pace: Pace,
    wait: Callable[[], None] = nothing,
    now: Callable[[], float] = time.perf_counter,
    say: Callable[[str], None] = lambda message: None,
    before: Callable[[], None] = nothing,
    judged: Sequence[Sequence[str]] | None = None,
) -> dict[str, list[float]]:
    """Time calls.

    Args:
        contestants: what to call, by name.
        pace: how long.
        wait: returns when everything called so far is done.
        now: the clock, in seconds.
        say: is told how far it is.
        before: every turn, outside of its time; a call that counts is never the first one after it.
        judged: groups of names whose ratios, to the first of their group, decide when there are enough rounds. Default:
            all are one group.

    Returns:
        seconds of a call, for each contestant, a number for every round; those of a round belong together.
    """
    names = list(contestants)
    once = {name: _once(contestants[name], wait, now) for name in names}
    calls = {name: max(1, round(pace.turn / once[name])) for name in names}
    fewest = 0 if before is nothing else 1
    warm = {name: math.ceil(WARM / once[name]) if once[name] < SHORT else fewest for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    random = Random(0)
    begin = time.monotonic()
    number = 0
    groups = [names] if judged is None else judged
    while not _enough(seconds, groups, pace, number, time.monotonic() - begin):
        for name in random.sample(names, len(names)):
            before()
            _turn(contestants[name], warm[name], wait, now)
            portion = 1 if pace.each else calls[name]
            turns = [_turn(contestants[name], portion, wait, now) for _ in range(calls[name] // portion)]
            seconds[name].append(statistics.median(turns) / portion)
        number += 1
        say(f"round {number}" + ("" if pace.rounds is None else f" of {pace.rounds}"))
    return seconds


def _enough(
    seconds: Mapping[str, list[float]], groups: Sequence[Sequence[str]], pace: Pace, number: int, passed: float
) -> bool:
    if pace.rounds is not None:
        return number >= pace.rounds
    if number >= FEWEST_ROUNDS and passed > pace.seconds * len(seconds):
        return True
    if passed < pace.least or number < LEAST_ROUNDS or number % CHECK_EVERY:
        return False
    return all(_known([seconds[name] for name in group]) for group in groups)


def _known(seconds: Sequence[list[float]]) -> bool:
    """Whether the ratios to the first are known; of one alone its own median."""
    first, *others = seconds if len(seconds) > 1 else ([1.0] * len(seconds[0]), seconds[0])
    return all(speed_ratio(own, first).half_width < SURE for own in others)


def _once(call: Callable[[], Any], wait: Callable[[], None], now: Callable[[], float]) -> float:
    """Seconds of a call, after a warm-up of two."""
    _turn(call, 2, wait, now)
    return max(_turn(call, 1, wait, now), 1e-9)


def _turn(call: Callable[[], Any], number: int, wait: Callable[[], None], now: Callable[[], float]) -> float:
    begin = now()
    for _ in range(number):
        call()
    wait()
    return now() - begin
