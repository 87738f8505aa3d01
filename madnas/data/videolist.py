"""Lists of videos, a line each, as OpenMMLab's tools write them: ``PATH FRAMES LABEL`` or ``PATH LABEL``.

With three columns a path is a folder of frames ``img_00001.jpg`` ..., with two the file of a video. Paths are below
``rawframes_train`` or ``rawframes`` (``videos_train`` or ``videos``) beside the list, or below the list's own folder.
"""

import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from madnas.data.frames import NAME
from madnas.errors import DataError, UsageError
from madnas.files import read_text

MAX_BYTES = 100_000_000
"""Of a list; that of Kinetics-400 has 10 MB."""

LINES = "a line is PATH FRAMES LABEL for folders of frames, PATH LABEL for video files"

MAKE = "python -m madnas.data.shapes video FOLDER makes a small set"

MISSING = 0.5
"""Share of a training list's videos that may be missing before it is a wrong folder; they go into the ledger."""

SHOWN = 3
"""Wrong lines that are told."""


@dataclass(frozen=True, slots=True)
class Video:
    """A line of a list.

    Attributes:
        path: as the list has it.
        frames: how many; 0 where the file has to say it.
        label: its class.
    """

    path: str
    frames: int
    label: int


@dataclass(frozen=True, slots=True)
class VideoList:
    """The videos of a split.

    Attributes:
        folder: that the paths are below.
        videos: in the order of the list.
        classes: of the labels.
    """

    folder: Path
    videos: tuple[Video, ...]
    classes: int

    @property
    def has_frames(self) -> bool:
        """Whether these are folders of frames, and not video files."""
        return self.videos[0].frames > 0

    def digest(self) -> str:
        """Of paths, numbers of frames, labels and the number of classes."""
        lines = [f"{self.classes}\n", *(f"{one.path} {one.frames} {one.label}\n" for one in self.videos)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_list(path: Path, classes: int, split: str) -> VideoList:
    """Read a list.

    Args:
        path: the file.
        classes: of the labels.
        split: ``train`` or ``val``, in the names of folders.

    Raises:
        DataError: a list that is missing, empty or wrong, which names lines; no folder of its videos.
    """
    try:
        text = read_text(path, MAX_BYTES)
    except UsageError as error:
        raise DataError(str(error), f"--data names the folder of the lists; {LINES}; {MAKE}") from error
    videos, wrong = [], []
    columns = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            video, found = _video(line, classes)
            columns = columns or found
            if found != columns:
                raise ValueError(f"{found} columns, and {columns} in the lines before")
            videos.append(video)
        except ValueError as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise DataError(f"{path}: {'; '.join(wrong[:SHOWN])}{more}", LINES)
    if not videos:
        raise DataError(f"{path}: an empty list", LINES)
    folder = _folder(path.parent, "rawframes" if columns == 3 else "videos", split)
    _check_there(path, folder, videos, tested=split != "train")
    return VideoList(folder, tuple(videos), classes)


def _check_there(path: Path, folder: Path, videos: list[Video], tested: bool) -> None:
    """See before anything is begun that what is tested is there, and most of what is trained with.

    Raises:
        DataError: something is missing; a few videos of a training list are for the ledger.
    """
    missing = []
    for video in videos:
        place = folder / video.path
        last = place / NAME.format(video.frames) if video.frames and tested and place.exists() else place
        if not last.exists():
            missing.append(last)
    if len(missing) > (0 if tested else MISSING * len(videos)):
        kind = "folder" if videos[0].frames and not missing[0].suffix else "file"
        more = f" (and {len(missing) - 1} others)" if len(missing) > 1 else ""
        raise DataError(f"{missing[0]}: no such {kind}{more}", f"{path} has it, below {folder}; {LINES}")


def check_apart(train: VideoList, test: VideoList, names: tuple[str, str]) -> None:
    """Refuse a video that is tested twice, or trained with and tested.

    Args:
        train: the list of what is trained with.
        test: the list of what is tested.
        names: of their files.

    Raises:
        DataError: it names the videos.
    """
    tested = Counter(_place(test, one) for one in test.videos)
    twice = sorted({one.path for one in test.videos if tested[_place(test, one)] > 1})
    if twice:
        raise DataError(f"{names[1]}: {', '.join(twice[:SHOWN])} more than once", "each video is tested once")
    both = sorted(one.path for one in train.videos if _place(train, one) in tested)
    if both:
        raise DataError(
            f"{names[0]} and {names[1]} have {len(both)} videos in common, such as {', '.join(both[:SHOWN])}",
            "what is trained with must not be tested",
        )


def _place(videos: VideoList, video: Video) -> str:
    """Where a video is, however its path is spelled."""
    return os.path.normpath(videos.folder / video.path)


def _video(line: str, classes: int) -> tuple[Video, int]:
    """A line and its number of columns; a path may have blanks."""
    words = line.split()
    digits = [word.isdecimal() or (word[0] == "-" and word[1:].isdecimal()) for word in words]
    if len(words) < 2 or not digits[-1]:
        raise ValueError("no label at its end")
    columns = 3 if len(words) > 2 and digits[-2] else 2
    path = line.rsplit(maxsplit=columns - 1)[0].strip()
    frames, label = int(words[-2]) if columns == 3 else 0, int(words[-1])
    if not 0 <= label < classes:
        raise ValueError(f"the label {label}, and there are {classes} classes, from 0")
    if columns == 3 and frames < 1:
        raise ValueError(f"{frames} frames")
    return Video(path, frames, label), columns


def _folder(base: Path, kind: str, split: str) -> Path:
    """Where the paths of a list begin."""
    for name in (f"{kind}_{split}", kind):
        if (base / name).is_dir():
            return base / name
    return base
