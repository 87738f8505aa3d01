"""What scores are computed of: a network that can be built, and how."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from madnas.data.seeds import generator
from madnas.errors import UsageError
from madnas.models.registry import build
from madnas.network.spec import NetworkSpec

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

    def __post_init__(self) -> None:
        """Refuse a network that is built already: every draw needs fresh weights."""
        if isinstance(self.make, nn.Module):
            raise UsageError(f"{self.name}: give what builds the network, lambda: MyNet(), not the network itself")


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
        return generator(seed, "images")  # with the weights' seed, the first pixels would be the first weights

    def images(self, subject: Subject, generator: torch.Generator) -> Tensor:
        """A batch of standard normal images (batch, C, H, W)."""
        drawn = torch.randn((self.batch_size, *subject.input), generator=generator)
        return drawn.to(device=self.device, dtype=self.dtype)


def subject_of(spec: NetworkSpec) -> Subject:
    """A network of ours as a subject."""
    return Subject(spec.name, lambda: build(spec, zero_init_last=False), spec.input, spec)


def made(subject: Subject, seed: int) -> nn.Module:
    """The subject's module with weights that the seed decides; nobody else's random numbers change."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return subject.make()


def fresh(subject: Subject, settings: Settings, seed: int) -> nn.Module:
    """The subject's module, its weights drawn as its makers draw them, its norms on the batch and at scale 1.

    Networks that start with the last norm or a gain of every branch at 0 are given a 1 here: at a scale of 0 no
    gradient reaches a branch, and every such score would be that of the links alone.
    """
    module = made(subject, seed)
    module.eval()  # dropout and stochastic depth would draw from a generator of their own
    for part in module.modules():
        if isinstance(part, NORMS):
            part.train()
            if getattr(part, "weight", None) is not None:
                nn.init.ones_(part.weight)
            if getattr(part, "bias", None) is not None:
                nn.init.zeros_(part.bias)
        else:
            for name, value in part.named_parameters(recurse=False):
                if value.ndim < 2 and not name.endswith("bias") and not value.any():  # a gain, as skip-init's
                    nn.init.ones_(value)
    return module.to(device=settings.device, dtype=settings.dtype)
