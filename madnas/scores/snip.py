r"""SNIP: :math:`\sum_\theta |\partial L / \partial \theta \cdot \theta|`.

Lee et al. 2019 as a score of whole networks: Abdelfattah et al. 2021, Eq. (1). The sum is over the weights of
convolutions and linear layers; L is the cross-entropy of one batch of standard normal images with random labels, on the
network as it is initialised.
"""

from collections.abc import Callable

from madnas.scores.gradients import gradients_of, weights_and_loss
from madnas.scores.subject import Settings, Subject


def snip(subject: Subject, settings: Settings) -> Callable[[int], float]:
    """SNIP of a network: a function from a seed to one draw."""

    def draw(seed: int) -> float:
        weights, loss = weights_and_loss(subject, settings, seed)
        gradients = gradients_of(loss, weights)
        return sum(
            float((one * weight.detach()).double().abs().sum()) for one, weight in zip(gradients, weights, strict=True)
        )

    return draw
