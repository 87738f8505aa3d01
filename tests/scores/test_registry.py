"""Scores by name: draws that are repeatable, and devices."""

import pytest
import torch

from madnas.errors import UsageError
from madnas.network.zoo.skip import skip_mlp
from madnas.scores.registry import measure

SPEC = skip_mlp("mlp", 6, depth=5, width=4, links=3, classes=2)


def test_draws_follow_the_seed():
    one, other, both = (measure(SPEC, "ldi", repeats, seed) for repeats, seed in ((1, 3), (1, 4), (2, 3)))
    assert one.value != other.value and one.std == 0
    assert both.value == pytest.approx((one.value + other.value) / 2)
    assert both.std == pytest.approx(abs(one.value - other.value) / 2**0.5)
    assert (one.n, both.n) == (1, 2)


def test_model_and_inputs_are_on_the_device(monkeypatch):
    """Without a GPU: the device that is asked for is where the score finds both."""
    monkeypatch.setattr("madnas.scores.registry.check_device", lambda device: None)
    seen = []

    def isometry(model, inputs):
        seen.append({inputs.device.type} | {one.device.type for one in model.state_dict().values()})
        raise UsageError("seen")

    monkeypatch.setattr("madnas.scores.registry.isometry", isometry)
    for device in ("cpu", "meta"):
        with pytest.raises(UsageError, match="seen"):
            measure(SPEC, "ldi", 1, device=device)
    assert seen == [{"cpu"}, {"meta"}]


def test_unknown_device():
    with pytest.raises(UsageError, match="unknown device 'tpu'") as caught:
        measure(SPEC, "ldi", device="tpu")
    assert caught.value.hint == "known: cpu, cuda"


def test_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no CUDA device is available"):
        measure(SPEC, "ldi", device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_score_on_a_gpu_is_that_on_the_cpu():
    here, there = (measure(SPEC, "ldi", 3, device=device) for device in ("cpu", "cuda"))
    assert there.value == pytest.approx(here.value, rel=1e-5)
    assert there.std == pytest.approx(here.std, rel=1e-3)
