"""Scores by name: draws that are repeatable, devices, and failures that are no numbers."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from madnas.errors import UsageError
from madnas.network.named import get
from madnas.network.zoo.skip import skip_mlp
from madnas.scores.catalogue import ON_REQUEST
from madnas.scores.registry import measure
from madnas.scores.subject import Settings, Subject, subject_of

MLP = subject_of(skip_mlp("mlp", 6, depth=5, width=4, links=3, classes=2))
SMALL = subject_of(get("resnet20"))
QUICK = Settings(batch_size=4)


def test_draws_follow_the_seed():
    one, other, both = (measure(MLP, "ldi", repeats, seed) for repeats, seed in ((1, 3), (1, 4), (2, 3)))
    assert one.value != other.value and one.std is None
    second = 2 * both.value - one.value  # draws of a seed are its own, and those of another seed are others
    assert second not in (pytest.approx(one.value), pytest.approx(other.value))
    assert both.std == pytest.approx(abs(one.value - second) / 2**0.5)
    assert (one.n, both.n) == (1, 2)


@pytest.mark.parametrize("name", [name for name in ON_REQUEST if name != "ldi"])
def test_every_score_is_repeatable_and_leaves_the_global_generator_alone(name):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one = measure(SMALL, name, 2, 5, QUICK)
    assert torch.equal(torch.get_rng_state(), before)
    assert one == measure(SMALL, name, 2, 5, QUICK)
    assert math.isfinite(one.value)
    assert (measure(SMALL, name, 2, 6, QUICK) == one) == (name in ("zen-closed", "linear-regions"))


def test_inputs_are_not_the_weights_of_the_same_seed():
    images = QUICK.images(SMALL, QUICK.generator(0)).flatten()
    drawn = torch.randn(len(images), generator=torch.Generator().manual_seed(0))
    assert not torch.isclose(images, drawn, rtol=0, atol=1e-6).sum() > len(images) / 1000


def test_unknown_and_structural_names_are_refused_with_what_to_do():
    for name in ("zne", "params"):
        with pytest.raises(UsageError, match=f"unknown metric '{name}'"):
            measure(SMALL, name)
    with pytest.raises(UsageError, match="give what builds the network"):
        Subject("mine", nn.Linear(1, 1), (1, 1, 1))


def test_what_a_strangers_module_raises_is_a_reason():
    class Stubborn(nn.Module):
        def forward(self, x):
            raise TypeError("wants two inputs")

    with pytest.raises(UsageError, match="wants two inputs"):
        measure(Subject("stubborn", Stubborn, (3, 8, 8)), "snip", 1)


def test_what_is_not_finite_is_no_number():
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.fc = nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(self.conv(x).mean((2, 3))) * math.inf

    broken = Subject("broken", Broken, (3, 8, 8))
    with pytest.raises(UsageError, match=r"is not finite \(nan\) in draw 1"):
        measure(broken, "snip", 1)


def test_out_of_memory_is_said(monkeypatch):
    def make():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 TiB")

    with pytest.raises(UsageError, match="out of memory at batch size 4"):
        measure(replace(SMALL, make=make), "snip", 1, settings=QUICK)


def test_a_module_that_does_not_take_the_input():
    with pytest.raises(UsageError, match=r"expected input.* to have 3 channels"):
        measure(replace(SMALL, input=(4, 32, 32)), "snip", 1, settings=QUICK)


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "cpu:1", ""])
def test_unknown_device(device):
    with pytest.raises(UsageError, match=f"unknown device '{device}'") as caught:
        measure(MLP, "ldi", settings=Settings(device=device))
    assert caught.value.hint == "known: cpu, cuda, cuda:1 ..."


def test_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no CUDA device is available"):
        measure(MLP, "ldi", settings=Settings(device="cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match="no CUDA device 2; there are 2"):
        measure(MLP, "ldi", settings=Settings(device="cuda:2"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["snip", "naswot", "zen"])
def test_score_on_a_gpu_is_that_on_the_cpu(name):
    here, there = (measure(SMALL, name, 8, settings=Settings(device=device)) for device in ("cpu", "cuda"))
    assert there.value == pytest.approx(here.value, rel=1e-2)
