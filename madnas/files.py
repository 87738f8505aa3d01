"""Reading and writing small text files: bounded reads, writes never seen half done, and one writer at a time."""

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from madnas.errors import UsageError

MAX_BYTES = 1_000_000
"""Largest description, recipe or structure file that is read; real ones have a few thousand bytes."""


def read_text(path: str | Path, max_bytes: int = MAX_BYTES) -> str:
    """Text of a small UTF-8 file, without the byte order mark that some editors put in front.

    The size is checked before reading and again while reading, so that neither a huge file nor one that grows fills the
    memory. Folders, pipes and devices are refused, because opening some of them never returns.

    Raises:
        UsageError: missing, unreadable, not a regular file, too large, or not UTF-8.
    """
    try:
        _check_regular(path, os.stat(path), max_bytes)
        with open(path, "rb") as file:
            data = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise UsageError(f"{path}: cannot be read: {_reason(error)}") from error
    if len(data) > max_bytes:
        raise UsageError(f"{path}: more than {max_bytes} bytes, too large for what it should be")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"byte {error.start + 1} (0x{data[error.start]:02x})"
        raise UsageError(f"{path}: not a text file: {place} is not UTF-8") from error


def _check_regular(path: str | Path, status: os.stat_result, max_bytes: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{path}: is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{path}: not a regular file (a pipe, socket or device)")
    if status.st_size > max_bytes:
        raise UsageError(f"{path}: {status.st_size} bytes, too large for what it should be (at most {max_bytes})")


def write_text_atomic(path: str | Path, text: str, overwrite: bool = False) -> None:
    """Write a UTF-8 file so that it has its old content, or none, until all of the new content is on disk.

    The text goes to a temporary file in the same folder, which then takes the name; on any failure, an interrupt
    included, the temporary file is removed. A new file gets the permissions that the umask leaves, a replaced one keeps
    its own. Of a symbolic link the file behind it is written.

    Args:
        path: the file.
        text: its content.
        overwrite: replace the file if there is one.

    Raises:
        UsageError: the file exists (without ``overwrite``), is a folder or device, its folder is missing or not
            writable, or the disk is full.
    """
    write_bytes_atomic(path, text.encode(), overwrite)


def write_bytes_atomic(path: str | Path, data: bytes, overwrite: bool = False) -> None:
    """:func:`write_text_atomic` for bytes, such as a picture."""
    with _explained(path):
        target = Path(os.path.realpath(path))
        mode = _check_target(path, target, overwrite)
        try:
            _write(data, target, mode, overwrite)
        except FileExistsError as error:
            raise _exists(path) from error


def check_writable(path: str | Path, overwrite: bool = False) -> None:
    """See before long work whether :func:`write_text_atomic` would succeed, as far as one can tell.

    Permissions are not all: root has every one, and still nobody creates a file in ``/proc``. So a file is created and
    gone at once; where the system can do that, it never has a name.

    Raises:
        UsageError: as :func:`write_text_atomic`.
    """
    with _explained(path):
        target = Path(os.path.realpath(path))
        _check_target(path, target, overwrite)
        _check_creates(path, target.parent)


def check_folder(path: str | Path) -> None:
    """See before long work whether files can be written into a folder, which need not be there yet.

    Raises:
        UsageError: it is a file, cannot be created, or takes no files.
    """
    with _explained(path):
        folder = Path(os.path.realpath(path))
        if not folder.exists():
            check_writable(path)
        elif not folder.is_dir():
            raise UsageError(f"{path}: not a folder", "several files are written: name a folder")
        else:
            _check_creates(path, folder)


def lock(file: int | IO[Any], taken: UsageError) -> None:
    """Keep other processes from an open file, for as long as it is open here; where the file system has no locks, not.

    Raises:
        UsageError: ``taken``, if another process keeps it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however that ends
    except BlockingIOError:
        raise taken from None
    except OSError:  # a file system without locks
        pass


def _check_creates(path: str | Path, folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{path}: cannot be written: no permission to write in {folder}")
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".madnas-"):
            pass
    except FileNotFoundError as error:  # what /proc says; "no such file" would sound as if one were read
        raise UsageError(f"{path}: cannot be written: nobody can create files in {folder}") from error


@contextlib.contextmanager
def _explained(path: str | Path) -> Iterator[None]:
    """Turn what the system says into the one error that names the file."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be written: {_reason(error)}", _hint(error)) from error


def _check_target(path: str | Path, target: Path, overwrite: bool) -> int | None:
    """Refuse early what cannot work; give the permission bits of the file that would be replaced."""
    if not target.parent.is_dir():
        raise UsageError(f"{path}: no folder {str(target.parent)!r}", hint="create the folder first")
    try:
        status = target.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{path}: is a folder", hint="give the name of a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{path}: not a regular file (a pipe, socket or device)", hint="leave -o out to print instead")
    if not overwrite:
        raise _exists(path)
    return stat.S_IMODE(status.st_mode)


def _write(data: bytes, target: Path, mode: int | None, overwrite: bool) -> None:
    # The name stays short, because a target's may be as long as the file system allows.
    temporary = target.parent / f".madnas-{secrets.token_hex(8)}.tmp"
    created = False
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        created = True
        with open(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        _take_name(temporary, target, overwrite)
    finally:
        if created:
            with contextlib.suppress(FileNotFoundError):  # os.replace has moved it
                os.unlink(temporary)
    _sync_folder(target.parent)


def _take_name(temporary: Path, target: Path, overwrite: bool) -> None:
    """Give the finished file its name; without ``overwrite``, fail if someone else has taken it meanwhile."""
    if overwrite:
        os.replace(temporary, target)
        return
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: only there another process could slip in between
        if target.exists():
            raise FileExistsError(target) from None
        os.replace(temporary, target)


def _sync_folder(folder: Path) -> None:
    """Put the new name on disk as well; some network file systems cannot, and the file is complete without it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exists(path: str | Path) -> UsageError:
    return UsageError(f"{path}: exists already", hint="use --force to replace it")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _hint(error: OSError | ValueError) -> str | None:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space, or write to another disk"
    if isinstance(error, PermissionError):
        return "write to a folder that you own"
    return None
