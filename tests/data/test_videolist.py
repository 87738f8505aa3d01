"""Lists of videos: lines, folders, and what is refused."""

from pathlib import Path

import pytest

from madnas.data.videolist import Video, check_apart, read_list
from madnas.errors import DataError


def written(folder: Path, text: str, *folders: str) -> Path:
    for one in folders:
        (folder / one).mkdir(parents=True)
    (folder / "list.txt").write_text(text)
    return folder / "list.txt"


def test_folders_of_frames(tmp_path: Path) -> None:
    path = written(tmp_path, "A/v_1 29 0\n\nB/a video 120 1\n", "rawframes/A/v_1")
    found = read_list(path, 2, "train")
    assert found.videos == (Video("A/v_1", 29, 0), Video("B/a video", 120, 1))
    assert found.folder == tmp_path / "rawframes" and found.has_frames


def test_files(tmp_path: Path) -> None:
    path = written(tmp_path, "A/v_1.avi 0\nB/v_2.avi 1\n", "videos_val/A", "videos_val/B", "videos/A")
    for name in ("A/v_1.avi", "B/v_2.avi"):
        (tmp_path / "videos_val" / name).touch()
    found = read_list(path, 2, "val")
    assert found.videos == (Video("A/v_1.avi", 0, 0), Video("B/v_2.avi", 0, 1))
    assert found.folder == tmp_path / "videos_val" and not found.has_frames


def test_paths_beside_the_list(tmp_path: Path) -> None:
    assert read_list(written(tmp_path, "v 3 0\n", "v"), 2, "train").folder == tmp_path


def test_the_digest_changes_with_a_label(tmp_path: Path) -> None:
    digests = {read_list(written(tmp_path, text, ), 2, "train").digest()
               for text in ("list.txt 3 0\n", "list.txt 3 1\n", "list.txt 4 0\n")}  # fmt: skip
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "an empty list"),
        ("\n\n", "an empty list"),
        ("v 3 0\nw 3 2\n", "line 2: the label 2, and there are 2 classes"),
        ("v 3 -1\n", "line 1: the label -1"),
        ("v 0 1\n", "line 1: 0 frames"),
        ("v\n", "line 1: no label at its end"),
        ("v 3 0.5\n", "line 1: no label at its end"),
        ("v 3 0\nw 1\n", "line 2: 2 columns, and 3 in the lines before"),
        ("v 3 7\nv 3 8\nv 3 9\nv 3 10\nv 3 11\n", "line 3: the label 9, and there are 2 classes, from 0 and 2 more"),
        ("gone 3 0\n", "gone: no such folder"),
        ("gone.avi 0\n", "gone.avi: no such file"),
    ],
)
def test_lists_that_would_give_wrong_numbers(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_list(written(tmp_path, text, "v"), 2, "train")


def test_no_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"list\.txt: cannot be read: no such file"):
        read_list(tmp_path / "list.txt", 2, "train")


def test_what_is_tested_is_tested_once_and_not_trained_with(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    first, second, twice = (
        read_list(written(tmp_path, text), 2, "train") for text in ("v 3 0\n", "v 3 0\nw 3 1\n", "v 3 0\nv 3 0\n")
    )
    with pytest.raises(DataError, match="train and val have 1 videos in common, such as v"):
        check_apart(first, second, ("train", "val"))
    with pytest.raises(DataError, match="val: v more than once"):
        check_apart(first, twice, ("train", "val"))


def test_what_is_tested_has_to_be_there_and_most_of_what_is_trained_with(tmp_path: Path) -> None:
    path = written(tmp_path, "v 3 0\nw 3 1\n", "v")
    assert len(read_list(path, 2, "train").videos) == 2
    for name in ("v/img_00003.jpg", "w"):
        with pytest.raises(DataError, match=rf"{name}: no such f"):
            read_list(path, 2, "val")
        (tmp_path / "v/img_00003.jpg").touch()


def test_other_spellings_of_a_path_are_the_same_video(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "img_00003.jpg").touch()
    one, other = (read_list(written(tmp_path, text), 2, "train") for text in ("v 3 0\n", "./v 3 0\n"))
    with pytest.raises(DataError, match="1 videos in common"):
        check_apart(one, other, ("train", "val"))
