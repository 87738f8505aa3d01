r"""Synaptic flow: :math:`\sum_\theta \partial R / \partial \theta \cdot \theta`.

Tanaka et al. 2020, Eq. (1), as a score of whole networks: Abdelfattah et al. 2021, Section 3.2. All parameters are
taken by their absolute value, batch norms are left out, and R is the sum of the logits of an image of ones; the sum is
over the weights of convolutions and linear layers. In float64, since R is a product over all layers.
"""

from collections.abc import Callable

import torch
from torch import nn

from madnas.errors import UsageError
from madnas.scores.gradients import gradients_of, logits_of, weights_of
from madnas.scores.subject import Settings, Subject, fresh


def synflow(subject: Subject, settings: Settings) -> Callable[[int], float]:
    """Synaptic flow of a network: a function from a seed to one draw."""

    def draw(seed: int) -> float:
        module = without_norms(fresh(subject, settings, seed).double())
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.abs_()
        ones = torch.ones((1, *subject.input), dtype=torch.float64, device=settings.device)
        weights = weights_of(module)
        gradients = gradients_of(logits_of(module, ones).sum(), weights)
        return sum(
            float((weight.detach() * gradient).sum()) for weight, gradient in zip(weights, gradients, strict=True)
        )

    return draw


def without_norms(module: nn.Module) -> nn.Module:
    """Make every batch norm the identity; timm's, which hold their activation, keep it.

    Raises:
        UsageError: the network has other norms, which a flow does not pass unchanged.
    """
    device = next(module.parameters(), torch.empty(0)).device
    for part in module.modules():
        kind = type(part).__name__
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
            part.eps = 0.0
            part.running_mean = torch.zeros(part.num_features, dtype=torch.float64, device=device)
            part.running_var = torch.ones_like(part.running_mean)  # also of a norm that keeps no statistics
            if part.affine:
                nn.init.ones_(part.weight)
                nn.init.zeros_(part.bias)
            part.requires_grad_(False)
        elif ("norm" in kind.lower() or "StdConv" in kind) and not _holds_batch_norm(part):
            raise UsageError(f"is defined for batch norms, which it leaves out, not for {kind}")
    return module


def _holds_batch_norm(part: nn.Module) -> bool:
    return any(isinstance(one, nn.modules.batchnorm._BatchNorm) for one in part.modules())
