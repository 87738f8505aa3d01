"""How fast is scaling? Ratios to ``import torch`` and to building and counting each network, measured in one run.

Run: make bench

The peer of the closed form is what one would do without it: build every network with timm and count it with fvcore.
Both score networks of the same sample; the peer only the first few, because it takes seconds for each.
"""

import os
import platform
import statistics
import time
from dataclasses import replace
from importlib.metadata import version

from benchmarks.design import TORCH, ratio
from madnas.network.named import get
from madnas.network.spec import NetworkSpec
from madnas.scaling.problem import Scaling
from madnas.scaling.sample import draw

SCALE = ["-m", "madnas", "scale", "convnext-t", "--macs", "3.3G", "--params", "21M", "--max-depth", "30", "--json"]
SAMPLES = 800
BUILT = 12
ROUNDS = 7


PROBLEM = Scaling(get("convnext-t"), {"macs": 4_500_000_000})


def built(spec: NetworkSpec) -> tuple[float, int, int]:
    """Seconds to build a network with timm and to count it with fvcore; its MACs and params."""
    from timm.models.convnext import ConvNeXt

    from madnas.measure.module_count import count_module

    begin = time.perf_counter()
    module = ConvNeXt(depths=spec.depths, dims=tuple(group.out for group in spec.groups))
    counts = count_module(module, spec.input)
    return time.perf_counter() - begin, counts.macs, counts.params


def main() -> None:
    """Print the table."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm", "fvcore", "numpy"))
    print(f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores, {platform.machine()}")
    middle, low, high, own = ratio(SCALE, TORCH)
    print(f"madnas scale convnext-t / import torch   {middle:.2f} ({low:.2f} to {high:.2f})   goal < 0.5   {own:.2f} s")

    family = draw(PROBLEM, SAMPLES)
    closed = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        draw(PROBLEM, SAMPLES)
        closed.append((time.perf_counter() - begin) / SAMPLES)
    rows = [replace(family.network(row), name=str(row)) for row in range(BUILT)]
    peers = []
    for row, spec in enumerate(rows):
        seconds, macs, params = built(spec)
        assert (macs, params) == (family.scores["macs"][row], family.scores["params"][row]), spec
        peers.append(seconds)
    one, other = statistics.median(closed), statistics.median(peers)
    print(
        f"a candidate in closed form {1e6 * one:.0f} us, built by timm and counted by fvcore {1e3 * other:.0f} ms: "
        f"{other / one:,.0f} times faster   goal > 1,000   (the same MACs and params for all {BUILT})"
    )


if __name__ == "__main__":
    main()
