"""From a TARGET to what scores are computed of; torch is loaded when that is asked for."""

from typing import TYPE_CHECKING

from madnas.network.layer import Resolution
from madnas.targets import Target, input_of, module_of, resized

if TYPE_CHECKING:
    from madnas.scores.subject import Subject


def subject(target: Target, resolution: Resolution | None = None) -> "Subject":
    """The target as something that scores can be computed of.

    Args:
        target: what was found.
        resolution: height and width of its input, in pixels; default: its own.

    Raises:
        UsageError: a resolution for an MLP.
    """
    from madnas.scores.subject import Subject, subject_of

    if target.spec is not None:
        return subject_of(resized(target.spec, target.word, resolution))
    channels, *size = input_of(target)
    return Subject(target.word, lambda: module_of(target), (channels, *(resolution or size)))
