"""A search's journal: an append-only file of JSON lines, from which the same command goes on after any interruption.

The first line says what was asked. Then, for a score in closed form, a line for each round, with all its candidates;
for a measured one, a line for each result as soon as it is there. Only whole lines count: what a crash cut off is
removed.
"""

import base64
import errno
import json
import os
import time
import weakref
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from madnas.errors import UsageError
from madnas.files import check_writable, lock, write_text_atomic

SCHEMA = "madnas/search-journal/1"

EVERY = 1.0
"""Seconds after which what can be had again in less is seen to the disk."""

HINT = "give the name of another file, or --restart to empty this one"


class Journal:
    """Lines on disk.

    Args:
        path: the file; made if there is none.
        request: what was asked, as JSON-able data; a file of another request is refused.
        restart: empty a file that exists.

    Attributes:
        lines: what the file holds, the first line aside.

    Raises:
        UsageError: it cannot be read or written, is no journal, or is that of another search.
    """

    def __init__(self, path: Path, request: dict[str, Any], restart: bool = False) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        self._synced, self._pending = time.monotonic(), False
        check_writable(path, overwrite=True)
        head = {"schema": SCHEMA, "request": json.loads(json.dumps(request))}
        new = not path.exists()
        if new:
            write_text_atomic(path, json.dumps(head) + "\n", overwrite=True)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND)
            self._close = weakref.finalize(self, os.close, self._file)
            lock(self._file, UsageError(f"{path}: another search is writing it", "wait for it, or name another file"))
            if restart and not new:
                os.ftruncate(self._file, 0)
                self._write(head)
            data = path.read_bytes() if not restart else b""
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
        if not restart:
            self._read(data, head)

    def _read(self, data: bytes, head: dict[str, Any]) -> None:
        whole = data[: data.rfind(b"\n") + 1]
        found = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                found.append(dict(json.loads(line)))
            except (ValueError, TypeError, RecursionError) as error:
                raise UsageError(f"{self.path}: line {number} is no line of a search's journal", HINT) from error
        if not found or found[0].get("schema") != SCHEMA:
            raise UsageError(f"{self.path}: is no search's journal", HINT)
        asked = found[0].get("request")
        if asked != head["request"]:
            raise UsageError(
                f"{self.path}: is the journal of another search ({_difference(asked, head['request'])})", HINT
            )
        self.lines = found[1:]
        os.ftruncate(self._file, len(whole))

    def add(self, line: dict[str, Any], cheap: bool = False) -> None:
        """Append a line and see it to the disk.

        Args:
            line: JSON-able data.
            cheap: the same command has it again in no time. Such lines are in the file at once, whatever becomes of
                this process, but wait for the disk together, :data:`EVERY` so often: it takes longer than they did.

        Raises:
            UsageError: the disk is full, or the file is gone.
        """
        try:
            if not os.path.samestat(os.fstat(self._file), os.stat(self.path)):
                raise FileNotFoundError(errno.ENOENT, "another file has taken its place")
            self._write(line, not cheap or time.monotonic() - self._synced >= EVERY)
        except OSError as error:
            raise self._unwritten(error) from error

    def close(self) -> None:
        """See all to the disk, and let others write the file.

        Raises:
            UsageError: the disk is full.
        """
        try:
            if self._pending and self._close.alive:
                self._sync()
        except OSError as error:
            raise self._unwritten(error) from error
        finally:
            self._close()

    def _unwritten(self, error: OSError) -> UsageError:
        return UsageError(f"{self.path}: cannot be written: {error.strerror}", "the same command goes on from here")

    def _write(self, line: dict[str, Any], sync: bool = True) -> None:
        left = (json.dumps(line) + "\n").encode()
        while left:  # a disk that becomes full takes a part; what is cut off is removed when the file is read
            left = left[os.write(self._file, left) :]
        self._pending = True
        if sync:
            self._sync()

    def _sync(self) -> None:
        os.fsync(self._file)
        self._synced, self._pending = time.monotonic(), False


def _difference(old: Any, new: dict[str, Any]) -> str:
    """The first thing in which two requests differ."""
    if not isinstance(old, dict):
        return "it names no request"
    for key in [*new, *old]:
        if old.get(key) != new.get(key):
            was, now = (json.dumps(tree.get(key)) for tree in (old, new))
            return (
                f"{key}: {was[:60]} there, {now[:60]} here" if max(len(was), len(now)) <= 60 else f"its {key} differs"
            )
    return "in nothing that is known"


def pack(values: np.ndarray) -> dict[str, Any]:
    """An array as text: ``dtype``, ``shape`` and zlib-compressed bytes in base64.

    Whole numbers are ``stored`` in as few bytes as hold them, which is quicker to compress.

    >>> unpack(pack(np.arange(3)))
    array([0, 1, 2])
    """
    stored = _narrow(values)
    data = np.ascontiguousarray(values, stored)
    text = base64.b64encode(zlib.compress(data.tobytes(), 1)).decode()
    dtype = values.dtype.newbyteorder("<")
    return {"dtype": dtype.str, "stored": stored.str, "shape": list(data.shape), "data": text}


def _narrow(values: np.ndarray) -> np.dtype[Any]:
    """A type for an array's bytes: its own, or a smaller one for whole numbers."""
    if values.dtype.kind == "i" and values.size:
        least, most = values.min(), values.max()
        for narrow in (np.uint8, np.uint16, np.int32):
            if np.iinfo(narrow).min <= least and most <= np.iinfo(narrow).max:
                return np.dtype(narrow).newbyteorder("<")
    return values.dtype.newbyteorder("<")


def unpack(tree: dict[str, Any]) -> np.ndarray:
    """The array that :func:`pack` made text of.

    Raises:
        ValueError: it is none.
    """
    try:
        data = zlib.decompress(base64.b64decode(tree["data"]))
        stored = np.frombuffer(data, np.dtype(tree.get("stored", tree["dtype"])))
        return stored.reshape(tree["shape"]).astype(np.dtype(tree["dtype"]))
    except (KeyError, TypeError, zlib.error) as error:
        raise ValueError(str(error)) from error
