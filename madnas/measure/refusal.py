"""What a network's own code says where it does not take an input: one line for a user, and no traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

from madnas.errors import UsageError


@contextmanager
def explained_refusal(word: str, shape: tuple[int, ...], doing: str = "run", hint: str | None = None) -> Iterator[None]:
    """Name the network and the input where somebody else's code says no.

    Args:
        word: the network, as the user named it.
        shape: of one input, without the batch.
        doing: what cannot be done with it.
        hint: what to do about it.

    Raises:
        UsageError: instead of what a forward or backward pass raises.
    """
    try:
        yield
    except (AssertionError, RuntimeError, ValueError) as error:
        size = " x ".join(map(str, shape))
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UsageError(f"{word}: cannot be {doing} on an input of {size}: {reason[:300]}", hint) from error
