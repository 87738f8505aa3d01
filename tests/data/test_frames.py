"""Frames by number, from folders and from files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from madnas.data.frames import NAME, read_folder, read_video
from madnas.data.segments import central

LEVELS = [8 * number for number in range(24)]
"""Grey level of each frame: it tells which one was read."""


def level(frame: Image.Image) -> float:
    return float(np.asarray(frame).mean())


def folder(place: Path) -> Path:
    place.mkdir()
    for number, grey in enumerate(LEVELS, 1):
        Image.new("RGB", (16, 16), (grey,) * 3).save(place / NAME.format(number))
    return place


def video(path: Path, codec: str = "mpeg4") -> Path:
    av = pytest.importorskip("av", reason="decodes video files, an extra")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for grey in LEVELS:
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), grey, np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def test_a_folder(tmp_path: Path) -> None:
    found = read_folder(folder(tmp_path / "v"), 24, lambda count: central(count, 3))
    assert [round(level(one) / 8) for one in found] == [4, 12, 20]
    with pytest.raises(FileNotFoundError, match=r"img_00025\.jpg"):
        read_folder(tmp_path / "v", 25, lambda count: [24])


@pytest.mark.parametrize("name", ["v.avi", "v.mp4", "v.mkv"])
def test_a_file(tmp_path: Path, name: str) -> None:
    path = video(tmp_path / name)
    seen = []

    def choice(count: int) -> list[int]:
        seen.append(count)
        return [0, 0, 4, 12, 23]

    found = read_video(path, choice)
    assert seen == [24] and [round(level(one) / 8) for one in found] == [0, 0, 4, 12, 23]
    assert found[0].size == (32, 32) and found[0].mode == "RGB"


def test_files_that_are_broken(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="decodes video files, an extra")
    path = video(tmp_path / "v.mp4")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(av.error.FFmpegError):
        read_video(path, lambda count: central(count, 3))
    path.write_text("no video")
    with pytest.raises(av.error.FFmpegError):
        read_video(path, lambda count: central(count, 3))
    with pytest.raises(FileNotFoundError):
        read_video(tmp_path / "none.mp4", lambda count: central(count, 3))


def test_a_file_that_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few frames less than promised: chosen anew by those that there are. Many less: it was cut off."""
    path = video(tmp_path / "v.avi")
    monkeypatch.setattr("madnas.data.frames._count", lambda path: 26)
    assert [round(level(one) / 8) for one in read_video(path, lambda count: [0, count - 1])] == [0, 23]
    monkeypatch.setattr("madnas.data.frames._count", lambda path: 48)
    with pytest.raises(ValueError, match="ends after 24 of 48 frames"):
        read_video(path, lambda count: [0, count - 1])


def test_matroska_that_was_cut_off_says_so_by_its_length(tmp_path: Path) -> None:
    path = video(tmp_path / "v.mkv")
    path.write_bytes(path.read_bytes()[: int(0.55 * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"it ends after \d+ of some 24 frames"):
        read_video(path, lambda count: central(count, 3))


def test_frames_of_different_sizes(tmp_path: Path) -> None:
    place = folder(tmp_path / "v")
    Image.new("RGB", (20, 16)).save(place / NAME.format(13))
    with pytest.raises(ValueError, match="frame 13 has 20 x 16 pixels, and frame 5 has 16 x 16"):
        read_folder(place, 24, lambda count: [4, 12, 20])
