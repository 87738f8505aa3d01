"""What several scores need: one batch through a fresh network, and the gradients that its loss has."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from madnas.errors import UsageError
from madnas.scores.subject import Settings, Subject, fresh

WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)
"""Convolutions of any dimension, transposed ones too, and linear layers."""


def weights_of(module: nn.Module) -> list[Tensor]:
    """Weights of all convolutions and linear layers, each once.

    Raises:
        UsageError: the network has other matrices of weights, which such a score would leave out.
    """
    found: dict[int, Tensor] = {}
    for part in module.modules():
        for name, weight in part.named_parameters(recurse=False):
            if isinstance(part, WEIGHTED) and name == "weight":
                found[id(weight)] = weight
            elif name.endswith("weight") and weight.ndim > 1:
                raise UsageError(f"has weights outside of convolutions and linear layers: {type(part).__name__}.{name}")
    return list(found.values())


def gradients_of(value: Tensor, weights: Sequence[Tensor], create_graph: bool = False) -> list[Tensor]:
    """Gradients of a scalar; 0 for weights that it does not depend on, such as those of a head for training."""
    found = torch.autograd.grad(value, weights, create_graph=create_graph, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(one) if slope is None else slope for one, slope in zip(weights, found, strict=True)]


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
