"""Settings and statistics of a built module's batch norms, whoever built it."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from madnas.data.seeds import generator


def set_norms(model: nn.Module, momentum: float | None, eps: float | None) -> None:
    """Give all batch norms a momentum and an epsilon; None leaves their own."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = module.momentum if momentum is None else momentum
            module.eps = module.eps if eps is None else eps


def unsettle(model: nn.Module, seed: int) -> None:
    """Statistics and scales as training may leave them."""
    chance = generator(seed, "statistics")
    for name, scale in model.named_parameters():
        if name.rpartition(".")[2] == "gamma":  # of layers, which begins so small that nothing would be compared
            with torch.no_grad():
                scale.uniform_(0.5, 1.5, generator=chance)
    for part in model.modules():
        if not isinstance(part, nn.BatchNorm2d) or part.running_mean is None or part.running_var is None:
            continue
        with torch.no_grad():
            part.running_mean.normal_(0, 1, generator=chance)
            part.running_var.uniform_(0.2, 3, generator=chance)
            if part.affine:
                part.weight.uniform_(0.5, 1.5, generator=chance)
                part.bias.normal_(0, 0.5, generator=chance)
