"""Layerwise dynamical isometry (LDI): singular values of the Jacobians J_{i,i-1} = D_i W_i (Section 3.3 of NN-Mass)."""

import torch
from torch import Tensor

from madnas.experiments.batch import SkipMLPBatch, activation_slope, with_ones

CHUNK = 20
"""Samples whose Jacobians are decomposed at a time."""


def mean_singular_values(batch: SkipMLPBatch, inputs: Tensor) -> Tensor:
    """Mean singular value of every network's layerwise Jacobians, (networks,), as float64.

    The singular values of layers 1 to d - 1 and of all samples are pooled, as in Fig. 3(c, d) and 12. The Jacobian of a
    layer is taken with respect to all that it reads, the skip connections included. The first layer (whose size depends
    on the data) and the classifier (which is outside the cell) do not count.

    Args:
        batch: networks, usually at initialisation.
        inputs: (samples, features).
    """
    values = [layer_singular_values(batch, chunk).sum((1, 2, 3)) for chunk in inputs.split(CHUNK)]
    return torch.stack(values).sum(0) / ((batch.depth - 1) * len(inputs) * batch.width)


def layer_singular_values(batch: SkipMLPBatch, inputs: Tensor) -> Tensor:
    """Singular values, descending, of layers 1 to d - 1: (networks, layers, samples, width), as float64.

    W = L Q with orthonormal rows in Q, so that D W has the singular values of the smaller D L.

    Args:
        batch: networks.
        inputs: (samples, features).
    """
    outputs = batch.states(with_ones(inputs.to(batch.hidden)))[1:].double()
    slopes = activation_slope(outputs, batch.activation).permute(1, 0, 3, 2)  # networks, layers, samples, width
    weights = batch.hidden[..., :-1].double().transpose(0, 1)  # networks, layers, width, columns
    lower = torch.linalg.qr(weights.mT, mode="r").R.mT
    return torch.linalg.svdvals(slopes[..., None] * lower[:, :, None])
