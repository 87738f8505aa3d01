r"""GraSP: :math:`\sum_\theta -(H g) \odot \theta`, with g the loss's gradient and H its Hessian.

Wang et al. 2020 as a score of whole networks: Abdelfattah et al. 2021, Eq. (1). The sum is over the weights of
convolutions and linear layers; L is the cross-entropy of one batch of standard normal images with random labels. H g is
the gradient of :math:`g^\top g_0` with :math:`g_0` held fixed, so that no Hessian is built.
"""

from collections.abc import Callable

import torch

from madnas.scores.gradients import gradients_of, weights_and_loss
from madnas.scores.subject import Settings, Subject


def grasp(subject: Subject, settings: Settings) -> Callable[[int], float]:
    """GraSP of a network: a function from a seed to one draw."""

    def draw(seed: int) -> float:
        weights, loss = weights_and_loss(subject, settings, seed)
        gradients = gradients_of(loss, weights, create_graph=True)
        product = torch.stack([(gradient * gradient.detach()).sum() for gradient in gradients]).sum()
        curved = gradients_of(product, weights)
        return -sum(float((one * weight.detach()).double().sum()) for one, weight in zip(curved, weights, strict=True))

    return draw
