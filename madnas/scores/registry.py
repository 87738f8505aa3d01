"""Scores by name, drawn as often as asked; what is not defined, not finite or too large fails with its reason."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from statistics import fmean, stdev

from madnas.device import check_device
from madnas.errors import UsageError
from madnas.scores.catalogue import ON_REQUEST
from madnas.scores.subject import Settings, Subject

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""How torch says that memory ended, on GPU and CPU."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A score that depends on a draw of weights and inputs.

    Attributes:
        value: mean over the draws.
        std: standard deviation over the draws; 0 for a single one.
        n: number of draws.
    """

    value: float
    std: float
    n: int


def measure(subject: Subject, name: str, repeats: int = 8, seed: int = 0, settings: Settings | None = None) -> Measured:
    """Draw weights and inputs so many times and score each.

    Args:
        subject: the network.
        name: one of :data:`~madnas.scores.catalogue.ON_REQUEST`.
        repeats: draws, at least 1; a score that is not random is computed once.
        seed: of the first draw; the others follow.
        settings: batch size, device and precision.

    Raises:
        UsageError: the score is not defined for this network, or not finite, or memory ended; an unknown device.

    >>> from madnas.network.named import get
    >>> from madnas.scores.subject import subject_of
    >>> measure(subject_of(get("resnet20")), "zen", repeats=2).n
    2
    """
    settings = settings or Settings()
    repeats = repeats if ON_REQUEST[name].random else 1
    check_device(settings.device)
    module, function = ON_REQUEST[name].place.split(":")
    score: Callable[[Subject, Settings], Callable[[int], float]]
    score = getattr(import_module(f"madnas.scores.{module}"), function)
    try:
        draw = score(subject, settings)
        values = [_finite(draw(place), place) for place in range(seed, seed + repeats)]
    except RuntimeError as error:  # torch's, of the network's own forward pass
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if any(sign in str(error) for sign in OUT_OF_MEMORY):
            reason = f"out of memory at batch size {settings.batch_size}"
        raise UsageError(reason) from error
    return Measured(fmean(values), stdev(values) if repeats > 1 else 0.0, repeats)


def _finite(value: float, seed: int) -> float:
    if not math.isfinite(value):
        raise UsageError(f"is not finite ({value}) at seed {seed}")
    return value
