"""Image folders, shards and Hugging Face's data sets, made here: reading, what is broken, signals to the readers."""

import io
import json
import multiprocessing
import os
import shutil
import signal
import tarfile
from contextlib import suppress

import numpy as np
import pytest
import torch
from PIL import Image

from madnas.data.folder import FileSource
from madnas.data.order import Order
from madnas.data.source import Process
from madnas.errors import DataError, ReaderError, RequeueError, UsageError
from madnas.targets import find
from madnas.train.data import open_data
from madnas.train.job import Job
from madnas.train.recipe import load_recipe
from madnas.train.run import train
from tests.train.shell import (
    Task,
    assert_equal_runs,
    crash_at,
    descendants,
    finish,
    madnas,
    network,
    steps_logged,
    when,
)

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""timm leaves a file open when Pillow cannot read it, until the garbage is collected."""

CHANGES = ("image_size=32", "batch_size=8", "epochs=2", "warmup_epochs=0", "cooldown_epochs=0", "amp_dtype=null",
           "lr=0.02", "bad_data_rate=0.2")  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three classes of coloured noise, 8 images each for training and 4 for testing."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for split, number in (("train", 8), ("val", 4)):
        for index, name in enumerate(("red", "green", "blue")):
            (folder / split / name).mkdir(parents=True)
            for one in range(number):
                pixels = generator.integers(0, 80, (40, 48, 3), dtype=np.uint8)
                pixels[:, :, index] += 150
                Image.fromarray(pixels).save(folder / split / name / f"{one}.{'png' if one % 2 else 'jpg'}", quality=95)
    return folder


def folder_job(tmp_path, data, *changes, name="run", **settings):
    recipe = load_recipe("imagenet/deepmad", [*CHANGES, *changes])
    given = {"log_interval": 1, "recovery_interval": 2, "workers": 0, **settings}
    return Job(find(network(tmp_path)), "imagenet/deepmad", recipe, 0, tmp_path / name, data, **given)


def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path, images):
    whole = folder_job(tmp_path, images, name="whole")
    result = finish(whole)
    assert (result["updates"], result["last"]["n"]) == (6, 12)
    one = folder_job(tmp_path, images)
    for step in (1, 3, 5):
        crash_at(one, step)
    finish(one)
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")


def test_processes_that_read_change_nothing(tmp_path, images):
    finish(folder_job(tmp_path, images, name="none"))
    finish(folder_job(tmp_path, images, name="two", workers=2))
    assert_equal_runs(tmp_path / "two", tmp_path / "none")


def broken_copy(images, tmp_path, *names):
    copy = tmp_path / "images"
    shutil.copytree(images, copy)
    for name in names:
        file = copy / "train" / name
        file.write_bytes(file.read_bytes()[:200])
    return copy


def test_posterizing_to_nothing_is_black(images, tmp_path):
    """Newer versions of Pillow raise there, and the sample would count as unreadable."""
    from madnas.train.data import _posterize

    picture = Image.open(images / "train" / "red" / "1.png")
    assert np.array(_posterize(picture, 0)).max() == 0
    assert np.array(_posterize(picture, 8)).max() > 0
    result = finish(folder_job(tmp_path, images, "aa=rand-m10-n4-p1.0-inc1", "epochs=6"))
    assert result["unreadable_samples"] == 0


def test_unreadable_images_are_named_counted_and_replaced_the_same_way(tmp_path, images):
    data = broken_copy(images, tmp_path, "red/2.jpg", "blue/5.png")
    told = []
    one = folder_job(tmp_path, data)
    result = train(one, lambda progress: None, told.append)
    ledger = [json.loads(line) for line in (tmp_path / "run" / "ledger.jsonl").read_text().splitlines()]
    assert result["unreadable_samples"] == len(ledger) == 4  # two of them in each of two epochs
    assert {line["file"].rpartition("train/")[2] for line in ledger} == {"red/2.jpg", "blue/5.png"}
    assert sum("cannot be read" in text for text in told) == 4
    for line in ledger:
        assert set(line) == {"epoch", "step", "index", "file", "error", "replaced_by"}
        assert line["replaced_by"] != line["index"]
    again = folder_job(tmp_path, data, name="again", workers=2)
    crash_at(again, 3)
    finish(again)
    assert_equal_runs(tmp_path / "again", tmp_path / "run")


def test_too_many_unreadable_images_end_the_run(tmp_path, images):
    data = broken_copy(images, tmp_path, *(f"red/{one}.{'png' if one % 2 else 'jpg'}" for one in range(6)))
    with pytest.raises(DataError, match=r"samples of epoch 0 could not be read, more than 4\.8 \(0\.2 of 24\)"):
        finish(folder_job(tmp_path, data))


@pytest.mark.parametrize("workers", [0, 2])
def test_no_image_can_be_read(tmp_path, images, workers):
    """An error of a reading process comes as one line, and nothing in it keeps the readers."""
    names = [f"{name}/{one}.{'png' if one % 2 else 'jpg'}" for name in ("red", "green", "blue") for one in range(8)]
    data = broken_copy(images, tmp_path, *names)
    with pytest.raises(DataError) as error:
        finish(folder_job(tmp_path, data, workers=workers))
    assert str(error.value).startswith("100 samples one after the other could not be read; the first: ")
    assert "\n" not in str(error.value)
    readers = [one for one in multiprocessing.active_children() if one.daemon]
    for one in readers:
        one.join(60)
    assert not any(one.is_alive() for one in readers)


def test_an_unreadable_test_image_is_an_error(tmp_path, images):
    data = broken_copy(images, tmp_path)
    (data / "val" / "red" / "0.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="a test sample cannot be read"):
        finish(folder_job(tmp_path, data))


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("missing", "no such folder"),
        ("empty", "no folder train or training"),
        ("no_val", "no folder val or validation"),
    ],
)
def test_folders_that_are_none(tmp_path, images, layout, message):
    data = tmp_path / "data"
    if layout == "empty":
        data.mkdir()
    if layout == "no_val":
        shutil.copytree(images / "train", data / "train")
    with pytest.raises(DataError, match=message):
        finish(folder_job(tmp_path, data))


def test_a_single_class_is_none(tmp_path, images):
    """Neither one folder of images nor images without folders: everything would be right in a network's eyes."""
    one, flat = tmp_path / "one", tmp_path / "flat"
    for split in ("train", "val"):
        shutil.copytree(images / split / "red", one / split / "red")
        shutil.copytree(images / split / "red", flat / split)
    for data in (one, flat):
        with pytest.raises(DataError, match="a single class in train"):
            finish(folder_job(tmp_path, data))


