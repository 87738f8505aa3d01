"""Frames of a video by number: from a folder of images, or from a file that PyAV decodes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from madnas.data.colours import in_colours
from madnas.errors import UsageError

NAME = "img_{:05}.jpg"
"""Of a frame in a folder, counted from 1."""

LEAST_SHARE = 0.9
"""Of the frames that a file says it has: one that ends before has been cut off."""

Choice = Callable[[int], list[int]]
"""Numbers of frames, from 0 and not falling, for a number of frames."""


def read_folder(folder: Path, frames: int, choice: Choice) -> list[Image.Image]:
    """The chosen frames, in colours.

    Args:
        folder: of the frames.
        frames: how many there are.
        choice: which of them.

    Raises:
        OSError: a frame that is missing or broken; Pillow raises others too.
    """
    chosen = choice(frames)
    return _alike([_opened(folder / NAME.format(number + 1)) for number in chosen], chosen)


def read_video(path: Path, choice: Choice) -> list[Image.Image]:
    """The chosen frames of a video file, in colours.

    The file says how many frames it has. Some say a few too many: then it is decoded to its end, and chosen from anew
    by the number that there was.

    Raises:
        UsageError: PyAV is missing.
        ValueError: no video in it, or it ends early; PyAV raises others of a broken file.
    """
    promised = _count(path)
    chosen = choice(promised)
    found, decoded = _decoded(path, chosen)
    if len(found) < len(set(chosen)):
        if decoded < LEAST_SHARE * promised:
            raise ValueError(f"it ends after {decoded} of {promised} frames")
        chosen = choice(decoded)
        found, _ = _decoded(path, chosen)
    return _alike([found[number] for number in chosen], chosen)


def _alike(frames: list[Image.Image], numbers: list[int]) -> list[Image.Image]:
    """The frames, all of one size; ones of another would be cut and padded in silence."""
    for frame, number in zip(frames, numbers, strict=True):
        if frame.size != frames[0].size:
            found, first = (f"{one.width} x {one.height}" for one in (frame, frames[0]))
            raise ValueError(f"frame {number + 1} has {found} pixels, and frame {numbers[0] + 1} has {first}")
    return frames


def check_av() -> None:
    """See that video files can be decoded.

    Raises:
        UsageError: they cannot.
    """
    _av()


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise UsageError(f"video files are decoded by PyAV: {error}", "pip install 'madnas[video]'") from error
    return av


def _stream(container: Any) -> Any:
    if not container.streams.video:
        raise ValueError("no video in it")
    return container.streams.video[0]


def _count(path: Path) -> int:
    """Frames, as the file says, or else as many as there are packets of them.

    Matroska says no number, but how long the video is: packets for less than that have been cut off.
    """
    with _av().open(str(path)) as container:
        stream = _stream(container)
        count = int(stream.frames)
        if not count:
            count = sum(1 for packet in container.demux(stream) if packet.size)
            promised = float(stream.average_rate or 0) * (container.duration or 0) / _av().time_base
            if count < LEAST_SHARE * promised - 1:
                raise ValueError(f"it ends after {count} of some {promised:.0f} frames")
    if not count:
        raise ValueError("no frames in it")
    return count


def _decoded(path: Path, chosen: list[int]) -> tuple[dict[int, Image.Image], int]:
    """The chosen frames that there are, by number, and how many were decoded for it."""
    found: dict[int, Image.Image] = {}
    wanted, last, count = set(chosen), max(chosen), 0
    with _av().open(str(path)) as container:
        for frame in container.decode(_stream(container)):
            if count in wanted:
                found[count] = frame.to_image()
            count += 1
            if count > last:
                break
    return found, count


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as file:
        return in_colours(file)
