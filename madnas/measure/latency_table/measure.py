"""Measure a latency table of a space, for as long as wanted: the first pass times all networks, later ones again."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from madnas.measure.clock import clock_of
from madnas.measure.latency_table.profile import Times, profile
from madnas.measure.latency_table.request import TableRequest, check_table_request
from madnas.measure.latency_table.table import LatencyTable, Measured
from madnas.measure.prepare import measuring
from madnas.measure.provenance import complete, provenance
from madnas.network.spec import NetworkSpec

CHUNK = 8
"""Networks that are in memory at a time."""

ROUNDS = 3
"""Times that each is computed in a pass."""

SHALLOW, SHALLOW_SHARE = (2, 2), 32
"""Blocks of every group of half of the networks that rates are fitted to: the one that opens it, and one that follows.
They have up to so many times fewer multiply-adds than the largest, so that narrow blocks are among them."""

DEEP, DEEP_SHARE = (1, 12), 8
"""The same of the other half, and of the networks that predictions are compared with: as a search finds them."""


def measure_table(request: TableRequest, say: Callable[[str], None] = lambda message: None) -> LatencyTable:
    """Draw networks of the space, time them piece by piece, and put together the table.

    Args:
        request: what.
        say: is told how far it is.

    Raises:
        UsageError: a setting that is not possible here, or too few networks; or nothing is known about where a number
            comes from, without which it is no result.
        InfeasibleError: the space has too few networks of this size.
    """
    check_table_request(request)
    with measuring(request.setting), torch.inference_mode():
        about = complete(provenance(request.setting.device))
        threads = torch.get_num_threads()
        networks = _drawn(request)
        times = _measure(networks, request, say)
    measured = [_measured(spec, one) for spec, one in zip(networks, times, strict=True)]
    setting = request.setting.tree() | {"threads": threads}
    probes, held_out = tuple(measured[: request.probes]), tuple(measured[request.probes :])
    return LatencyTable(request.space.name, request.macs, setting, about, probes, held_out)


def _drawn(request: TableRequest) -> list[NetworkSpec]:
    """The networks that rates are fitted to, then those that predictions are compared with."""
    space, most = request.space, float(request.macs)
    shallow, deep = (most / SHALLOW_SHARE, most), (most / DEEP_SHARE, most)
    half = request.probes // 2
    return [
        *space.draw(half, shallow, SHALLOW, request.seed, "shallow"),
        *space.draw(request.probes - half, deep, DEEP, request.seed, "deep"),
        *space.draw(request.held_out, deep, DEEP, request.seed + 1, "held-out"),
    ]


def _measure(networks: Sequence[NetworkSpec], request: TableRequest, say: Callable[[str], None]) -> list[Times]:
    """Time all networks, in passes; probes and held-out networks are mixed, another way in every pass."""
    clock = clock_of(request.setting)
    random = np.random.default_rng(request.seed)
    times = [Times([], []) for _ in networks]
    begin = time.monotonic()
    for passed in itertools.count():
        for start, chunk in _chunks(len(networks), random):
            left = 60 * request.minutes - (time.monotonic() - begin)
            if passed and left < 0:
                return times
            say(f"pass {passed + 1}: {start} of {len(networks)} networks, {max(0.0, left):.0f} s left")
            found = profile([networks[place] for place in chunk], request.setting, clock, ROUNDS)
            for place, one in zip(chunk, found, strict=True):
                times[place].parts += one.parts
                times[place].whole += one.whole
    raise AssertionError


def _chunks(number: int, random: np.random.Generator) -> Iterator[tuple[int, list[int]]]:
    """Places of networks that are timed next to each other, and how many came before."""
    order = [int(place) for place in random.permutation(number)]
    for start in range(0, number, CHUNK):
        yield start, order[start : start + CHUNK]


def _measured(spec: NetworkSpec, times: Times) -> Measured:
    """The least time of every part and of the whole: what the device needs when nothing else disturbs it."""
    parts = np.array(times.parts).min(axis=0)
    whole = np.array(times.whole)
    seconds, median = float(whole.min()), float(np.median(whole))
    return Measured(spec, tuple(float(one) for one in parts), seconds, median, len(whole))