def test_a_class_without_images_is_named(tmp_path, images):
    """timm would leave it out in silence; hidden folders are no classes."""
    data = tmp_path / "images"
    shutil.copytree(images, data)
    for name in (".cache", "yellow"):
        (data / "train" / name).mkdir()
        (data / "train" / name / "photo.heic").write_bytes(b"")
    with pytest.raises(DataError, match=r"train: no images in yellow$"):
        finish(folder_job(tmp_path, data))


def test_names_that_are_no_text(tmp_path, images):
    data = tmp_path / "images"
    shutil.copytree(images, data)
    (data / "train" / "red" / os.fsdecode(b"\xff\xfe.jpg")).write_bytes(b"")
    result = finish(folder_job(tmp_path, data, "batch_size=25", "mixup=0", "cutmix=0", "epochs=1"))
    assert (result["updates"], result["unreadable_samples"]) == (1, 1)


def test_other_data_is_another_run(tmp_path, images):
    """The same number of images and classes is not the same data."""
    crash_at(folder_job(tmp_path, images), 3)
    data = tmp_path / "images"
    shutil.copytree(images, data)
    finish(folder_job(tmp_path, data, name="copy"))
    for one, other in (("red", "x"), ("blue", "red"), ("x", "blue")):
        (data / "train" / one).rename(data / "train" / other)
    (data / "train" / "red" / "0.jpg").rename(data / "train" / "red" / "new.jpg")
    with pytest.raises(UsageError, match="holds results of another run: data"):
        finish(folder_job(tmp_path, data))
    finish(folder_job(tmp_path, images))


def test_images_of_other_kinds_are_read(tmp_path, images):
    data = tmp_path / "images"
    shutil.copytree(images, data)
    for number, ending in enumerate(("webp", "bmp", "tif", "gif", "ppm")):
        Image.new("RGB", (40, 40), (number, 0, 0)).save(data / "train" / "red" / f"more{number}.{ending}")
    result = finish(folder_job(tmp_path, data, "batch_size=29", "mixup=0", "cutmix=0", "epochs=1"))
    assert (result["updates"], result["unreadable_samples"]) == (1, 0)


def test_splits_with_different_classes_are_refused(tmp_path, images):
    """Each split is numbered on its own: label 1 would be another class."""
    data = tmp_path / "images"
    shutil.copytree(images, data)
    shutil.rmtree(data / "val" / "blue")
    with pytest.raises(DataError, match="train and validation have different classes: blue"):
        finish(folder_job(tmp_path, data))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_signals_to_the_whole_group_leave_the_readers_to_the_parent(tmp_path, images, number):
    settings = [part for change in (*CHANGES, "epochs=500") for part in ("--set", change)]
    arguments = ["--recipe", "imagenet/deepmad", "--data", str(images), "-o", "run", "-j", "2", "--log-interval", "1"]
    process = Task(tmp_path, madnas, network(tmp_path), *arguments, *settings)
    when(lambda: steps_logged(tmp_path / "run") >= 3, process)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 75), err
    assert "is saved in run" in err


