r"""Condition number of the neural tangent kernel at initialisation: :math:`\kappa = \lambda_{max} / \lambda_{min}`.

Chen et al. 2021, "Neural Architecture Search on ImageNet in Four GPU Hours", Section 3.1.1: with J the gradients of
each image's summed logits with respect to the weights, the eigenvalues are those of :math:`J J^T` over one batch of
standard normal images. Lower is better: such a network is easier to train. Weights are those of convolutions and linear
layers. In float64: the smallest eigenvalue is a small difference of large numbers.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from madnas.errors import UsageError
from madnas.scores.gradients import gradients_of, logits_of, weights_of
from madnas.scores.subject import Settings, Subject, fresh


def ntk(subject: Subject, settings: Settings) -> Callable[[int], float]:
    """Condition number of a network's tangent kernel: a function from a seed to one draw.

    Raises:
        UsageError: half precision was asked for; from a draw: the kernel is singular.
    """
    if settings.dtype not in (torch.float32, torch.float64):
        raise UsageError("is computed in float64, not in half precision")
    settings = replace(settings, dtype=torch.float64)

    def draw(seed: int) -> float:
        module, generator = fresh(subject, settings, seed), settings.generator(seed)
        weights = weights_of(module)
        logits = logits_of(module, settings.images(subject, generator)).sum(1)
        rows = [_row(logit, weights) for logit in logits]
        jacobian = torch.stack(rows)  # (batch, weights)
        eigenvalues = torch.linalg.eigvalsh(jacobian @ jacobian.T)
        if eigenvalues[0] <= len(eigenvalues) * torch.finfo(torch.float64).eps * eigenvalues[-1]:
            raise UsageError("its tangent kernel is singular: images have dependent gradients")
        return float(eigenvalues[-1] / eigenvalues[0])

    return draw


def _row(logit: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients_of(logit, weights)])
