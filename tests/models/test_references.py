"""Against other people's networks: the same weights give the same logits, the same counts."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import timm
import torch
import torchvision
from torch import nn

from madnas.measure.module_count import count_module
from madnas.models import build
from madnas.network import named
from madnas.network.expand import at_resolution
from madnas.network.spec import NetworkSpec


def pool_resnet50() -> NetworkSpec:
    """ResNet-50 with the projections of DeepMAD."""
    spec = named.get("resnet50")
    return replace(spec, groups=tuple(replace(group, shortcut="pool") for group in spec.groups))


def avg_down_resnet50() -> nn.Module:
    """The same in timm, whose ResNet-D projects by 2x2 average pooling and a 1x1 convolution."""
    return timm.models.ResNet(timm.models.resnet.Bottleneck, (3, 4, 6, 3), avg_down=True)


Case = tuple[NetworkSpec, Callable[[], nn.Module]]
CASES: dict[str, Case] = {
    **{
        f"resnet{n}": (named.get(f"resnet{n}"), getattr(torchvision.models, f"resnet{n}"))
        for n in (18, 34, 50, 101, 152)
    },
    "resnet50-pool": (pool_resnet50(), avg_down_resnet50),
    "mobilenetv2": (named.get("mobilenetv2"), torchvision.models.mobilenet_v2),
    "mobilenetv2-1.4": (named.get("mobilenetv2-1.4"), lambda: timm.create_model("mobilenetv2_140")),
    "efficientnet-b0": (named.get("efficientnet-b0"), lambda: timm.create_model("efficientnet_b0")),
}


@pytest.fixture(
    params=[
        pytest.param(case, id=name, marks=[pytest.mark.slow] if name in ("resnet101", "resnet152") else [])
        for name, case in CASES.items()
    ]
)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def scramble(module: nn.Module) -> None:
    """Norms that do something: statistics, scales and shifts away from 0 and 1, so that none can be mistaken."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.uniform_(part.weight, 0.5, 1.0)
            nn.init.uniform_(part.bias, -0.2, 0.2)


def copy_in_order(source: nn.Module, target: nn.Module) -> None:
    """Copy a state tensor by tensor; both must have the same tensors in the same order, whatever their names."""
    theirs, ours = source.state_dict(), target.state_dict()
    assert [tensor.shape for tensor in ours.values()] == [tensor.shape for tensor in theirs.values()]
    target.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))


def test_same_weights_give_the_same_logits(case: Case) -> None:
    spec, reference = case
    theirs, ours = reference().double().eval(), build(spec).double().eval()
    scramble(theirs)
    copy_in_order(theirs, ours)
    images = torch.randn(2, 3, 65, 48, dtype=torch.float64)  # odd and rectangular: rounding and padding show
    with torch.no_grad():
        expected, logits = theirs(images), ours(images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)


def test_same_counts(case: Case) -> None:
    spec, reference = case
    spec = at_resolution(spec, 64)
    theirs, ours = count_module(reference(), spec.input), count_module(build(spec), spec.input)
    assert (ours.params, ours.macs, ours.activations) == (theirs.params, theirs.macs, theirs.activations)
