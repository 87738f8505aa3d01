"""A file of scores that grows target by target and survives a crash: one JSON line for each, in order of completion."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import madnas
from madnas.errors import UsageError
from madnas.files import check_writable, lock, write_text_atomic
from madnas.network.specfile import spec_to_tree
from madnas.scores.evaluate import Request
from madnas.targets import Target

SCHEMA = "madnas/score-line/1"
IRRELEVANT = ("single_thread", "device")
"""Settings of a request that do not decide what is computed."""


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Keep other processes from writing a journal, whose file is made if there is none, meanwhile.

    Raises:
        UsageError: another one is writing it, or it cannot be written.
    """
    check_writable(path, overwrite=True)
    try:
        file = open(path, "ab")  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    with file:
        lock(file, UsageError(f"{path}: another 'madnas score' is writing it", "wait for it, or name another file"))
        yield


class Journal:
    """Results on disk, each with what was asked; the same request is never computed twice.

    Args:
        path: the file; made if there is none.
        restart: empty a file that exists.

    Raises:
        UsageError: it cannot be written, or is something else than such a file.
    """

    def __init__(self, path: Path, restart: bool = False) -> None:
        self.path = path
        check_writable(path, overwrite=True)
        self.lines: dict[str, dict[str, Any]] = {}
        if not path.exists():
            write_text_atomic(path, "", overwrite=True)
        elif restart:
            os.truncate(path, 0)  # in its place, which may be locked
        else:
            self._read()

    def _read(self) -> None:
        """Read what is there; a last line that a crash cut off is removed."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be read: {error.strerror}") from error
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                tree = json.loads(line)
                if tree["schema"] != SCHEMA:
                    raise ValueError(tree["schema"])
                self.lines[tree["key"]] = tree["result"]
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise UsageError(
                    f"{self.path}: line {number} is no line of 'madnas score -o'",
                    "give the name of another file, or --restart to empty this one",
                ) from error
        if len(whole) < len(data):
            if not whole and not data.startswith(b'{"schema": "' + SCHEMA.encode()[: len(data) - 12]):
                raise UsageError(
                    f"{self.path}: line 1 is no line of 'madnas score -o'",
                    "give the name of another file, or --restart to empty this one",
                )
            os.truncate(self.path, len(whole))

    def add(self, key: str, result: dict[str, Any]) -> None:
        """Append a result and see it to the disk.

        Raises:
            UsageError: the disk is full, or the file is gone.
        """
        line = json.dumps({"schema": SCHEMA, "key": key, "result": result}) + "\n"
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be written: {error.strerror}") from error
        self.lines[key] = result


def key_of(request: Request, target: Target) -> str:
    """What a result is found again by: the request, the network that its target names now, and the versions."""
    tree = {name: value for name, value in asdict(request).items() if name not in IRRELEVANT}
    tree["versions"] = [madnas.__version__, version("torch"), version("timm")]
    tree["device"] = request.device.partition(":")[0]
    tree["network"] = None if target.spec is None else spec_to_tree(target.spec)
    return hashlib.sha256(json.dumps(tree, sort_keys=True, default=str).encode()).hexdigest()[:32]
