"""Layerwise dynamical isometry (LDI): singular values of a network's layerwise Jacobians at initialisation.

NN-Mass, Definition 2 and Section 3.3: :math:`J_{i,i-1} = D_i W_i`, the derivative of a layer's outputs with respect to
all that it reads, linked neurons included; :math:`D_i` is the derivative of the activation. The score is the mean of
the singular values of all layers and samples, pooled as in Fig. 3. The authors' code has the derivative of ELU upside
down; here it is what autograd says.

It is defined for MLPs. The first layer, whose size depends on the data, and the classifier do not count.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from madnas.errors import UsageError
from madnas.models.network import MadNet
from madnas.scores.subject import Settings, Subject, fresh

SAMPLES = 100
"""Inputs over which singular values are pooled."""

CHUNK = 32
"""Inputs whose Jacobians are decomposed at a time."""


@dataclass(frozen=True, slots=True)
class Isometry:
    """Singular values of the layerwise Jacobians of one network.

    Attributes:
        mean: their mean, the LDI.
        std: their standard deviation.
        number: how many there are: layers x samples x the smaller side of a Jacobian.
    """

    mean: float
    std: float
    number: int


def ldi(subject: Subject, settings: Settings) -> Callable[[int], float]:
    """LDI of an MLP: a function from a seed to one draw.

    Raises:
        UsageError: not an MLP that madnas built.
    """
    if subject.spec is None or not subject.spec.is_mlp:
        raise UsageError("is defined for MLPs that madnas built from a description, whose layers and links it knows")

    def draw(seed: int) -> float:
        model = fresh(subject, settings, seed)
        assert isinstance(model, MadNet)
        inputs = replace(settings, batch_size=SAMPLES).images(subject, settings.generator(seed))
        return isometry(model, inputs).mean

    return draw


def isometry(model: MadNet, inputs: Tensor) -> Isometry:
    """The LDI of an MLP as it is, usually at initialisation.

    Args:
        model: a network of linear layers.
        inputs: (samples, C, H, W), on the model's device.

    Raises:
        UsageError: not an MLP, or one of a single layer.

    >>> from madnas.models import build
    >>> from madnas.network.zoo.skip import skip_mlp
    >>> model = build(skip_mlp("mlp", 20, depth=16, width=8, links=4, classes=10))
    >>> isometry(model, torch.zeros(2, 20, 1, 1)).number == 15 * 2 * 8
    True
    """
    if not model.spec.is_mlp:
        raise UsageError("is defined for MLPs, whose layers have Jacobians of their own")
    found = [values for chunk in inputs.split(CHUNK) for values in _singular_values(model, chunk)]
    if not found:
        raise UsageError("needs two layers at least")
    pooled = torch.cat([values.flatten() for values in found])
    return Isometry(float(pooled.mean()), float(pooled.std(correction=0)), pooled.numel())


def _singular_values(model: MadNet, inputs: Tensor) -> list[Tensor]:
    """Singular values of each layer after the first (samples, values), as float64."""
    layers: list[Any] = [layer for group in model.groups for layer in group.children()][1:]
    read: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        read[module] = output.detach().clone()  # the activation works in place

    handles = [layer.linear.register_forward_hook(keep) for layer in layers]
    try:
        with torch.no_grad():
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return [_layer_values(layer, read[layer.linear]) for layer in layers]


def _layer_values(layer: Any, before: Tensor) -> Tensor:
    """Singular values of D W (samples, values), given what goes into the activation (samples, width)."""
    with torch.enable_grad():
        x = before.clone().requires_grad_()
        (slope,) = torch.autograd.grad(layer.act(x.clone()).sum(), x)
    return torch.linalg.svdvals(slope.double()[:, :, None] * layer.linear.weight.detach().double())
