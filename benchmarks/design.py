"""How fast is designing? Ratios to ``import torch`` and rates, measured in one run on this machine.

Run: make bench

Absolute seconds differ from machine to machine and hour to hour, so every time is set against a peer that runs in turn
with it; the medians of the pairs' ratios are printed with their spread.
"""

import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version

ROUNDS = 7
DESIGN = ["-m", "madnas", "design", "--flops", "4.5G", "--params", "29M", "--rho", "0.5", "--json"]
TORCH = ["-c", "import torch"]


def seconds(arguments: list[str]) -> float:
    """Wall time of one Python process."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def ratio(ours: list[str], peer: list[str]) -> tuple[float, float, float, float]:
    """Median, least and largest ratio over interleaved rounds, and the median of our own seconds."""
    seconds(ours), seconds(peer)
    pairs = [(seconds(ours), seconds(peer)) for _ in range(ROUNDS)]
    ratios = [mine / theirs for mine, theirs in pairs]
    return statistics.median(ratios), min(ratios), max(ratios), statistics.median(mine for mine, _ in pairs)


def candidates_per_second() -> float:
    """Candidates that the closed-form evaluator scores per second, budgets and rho included, on one core."""
    import numpy as np

    from madnas.program.evaluator import Evaluator
    from madnas.program.recipe import load_recipe

    problem = load_recipe("29m").problem()
    generator = np.random.default_rng(0)
    candidates = np.stack([generator.choice(v.values, 16384) for v in problem.variables], axis=1)
    evaluate = Evaluator(problem)
    evaluate(candidates)
    begin = time.perf_counter()
    for _ in range(20):
        evaluate(candidates)
    return 20 * len(candidates) / (time.perf_counter() - begin)


def peak_memory(arguments: list[str]) -> float:
    """Peak resident memory of one process in MB (10^6 bytes)."""
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL) as process:
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def main() -> None:
    """Print the table."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "casadi", "pyomo", "numpy"))
    print(f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores, {platform.machine()}")
    print(f"{ROUNDS} interleaved rounds after one warm-up; median (least to largest)\n")
    for what, arguments, goal in (
        ("design 4.5G / 29M / 0.5", DESIGN, 0.7),
        ("madnas --help", ["-m", "madnas", "--help"], 0.2),
    ):
        middle, low, high, own = ratio(arguments, TORCH)
        print(f"{what:26} / import torch   {middle:.2f} ({low:.2f} to {high:.2f})   goal < {goal}   {own:.2f} s")
    print(f"closed-form evaluator       {candidates_per_second():,.0f} candidates / s   goal > 100,000")
    print(f"peak memory of a design     {peak_memory(DESIGN):.0f} MB   (import torch: {peak_memory(TORCH):.0f} MB)")


if __name__ == "__main__":
    main()
