"""How long calls take, next to each other: in turns, so that drift of the machine hits all alike."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from madnas.measure.clock import synchronise
from madnas.measure.rounds import Pace, in_turns

ROUNDS = 15


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
    """Time calls in turns, in a random order every round; ratios are taken within a round.

    Args:
        contestants: what to call, by name; ratios are to the first one.
        device: where they work; it is waited for.
        rounds: at least 4.
    """
    with torch.inference_mode():
        seconds = in_turns(contestants, Pace(rounds, each=device.type == "cpu"), partial(synchronise, device))
    first = next(iter(seconds.values()))
    return {name: _latency(times, first) for name, times in seconds.items()}


def _latency(times: list[float], first: list[float]) -> Latency:
    ratios = [theirs / own for own, theirs in zip(times, first, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return Latency(statistics.median(times), middle, low, high, len(times))
