"""The datasets of the experiments, by name: ``seg20``, ``circle20`` (any number), ``mnist``, ``digits``."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from madnas.data.names import REAL, SYNTHETIC
from madnas.data.seeds import generator
from madnas.errors import UsageError

SAMPLES, TEST_SAMPLES = 60_000, 12_000
"""Of the synthetic datasets, where a recipe says nothing else (Table 6)."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Inputs (samples, features) as float32 and labels (samples,) as int64, for training and for testing."""

    inputs: Tensor
    labels: Tensor
    test_inputs: Tensor
    test_labels: Tensor
    classes: int

    @property
    def features(self) -> int:
        """Features of a sample."""
        return self.inputs.shape[1]


@lru_cache(maxsize=1)
def load_dataset(
    name: str, samples: int | None = None, test_samples: int | None = None, seed: int = 0, folder: Path | None = None
) -> Dataset:
    """A dataset by name.

    Args:
        name: ``seg<N>``, ``circle<N>``, ``mnist`` or ``digits``.
        samples: training samples; of real data so many are drawn without replacement, and absent means all.
        test_samples: the same for testing.
        seed: of what is drawn.
        folder: where MNIST is.

    Raises:
        DataError: real data that is missing or broken.
        UsageError: an unknown name, or more samples than there are.
    """
    found = SYNTHETIC.fullmatch(name)
    if found:
        return _synthetic(found[1], int(found[2]), samples or SAMPLES, test_samples or TEST_SAMPLES, seed)
    if name not in REAL:
        raise UsageError(f"unknown dataset {name[:60]!r}", f"known: seg<N>, circle<N>, {', '.join(REAL)}")
    from madnas.data.real import load_digits, load_mnist

    whole = load_mnist(folder or Path("data")) if name == "mnist" else load_digits(seed)
    return _standardised(_drawn(whole, samples, test_samples, seed))


def _synthetic(kind: str, parts: int, samples: int, test_samples: int, seed: int) -> Dataset:
    from madnas.data.synthetic import circle, segments

    make = segments if kind == "seg" else circle
    inputs, labels = make(samples, parts, generator(seed, kind, "train"))
    test_inputs, test_labels = make(test_samples, parts, generator(seed, kind, "test"))
    return Dataset(inputs, labels, test_inputs, test_labels, classes=2)


def _drawn(whole: Dataset, samples: int | None, test_samples: int | None, seed: int) -> Dataset:
    train = _choice(len(whole.labels), samples, "training", generator(seed, "train"))
    test = _choice(len(whole.test_labels), test_samples, "test", generator(seed, "test"))
    return Dataset(
        whole.inputs[train], whole.labels[train], whole.test_inputs[test], whole.test_labels[test], whole.classes
    )


def _choice(have: int, wanted: int | None, what: str, random: torch.Generator) -> Tensor:
    if wanted is not None and wanted > have:
        raise UsageError(f"{wanted} {what} samples asked for, the dataset has {have}", "ask for fewer")
    return torch.randperm(have, generator=random)[:wanted]


def _standardised(data: Dataset) -> Dataset:
    """Shift and scale all features alike, so that training inputs have mean 0 and variance 1 as a whole."""
    mean, std = data.inputs.mean(), data.inputs.std().clamp_min(1e-12)
    return Dataset(
        (data.inputs - mean) / std, data.labels, (data.test_inputs - mean) / std, data.test_labels, data.classes
    )
