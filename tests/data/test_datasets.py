"""The datasets: the synthetic ones by their definition, the real ones in their published form."""

import math
import struct

import numpy as np
import pytest
import torch

from madnas.data import real
from madnas.data.datasets import load_dataset
from madnas.data.names import is_dataset
from madnas.data.real import FILES, load_mnist
from madnas.data.seeds import generator
from madnas.data.synthetic import circle, segments
from madnas.errors import DataError, UsageError


class TestSegments:
    def test_segments_alternate_and_are_equally_full(self):
        inputs, labels = segments(60_000, 20, generator(0))
        assert (inputs.shape, inputs.dtype, labels.dtype) == ((60_000, 2), torch.float32, torch.int64)
        assert torch.equal(inputs[:, 0], inputs[:, 1])  # the feature is (x, x)
        part = (inputs[:, 0].double() * 20).floor().clamp_max(19).long()
        assert torch.bincount(part).tolist() == pytest.approx([3000] * 20, abs=2)  # float32 may round across a border
        assert ((part % 2) != labels).sum() <= 20
        assert torch.bincount(labels).tolist() == [30_000, 30_000]

    def test_uniform_inside_a_segment(self):
        x = segments(40_000, 4, generator(1))[0][:, 0].double()
        inside = (x * 4) % 1
        assert inside.mean().item() == pytest.approx(0.5, abs=0.01)
        assert inside.var().item() == pytest.approx(1 / 12, abs=0.002)
        assert 0 <= x.min() < 0.001 and 0.999 < x.max() <= 1

    def test_classes_are_as_even_as_they_can_be(self):
        for samples in (1, 2, 7, 41):
            counts = torch.bincount(segments(samples, 30, generator(0))[1], minlength=2)
            assert counts.sum() == samples
        assert torch.bincount(segments(90, 30, generator(0))[1]).tolist() == [45, 45]


class TestCircle:
    def test_rings(self):
        inputs, labels = circle(40_000, 20, generator(0))
        radius = inputs.double().norm(dim=1)
        assert radius.max() <= 1 + 1e-6
        ring = (radius * 20).floor().clamp_max(19).long()
        assert ((ring % 2) != labels).sum() <= 20
        assert torch.bincount(ring).tolist() == pytest.approx([2000] * 20, abs=4)
        inside = (radius * 20) % 1  # uniform in the ring's breadth, not in its area
        assert inside.mean().item() == pytest.approx(0.5, abs=0.01)

    def test_angles_are_uniform(self):
        inputs, _ = circle(40_000, 20, generator(0))
        angle = torch.atan2(inputs[:, 1], inputs[:, 0]) / math.pi
        assert angle.mean().item() == pytest.approx(0, abs=0.02)
        assert angle.var().item() == pytest.approx(1 / 3, abs=0.01)


class TestNames:
    @pytest.mark.parametrize("name", ["seg20", "seg30", "circle20", "seg4", "mnist", "digits"])
    def test_known(self, name):
        assert is_dataset(name)

    @pytest.mark.parametrize("name", ["", "seg", "seg0", "seg-3", "circle9999", "cifar10", "seg20 ", "Seg20"])
    def test_unknown(self, name):
        assert not is_dataset(name)
        with pytest.raises(UsageError, match="unknown dataset"):
            load_dataset(name)

    def test_training_and_test_set_differ_and_follow_the_seed(self):
        data, again, other = (load_dataset("circle4", 50, 50, seed) for seed in (0, 0, 1))
        assert torch.equal(data.inputs, again.inputs) and not torch.equal(data.inputs, other.inputs)
        assert not torch.equal(data.inputs, data.test_inputs)
        assert (data.features, data.classes) == (2, 2)


def idx(values: torch.Tensor) -> bytes:
    """The on-disk form of MNIST: two zeros, type 8 (unsigned bytes), dimensions, big-endian sizes, values."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + bytes(values.flatten().tolist())


def write_mnist(folder, train=30, test=12):
    folder.mkdir(parents=True)
    for images, labels, count in ((*FILES[:2], train), (*FILES[2:], test)):
        numbers = torch.arange(count)
        pixels = (numbers[:, None, None] * 7 + torch.arange(28)[:, None] + torch.arange(28)) % 256
        (folder / images).write_bytes(idx(pixels))
        (folder / labels).write_bytes(idx(numbers % 10))


class TestMNIST:
    @pytest.mark.parametrize("below", ["MNIST/raw", "."])
    def test_published_files(self, tmp_path, below):
        write_mnist(tmp_path / "d" / below)
        data = load_mnist(tmp_path / "d")
        assert (data.inputs.shape, data.test_inputs.shape, data.classes) == ((30, 784), (12, 784), 10)
        assert data.labels.tolist() == [i % 10 for i in range(30)]
        assert data.inputs[3, 29].item() == pytest.approx((21 + 2) / 255)  # image 3, row 1, column 1

    def test_inputs_are_standardised_by_the_training_set(self, tmp_path):
        write_mnist(tmp_path / "d")
        data = load_dataset("mnist", 20, None, 0, tmp_path / "d")
        assert data.inputs.shape == (20, 784) and data.test_inputs.shape == (12, 784)
        assert data.inputs.mean().item() == pytest.approx(0, abs=1e-5)
        assert data.inputs.std().item() == pytest.approx(1, abs=1e-4)

    def test_more_samples_than_there_are(self, tmp_path):
        write_mnist(tmp_path / "d")
        with pytest.raises(UsageError, match="31 training samples asked for, the dataset has 30"):
            load_dataset("mnist", 31, None, 0, tmp_path / "d")

    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match="MNIST cannot be read") as error:
            load_mnist(tmp_path)
        assert error.value.exit_code == 5
        assert f"{tmp_path}/MNIST/raw" in error.value.hint

    @pytest.mark.parametrize(
        ("file", "content"),
        [
            (FILES[0], b""),
            (FILES[0], b"\0\0\x08\x03"),
            (FILES[0], idx(torch.zeros(30, 28, 28, dtype=torch.long))[:-5]),
            (FILES[0], b"<html>not found</html>" * 50),
            (FILES[1], idx(torch.arange(29) % 10)),
            (FILES[1], idx(torch.arange(30))),
            (FILES[0], idx(torch.zeros(30, 20, 20, dtype=torch.long))),
        ],
        ids=["empty", "header only", "truncated", "a web page", "too few labels", "label 29", "other size"],
    )
    def test_broken(self, tmp_path, file, content):
        write_mnist(tmp_path / "d")
        (tmp_path / "d" / file).write_bytes(content)
        with pytest.raises(DataError):
            load_mnist(tmp_path / "d")


def test_digits():
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn, which is not installed")
    data = load_dataset("digits", seed=3)
    assert (data.inputs.shape, data.test_inputs.shape, data.classes) == ((1348, 64), (449, 64), 10)
    assert torch.bincount(torch.cat([data.labels, data.test_labels])).min() == 174


def test_digits_are_those_of_scikit_learn(monkeypatch):
    """Its file is read directly where it is found; else it is asked itself."""
    pixels, classes = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    read = real._digits()
    monkeypatch.setattr("pathlib.Path.is_file", lambda path: False)
    for found in (read, real._digits()):
        assert np.array_equal(found[0], pixels) and np.array_equal(found[1], classes)


def test_digits_without_scikit_learn(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sklearn", None)
    load_dataset.cache_clear()
    with pytest.raises(UsageError, match="scikit-learn, which is not installed"):
        load_dataset("digits")
