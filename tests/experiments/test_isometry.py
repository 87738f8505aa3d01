"""Layerwise dynamical isometry: against Jacobians by automatic differentiation, and against Proposition 2."""

import pytest
import torch
from torch.nn import functional

from madnas.data.seeds import generator
from madnas.experiments.batch import SkipMLPBatch
from madnas.experiments.isometry import CHUNK, layer_singular_values, mean_singular_values
from madnas.experiments.skip_mlp import SkipMLP, SkipMLPSpec
from madnas.models import build
from madnas.scores.ldi import isometry
from madnas.theory.nn_mass import singular_value_bounds


def by_autograd(network, inputs):
    """Singular values of d s_i / d x_{i-1}, (layers, samples, width), x_{i-1} being all that layer i reads."""
    activation = getattr(functional, network.spec.activation)
    found = []
    for layer, links in enumerate(network.links, 1):
        linear = network.hidden_layer(layer)
        values = []
        for sample in inputs:
            read = network.joined(network.states(sample[None])[:layer], links)[0].detach()
            jacobian = torch.autograd.functional.jacobian(lambda x, linear=linear: activation(linear(x)), read)
            values.append(torch.linalg.svdvals(jacobian))
        found.append(torch.stack(values))
    return torch.stack(found)


@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_singular_values(activation):
    networks = [SkipMLP(SkipMLPSpec(3, 2, 5, t, 3, activation), generator(2, t)).double() for t in (0, 1, 4)]
    inputs = torch.randn(4, 3, generator=generator(0), dtype=torch.float64)
    found = layer_singular_values(SkipMLPBatch(networks, torch.float64), inputs)
    expected = torch.stack([by_autograd(network, inputs) for network in networks])
    assert found.shape == (3, 4, 4, 3)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_mean_pools_layers_samples_and_values():
    networks = [SkipMLP(SkipMLPSpec(3, 2, 5, t, 3, "elu"), generator(2, t)) for t in (0, 4)]
    inputs = torch.randn(2 * CHUNK + 3, 3, generator=generator(0))
    batch = SkipMLPBatch(networks)
    expected = layer_singular_values(batch, inputs).mean((1, 2, 3))
    torch.testing.assert_close(mean_singular_values(batch, inputs), expected, rtol=1e-6, atol=0)


def test_elus_slope_is_not_upside_down():
    """Where every pre-activation is far below 0, ELU is flat: singular values go to 0, not to infinity or W's."""
    network = SkipMLP(SkipMLPSpec(3, 2, 4, 0, 3, "elu"), generator(0))
    with torch.no_grad():
        for layer in range(1, 4):
            network.hidden_layer(layer).bias.fill_(-20)
    assert mean_singular_values(SkipMLPBatch([network]), torch.zeros(2, 3)).item() < 1e-6


def test_bounds_of_proposition_2():
    """A linear network (ReLU with all neurons active) with Gaussian weights, deep and with many links."""
    width, depth, links = 8, 24, 14
    network = SkipMLP(SkipMLPSpec(2, 2, depth, links, width), generator(3))
    with torch.no_grad():
        for layer in range(1, depth):
            linear = network.hidden_layer(layer)
            linear.weight.normal_(0, 0.01, generator=generator(4, layer))
            linear.bias.fill_(1)
    low, high = singular_value_bounds(width, network.spec.mass, 0.01**2)
    found = mean_singular_values(SkipMLPBatch([network]), torch.randn(5, 2, generator=generator(0))).item()
    assert low < found < high


def twin(network):
    """The same network as ``madnas.models`` builds it from its description: weights and links copied over."""
    model = build(network.spec.network("twin")).double()
    first, *others = model.groups[0]
    with torch.no_grad():
        pairs = [(first.linear, network.first), (model.get_classifier(), network.classifier)]
        for index, (layer, links) in enumerate(zip(others, network.links, strict=True), 1):
            pairs.append((layer.linear, network.hidden_layer(index)))
            if len(links):
                layer.skip.channels.copy_(links)
        for here, there in pairs:
            here.weight.copy_(there.weight)
            here.bias.copy_(there.bias)
    return model


@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_is_the_score_of_the_same_network_as_a_module(activation):
    """Two computations, written apart: of a batch of networks here, of any MLP in ``madnas.scores``."""
    specs = [SkipMLPSpec(3, 2, 9, links, 4, activation) for links in (0, 5, 14)]
    networks = [SkipMLP(spec, generator(2, spec.links)).double() for spec in specs]
    inputs = torch.randn(2 * CHUNK + 3, 3, generator=generator(0), dtype=torch.float64)
    found = mean_singular_values(SkipMLPBatch(networks, torch.float64), inputs).tolist()
    models = [twin(network) for network in networks]
    for network, model in zip(networks, models, strict=True):
        torch.testing.assert_close(model(inputs[:, :, None, None]), network(inputs), rtol=1e-12, atol=1e-12)
    scores = [isometry(model, inputs[:, :, None, None]).mean for model in models]
    assert found == pytest.approx(scores, rel=1e-12)
    assert len(set(found)) == 3
