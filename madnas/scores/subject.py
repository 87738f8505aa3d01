"""What scores are computed of: a network that can be built, and how."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from madnas.models.registry import build
from madnas.network.spec import NetworkSpec

INPUTS = 2**62
"""Added to the seed of inputs: with the same seed the first pixels would be the first weights."""


NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True, slots=True)
class Subject:
    """A network to be scored.

    Attributes:
        name: what errors call it.
        make: builds its module with fresh weights, from torch's global generator and on its default device.
        input: shape of one input without the batch.
        spec: its description, where there is one.
    """

    name: str
    make: Callable[[], nn.Module]
    input: tuple[int, ...]
    spec: NetworkSpec | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How scores are computed.

    Attributes:
        batch_size: images of a batch.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        dtype: precision.
    """

    batch_size: int = 16
    device: str = "cpu"
    dtype: torch.dtype = torch.float32

    def generator(self, seed: int) -> torch.Generator:
        """A source of images and labels: on the CPU, so that they are the same on every device."""
        return torch.Generator().manual_seed(seed + INPUTS)

    def images(self, subject: Subject, generator: torch.Generator) -> Tensor:
        """A batch of standard normal images (batch, C, H, W)."""
        drawn = torch.randn((self.batch_size, *subject.input), generator=generator)
        return drawn.to(device=self.device, dtype=self.dtype)


def subject_of(spec: NetworkSpec) -> Subject:
    """A network of ours as a subject."""
    return Subject(spec.name, lambda: build(spec, zero_init_last=False), spec.input, spec)


def fresh(subject: Subject, settings: Settings, seed: int) -> nn.Module:
    """The subject's module, its weights drawn as its makers draw them, its norms on the batch and at scale 1.

    Networks that start with the last norm of every branch at 0 are given one here: at a scale of 0 no gradient
    reaches a branch, and every such score would be that of the links alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = subject.make()
    module.eval()  # dropout and stochastic depth would draw from a generator of their own
    for part in module.modules():
        if isinstance(part, NORMS):
            part.train()
            if getattr(part, "weight", None) is not None:
                nn.init.ones_(part.weight)
                nn.init.zeros_(part.bias)
    return module.to(device=settings.device, dtype=settings.dtype)
