"""The weights of the best tests: under the name of their epoch when they are tested, and tidied at checkpoints.

A killed process leaves a file too many, and never one too few: what is kept is decided by the checkpoint, which knows
the tests, and is what the next process begins with.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from madnas.errors import UsageError
from madnas.files import write_bytes_atomic

BEST, FOLDER = "best.safetensors", "weights"


def ranked(kept: list[dict[str, Any]], epoch: int, score: float, most: int, metric: str) -> list[dict[str, Any]]:
    """Tests whose weights are kept, the best first; the earlier of two that are alike.

    Args:
        kept: so far (``epoch`` and the metric).
        epoch: of the new test.
        score: the metric's value; more is better.
        most: that are kept.
        metric: the name of what ranks them.
    """
    return sorted([*kept, {"epoch": epoch, metric: score}], key=lambda one: (-one[metric], one["epoch"]))[:most]


def write_weights(run: Path, epoch: int, data: bytes) -> None:
    """Write the weights of a test; those of other tests stay as they are."""
    try:
        (run / FOLDER).mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"{run / FOLDER}: cannot be created: {error.strerror}", "free some space") from error
    write_bytes_atomic(run / FOLDER / _name(epoch), data, overwrite=True)


def existing(run: Path, kept: list[dict[str, Any]], warn: Callable[[str], None]) -> list[dict[str, Any]]:
    """Those of the kept whose files are there."""
    found = [one for one in kept if (run / FOLDER / _name(one["epoch"])).exists()]
    if len(found) < len(kept):
        warn(f"{run / FOLDER}: weights of {len(kept) - len(found)} tests are missing, and count as none")
    return found


def tidy_weights(run: Path, kept: list[dict[str, Any]]) -> None:
    """Delete what is not kept any more, and give the best its name."""
    names = [_name(one["epoch"]) for one in kept]
    for path in (run / FOLDER).glob("epoch-*"):
        if path.name not in names:
            path.unlink(missing_ok=True)
    if names:
        best = (run / FOLDER / names[0]).read_bytes()
        if not (run / BEST).exists() or (run / BEST).read_bytes() != best:
            write_bytes_atomic(run / BEST, best, overwrite=True)


def _name(epoch: int) -> str:
    return f"epoch-{epoch:05d}.safetensors"
