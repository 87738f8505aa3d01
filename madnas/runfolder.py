"""A run's folder: whose it is, and that one process works in it at a time.

``run.json`` says what the folder is a run of; a command with other settings is refused there and not mixed in.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from madnas.errors import UsageError
from madnas.files import check_folder, check_writable, lock, read_text, write_text_atomic

RUN = "run.json"
LOCK = ".lock"
UNFINISHED = ".madnas-*.tmp"
"""What a process leaves behind that is killed while it writes."""


@contextmanager
def claimed_folder(
    path: Path, identity: dict[str, Any], belongings: tuple[str, ...], restart: bool = False
) -> Iterator[bool]:
    """Make a folder this run's, or see that it is; it is locked against other processes meanwhile.

    Args:
        path: the folder; created if its parent exists.
        identity: ``schema`` and all settings that decide the results, as JSON-able data.
        belongings: patterns of the files that a run writes there.
        restart: throw away the results of another run of this kind.

    Yields:
        whether the folder was this run's before.

    Raises:
        UsageError: results of something else are there, another process works there, or it cannot be written.
    """
    _create(path)
    with _locked(path):
        remove(path, UNFINISHED)
        if restart and (path / RUN).exists():
            _check_kind(path, identity)
            for pattern in (*belongings, RUN):
                remove(path, pattern)
        begun = (path / RUN).exists()
        _claim(path, identity)
        yield begun


def _create(path: Path) -> None:
    check_folder(path)
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: cannot be created: {error.strerror or error}") from error
    check_writable(path / RUN, overwrite=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        file = open(path / LOCK, "a", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}", "write to a folder that you own") from error
    with file:
        lock(file, UsageError(f"{path}: another process is working in it", "wait for it, or use another folder"))
        yield


def remove(path: Path, pattern: str) -> None:
    """Delete the files and folders that match, if there are any."""
    for found in path.glob(pattern):
        if found.is_dir() and not found.is_symlink():
            shutil.rmtree(found)
        else:
            found.unlink(missing_ok=True)


def _claim(path: Path, identity: dict[str, Any]) -> None:
    """Make the folder this run's, or see that it is."""
    if not (path / RUN).exists():
        if any(file.name != LOCK for file in path.iterdir()):
            raise UsageError(f"{path}: not empty, and not a run of this kind", "use another folder")
        write_text_atomic(path / RUN, json.dumps(identity, indent=2) + "\n")
        return
    found = _check_kind(path, identity)
    different = [
        _difference(key, found.get(key), identity.get(key))
        for key in identity | found
        if found.get(key) != identity.get(key)
    ]
    if different:
        raise UsageError(
            f"{path}: holds results of another run: {'; '.join(different)}",
            "use another folder, or --restart to start anew",
        )


def _check_kind(path: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """What the folder is a run of; refuse one of another kind, which nobody here may throw away."""
    found = None
    with suppress(ValueError, RecursionError):
        found = json.loads(read_text(path / RUN))
    if not isinstance(found, dict) or found.get("schema") != identity["schema"]:
        raise UsageError(f"{path / RUN}: not a description of a run of this kind", "use another folder")
    return found


def _difference(key: str, there: Any, here: Any) -> str:
    if isinstance(there, dict) and isinstance(here, dict):
        inner = [
            _difference(name, there.get(name), here.get(name))
            for name in here | there
            if there.get(name) != here.get(name)
        ]
        return ", ".join(inner)
    return f"{key} {_short(there)} there, {_short(here)} here"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
