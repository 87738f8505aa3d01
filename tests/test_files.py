"""Reading and writing small files: hostile inputs, and failures at every point of a write."""

import errno
import os
import stat

import pytest

from madnas.errors import UsageError
from madnas.files import MAX_BYTES, check_folder, check_writable, read_text, write_bytes_atomic, write_text_atomic


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_reads_text_without_byte_order_mark(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffé: 1\n".encode())
    assert read_text(path) == "é: 1\n"


def test_huge_file_is_refused_by_its_size(tmp_path):
    path = tmp_path / "huge.yaml"
    with open(path, "wb") as file:
        file.truncate(100_000_000)  # sparse: takes no space
    with pytest.raises(UsageError, match=r"huge\.yaml: 100000000 bytes, too large.*at most 1000000"):
        read_text(path)


def test_limit_is_exact(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * MAX_BYTES)
    assert len(read_text(path)) == MAX_BYTES
    path.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(UsageError, match="too large"):
        read_text(path)


def test_file_that_says_it_is_small_but_is_not(tmp_path, monkeypatch):
    path = tmp_path / "grows"
    path.write_bytes(b"x" * 100)
    small = os.stat(os.devnull)  # a size of 0, as files in /proc have
    regular = os.stat_result((stat.S_IFREG | 0o644, *small[1:]))
    monkeypatch.setattr("madnas.files.os.stat", lambda path: regular)
    with pytest.raises(UsageError, match="more than 10 bytes"):
        read_text(path, max_bytes=10)


def test_unfit_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    for name, message in {
        "pipe": "not a regular file",
        ".": "is a folder, not a file",
        "missing": "no such file",
        "binary": r"not a text file: byte 129 \(0x80\) is not UTF-8",
        "binary/file": "Not a directory",
        "x" * 300: "File name too long",
        "nu\0ll": "null byte",
    }.items():
        with pytest.raises(UsageError, match=message):
            read_text(tmp_path / name)
    with pytest.raises(UsageError, match="not a regular file"):
        read_text("/dev/zero")


def test_unreadable_file(tmp_path, monkeypatch):
    path = tmp_path / "secret"
    path.write_text("x")
    if os.geteuid() == 0:  # root may read everything

        def refuse(*args, **kwargs):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("builtins.open", refuse)
    else:
        path.chmod(0)
    with pytest.raises(UsageError, match="secret: cannot be read: Permission denied"):
        read_text(path)


def test_writes_a_new_file_with_the_permissions_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        write_text_atomic(tmp_path / "net.yaml", "é\n")
    finally:
        os.umask(before)
    assert (tmp_path / "net.yaml").read_bytes() == "é\n".encode()
    assert stat.S_IMODE((tmp_path / "net.yaml").stat().st_mode) == 0o640
    assert leftovers(tmp_path) == ["net.yaml"]


def test_never_replaces_a_file_unasked(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists already") as caught:
        write_text_atomic(path, "new")
    assert caught.value.hint == "use --force to replace it"
    assert path.read_text() == "mine"
    assert leftovers(tmp_path) == ["net.yaml"]


def test_replaces_on_request_and_keeps_permissions(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text("old and longer")
    path.chmod(0o600)
    write_text_atomic(path, "new", overwrite=True)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_file_that_appears_during_the_write_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "net.yaml"
    monkeypatch.setattr("madnas.files.os.fsync", lambda descriptor: path.write_text("someone else's"))
    with pytest.raises(UsageError, match="exists already"):
        write_text_atomic(path, "new")
    assert path.read_text() == "someone else's"
    assert leftovers(tmp_path) == ["net.yaml"]


def test_file_system_without_hard_links(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("madnas.files.os.link", refuse)
    write_text_atomic(tmp_path / "net.yaml", "new")
    assert (tmp_path / "net.yaml").read_text() == "new"
    assert leftovers(tmp_path) == ["net.yaml"]


def test_writes_through_a_symbolic_link(tmp_path):
    (tmp_path / "store").mkdir()
    real = tmp_path / "store" / "real.yaml"
    real.write_text("old")
    link = tmp_path / "link.yaml"
    link.symlink_to(real)
    write_text_atomic(link, "new", overwrite=True)
    assert link.is_symlink()
    assert real.read_text() == "new"


@pytest.mark.parametrize(
    ("failure", "shown", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), UsageError, "cannot be written: No space left on device"),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
        (MemoryError("too much"), MemoryError, "too much"),
    ],
    ids=["disk full", "interrupt", "memory"],
)
@pytest.mark.parametrize("call", ["os.fsync", "os.replace"])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call, failure, shown, message):
    path = tmp_path / "net.yaml"
    path.write_text("old")

    def fail(*args):
        raise failure

    monkeypatch.setattr(f"madnas.files.{call}", fail)
    with pytest.raises(shown, match=message):
        write_text_atomic(path, "new", overwrite=True)
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == ["net.yaml"]


def test_full_disk_says_what_to_do(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("madnas.files.os.fsync", fail)
    with pytest.raises(UsageError) as caught:
        write_text_atomic(tmp_path / "net.yaml", "new")
    assert "free some space" in str(caught.value.hint)


def test_impossible_targets(tmp_path):
    (tmp_path / "file").write_text("x")
    for name, message in {
        "missing/net.yaml": "no folder",
        "file/net.yaml": "no folder",
        ".": "is a folder",
        "x" * 300: "File name too long",
        "nu\0ll": "null byte",
    }.items():
        with pytest.raises(UsageError, match=message):
            write_text_atomic(tmp_path / name, "new", overwrite=True)
        with pytest.raises(UsageError, match=message):
            check_writable(tmp_path / name, overwrite=True)
    for write in (check_writable, lambda path, overwrite: write_text_atomic(path, "new", overwrite)):
        with pytest.raises(UsageError, match="not a regular file"):
            write("/dev/null", overwrite=True)
    assert leftovers(tmp_path) == ["file"]


def test_folder_without_write_permission(tmp_path, monkeypatch):
    if os.geteuid() == 0:  # root may write everywhere

        def refuse(*args):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("madnas.files.os.open", refuse)
    else:
        tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="cannot be written: Permission denied") as caught:
        write_text_atomic(tmp_path / "net.yaml", "new")
    assert caught.value.hint == "write to a folder that you own"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc, where nobody creates files")
def test_folder_in_which_not_even_root_creates_files():
    with pytest.raises(UsageError, match=r"/proc/net\.yaml: cannot be written"):
        check_writable("/proc/net.yaml")


def test_text_that_cannot_be_encoded_touches_nothing(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text_atomic(path, "\ud800", overwrite=True)
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == ["net.yaml"]


def test_bytes_are_written_as_they_are(tmp_path):
    write_bytes_atomic(tmp_path / "plot.png", bytes(range(256)))
    assert (tmp_path / "plot.png").read_bytes() == bytes(range(256))


def test_looking_ahead_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "net.yaml"
    check_writable(path)
    assert leftovers(tmp_path) == []
    path.write_text("mine")
    check_writable(path, overwrite=True)
    with pytest.raises(UsageError, match="exists already"):
        check_writable(path)
    monkeypatch.setattr("madnas.files.os.access", lambda *args: False)
    with pytest.raises(UsageError, match="no permission to write in"):
        check_writable(path, overwrite=True)
    assert path.read_text() == "mine"


def test_folders_that_take_files_and_that_do_not(tmp_path):
    (tmp_path / "file").write_text("x")
    for name in ("new", "."):
        check_folder(tmp_path / name)
    for name, message in {
        "file": "not a folder",
        "file/new": "no folder",
        "missing/new": "no folder",
        "x" * 300: "File name too long",
        "nu\0ll": "null byte",
    }.items():
        with pytest.raises(UsageError, match=message):
            check_folder(tmp_path / name)
    assert leftovers(tmp_path) == ["file"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc, where nobody creates files")
def test_folders_that_not_even_root_writes_into():
    for name in ("/proc", "/proc/new"):
        with pytest.raises(UsageError, match=f"{name}: cannot be written: nobody can create files in /proc"):
            check_folder(name)
