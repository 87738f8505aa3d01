"""Latencies where they are asked for: everything that is measured has to be there."""

import pytest
import torch

from madnas.device import DEVICES
from madnas.models.exponential import branch_act
from madnas.restructure.collapse import collapse
from madnas.restructure.split import split
from tests.cli.shell import refused
from tests.restructure.test_collapse import EDGE, SMALL, afrb
from tests.restructure.test_split import Mlp, drawn


@pytest.mark.parametrize("device", ["cpu", "meta", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_collapse_is_measured_on_a_device(device):
    """A tensor that is left behind would be an error: torch does not mix devices."""
    found = collapse(afrb(*SMALL), (3, EDGE, EDGE), device=device)
    for latency in (found.latency, *(one.latency for one in found.merged)):
        assert set(latency) == {"before", "after"}
        assert latency["before"].median > 0 and latency["after"].ratio > 0
    assert {value.device.type for value in found.model.state_dict().values()} == {"cpu"}


@pytest.mark.parametrize("device", ["cpu", "meta", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("convs", [False, True])
def test_a_split_is_measured_on_a_device(device, convs):
    found = split(drawn(Mlp(4, 10, 4, torch.nn.GELU(), convs, bias=True)), (4, 6, 6), 0.4, "expm1", device=device)
    for latency in (found.latency, *(one.latency for one in found.parts)):
        assert set(latency) == {"before", "after"}
    assert {value.device.type for value in found.model.state_dict().values()} == {"cpu"}


@pytest.mark.parametrize("command", [["collapse", "resnet20"], ["split", "convnext-t"]])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "tpu"], f"unknown device 'tpu' (known: {', '.join(DEVICES)}"),
        pytest.param(["--device", "cuda"], "no CUDA device is available",
                     marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")),
        (["--device", "cuda", "--untimed"], "--device: only latencies are measured there"),
    ],
)  # fmt: skip
def test_devices_that_are_none(command, options, message, capsys, monkeypatch):
    if "--untimed" in options:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert message.split(" (")[0] in refused(capsys, "restructure", *command, *options)


@pytest.mark.parametrize("name", ["exp", "expm1", "exp-clamped"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_exponentials_under_autocast(name, dtype):
    """What a layer gives out there is in half precision, 18 of it among it (facts of RAN's training)."""
    layer = torch.nn.Linear(4, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.diag(torch.tensor([18.0, 11.0, -30.0, 1e-3])))
        layer.bias.zero_()
    with torch.autocast("cpu", dtype):
        inside = layer(torch.ones(1, 4))
        found = branch_act(name)(inside)
    assert inside.dtype == found.dtype == dtype
    assert found.isfinite().all()
    found.float().sum().backward()
    assert layer.weight.grad.isfinite().all()
