"""Webdataset's shards: every sample at any time, and what is wrong with shards is told."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from madnas.data.shards import open_shards
from madnas.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "madnas" / "shards"


def picture(number: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), number, dtype=np.uint8)).save(data, "PNG")
    return data.getvalue()


def shard(path, samples, label="cls"):
    """A tar file of ``(key, label)``; the picture's colour is ten times the label."""
    with tarfile.open(path, "w") as tar:
        for key, number in samples:
            text = str(number) if label == "cls" else json.dumps({"label": number, "more": "x"})
            for ending, data in ((label, text.encode()), ("png", picture(10 * max(0, number)))):
                info = tarfile.TarInfo(f"{key}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def make(folder, label="cls"):
    folder.mkdir(parents=True)
    for number in range(3):
        shard(folder / f"set-train-{number:04d}.tar", [(f"a/{number}{one}", one % 3) for one in range(4)], label)
    shard(folder / "set-val-0000.tar", [("v1", 1), ("v2", 2)], label)
    return folder


@pytest.mark.parametrize("label", ["cls", "json"])
def test_every_sample_has_its_image_and_label(tmp_path, label):
    reader = open_shards(make(tmp_path / "data", label), "train")
    assert (len(reader), reader.classes) == (12, 3)
    for number in (11, 0, 5):
        file, found = reader[number]
        assert found == number % 4 % 3
        assert np.array(Image.open(file)).max() == 10 * found
    assert reader.filename(5) == f"{tmp_path / 'data' / 'set-train-0001.tar'}:a/11"
    assert len(open_shards(tmp_path / "data", "validation")) == 2


def test_splits_by_description_and_by_pattern(tmp_path):
    folder = make(tmp_path / "data")
    assert len(open_shards(folder, "set-train-{0001..0002}.tar")) == 8
    info = {"splits": {"train": {"filenames": ["set-train-0002.tar"]}}}
    (folder / "_info.json").write_text(json.dumps(info))
    assert len(open_shards(folder, "train")) == 4
    with pytest.raises(DataError, match=r"_info\.json: does not name the files of validation"):
        open_shards(folder, "validation")


def test_the_index_is_kept_until_a_shard_changes(tmp_path, cache, monkeypatch):
    folder = make(tmp_path / "data")
    first = open_shards(folder, "train")
    assert len(list(cache.iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr("madnas.data.shards._members", None)
        again = open_shards(folder, "train")
    assert [again[one][1] for one in range(12)] == [first[one][1] for one in range(12)]
    shard(folder / "set-train-0001.tar", [("new", 7)])
    changed = open_shards(folder, "train")
    assert (len(changed), changed.classes) == (9, 8)
    for damage in (b"broken", b"", next(cache.iterdir()).read_bytes()[:100]):
        for path in cache.iterdir():
            path.write_bytes(damage)
        assert len(open_shards(folder, "train")) == 9


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(open_shards(make(tmp_path / "data"), "train")) == 12


def test_what_is_wrong_with_shards_is_told(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        open_shards(tmp_path / "none", "train")
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(DataError, match=r"no shards of train \(0 \.tar files\)"):
        open_shards(folder, "train")
    with pytest.raises(DataError, match=r"a-01\.tar: no such shard"):
        open_shards(folder, "a-{01..03}.tar")
    path = folder / "train-0.tar"
    for samples, message in (([("x", -1)], "x has the label -1"), ([], "no samples in the shards of train")):
        shard(path, samples)
        with pytest.raises(DataError, match=message):
            open_shards(folder, "train")
    shard(path, [("x", 1), ("y", 2)])
    data = path.read_bytes()
    path.write_bytes(data[:2000])
    with pytest.raises(DataError, match="not a whole tar file"):
        open_shards(folder, "train")
    for missing, message in (("cls", "x has no label"), ("png", "x has no image")):
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo("x.png" if missing == "cls" else "x.cls")
            info.size = 1
            tar.addfile(info, io.BytesIO(b"1"))
        with pytest.raises(DataError, match=message):
            open_shards(folder, "train")
