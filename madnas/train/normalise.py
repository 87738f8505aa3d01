"""Pixels as networks take them."""

from collections.abc import Callable

import torch
from torch import Tensor

from madnas.data.source import Facts


def normaliser(facts: Facts, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Pixels from 0 to 255 (..., channels, height, width) get mean 0 and standard deviation 1; features stay."""
    if facts.mean is None or facts.std is None:
        return torch.clone  # mixing changes its images in place, and the batch is evidence
    mean = (torch.tensor(facts.mean, device=device) * 255).view(-1, 1, 1)
    scale = (1 / (torch.tensor(facts.std, device=device) * 255)).view(-1, 1, 1)
    return lambda images: (images - mean) * scale
