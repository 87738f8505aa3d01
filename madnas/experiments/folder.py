"""The folder of a run: what it is a run of, the results so far, the state of what is being trained, the summary.

- ``run.json``: the experiment and all settings that decide its results;
- ``results.jsonl``: a line for every network whose group is finished;
- ``<group>.safetensors``: state of a group while it is trained;
- ``networks/*.yaml`` and ``networks.csv``: networks that an experiment draws, for whoever wants to train them;
- ``summary.json`` and ``figure.png``: when all is finished.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from madnas.errors import UsageError
from madnas.files import check_writable, read_text, write_bytes_atomic, write_text_atomic

RUN, RESULTS, SUMMARY, FIGURE = "run.json", "results.jsonl", "summary.json", "figure.png"
SCHEMA = "madnas/experiment-run/1"
LOCK = ".lock"
STATE_SUFFIX = ".safetensors"
STATES = f"depth-*{STATE_SUFFIX}"
NETWORKS, TABLE = "networks", "networks.csv"
UNFINISHED = ".madnas-*.tmp"
"""What a process leaves behind that is killed while it writes."""

MAX_RESULTS = 100_000_000
"""Largest file of results in bytes; a line has some 250."""


class ResultsFolder:
    """A folder that belongs to one run. Make it with :func:`open_folder`.

    Attributes:
        path: where it is.
        rows: results of the networks whose groups are finished, as ``train_group`` gives them, each with its ``group``.
    """

    def __init__(self, path: Path, rows: list[dict[str, Any]]) -> None:
        self.path = path
        self.rows = rows

    @property
    def finished(self) -> set[str]:
        """Names of the groups that are finished."""
        return {row["group"] for row in self.rows}

    def add(self, group: str, rows: list[dict[str, Any]]) -> None:
        """Take in a finished group; its rows are on disk, all of them, when this returns."""
        self.rows += [{"group": group, **row} for row in rows]
        write_text_atomic(self.path / RESULTS, "".join(json.dumps(row) + "\n" for row in self.rows), overwrite=True)
        (self.path / f"{group}{STATE_SUFFIX}").unlink(missing_ok=True)

    def write(self, name: str, text: str) -> None:
        """Write a file that goes with the run, or the same one again."""
        (self.path / name).parent.mkdir(exist_ok=True)
        write_text_atomic(self.path / name, text, overwrite=True)

    def finish(self, summary: dict[str, Any], figure: bytes) -> None:
        """Write what a reader looks at first, and leave nothing that is of no use any more."""
        write_text_atomic(self.path / SUMMARY, json.dumps(summary, indent=2) + "\n", overwrite=True)
        write_bytes_atomic(self.path / FIGURE, figure, overwrite=True)
        _remove(self.path, STATES)


@contextmanager
def open_folder(path: Path, identity: dict[str, Any], restart: bool = False) -> Iterator[ResultsFolder]:
    """Open a run's folder, new or begun; it is locked against other processes meanwhile.

    Args:
        path: the folder; created if its parent exists.
        identity: experiment and settings, as JSON-able data.
        restart: throw away the results that are there, whatever they are of.

    Raises:
        UsageError: results of something else are there, another process works there, or it cannot be written.
    """
    _create(path)
    with _locked(path):
        _remove(path, UNFINISHED)
        if restart:
            _clear(path)
        _claim(path, identity, restart)
        yield ResultsFolder(path, _read_rows(path / RESULTS))


def _create(path: Path) -> None:
    try:
        if not path.exists():
            check_writable(path)
            path.mkdir()
        elif not path.is_dir():
            raise UsageError(f"{path}: not a folder", "an experiment writes several files: name a folder")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be created: {getattr(error, 'strerror', None) or error}") from error
    check_writable(path / RUN, overwrite=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        file = open(path / LOCK, "a", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}", "write to a folder that you own") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however that ends
        except BlockingIOError:
            raise UsageError(
                f"{path}: another process is working in it", "wait for it, or use another folder"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield


def _clear(path: Path) -> None:
    for pattern in (RESULTS, SUMMARY, FIGURE, STATES, f"{NETWORKS}/*.yaml", TABLE, RUN):
        _remove(path, pattern)


def _remove(path: Path, pattern: str) -> None:
    for file in path.glob(pattern):
        file.unlink(missing_ok=True)


def _claim(path: Path, identity: dict[str, Any], restart: bool) -> None:
    """Make the folder this run's, or see that it is."""
    wanted = {"schema": SCHEMA, **identity}
    if not (path / RUN).exists():
        if not restart and any(file.name != LOCK for file in path.iterdir()):
            raise UsageError(
                f"{path}: not empty, and not a run of an experiment",
                "use another folder, or --restart to write into it",
            )
        write_text_atomic(path / RUN, json.dumps(wanted, indent=2) + "\n")
        return
    found = None
    with suppress(ValueError, RecursionError):
        found = json.loads(read_text(path / RUN))
    if not isinstance(found, dict):
        raise UsageError(f"{path / RUN}: not a description of a run", "use --restart to start anew")
    different = [
        _difference(key, found.get(key), wanted.get(key)) for key in wanted | found if found.get(key) != wanted.get(key)
    ]
    if different:
        raise UsageError(
            f"{path}: holds results of another run: {'; '.join(different)}",
            "use another folder, or --restart to start anew",
        )


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


def _read_rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(read_text(path, MAX_RESULTS).splitlines(), 1):
        try:
            row = json.loads(line)
            assert isinstance(row["group"], str)
        except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
            raise UsageError(f"{path}: line {number} is not a result", "use --restart to start anew") from None
        rows.append(row)
    return rows
