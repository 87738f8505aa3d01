"""Time the pieces of networks where they stand: inside the network, with its caches and its memory as they are there.

A block by itself, called again and again, finds its weights in the cache and is up to a third faster than in a network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from madnas.measure.clock import Clock, synchronise
from madnas.measure.prepare import images, prepared
from madnas.measure.setting import Setting
from madnas.models import build
from madnas.models.network import MadNet
from madnas.network.spec import NetworkSpec

Part = Callable[[Tensor], Tensor]


@dataclass(slots=True)
class Times:
    """Seconds of one network, a row for every round.

    Attributes:
        parts: of its pieces, each block by itself (rounds, pieces).
        whole: of the network (rounds,).
    """

    parts: list[list[float]]
    whole: list[float]


class Profiled:
    """A network that is timed piece by piece.

    Args:
        spec: the description; its blocks are uniform.
        setting: how.
    """

    def __init__(self, spec: NetworkSpec, setting: Setting) -> None:
        module = prepared(build(spec), setting)
        assert isinstance(module, MadNet)
        self.module = module
        self.input = images(spec.input, setting)
        self.parts = _parts(module)

    def turn(self, clock: Clock, times: Times) -> None:
        """Compute the network in pieces, then as a whole."""
        x = self.module.stem(self.input) if self.module.spec.stem is None else self.input
        device = self.input.device
        synchronise(device)
        marks = [clock.mark()]
        for part in self.parts:
            x = part(x)
            marks.append(clock.mark())
        times.parts.append(clock.between(marks))
        synchronise(device)
        marks = [clock.mark()]
        self.module(self.input)
        marks.append(clock.mark())
        times.whole += clock.between(marks)


def _parts(module: MadNet) -> list[Part]:
    """The pieces in their order; a network without a stem flattens its input, or takes it as it is, unmeasured."""
    blocks: list[Part] = []
    for group in module.groups:
        assert isinstance(group, torch.nn.Sequential)
        blocks += list(group)

    def stem(x: Tensor) -> Tensor:
        return module.stem_pool(module.stem(x))

    def head(x: Tensor) -> Tensor:
        return module.forward_head(module.final_norm(module.head_conv(x)))

    return [*([] if module.spec.stem is None else [stem]), *blocks, head]


def profile(specs: Sequence[NetworkSpec], setting: Setting, clock: Clock, rounds: int) -> list[Times]:
    """Time networks in turns, in another order every round, after one call that warms each up."""
    networks = [Profiled(spec, setting) for spec in specs]
    found = [Times([], []) for _ in networks]
    for network in networks:
        network.module(network.input)
    for number in range(rounds):
        at = number % len(networks)
        for index in (*range(at, len(networks)), *range(at)):
            networks[index].turn(clock, found[index])
    return found
