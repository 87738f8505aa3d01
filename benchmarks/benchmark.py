"""How far benchmarks can be trusted: repeated, against timm's way of measuring, and a latency table's predictions.

Run: python -m benchmarks.benchmark        (make bench; some three minutes)
"""

import statistics
import time

import torch

from madnas.measure.benchmark.request import Request
from madnas.measure.benchmark.rounds import Pace
from madnas.measure.benchmark.run import benchmark
from madnas.measure.latency_table.measure import measure_table
from madnas.measure.latency_table.request import TableRequest
from madnas.measure.prepare import images, measuring, prepared
from madnas.measure.provenance import provenance
from madnas.measure.setting import Setting
from madnas.models import build
from madnas.network.named import get
from madnas.program.space import load_space

PAIR = ("resnet20", "mobilenetv2-0.5")
REPEATS = 3
WARM_UP, STEPS = 10, 40
"""Calls before and within timm's measurement, its defaults."""


AS_TIMM = 7
"""Times that its ratio is taken: its networks run one after the other, and not in turns."""


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


def repeated(setting: Setting) -> list[float]:
    """Print and give the pair's ratio, measured several times."""
    ratios = []
    for number in range(REPEATS):
        result = benchmark(Request(PAIR, setting, pace=Pace(), selftest=True))
        own, again = result.rows[1].ratio, result.rows[2].ratio
        ratios.append(own.value)
        print(
            f"{setting.clock} clock, repeat {number + 1}: {PAIR[1]} {own.value:.4f} ({own.low:.4f} to {own.high:.4f}) "
            f"times as fast as {PAIR[0]}, {result.rows[0].latency.n} rounds; itself {again.value:.3f} "
            f"({again.low:.3f} to {again.high:.3f})"
        )
    middle = statistics.median(ratios)
    off = max(abs(one / middle - 1) for one in ratios)
    print(f"{setting.clock} clock: repeats within {100 * off:.1f} % of their median")
    return ratios


def main() -> None:
    """Print all figures."""
    about = provenance("cpu")
    print(f"{about['hardware']}, {about['cores']} cores, load {about['load']}, commit {about['commit'][:12]}")
    for clock in ("thread", "wall"):
        setting = Setting(threads=1, clock=clock)
        ratios = repeated(setting)
        with measuring(setting), torch.inference_mode():
            theirs = [as_timm(PAIR[0], setting) / as_timm(PAIR[1], setting) for _ in range(AS_TIMM)]
        print(
            f"{clock} clock, timm's way, {AS_TIMM} times: {statistics.median(theirs):.4f} ({min(theirs):.4f} to "
            f"{max(theirs):.4f}); ours {statistics.median(ratios):.4f} ({min(ratios):.4f} to {max(ratios):.4f})"
        )
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
