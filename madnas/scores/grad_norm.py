r"""Gradient norm: :math:`\sum_l \|\partial L / \partial \theta_l\|_2`.

Abdelfattah et al. 2021, "Zero-Cost Proxies for Lightweight NAS", Section 3.1. The sum is over the weights of
convolutions and linear layers; L is the cross-entropy of one batch of standard normal images with random labels, on the
network as it is initialised.
"""

from collections.abc import Callable

from madnas.scores.gradients import gradients_of, weights_and_loss
from madnas.scores.subject import Settings, Subject


def grad_norm(subject: Subject, settings: Settings) -> Callable[[int], float]:
    """Gradient norm of a network: a function from a seed to one draw."""

    def draw(seed: int) -> float:
        weights, loss = weights_and_loss(subject, settings, seed)
        return float(sum(gradient.double().norm() for gradient in gradients_of(loss, weights)))

    return draw
