"""Against other people's networks: the same weights give the same logits, the same counts."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

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
from madnas.network.target import resolve


def pool_resnet50() -> NetworkSpec:
    """ResNet-50 with the projections of DeepMAD."""
    spec = named.get("resnet50")
    return replace(spec, groups=tuple(replace(group, shortcut="pool") for group in spec.groups))


def avg_down_resnet50() -> nn.Module:
    """The same in timm, whose ResNet-D projects by 2x2 average pooling and a 1x1 convolution."""
    return timm.models.ResNet(timm.models.resnet.Bottleneck, (3, 4, 6, 3), avg_down=True)


def slim_vgg(depth: int) -> tuple[NetworkSpec, Callable[[], nn.Module]]:
    """A VGG with a classifier of 64 hidden units, here and in torchvision: the full one takes a gigabyte."""

    def theirs() -> nn.Module:
        features = getattr(torchvision.models, f"vgg{depth}")(init_weights=False, num_classes=10).features
        classifier = nn.Sequential(nn.Linear(512 * 49, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        return nn.Sequential(features, nn.AdaptiveAvgPool2d(7), nn.Flatten(), classifier)

    spec = named.get(f"vgg{depth}")
    return replace(spec, head=replace(spec.head, hidden=(64, 64), classes=10)), theirs


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
    **{
        name: (resolve(f"timm/{name}"), partial(timm.create_model, name))
        for name in (
            *("resnet14t", "resnet50c", "resnet50d", "resnet18d", "seresnet18", "seresnet50", "resnext50_32x4d"),
            *("seresnext26d_32x4d", "regnetx_002", "regnety_004", "efficientnet_b1", "efficientnet_lite1"),
        )
    },
    "wrn-imagenet-50-2": (named.get("wrn-imagenet-50-2"), torchvision.models.wide_resnet50_2),
    **{
        f"densenet-{n}": (named.get(f"densenet-{n}"), getattr(torchvision.models, f"densenet{n}"))
        for n in (121, 169, 201, 161)
    },
}
"""Their tensors stand in the same order as ours."""

COUNTED: dict[str, Case] = {
    **{
        f"convnext-{size[0]}": (named.get(f"convnext-{size[0]}"), partial(timm.create_model, f"convnext_{size}"))
        for size in ("tiny", "small", "base")
    },
    "convnextv2_atto": (resolve("timm/convnextv2_atto"), partial(timm.create_model, "convnextv2_atto")),
    **{
        f"vgg{n}": (named.get(f"vgg{n}"), partial(getattr(torchvision.models, f"vgg{n}"), init_weights=False))
        for n in (11, 13, 16, 19)
    },
}

SLOW = ("resnet101", "resnet152", "densenet-169", "densenet-201", "densenet-161", "convnext-b", "vgg13", "vgg16")


def params(cases: dict[str, Case]) -> list[Any]:
    """The cases for ``parametrize``."""
    return [
        pytest.param(*case, id=name, marks=[pytest.mark.slow] if name in SLOW else []) for name, case in cases.items()
    ]


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


@pytest.mark.parametrize(("spec", "reference"), params(CASES))
def test_same_weights_give_the_same_logits(spec: NetworkSpec, reference: Callable[[], nn.Module]) -> None:
    assert_same_logits(reference(), build(spec), (65, 48))  # odd and rectangular: rounding and padding show


def test_same_weights_give_the_same_logits_vgg() -> None:
    # At 224 px, where the pooling to 7 x 7 pixels is VGG's last maximum pooling.
    spec, reference = slim_vgg(11)
    assert_same_logits(reference(), build(spec), (224, 224))


def assert_same_logits(theirs: nn.Module, ours: nn.Module, size: tuple[int, int]) -> None:
    theirs, ours = theirs.double().eval(), ours.double().eval()
    scramble(theirs)
    copy_in_order(theirs, ours)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        expected, logits = theirs(images), ours(images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("spec", "reference"), params(CASES | COUNTED))
def test_same_counts(spec: NetworkSpec, reference: Callable[[], nn.Module]) -> None:
    spec = at_resolution(spec, 64)
    theirs, ours = count_module(reference(), spec.input), count_module(build(spec), spec.input)
    assert (ours.params, ours.macs, ours.activations) == (theirs.params, theirs.macs, theirs.activations)


@pytest.mark.parametrize(("name", "printed"), {"wrn-28-10": "36.5", "wrn-16-8": "11.0", "wrn-40-4": "8.9"}.items())
def test_params_of_the_wide_resnets_are_the_papers(name: str, printed: str) -> None:
    # Zagoruyko and Komodakis 2016, Tables 3 and 5
    model = build(named.get(name))
    assert f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.1f}" == printed
