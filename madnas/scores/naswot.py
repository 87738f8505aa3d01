r"""NASWOT: :math:`\ln |\det K|` of how often the rectifiers agree on two images.

Mellor et al. 2021, "Neural Architecture Search without Training", Section 3: with the binary code :math:`c_i` of all
rectified linear units (on or off) at image i, :math:`K_{ij} = N_A - d_H(c_i, c_j)` with the number of units
:math:`N_A` and the Hamming distance. The images are standard normal.
"""

from collections.abc import Callable

import torch

from madnas.errors import UsageError
from madnas.scores.patterns import rectified
from madnas.scores.subject import Settings, Subject, fresh


def naswot(subject: Subject, settings: Settings) -> Callable[[int], float]:
    """NASWOT of a network of rectifiers: a function from a seed to one draw."""

    def draw(seed: int) -> float:
        module, generator = fresh(subject, settings, seed), settings.generator(seed)
        images = settings.images(subject, generator)
        kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=settings.device)
        for on in rectified(module, images):
            codes = on.double()
            kernel += codes @ codes.T + (1 - codes) @ (1 - codes).T
        eigenvalues = torch.linalg.eigvalsh(kernel)
        if eigenvalues[0] <= len(eigenvalues) * torch.finfo(torch.float64).eps * eigenvalues[-1]:
            raise UsageError("its kernel is singular: rectifiers do not tell all images apart")
        return float(eigenvalues.log().sum())

    return draw