def test_a_reader_that_the_signal_took_too_costs_nothing(tmp_path, images, monkeypatch):
    finish(folder_job(tmp_path, images, name="whole"))
    real = FileSource.train

    def losing(source, *arguments):
        for number, batch in enumerate(real(source, *arguments)):
            if number == 2:
                os.kill(os.getpid(), signal.SIGUSR1)
                raise ReaderError("a reader has ended")
            yield batch

    with monkeypatch.context() as context:
        context.setattr(FileSource, "train", losing)
        with pytest.raises(RequeueError, match="update 2 of 6 is saved"):
            train(folder_job(tmp_path, images), print, print)
    finish(folder_job(tmp_path, images))
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")


def test_a_killed_reader_is_told(tmp_path, images):
    settings = [part for change in (*CHANGES, "epochs=500") for part in ("--set", change)]
    arguments = ["--recipe", "imagenet/deepmad", "--data", str(images), "-o", "run", "-j", "2", "--log-interval", "1"]
    process = Task(tmp_path, madnas, network(tmp_path), *arguments, *settings)
    when(lambda: steps_logged(tmp_path / "run") >= 1, process)
    for reader in descendants(process.pid):
        with suppress(ProcessLookupError):
            os.kill(reader, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and "a process that reads data has ended" in err and "fewer --workers" in err, err


def as_shards(images, folder, per_shard=5):
    """The same images as a webdataset, in the order that timm's folders have."""
    folder.mkdir()
    classes = sorted(path.name for path in (images / "train").iterdir())
    for split in ("train", "val"):
        files = [path for name in classes for path in natsorted((images / split / name).iterdir())]
        for start in range(0, len(files), per_shard):
            with tarfile.open(folder / f"{split}-{start:04d}.tar", "w") as tar:
                for number, path in enumerate(files[start : start + per_shard], start):
                    label = str(classes.index(path.parent.name)).encode()
                    info = tarfile.TarInfo(f"{number:06d}.cls")
                    info.size = len(label)
                    tar.addfile(info, io.BytesIO(label))
                    tar.add(path, f"{number:06d}{path.suffix}")
    return folder


def natsorted(paths):
    return sorted(paths, key=lambda path: int(path.stem))


def test_shards_are_a_folder(tmp_path, images, monkeypatch):
    """A webdataset goes on in the middle of an epoch too, to the very same weights as the images in a folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    finish(folder_job(tmp_path, images, name="folder"))
    one = folder_job(tmp_path, as_shards(images, tmp_path / "shards").parent, "dataset=wds/shards", workers=2)
    crash_at(one, 3)
    finish(one)
    assert_equal_runs(tmp_path / "run", tmp_path / "folder")


def test_unreadable_images_of_shards_are_named(tmp_path, images, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = as_shards(broken_copy(images, tmp_path, "red/2.jpg"), tmp_path / "shards")
    result = finish(folder_job(tmp_path, data, "dataset=wds/"))
    line = json.loads((tmp_path / "run" / "ledger.jsonl").read_text().splitlines()[0])
    assert result["unreadable_samples"] == 2
    assert line["file"].endswith("train-0015.tar:000018")  # red is the last class


def test_a_dataset_of_hugging_face(tmp_path, images, monkeypatch):
    """Through timm: here a folder in the hub's layout, which needs no network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    one = folder_job(tmp_path, tmp_path / "cache", f"dataset=hfds/{images}")
    crash_at(one, 2)
    result = finish(one)
    assert (result["updates"], result["last"]["n"]) == (6, 12)
    finish(folder_job(tmp_path, tmp_path / "cache", f"dataset=hfds/{images}", name="whole"))
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("crop", ["none", "pad"])
def test_crops_are_resized_as_the_recipe_says(tmp_path, images, crop):
    """Bicubic resizing gives other pixels than bilinear, and the same as Pillow's."""
    changes = [f"crop={crop}", "scale=[0.08, 1]", "hflip=0", "aa=null", "interpolation=bicubic"]
    changes = [*changes, "pad=0"] if crop == "pad" else changes
    one = folder_job(tmp_path, images, *changes)
    source = open_data(one.recipe, images, 0, one.target, 0, torch.device("cpu"))
    batch = next(source.train(Order(24, 8, 0), 0, 1, Process()))
    reader = source._train._reader
    with Image.open(reader[int(batch.indices[0])][0]) as image:
        expected = np.array(image.convert("RGB").resize((32, 32), Image.BICUBIC))
    assert np.array_equal(batch.images[0].permute(1, 2, 0).numpy(), expected)


def test_a_batch_larger_than_the_data_set(tmp_path, images):
    with pytest.raises(UsageError, match="a batch of 64 is larger than the training set of 24"):
        finish(folder_job(tmp_path, images, "batch_size=64"))
