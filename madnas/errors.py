"""The errors that madnas raises for its users' mistakes, each with its frozen exit code.

Library code raises these; ``cli/main.py`` is the one place that turns them into a line on stderr and an exit status.
Anything else that escapes is a bug and shows its traceback (exit code 1).
"""


class MadnasError(Exception):
    """A mistake that the user can mend: what is wrong, where, and what to do about it.

    Args:
        message: what is wrong and where (file, dotted key).
        hint: what to do about it, shown on a line of its own.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(MadnasError):
    """A wrong option, an unknown name or a file that cannot be read or written."""


class SpecError(MadnasError):
    """A file that does not describe what it should: every problem in it, each with its dotted key."""

    def __init__(self, source: str, problems: list[str], hint: str | None = None) -> None:
        lines = problems[0] if len(problems) == 1 else "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"{source}: {lines}", hint)
        self.problems = problems


class InfeasibleError(MadnasError):
    """No network of the space meets the budgets; names the constraint that blocks."""

    exit_code = 3


class DataError(MadnasError):
    """Data that is missing, broken, or not what it should be."""

    exit_code = 5


class SolverError(MadnasError):
    """The solver ended without an optimal, feasible point although the problem has one."""

    exit_code = 4


class ReaderError(MadnasError):
    """A process that reads data has ended without having been asked to."""


class DivergedError(MadnasError):
    """Training met a loss, gradient or weight that is not finite, more often than its recipe allows."""

    exit_code = 6


class PeerError(MadnasError):
    """Another process of the run has ended; its own message says why, and its exit code counts."""

    exit_code = 1


class RequeueError(MadnasError):
    """The process was told to end: its work is on disk, and the same command goes on with it."""

    exit_code = 75
