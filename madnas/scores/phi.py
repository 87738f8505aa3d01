r"""Phi-score [Lin et al. 2021]: how much the last map of the same network *without* batch norms moves with the input.

.. math:: \Phi = \ln E_{x,\epsilon} \|\bar f(x) - \bar f(x + \alpha \epsilon)\|_1

All else is as in :mod:`madnas.scores.zen`, whose batch norms are there to make the same number computable: without them
the map of a deep network leaves the range of floats. Here every layer's map is divided by one number and the numbers'
logarithms are added up, which is exact for activations that commute with it: rectifiers without an upper end. The score
is defined for these.
"""

import torch

from madnas.errors import UsageError
from madnas.scores.bare import Rescale, bare, draw_perturbed, exact_convolutions
from madnas.scores.patterns import Activations
from madnas.scores.subject import Settings, Subject
from madnas.scores.zen import Draw


def phi(subject: Subject, settings: Settings) -> Draw:
    """Phi-score of a network of rectifiers: a function from a seed to one draw.

    Raises:
        UsageError: it is not defined for this network; says why.
    """
    network = bare(subject, normless=True)
    network = network.to_empty(device=settings.device).to(settings.dtype)
    scales = [part for part in network.modules() if isinstance(part, Rescale)]

    @torch.no_grad()
    @exact_convolutions()
    def draw(seed: int) -> float:
        here, near = draw_perturbed(network, subject, settings, seed)
        for part in scales:
            part.scale = None
        with Activations(keep=False) as seen:
            moved = (network(here) - network(near)).abs().sum((1, 2, 3), dtype=torch.float64).mean()
        if seen.bounded or seen.others:
            found = ", ".join(sorted(seen.bounded | seen.others))
            raise UsageError(f"is defined for activations that are homogeneous, not for {found}")
        return float(
            torch.log(moved) + sum(torch.log(part.scale.double()) for part in scales if part.scale is not None)
        )

    return draw
