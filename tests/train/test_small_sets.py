"""CIFAR's and MNIST's files, in their real formats, made here; and the digits."""

import os
import pickle
import struct

import numpy as np
import pytest
import torch

from madnas.data.cifar import read_cifar
from madnas.data.images import load_images
from madnas.errors import DataError
from tests.train.shell import finish, job, metrics


def cifar(folder, name, images=20):
    """CIFAR's files as the archive has them, with few images."""
    generator = np.random.default_rng(1)
    ten = name == "cifar10"
    base = folder / ("cifar-10-batches-py" if ten else "cifar-100-python")
    base.mkdir(parents=True)
    for file in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"] if ten else ["train", "test"]:
        labels = generator.integers(0, 10 if ten else 100, images).tolist()
        content = {
            b"data": generator.integers(0, 256, (images, 3072), dtype=np.uint8),
            b"labels" if ten else b"fine_labels": labels,
            b"filenames": [b"x.png"] * images,
        }
        (base / file).write_bytes(pickle.dumps(content, protocol=2))
    return folder


@pytest.mark.parametrize(("name", "samples"), [("cifar10", 100), ("cifar100", 20)])
def test_cifar_from_its_files(tmp_path, name, samples):
    train_set, test_set, classes = load_images(name, cifar(tmp_path, name))
    assert (len(train_set), len(test_set), classes) == (samples, 20, int(name[5:]))
    assert train_set.images.shape == (samples, 3, 32, 32)
    base = next(tmp_path.iterdir())
    with open(base / ("test_batch" if name == "cifar10" else "test"), "rb") as file:
        raw = pickle.load(file)
    assert torch.equal(test_set.images[3].flatten(), torch.from_numpy(raw[b"data"][3]))
    inside, _ = read_cifar(base, name, "test")  # the files' own folder will do too
    assert torch.equal(inside, test_set.images)


def test_a_cifar_file_that_is_a_program_is_not_run(tmp_path, monkeypatch):
    class Evil:
        def __reduce__(self):

            return os.system, ("touch pwned",)

    monkeypatch.chdir(tmp_path)
    cifar(tmp_path / "data", "cifar10")
    path = tmp_path / "data" / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(DataError, match=r"data_batch_3: not a file of CIFAR10: asks for (posix|nt)\.system"):
        load_images("cifar10", tmp_path / "data")
    assert not (tmp_path / "pwned").exists()
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(DataError, match="data_batch_3: not a file of CIFAR10"):
        load_images("cifar10", tmp_path / "data")
    path.unlink()
    with pytest.raises(DataError, match="data_batch_3: no such file"):
        load_images("cifar10", tmp_path / "data")


@pytest.mark.parametrize(
    ("key", "content", "reason"),
    [
        (b"data", np.full((1, 3072), 0.5), "data: whole numbers expected, found float64"),
        (b"data", np.full((1, 3072), 256, dtype=np.int64), r"pixels are torch.int64"),
        (b"labels", [2.5], "labels: whole numbers expected, found float64"),
    ],
)
def test_a_cifar_file_whose_numbers_would_have_to_be_cast(tmp_path, key, content, reason):
    path = cifar(tmp_path, "cifar10") / "cifar-10-batches-py" / "data_batch_2"
    path.write_bytes(pickle.dumps({b"data": np.zeros((1, 3072), dtype=np.uint8), b"labels": [1], key: content}))
    with pytest.raises(DataError, match=f"data_batch_2: not a file of CIFAR10: {reason}"):
        load_images("cifar10", tmp_path)


def mnist(folder, images=60):
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(2)
    for part in ("train", "t10k"):
        pixels = generator.integers(0, 256, (images, 28, 28), dtype=np.uint8)
        labels = generator.integers(0, 10, images, dtype=np.uint8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, images, 28, 28) + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, images) + labels.tobytes())
    return folder


def test_mnist_as_images_and_as_features(tmp_path):
    data = mnist(tmp_path / "data")
    train_set, _, classes = load_images("mnist", data)
    assert (train_set.images.shape, train_set.images.dtype, classes) == ((60, 1, 28, 28), torch.uint8, 10)
    finish(job(tmp_path, "dataset=mnist", "image_size=8", "batch_size=20", data=data))
    assert len(metrics(tmp_path / "run")) == 8


def test_the_digits_division_is_always_the_same(tmp_path):
    one, other = (load_images("digits", tmp_path, seed)[1] for seed in (0, 5))
    assert torch.equal(one.labels, other.labels) and len(one) == 449
    train_set = load_images("digits", tmp_path)[0]
    assert len(train_set) == 1348
    assert train_set.resized(32, 0.875).images.shape == (1348, 1, 32, 32)
