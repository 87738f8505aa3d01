"""How much faster do MLPs with random skip connections train as one tensor program than one by one?

Run: python benchmarks/skip_mlp.py

Both ways train the same networks (one depth, all t of the paper) on the same minibatches with the same optimiser, in
turn and on the same number of threads; the medians of the pairs' ratios are printed with their spread. One by one means
a plain ``nn.Module`` with torch's automatic differentiation and ``torch.optim.Adam`` in its fused form.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional

from madnas.data.seeds import generator
from madnas.experiments.batch import SkipMLPBatch, with_ones
from madnas.experiments.skip_mlp import SkipMLP, SkipMLPSpec

LINKS = range(15)
LEARNING_RATE = 1e-3


def networks(depth: int, repeats: int) -> list[SkipMLP]:
    """The paper's networks of one depth for the synthetic data, at initialisation."""
    grid = [(links, repeat) for repeat in range(repeats) for links in LINKS]
    return [SkipMLP(SkipMLPSpec(2, 2, depth, t), generator(0, depth, t, repeat)) for t, repeat in grid]


def batched_step(some: list[SkipMLP], inputs: torch.Tensor, labels: torch.Tensor) -> Callable[[], object]:
    """A step of all networks as one program."""
    batch = SkipMLPBatch(some, device=inputs.device)
    optimiser = torch.optim.Adam(batch.parameters, LEARNING_RATE, fused=True)
    inputs = with_ones(inputs)

    def step() -> None:
        batch.accumulate_gradients(inputs, labels)
        optimiser.step()

    return step


def single_steps(some: list[SkipMLP], inputs: torch.Tensor, labels: torch.Tensor) -> Callable[[], object]:
    """A step of all networks, one after the other."""
    pairs = [
        (one.to(inputs.device), torch.optim.Adam(one.to(inputs.device).parameters(), LEARNING_RATE, fused=True))
        for one in some
    ]

    def step() -> None:
        for network, optimiser in pairs:
            optimiser.zero_grad()
            functional.cross_entropy(network(inputs), labels).backward()
            optimiser.step()

    return step


def seconds(step: Callable[[], object], times: int, device: torch.device) -> float:
    """Wall time of a step, the mean of some."""
    begin = time.perf_counter()
    for _ in range(times):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - begin) / times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Batched against one-by-one training")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of each way; a worker of an experiment has one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--depths", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[50, 100, 250, 1000])
    parser.add_argument("--repeats", type=int, nargs="+", default=[1, 5], help="times 15 networks together")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    print(f"Python {platform.python_version()}, torch {torch.__version__}, {name}, {os.cpu_count()} cores, ", end="")
    print(
        f"{options.threads} thread(s); {options.rounds} interleaved rounds after a warm-up; median (least to largest)\n"
    )
    print("depth  samples  networks   one by one        batched     speed-up")
    for depth in options.depths:
        for samples in options.batch_sizes:
            for repeats in options.repeats:
                print(_row(depth, samples, repeats, options.rounds, device), flush=True)


def _row(depth: int, samples: int, repeats: int, rounds: int, device: torch.device) -> str:
    random = generator(0, "data")
    inputs = torch.rand(samples, 2, generator=random).to(device)
    labels = torch.randint(2, (samples,), generator=random).to(device)
    single = single_steps(networks(depth, repeats), inputs, labels)
    batched = batched_step(networks(depth, repeats), inputs, labels)
    seconds(single, 1, device), seconds(batched, 2, device)
    pairs = [(seconds(single, 1, device), seconds(batched, 4, device)) for _ in range(rounds)]
    ratios = [alone / together for alone, together in pairs]
    alone, together = (statistics.median(times) for times in zip(*pairs, strict=True))
    spread = f"{statistics.median(ratios):6.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
    return f"{depth:5}  {samples:7}  {15 * repeats:8}  {1e3 * alone:8.1f} ms  {1e3 * together:8.2f} ms  {spread}"


if __name__ == "__main__":
    main()
