"""Webdataset's tar shards, read sample by sample: an index of what lies where makes them as random as a folder.

timm streams shards, in an order that depends on the number of readers and processes. A run that goes on in the middle
of an epoch, with any number of processes, to the same bits, needs to take any sample at any time. So the headers of the
shards are read once, and the index is kept in the user's cache.
"""

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np

from madnas.errors import DataError, UsageError
from madnas.files import read_text, write_bytes_atomic

IMAGES = ("jpg", "jpeg", "png", "webp", "ppm", "bmp")
"""Endings of a sample's image."""

INFO = ("_info.json", "info.json")
"""timm's description of splits, where there is one."""

BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
VERSION = 1
"""Of the index; older ones are made anew."""

COLUMNS = ("shard", "offset", "size", "label", "key")

THREADS = 8
"""Shards that are indexed at the same time: on a network's disk the time goes into waiting."""


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Where the samples of a split are.

    Attributes:
        shards: files.
        shard: number of the file of each sample (n,).
        offset, size: bytes of its image in the file (n,).
        label: class (n,).
        key: name in the file (n,), bytes.
    """

    shards: tuple[str, ...]
    shard: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    label: np.ndarray
    key: np.ndarray


class ShardReader:
    """Samples of a split by number, as timm's readers give them.

    Args:
        index: what lies where.
    """

    def __init__(self, index: ShardIndex) -> None:
        self._index = index

    @property
    def classes(self) -> int:
        """One more than the largest label."""
        return int(self._index.label.max()) + 1

    def __getitem__(self, number: int) -> tuple[IO[bytes], int]:
        """An image's bytes as a file, and its label."""
        index = self._index
        with open(index.shards[index.shard[number]], "rb") as file:
            file.seek(int(index.offset[number]))
            return io.BytesIO(file.read(int(index.size[number]))), int(index.label[number])

    def filename(self, number: int) -> str:
        """Shard and name of a sample."""
        index = self._index
        return f"{index.shards[index.shard[number]]}:{index.key[number].decode()}"

    def __len__(self) -> int:
        return len(self._index.label)

    def digest(self) -> str:
        """Of names, sizes and labels."""
        found = hashlib.sha256()
        for part in (self._index.key, self._index.size, self._index.label):
            found.update(part.tobytes())
        return found.hexdigest()


def open_shards(folder: Path, split: str) -> ShardReader:
    """A split of a webdataset.

    Args:
        folder: of the shards.
        split: a name in ``_info.json``; or a part of the shards' names; or names with ``{0000..0099}``.

    Raises:
        DataError: no shards, or some that are cut off or lack images or labels.
    """
    paths = _shards(folder, split)
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"{missing[0]}: no such shard", f"{len(missing)} of {len(paths)} shards of {split} are missing")
    index = _index(paths)
    if not len(index.label):
        raise DataError(f"{folder}: no samples in the shards of {split}")
    return ShardReader(index)


def _shards(folder: Path, split: str) -> list[Path]:
    """The files of a split."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder", "--data names the folder of the shards")
    if ".tar" in split:
        return [folder / name for name in _expanded(split)]
    for name in INFO:
        if (folder / name).is_file():
            try:
                return [folder / str(one) for one in json.loads(read_text(folder / name))["splits"][split]["filenames"]]
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{folder / name}: does not name the files of {split}") from error
    found = sorted(folder.glob("*.tar"))
    names = ("validation", "val") if split == "validation" else (split,)
    for name in names:
        chosen = [path for path in found if re.search(rf"(^|[^a-z]){re.escape(name)}([^a-z]|$)", path.stem)]
        if chosen:
            return chosen
    raise DataError(
        f"{folder}: no shards of {split} ({len(found)} .tar files)",
        "shards are named like imagenet-train-0000.tar; --set train_split='NAME-{0000..0099}.tar' names others",
    )


def _expanded(pattern: str) -> list[str]:
    """Names with a range in braces.

    >>> _expanded("a-{08..10}.tar")
    ['a-08.tar', 'a-09.tar', 'a-10.tar']
    """
    found = BRACES.search(pattern)
    if found is None:
        return [pattern]
    first, last = found[1], found[2]
    numbers = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return [name for one in numbers for name in _expanded(pattern[: found.start()] + one + pattern[found.end() :])]


def _index(paths: list[Path]) -> ShardIndex:
    """The index of shards; from the cache, if they have not changed."""
    cache = _cache(paths)
    names = tuple(str(path) for path in paths)
    # Of a damaged file, numpy and zlib raise what they like; it is made anew.
    with suppress(Exception), open(cache, "rb") as file:
        kept = np.load(file, allow_pickle=False)
        return ShardIndex(names, **{name: kept[name] for name in COLUMNS})
    with ThreadPoolExecutor(THREADS) as pool:
        rows = [(number, *row) for number, part in enumerate(pool.map(_members, paths)) for row in part]
    shard, offset, size, label, key = zip(*rows, strict=True) if rows else ((),) * 5
    numbers = (np.array(part, dtype=np.int64) for part in (shard, offset, size, label))
    columns = dict(zip(COLUMNS, (*numbers, np.array(key, dtype=np.bytes_)), strict=True))
    with suppress(OSError, UsageError):  # a home that cannot be written only costs time
        cache.parent.mkdir(parents=True, exist_ok=True)
        data = io.BytesIO()
        np.savez_compressed(data, **columns)  # type: ignore[arg-type]
        write_bytes_atomic(cache, data.getvalue(), overwrite=True)
    return ShardIndex(names, **columns)


def _cache(paths: list[Path]) -> Path:
    """Where the index of these files is kept; another place for every change of them."""
    status = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    digest = hashlib.sha256(repr((VERSION, status)).encode()).hexdigest()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "madnas" / "shards" / f"{digest[:32]}.npz"


Row = tuple[int, int, int, bytes]
"""Offset, size, label, key."""


def _members(path: Path) -> list[Row]:
    try:
        with tarfile.open(path, "r:") as tar:
            return [_row(path, key, parts) for key, parts in _samples(tar)]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{path}: not a whole tar file: {error}", "compressed shards have to be unpacked") from error


def _samples(tar: tarfile.TarFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Files of the same name but for the ending belong together, one behind the other."""
    key = ""
    parts: dict[str, Any] = {}
    for member in tar:
        name = PurePosixPath(member.name)
        if not member.isfile() or name.name.startswith("."):
            continue
        stem, _, ending = name.name.partition(".")
        this = str(name.with_name(stem))
        if this != key and parts:
            yield key, parts
            parts = {}
        key = this
        ending = ending.lower()
        if ending in ("cls", "json"):
            file = tar.extractfile(member)
            assert file is not None  # it is a file
            parts[ending] = file.read(1_000_000)
        elif ending in IMAGES:
            parts["image"] = (member.offset_data, member.size)
    if parts:
        yield key, parts


def _row(path: Path, key: str, parts: dict[str, Any]) -> Row:
    if "image" not in parts:
        raise DataError(f"{path}: {key} has no image", f"an image ends with .{', .'.join(IMAGES)}")
    try:
        label = int(parts["cls"]) if "cls" in parts else int(json.loads(parts["json"])["label"])
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path}: {key} has no label", "a number in KEY.cls, or as label in KEY.json") from error
    if label < 0:
        raise DataError(f"{path}: {key} has the label {label}")
    offset, size = parts["image"]
    return offset, size, label, key.encode()
