"""How long calls take, next to each other: in turns, so that drift of the machine hits all alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

ROUNDS = 15
TURN = 0.02
"""Seconds of a turn at least: what is shorter is called several times."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds of one call.

    Attributes:
        median: over the rounds.
        ratio: how many times as fast as the first one, median over the rounds.
        low: a quarter of the rounds' ratios are below.
        high: a quarter of them are above.
        rounds: number of them.
    """

    median: float
    ratio: float
    low: float
    high: float
    rounds: int


def race(
    contestants: Mapping[str, Callable[[], Any]], device: torch.device, rounds: int = ROUNDS
) -> dict[str, Latency]:
    """Time calls in turns, in another order every round; ratios are taken within a round.

    Args:
        contestants: what to call, by name; ratios are to the first one.
        device: where they work; it is waited for.
        rounds: at least 4.
    """
    calls = {name: _calls(call, device) for name, call in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            seconds[name].append(_turn(contestants[name], calls[name], device) / calls[name])
    return {name: _latency(times, seconds[names[0]]) for name, times in seconds.items()}


def _calls(call: Callable[[], Any], device: torch.device) -> int:
    """Calls that fill a turn, after a warm-up."""
    _turn(call, 2, device)
    return max(1, round(TURN / max(_turn(call, 1, device), 1e-9)))


def _turn(call: Callable[[], Any], number: int, device: torch.device) -> float:
    begin = time.perf_counter()
    with torch.inference_mode():
        for _ in range(number):
            call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def _latency(times: list[float], first: list[float]) -> Latency:
    ratios = [theirs / own for own, theirs in zip(times, first, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return Latency(statistics.median(times), middle, low, high, len(times))
