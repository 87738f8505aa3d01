"""``python -m madnas`` and the ``madnas`` command.

It loads the command line inside the guard, so that an interrupt (Ctrl-C) during start-up ends as quietly as any other.
"""

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130


class Interrupt(KeyboardInterrupt):
    """Ctrl-C; not the plain class, because ``python -m`` forgets our exit code once that has passed through an exec."""


def main() -> None:
    """Run the command line and exit with its documented code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # elsewhere, as behind nohup, it is ignored
        signal.signal(signal.SIGINT, _interrupt)
    try:
        from madnas.cli.main import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        print("madnas: interrupted", file=sys.stderr)
        code = INTERRUPTED
    if signal.getsignal(signal.SIGINT) is _interrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python would show an exception while it shuts down
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise :class:`Interrupt`, but in the middle of an import end the process.

    What is being imported may swallow an interrupt or make another exception of it: numpy's C code an ``ImportError``,
    the body of a class a ``RuntimeError``, and an optional library then passes for missing. Nothing is being written
    during an import, so that nothing is lost.
    """
    if _importing(sys._getframe()):  # not ``frame``: that is the past where an interrupt was held back
        os.write(2, b"madnas: interrupted\n")
        os._exit(INTERRUPTED)
    raise Interrupt


def _importing(frame: FrameType | None) -> bool:
    """Whether any of a stack of frames imports something."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib."):
            return True
        frame = frame.f_back
    return False


if __name__ == "__main__":
    main()
