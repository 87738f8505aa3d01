"""TE-NAS: number of linear regions minus condition number of the tangent kernel.

Chen et al. 2021 rank networks by both; Zen-NAS's Figure 12 takes the difference, as here.
"""

from collections.abc import Callable

from madnas.scores.linear_regions import linear_regions
from madnas.scores.ntk import ntk
from madnas.scores.subject import Settings, Subject


def te_nas(subject: Subject, settings: Settings) -> Callable[[int], float]:
    """TE-NAS of a network of rectifiers: a function from a seed to one draw."""
    regions, condition = linear_regions(subject, settings), ntk(subject, settings)
    return lambda seed: regions(seed) - condition(seed)
