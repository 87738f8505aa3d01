"""How far benchmarks can be trusted: repeats, other builds, timm's way of measuring; and a latency table's predictions.

Run: python -m benchmarks.benchmark        (make bench; some twenty-five minutes)
"""

import math
import statistics
import time

import numpy as np
import torch

from madnas.measure.benchmark.request import Request
from madnas.measure.benchmark.run import Row, benchmark
from madnas.measure.intervals import STRETCHES, Ratio, speed_ratio
from madnas.measure.latency_table.measure import measure_table
from madnas.measure.latency_table.request import TableRequest
from madnas.measure.prepare import images, measuring, prepared
from madnas.measure.provenance import provenance
from madnas.measure.rounds import Pace
from madnas.measure.setting import Setting
from madnas.models import build
from madnas.network.named import get
from madnas.program.space import load_space

NAMES = ("resnet20", "mobilenetv2-0.5", "deepmad-r18")
"""From a network of small maps, which fits a cache, to one that multiplies large matrices."""

REPEATS = 3
BUILDS = 4
"""Of one network, side by side."""

WARM_UP, STEPS = 10, 40
"""Calls before and within timm's measurement, its defaults."""

AS_TIMM = 7
"""Times that it is taken: its networks run one after the other, and not in turns."""


def as_timm(name: str, setting: Setting) -> float:
    """Seconds of a call as timm's benchmark takes them: warm-up, then the mean of calls one after the other."""
    spec = get(name)
    module, x = prepared(build(spec), setting), images(spec.input, setting)
    now = time.thread_time if setting.clock == "thread" else time.perf_counter
    for _ in range(WARM_UP):
        module(x)
    begin = now()
    for _ in range(STEPS):
        module(x)
    return (now() - begin) / STEPS


def repeated(setting: Setting) -> dict[str, list[Ratio]]:
    """Print and give every network's ratios to the first, measured several times, and the first's to itself."""
    ratios: dict[str, list[Ratio]] = {}
    for _ in range(REPEATS):
        begin = time.perf_counter()
        first, *rows = benchmark(Request(NAMES, setting, selftest=True)).rows
        for row in rows:
            ratios.setdefault(row.name, []).append(row.ratio)
        passed = time.perf_counter() - begin
        print(f"{setting.clock} clock: {first.latency.n} rounds, {passed:.0f} s; {states(first, rows)}", flush=True)
    for name, found in ratios.items():
        middle = statistics.median(one.value for one in found)
        off = max(abs(one.value / middle - 1) for one in found)
        each = ", ".join(f"{one.value:.4f} ({one.low:.4f} to {one.high:.4f})" for one in found)
        print(f"{setting.clock} clock, {name} / {NAMES[0]}: {each}: repeats within {100 * off:.1f} % of their median")
    return ratios


def states(first: Row, others: list[Row]) -> str:
    """How the machine's state moved the first network's time, and the ratios to it, between stretches of the rounds."""
    middles = [1e3 * float(np.median(some)) for some in np.array_split(first.seconds, STRETCHES)]
    said = [f"{first.name} {min(middles):.2f} to {max(middles):.2f} ms"]
    for row in others:
        ratios = np.divide(first.seconds, row.seconds)
        middles = [float(np.median(some)) for some in np.array_split(ratios, STRETCHES)]
        said.append(f"{row.name} / {first.name} {min(middles):.4f} to {max(middles):.4f}")
    return "between its tenths: " + ", ".join(said)


def builds(setting: Setting) -> None:
    """Print how far several builds of each network are from the first one in the same rounds."""
    for name in NAMES:
        _, *rows = benchmark(Request((name,) * BUILDS, setting, pace=Pace(seconds=10))).rows
        each = ", ".join(f"{row.ratio.value:.4f} +- {row.ratio.half_width:.4f}" for row in rows)
        print(f"{setting.clock} clock, other builds of {name} in the same rounds: {each}", flush=True)


def beside_timm(setting: Setting, ours: dict[str, list[Ratio]]) -> None:
    """Print timm's ratios, with the interval that its repeats support, and whether ours agree within both intervals."""
    with measuring(setting), torch.inference_mode():
        seconds = [[as_timm(name, setting) for name in NAMES] for _ in range(AS_TIMM)]
    first, *others = zip(*seconds, strict=True)
    for name, own in zip(NAMES[1:], others, strict=True):
        theirs = speed_ratio(own, first)
        inside = sum(
            abs(math.log(one.value / theirs.value)) < math.hypot(one.half_width, theirs.half_width)
            for one in ours[name]
        )  # fmt: skip
        middle = statistics.median(one.value for one in ours[name])
        print(
            f"{setting.clock} clock, {name} / {NAMES[0]}, timm's way {AS_TIMM} times: {theirs.value:.4f} "
            f"({theirs.low:.4f} to {theirs.high:.4f}); ours {middle:.4f}, {100 * (middle / theirs.value - 1):+.1f} %; "
            f"within the intervals {inside} of {len(ours[name])}",
            flush=True,
        )


def main() -> None:
    """Print all figures."""
    about = provenance("cpu")
    print(f"{about['hardware']}, {about['cores']} cores, load {about['load']}, commit {about['commit'][:12]}")
    for clock in ("thread", "wall"):
        setting = Setting(threads=1, clock=clock)
        beside_timm(setting, repeated(setting))
        builds(setting)
    request = TableRequest(load_space("basic-cifar"), 40_000_000, Setting(threads=1, clock="thread"), minutes=1.0)
    table = measure_table(request)
    error = table.error
    print(
        f"latency table of basic-cifar up to 40 M MACs, 1 minute, {len(table.probes)} networks: predictions of "
        f"{error.n} others off by {100 * error.median:.1f} % (median), {100 * error.p95:.1f} % (95th percentile), bias "
        f"{100 * error.bias:+.1f} %"
    )


if __name__ == "__main__":
    main()
