"""How fast is the Zen-Score on one thread? Ratios to plain forward passes with hooks, measured in one run.

Run: make bench

The peer is what one would write first: timm's module with links removed, every weight drawn anew, a hook on each batch
norm that computes the variance of its input, and two float32 forward passes. Every further row has one thing more.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import timm
import torch
from timm.models.resnet import BasicBlock, Bottleneck
from torch import nn

from madnas.device import keep_freed_memory
from madnas.network.named import get
from madnas.network.zen import zen_closed
from madnas.scores.subject import Settings, subject_of
from madnas.scores.zen import zen
from madnas.theory.zen import ALPHA

ROUNDS = 5
BATCH = 16


def plain(name: str, both: bool, channels_last: bool = False) -> Callable[[int], float]:
    """Zen-Score with hooks; ``both``: the hooks also work in the second pass, as they do if nobody takes them off."""
    network: Any = timm.create_model(name, num_classes=0, global_pool="", zero_init_last=False).train()
    blocks: list[Any] = [block for block in network.modules() if isinstance(block, BasicBlock | Bottleneck)]
    for block in blocks:
        block.forward = _chain(block)
        block.downsample = None
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
    variances: list[torch.Tensor] = []
    listening = True

    def keep(_: nn.Module, inputs: tuple[torch.Tensor, ...], __: torch.Tensor) -> None:
        if listening:
            variances.append(inputs[0].var((0, 2, 3), unbiased=False).mean())

    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.register_forward_hook(keep)

    @torch.no_grad()
    def draw(seed: int) -> float:
        nonlocal listening
        torch.manual_seed(seed)
        variances.clear()
        for part in network.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.normal_()
        x, noise = (torch.randn(BATCH, 3, 224, 224) for _ in range(2))
        layout = torch.channels_last if channels_last else torch.contiguous_format
        listening = True
        one = network.forward_features(x.contiguous(memory_format=layout))
        count = len(variances)
        listening = both
        other = network.forward_features((x + ALPHA * noise).contiguous(memory_format=layout))
        moved = (one - other).abs().sum((1, 2, 3)).mean().log()
        return float(moved + sum(0.5 * variance.log() for variance in variances[:count]))

    return draw


def _chain(block: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """A block of timm's without its link."""

    def forward(x: torch.Tensor) -> torch.Tensor:
        x = block.act1(block.bn1(block.conv1(x)))
        if isinstance(block, BasicBlock):
            return block.act2(block.bn2(block.conv2(x)))
        return block.act3(block.bn3(block.conv3(block.act2(block.bn2(block.conv2(x))))))

    return forward


def timed(draw: Callable[[int], float], seed: int) -> tuple[float, float]:
    """Seconds of one draw, and its value."""
    begin = time.perf_counter()
    value = draw(seed)
    return time.perf_counter() - begin, value


def rounds(draws: dict[str, Callable[[int], float]]) -> dict[str, list[tuple[float, float]]]:
    """Every variant once a round, in turn, after one round to warm up."""
    found: dict[str, list[tuple[float, float]]] = {label: [] for label in draws}
    for seed in range(-1, ROUNDS):
        for label, draw in draws.items():
            result = timed(draw, max(seed, 0))
            if seed >= 0:
                found[label].append(result)
    return found


def report(name: str, found: dict[str, list[tuple[float, float]]], peer: list[float]) -> None:
    """A line for every variant: seconds, how much faster than the peer (median and range of the rounds), value."""
    for label, results in found.items():
        ratios = sorted(other / seconds for (seconds, _), other in zip(results, peer, strict=True))
        seconds = statistics.median(seconds for seconds, _ in results)
        values = [value for _, value in results]
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        print(f"{name:9} {label:48} {seconds:6.2f} s   {statistics.median(ratios):.2f} ({spread}) times as fast   "
              f"Zen {statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}")  # fmt: skip


def closed_form(name: str, peer: float) -> str:
    """A line on the closed form: its time, after one to warm up, beside the peer's."""
    spec, results = get(name), []
    for _ in range(20 * ROUNDS):
        begin = time.perf_counter()
        value = zen_closed(spec)
        results.append(time.perf_counter() - begin)
    seconds = statistics.median(results[1:])
    return f"closed form {1e3 * seconds:.2f} ms   {peer / seconds:,.0f} times as fast   Zen {value:.2f}"


def main() -> None:
    """Print the table."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm"))
    print(f"Python {platform.python_version()}, {packages}; one thread of {os.cpu_count()}, {platform.machine()}; "
          f"batch {BATCH}, 224 px, {ROUNDS} rounds; goal: twice as fast")  # fmt: skip
    torch.set_num_threads(1)
    peers = {}
    for name in ("resnet18", "resnet50"):
        found = rounds({
            "two plain passes, hooks in both": plain(name, both=True),
            "hooks in the first pass only": plain(name, both=False),
            "and channels last": plain(name, both=False, channels_last=True),
            "madnas: and variances from the norms themselves": zen(subject_of(get(name)), Settings(BATCH)),
        })  # fmt: skip
        peers[name] = [seconds for seconds, _ in found["two plain passes, hooks in both"]]
        report(name, found, peers[name])
        print(f"{name:9} {closed_form(name, statistics.median(peers[name]))}")
    if keep_freed_memory():
        for name, peer in peers.items():
            report(
                name, rounds({"madnas score: and freed memory kept": zen(subject_of(get(name)), Settings(BATCH))}), peer
            )


if __name__ == "__main__":
    main()
