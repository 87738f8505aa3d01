"""The closed form of the Zen-Score beside the measured scores: the same at every draw."""

from collections.abc import Callable

from madnas.errors import UsageError
from madnas.network.zen import zen_closed
from madnas.scores.subject import Settings, Subject


def zen_closed_form(subject: Subject, settings: Settings) -> Callable[[int], float]:
    """The estimate of :func:`~madnas.network.zen.zen_closed`.

    Raises:
        UsageError: no description, or one that it is not defined for.
    """
    if subject.spec is None:
        raise UsageError("needs a description: a spec file, a named network, or a timm name that has one")
    value = zen_closed(subject.spec)
    return lambda seed: value
