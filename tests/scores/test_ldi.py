"""The LDI of an MLP: by hand, against autograd's Jacobians, and as Prop. 2 of NN-Mass says."""

import math

import pytest
import torch

from madnas.errors import UsageError
from madnas.models import build
from madnas.network.named import get
from madnas.network.spec import Group, Head, NetworkSpec
from madnas.network.zoo.skip import skip_mlp
from madnas.scores.ldi import isometry
from madnas.theory.nn_mass import singular_value_bounds


def jacobians(model, inputs):
    """Singular values of every layer after the first by autograd, sample after sample."""
    values = []
    for sample in inputs:
        maps = [model.groups[0][0](sample.flatten()[None])]
        for layer in list(model.groups[0])[1:]:
            read = layer.skip(*maps) if hasattr(layer, "skip") else maps[-1]
            body = torch.nn.Sequential(layer.linear, layer.act)
            jacobian = torch.autograd.functional.jacobian(body, read)[0, :, 0]
            values.append(torch.linalg.svdvals(jacobian.double()))
            maps.append(layer(*maps) if hasattr(layer, "skip") else layer(maps[-1]))
    return torch.cat(values).detach()


@pytest.mark.parametrize("act", ["elu", "relu", "tanh"])
def test_is_the_mean_of_autograds_singular_values(act):
    torch.manual_seed(0)
    spec = skip_mlp("mlp", 20, depth=6, width=8, links=5, classes=3)
    group = Group("random-skip-linear", 8, 6, act=act, links=5)
    model = build(NetworkSpec(spec.name, spec.input, (group,), Head(3)))
    inputs = torch.randn(40, 20, 1, 1)  # more than one chunk
    expected = jacobians(model, inputs)
    found = isometry(model, inputs)
    assert found.mean == pytest.approx(float(expected.mean()), rel=1e-5)
    assert found.std == pytest.approx(float(expected.std(correction=0)), rel=1e-4)
    assert found.number == len(expected) == 5 * 40 * 8


def test_of_a_plain_mlp():
    model = build(NetworkSpec("mlp", (4, 1, 1), (Group("linear", 6, 3, act="identity"),), Head(2)))
    weights = [layer.linear.weight.detach().double() for layer in list(model.groups[0])[1:]]
    expected = torch.cat([torch.linalg.svdvals(weight) for weight in weights]).mean()
    assert isometry(model, torch.randn(3, 4, 1, 1)).mean == pytest.approx(float(expected), rel=1e-6)


def test_linear_gaussian_networks_keep_the_bounds_of_proposition_2():
    torch.manual_seed(0)
    width, depth, links = 16, 40, 24
    spec = skip_mlp("mlp", 10, depth, width, links, 2)
    model = build(NetworkSpec("linear", spec.input, (Group("random-skip-linear", width, depth, act="identity",
                                                           links=links),), Head(2)))  # fmt: skip
    for layer in model.groups[0]:
        torch.nn.init.normal_(layer.linear.weight)
    low, high = singular_value_bounds(width, 2 * links)  # every layer but the first few has `links` more inputs
    found = isometry(model, torch.randn(1, 10, 1, 1)).mean
    assert low < found < high
    assert math.isfinite(found)


def test_leaves_the_model_as_it_was():
    model = build(skip_mlp("mlp", 5, 4, 3, 2, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    isometry(model, torch.randn(2, 5, 1, 1))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_convolutional_networks_are_refused():
    with pytest.raises(UsageError, match="defined for MLPs"):
        isometry(build(get("resnet20")), torch.randn(1, 3, 32, 32))


def test_a_single_layer_has_none():
    model = build(NetworkSpec("mlp", (4, 1, 1), (Group("linear", 6, 1),), Head(2)))
    with pytest.raises(UsageError, match="two layers"):
        isometry(model, torch.randn(1, 4, 1, 1))
