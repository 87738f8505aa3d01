r"""Condition number of the neural tangent kernel at initialisation: :math:`\kappa = \lambda_{max} / \lambda_{min}`.

Chen et al. 2021, "Neural Architecture Search on ImageNet in Four GPU Hours", Section 3.1.1: with J the gradients of
each image's summed logits with respect to the weights, the eigenvalues are those of :math:`J J^T` over one batch of
standard normal images. Lower is better: such a network is easier to train. Weights are those of convolutions and linear
layers.
"""

from collections.abc import Callable

import torch

from madnas.scores.gradients import logits_of, weights_of
from madnas.scores.subject import Settings, Subject, fresh


def ntk(subject: Subject, settings: Settings) -> Callable[[int], float]:
    """Condition number of a network's tangent kernel: a function from a seed to one draw."""

    def draw(seed: int) -> float:
        module, generator = fresh(subject, settings, seed), settings.generator(seed)
        weights = weights_of(module)
        logits = logits_of(module, settings.images(subject, generator)).sum(1)
        rows = [_row(logit, weights) for logit in logits]
        jacobian = torch.stack(rows)  # (batch, weights)
        eigenvalues = torch.linalg.eigvalsh((jacobian @ jacobian.T).double())
        return float(eigenvalues[-1] / eigenvalues[0])

    return draw


def _row(logit: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(logit, weights, retain_graph=True)])
