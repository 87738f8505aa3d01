r"""Jacobian covariance: how alike a network's linear maps at different images are, before training.

Mellor et al. 2020, "Neural Architecture Search without Training" (version 1), as in Abdelfattah et al. 2021,
Section 3.3: J holds, for each of N standard normal images, the gradient of the sum of its logits with respect to its
pixels; with the eigenvalues :math:`\lambda_i` of the N x N matrix of their correlations the score is
:math:`-\sum_i (\ln(\lambda_i + k) + 1 / (\lambda_i + k))`, k = 1e-5.
"""

from collections.abc import Callable

import torch

from madnas.scores.gradients import logits_of
from madnas.scores.subject import Settings, Subject, fresh

K = 1e-5


def jacob_cov(subject: Subject, settings: Settings) -> Callable[[int], float]:
    """Jacobian covariance of a network: a function from a seed to one draw."""

    def draw(seed: int) -> float:
        module, generator = fresh(subject, settings, seed), settings.generator(seed)
        images = settings.images(subject, generator).requires_grad_()
        (jacobian,) = torch.autograd.grad(logits_of(module, images).sum(), images)
        correlations = torch.corrcoef(jacobian.flatten(1).double())
        eigenvalues = torch.linalg.eigvalsh(correlations)
        return -float((torch.log(eigenvalues + K) + 1 / (eigenvalues + K)).sum())

    return draw
