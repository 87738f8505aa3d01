"""NN-Mass from the traced graph equals that of the description, and what is no known block is said."""

import pytest
import timm
import torch
from torch import nn

from madnas.errors import UsageError
from madnas.measure.topology import topology
from madnas.models import build
from madnas.network.mass import nn_mass
from madnas.network.named import get
from madnas.network.timm_names import timm_spec

TIMM = [
    *("resnet18", "resnet50", "wide_resnet50_2", "convnext_atto", "mobilenetv2_140", "efficientnet_b0", "densenet121"),
    *("resnet50d", "seresnext50_32x4d", "regnety_002", "convnextv2_atto", "efficientnet_lite1"),
]
OURS = ["resnet34", "resnet20", "deepmad-r18", "wrn-16-8", "convnext-t", "nnmass-mbv2-b", "efficientnet-b0", "vgg11"]


@pytest.mark.parametrize("name", TIMM)
def test_timms_networks_have_the_mass_of_their_description(name):
    found = topology(timm.create_model(name), (3, 64, 64))
    expected = nn_mass(timm_spec(name))
    assert found.mass == pytest.approx(expected.mass)
    assert found.density == pytest.approx(expected.density)
    assert found.left_out == {}


@pytest.mark.parametrize("name", OURS)
def test_our_networks_have_the_mass_of_their_description(name):
    spec = get(name)
    found = topology(build(spec), spec.input)
    assert found.mass == pytest.approx(nn_mass(spec).mass)
    assert found.left_out == {}


@pytest.mark.parametrize(("name", "part"), [
    ("vit_tiny_patch16_224", "sum of tokens"), ("inception_v3", "concatenation of"),
    ("res2net50_14w_8s", "residual over"),
])  # fmt: skip
def test_what_is_no_known_block_is_named(name, part):
    model = timm.create_model(name)
    found = topology(model, model.default_cfg["input_size"])
    assert any(part in what for what in found.left_out)


def test_a_residual_of_another_kind_is_not_guessed_at():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)

        def forward(self, x):
            return x + self.two(self.one(x))

    found = topology(Odd(), (4, 8, 8))
    assert (found.mass, found.density, found.blocks) == (0, 0, ())
    assert found.left_out == {"residual over [3x3, 1x1] with shortcut [no layer]": 1}


def test_by_hand_with_a_gate_that_is_no_layer_of_the_branch():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 4, 3, padding=1)
            self.gate = nn.Conv2d(4, 4, 1)

        def forward(self, x):
            y = self.two(torch.relu(self.one(x)))
            return x + y * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)))

    found = topology(Gated(), (4, 8, 8))
    assert [(block.kind, block.mass) for block in found.blocks] == [("basic", 10.0)]


def test_what_cannot_be_traced_is_a_clear_error():
    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(UsageError, match="Branching cannot be traced"):
        topology(Branching(), (3, 8, 8))


def test_leaves_the_mode_of_every_part():
    model = timm.create_model("resnet18").train()
    model.bn1.eval()  # a frozen norm
    topology(model, (3, 32, 32))
    assert model.training
    assert not model.bn1.training


def test_takes_the_precision_of_the_module():
    assert topology(timm.create_model("resnet18").double(), (3, 32, 32)).mass == 3392
