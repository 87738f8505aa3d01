"""Scores by name, drawn as often as asked; what is not defined, not finite or too large fails with its reason."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from statistics import fmean, stdev

from madnas.data.seeds import generator
from madnas.device import check_device, ran_out
from madnas.errors import MadnasError, UsageError
from madnas.network.named import unknown_name
from madnas.scores.catalogue import ON_REQUEST
from madnas.scores.subject import Settings, Subject


@dataclass(frozen=True, slots=True)
class Measured:
    """A score that depends on a draw of weights and inputs.

    Attributes:
        value: mean over the draws.
        std: standard deviation over the draws; None for a single one, 0 for what is not random.
        n: number of draws.
    """

    value: float
    std: float | None
    n: int


def measure(subject: Subject, name: str, repeats: int = 8, seed: int = 0, settings: Settings | None = None) -> Measured:
    """Draw weights and inputs so many times and score each.

    Args:
        subject: the network.
        name: one of :data:`~madnas.scores.catalogue.ON_REQUEST`.
        repeats: draws, at least 1; a score that is not random is computed once.
        seed: of all draws: another seed shares none of them.
        settings: batch size, device and precision.

    Raises:
        UsageError: the score is not defined for this network, or not finite, or memory ended; an unknown device.

    >>> from madnas.network.named import get
    >>> from madnas.scores.subject import subject_of
    >>> measure(subject_of(get("resnet20")), "zen", repeats=2).n
    2
    """
    if name not in ON_REQUEST:
        raise unknown_name("metric", name, ON_REQUEST, "those in closed form come from madnas.scores.evaluate.score")
    return summary(name, draws(subject, name, range(repeats), seed, settings))


def summary(name: str, values: Sequence[float]) -> Measured:
    """Mean, spread and number of the draws of a score."""
    spread = stdev(values) if len(values) > 1 else None if ON_REQUEST[name].random else 0.0
    return Measured(fmean(values), spread, len(values))


def draws(
    subject: Subject, name: str, places: Sequence[int], seed: int = 0, settings: Settings | None = None
) -> list[float]:
    """Some of the draws that :func:`measure` averages, by their places; a single one of what is not random.

    Raises:
        UsageError: as :func:`measure`.
    """
    settings = settings or Settings()
    places = places if ON_REQUEST[name].random else places[:1]
    check_device(settings.device)
    module, function = ON_REQUEST[name].place.split(":")
    score: Callable[[Subject, Settings], Callable[[int], float]]
    score = getattr(import_module(f"madnas.scores.{module}"), function)
    try:
        draw = score(subject, settings)
        return [_finite(draw(draw_seed(seed, place)), place) for place in places]
    except MadnasError:
        raise
    except Exception as error:  # of the network's own code, or torch's
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if ran_out(error):
            reason = f"out of memory at batch size {settings.batch_size}"
        raise UsageError(reason) from error


def draw_seed(seed: int, place: int) -> int:
    """Seed of one of the draws; of 32 bits, for torch's generator on the CPU looks at no more."""
    return generator(seed, "draw", place).initial_seed() % 2**32


def _finite(value: float, place: int) -> float:
    if not math.isfinite(value):
        raise UsageError(f"is not finite ({value}) in draw {place + 1}")
    return value
