"""Number of linear regions: how many different patterns of rectifiers random images make, of 1,000.

Chen et al. 2021, "Neural Architecture Search on ImageNet in Four GPU Hours", Section 3.1.2. As there, the images are
small, 3 x 3 pixels; there, networks are thinned to few channels for it, and here they are not: a network of usual width
tells all 1,000 apart.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from madnas.errors import UsageError
from madnas.scores.patterns import rectified
from madnas.scores.subject import Settings, Subject, fresh

IMAGES = 1000
SIDE = 3


def linear_regions(subject: Subject, settings: Settings) -> Callable[[int], float]:
    """Linear regions of a network of rectifiers: a function from a seed to one draw."""
    if subject.spec is not None and subject.spec.is_mlp:
        raise UsageError(f"is defined for networks that take images of {SIDE} x {SIDE} pixels")
    small = replace(subject, input=(subject.input[0], SIDE, SIDE))

    def draw(seed: int) -> float:
        module, generator = fresh(small, settings, seed), settings.generator(seed)
        images = replace(settings, batch_size=IMAGES).images(small, generator)
        codes = torch.cat(rectified(module, images, ends=True), 1)
        return float(len(torch.unique(codes, dim=0)))

    return draw
