"""The synthetic datasets of NN-Mass (Appendix H.1, Table 6): alternating segments, alternating rings.

The index formulas of Table 6 are misprinted (the interval of a sample grows without end, and the circle's is cut off).
What is meant follows from the text and from Fig. 10: S equal parts of [0, 1], neighbouring parts of different class.
Sample i belongs to part i modulo S, so that classes and parts are as even as the number of samples allows.
"""

import math

import torch
from torch import Tensor


def segments(samples: int, parts: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """SegS: a number x, uniform in its segment of [0, 1], given twice as the features (x, x).

    Args:
        samples: how many.
        parts: S, segments.
        random: of the numbers.

    Returns:
        inputs (samples, 2) and labels (samples,), segment modulo 2.
    """
    x, labels = _positions(samples, parts, random)
    return torch.stack([x, x], 1).float(), labels


def circle(samples: int, parts: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """CircleS: points of the unit disc, the radius uniform in its ring and the angle in [0, 2 pi).

    Args:
        samples: how many.
        parts: S, rings of equal breadth.
        random: of the numbers.

    Returns:
        inputs (samples, 2) and labels (samples,), ring modulo 2.
    """
    radius, labels = _positions(samples, parts, random)
    angle = 2 * math.pi * torch.rand(samples, generator=random, dtype=torch.float64)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1).float(), labels


def _positions(samples: int, parts: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Numbers in [0, 1], each uniform in its part, and the classes of the parts."""
    part = torch.arange(samples) % parts
    return (part + torch.rand(samples, generator=random, dtype=torch.float64)) / parts, part % 2
