r"""Fisher: :math:`\sum_l \sum_c \frac{1}{2N} \sum_n (\sum_{h,w} z \, \partial L / \partial z)^2`.

Theis et al. 2018 and Turner et al. 2020 as a score of whole networks: Abdelfattah et al. 2021, Eq. (2). z are the
outputs of convolutions and linear layers; L is the cross-entropy of one batch of N standard normal images with random
labels, summed and not averaged over the batch, so that each image's gradient is its own.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from madnas.measure.graph import LAYERS
from madnas.scores.gradients import loss_of
from madnas.scores.subject import Settings, Subject, fresh


def fisher(subject: Subject, settings: Settings) -> Callable[[int], float]:
    """Fisher of a network: a function from a seed to one draw."""

    def draw(seed: int) -> float:
        module, generator = fresh(subject, settings, seed), settings.generator(seed)
        outputs: list[tuple[Tensor, bool]] = []

        def keep(part: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
            outputs.append((output, isinstance(part, nn.Conv2d)))
            return output.clone()  # an activation in place would change what was kept

        for part in module.modules():
            if isinstance(part, LAYERS):
                part.register_forward_hook(keep)
        loss = loss_of(module, settings.images(subject, generator), generator) * settings.batch_size
        gradients = torch.autograd.grad(loss, [output for output, _ in outputs])
        return float(
            sum(
                _channels(output.detach() * slope, convolution)
                for (output, convolution), slope in zip(outputs, gradients, strict=True)
            )
        )

    return draw


def _channels(product: Tensor, convolution: bool) -> Tensor:
    """Half the mean square over the batch of a layer's products, summed over its channels."""
    product = product.double()
    if convolution:
        product = product.sum((2, 3))  # (N, C)
    elif product.ndim > 2:
        product = product.flatten(1, -2).sum(1)  # a linear layer over pixels: channels last
    return product.square().mean(0).sum() / 2
