"""Being told to end: a signal asks for a checkpoint at the next step, whoever of the processes it reaches."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from madnas.errors import RequeueError

ENDING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""What schedulers send before they take a machine away."""

NOTHING, REQUEUE, INTERRUPT = 0, 1, 2
"""What was asked for; the larger one counts."""


class _EndedEarly(BaseException):
    """Told to end with nothing to save; not an ``Exception``, which code on the way might take for its own."""


class Wish:
    """What a signal has asked for so far.

    Attributes:
        value: one of the above.
        waits: whether somebody looks at it after every step. Before that there is nothing to save, and a signal ends
            the process at once.
    """

    def __init__(self) -> None:
        self.value = NOTHING
        self.waits = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal. A second Ctrl-C does not wait for the step."""
        interrupts = number == signal.SIGINT
        if interrupts and (not self.waits or self.value == INTERRUPT):
            raise KeyboardInterrupt
        self.value = INTERRUPT if interrupts else max(self.value, REQUEUE)
        if not self.waits:
            raise _EndedEarly


@contextmanager
def wishes(until_exit: bool = False) -> Iterator[Wish]:
    """Listen to SIGTERM, SIGUSR1, SIGHUP and Ctrl-C; in threads other than the first, which hear none, to nothing.

    Inside another such listening it is that one: a command that trains several networks listens over all of them.

    Args:
        until_exit: once told to end, hear nothing any more: a launcher that sees one process end signals the others,
            which are about to end with the same code, and would end with another one.
    """
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    outer = signal.getsignal(signal.SIGTERM)
    if isinstance(outer, Wish):
        yield outer
        return
    heard = [number for number in (*ENDING, signal.SIGINT) if signal.getsignal(number) is not signal.SIG_IGN]  # nohup
    before = {number: signal.signal(number, wish) for number in heard}
    try:
        yield wish
    except _EndedEarly:
        raise RequeueError("told to end; nothing had to be saved", "the same command begins anew, or goes on") from None
    finally:
        deaf = until_exit and wish.value == REQUEUE
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if deaf and number in ENDING else handler)
