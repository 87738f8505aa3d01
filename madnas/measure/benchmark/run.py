"""Benchmark networks side by side: build them, time them in turns, say how they compare."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from madnas.errors import MadnasError
from madnas.measure.benchmark.contestant import Contestant, contestant
from madnas.measure.benchmark.memory import OutOfMemory
from madnas.measure.benchmark.peaks import COPY, PRODUCT, peak_calls, peak_of
from madnas.measure.benchmark.request import Request, check_request
from madnas.measure.clock import synchronise
from madnas.measure.intervals import Percentiles, Ratio, percentiles, speed_ratio
from madnas.measure.prepare import measuring
from madnas.measure.provenance import complete, provenance
from madnas.measure.rounds import in_turns, nothing
from madnas.targets import find

AGAIN = " (again)"
"""What the first network is called where it is measured a second time: the very same module, because another one, which
lies elsewhere in memory, may differ by 1 %."""

SELFTEST_LEVEL = 0.997
"""Of the self-test's interval: with 95 %, one of twenty would fail by chance."""


@dataclass(frozen=True, slots=True)
class Row:
    """One network in one mode.

    Attributes:
        contestant: what ran.
        name: of the row.
        latency: seconds of a call on one batch.
        ratio: how many times as many images per second as the first row of this mode.
        seconds: of every round.
    """

    contestant: Contestant
    name: str
    latency: Percentiles
    ratio: Ratio
    seconds: tuple[float, ...]

    @property
    def throughput(self) -> float:
        """Images per second, at the median latency."""
        return self.contestant.batch / self.latency.p50


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What was measured.

    Attributes:
        rows: in the order of the targets, mode by mode.
        failed: reasons by target, of those that could not be measured.
        peak_flops: operations per second of a matrix product in the same rounds; None where there is none.
        peak_bytes: bytes per second of a copy.
        setting: as it was in force.
        about: hardware, driver, versions, command, commit; complete.
    """

    rows: tuple[Row, ...]
    failed: dict[str, str]
    peak_flops: float | None
    peak_bytes: float | None
    setting: dict[str, Any]
    about: dict[str, Any]


def benchmark(request: Request, say: Callable[[str], None] = lambda message: None) -> Benchmark:
    """Measure networks.

    Args:
        request: what.
        say: is told how far it is.

    Raises:
        UsageError: options that do not go together, or that are not possible here; or nothing is known about where a
            number comes from, without which it is no result.
    """
    check_request(request)
    with measuring(request.setting):
        packages = ("onnx", "onnxruntime") if request.engine == "onnxruntime" else ()
        about = complete(provenance(request.setting.device, packages))
        setting = in_force(request)
        for word in request.targets:
            find(word)
        made, failed = _contestants(request, say)
        peaks = peak_calls(request.setting)
        calls = {name: one.call for name, one in made.items()} | peaks
        times: dict[str, list[float]] = {}
        if made:
            device = torch.device(request.setting.device)
            clean = torch.cuda.empty_cache if request.auto_batch and device.type == "cuda" else nothing
            now = time.thread_time if request.setting.clock == "thread" else time.perf_counter
            modes = dict.fromkeys(one.mode for one in made.values())
            judged = [[name for name, one in made.items() if one.mode == mode] for mode in modes]
            times = in_turns(calls, request.pace, partial(synchronise, device), now, say, clean, judged)
    best = {name: peak_of(name, min(times[name]), request.setting) for name in peaks if times}
    rows = _rows(made, times)
    return Benchmark(rows, failed, best.get(PRODUCT), best.get(COPY), setting, about)


def in_force(request: Request) -> dict[str, Any]:
    """The setting as it is, threads and what else decides included."""
    tree = request.setting.tree() | {"threads": torch.get_num_threads(), "engine": request.engine}
    tree |= {"compiled": request.compiled, "resolution": request.resolution}
    if request.auto_batch:
        tree["batch_size"] = "auto"
    return tree


def _contestants(request: Request, say: Callable[[str], None]) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Everything that can be run, by the names of the rows; and why something cannot."""
    made: dict[str, Contestant] = {}
    failed: dict[str, str] = {}
    for mode in request.modes:
        for name, word in _names(request, mode):
            say(f"building {name}")
            try:
                made[name] = contestant(word, mode, request)
            except OutOfMemory as error:
                failed[name] = f"{error}; a smaller --batch-size or --resolution, or --precision bf16, takes less"
            except MadnasError as error:
                failed[name] = str(error) if error.hint is None else f"{error} ({error.hint})"
        if request.selftest:
            first = next((name for name, one in made.items() if one.mode == mode), None)
            if first is not None:
                made[first + AGAIN] = made[first]
    return made, failed


def _names(request: Request, mode: str) -> Iterator[tuple[str, str]]:
    """What the rows of a mode are called, and what they are of; no name twice."""
    of_mode = "" if len(request.modes) == 1 else f", {mode}"
    seen: Counter[str] = Counter()
    for word in request.targets:
        seen[word] += 1
        yield word + ("" if seen[word] == 1 else f" ({seen[word]})") + of_mode, word


def _rows(made: dict[str, Contestant], times: dict[str, list[float]]) -> tuple[Row, ...]:
    first: dict[str, str] = {}
    rows = []
    for name, one in made.items():
        base = first.setdefault(one.mode, name)
        level = SELFTEST_LEVEL if name.endswith(AGAIN) else 0.95
        ratio = speed_ratio(times[name], times[base], one.batch / made[base].batch, level)
        rows.append(Row(one, name, percentiles(times[name]), ratio, tuple(times[name])))
    return tuple(rows)
