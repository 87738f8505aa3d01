"""Scores of a module at initialisation by name: what each is, and how often it is drawn."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, stdev

import torch

from madnas.models.network import MadNet
from madnas.models.registry import build
from madnas.network.spec import NetworkSpec
from madnas.scores.device import check_device
from madnas.scores.ldi import SAMPLES, isometry


@dataclass(frozen=True, slots=True)
class Measured:
    """A score that depends on a draw of weights and inputs.

    Attributes:
        value: mean over the draws.
        std: standard deviation over the draws; 0 for a single one.
        n: number of draws.
    """

    value: float
    std: float
    n: int


def _ldi(model: MadNet, generator: torch.Generator) -> float:
    inputs = torch.randn(SAMPLES, *model.spec.input, generator=generator)
    return isometry(model, inputs.to(next(model.parameters()).device)).mean


SCORES: dict[str, tuple[Callable[[MadNet, torch.Generator], float], str]] = {
    "ldi": (_ldi, "mean singular value of an MLP's layerwise Jacobians (NN-Mass, Section 3.3)"),
}
"""Every score: a function of a freshly built module, on any device, and a source of random inputs, on the CPU; and what
it is in a line."""


def measure(spec: NetworkSpec, name: str, repeats: int = 8, seed: int = 0, device: str = "cpu") -> Measured:
    """Draw weights and inputs so many times and score each.

    All is drawn on the CPU, so that a draw is the same on every device.

    Args:
        spec: the network.
        name: one of :data:`SCORES`.
        repeats: draws, at least 1.
        seed: of the first draw; the others follow.
        device: where scores are computed: ``cpu`` or ``cuda``.

    Raises:
        UsageError: the score is not defined for this network; an unknown device, or no GPU.
    """
    check_device(device)
    values = []
    for draw in range(seed, seed + repeats):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw)
            model = build(spec)
        assert isinstance(model, MadNet)
        values.append(SCORES[name][0](model.to(device), torch.Generator().manual_seed(draw)))
    return Measured(fmean(values), stdev(values) if repeats > 1 else 0.0, repeats)
