"""What several scores need: one batch through a fresh network, and the gradients that its loss has."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from madnas.errors import UsageError
from madnas.measure.graph import LAYERS
from madnas.scores.subject import Settings, Subject, fresh


def weights_of(module: nn.Module) -> list[Tensor]:
    """Weights of all convolutions and linear layers, each once."""
    found = [part.weight for part in module.modules() if isinstance(part, LAYERS)]
    return list({id(weight): weight for weight in found}.values())


def logits_of(module: nn.Module, images: Tensor) -> Tensor:
    """A network's logits (images, classes).

    Raises:
        UsageError: it gives out something else.
    """
    logits = module(images)
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise UsageError(f"gives out {type(logits).__name__}, not logits for every image")
    return logits


def loss_of(module: nn.Module, images: Tensor, generator: torch.Generator) -> Tensor:
    """Cross-entropy of one batch against random labels, drawn uniformly.

    Raises:
        UsageError: the network gives out no logits.
    """
    logits = logits_of(module, images)
    labels = torch.randint(logits.shape[1], (len(logits),), generator=generator)
    return F.cross_entropy(logits, labels.to(logits.device))


def weights_and_loss(subject: Subject, settings: Settings, seed: int) -> tuple[list[Tensor], Tensor]:
    """A fresh network's weights and the loss of one batch of noise, which depends on them."""
    module, generator = fresh(subject, settings, seed), settings.generator(seed)
    return weights_of(module), loss_of(module, settings.images(subject, generator), generator)
