"""The MLPs: where links come from and how many there are, sizes, and the examples that the paper prints."""

import pytest
import torch

from madnas.data.seeds import generator
from madnas.experiments.skip_mlp import SkipMLP, SkipMLPSpec, draw_links
from madnas.models import build
from madnas.network.specfile import dump_spec
from madnas.network.target import resolve
from madnas.theory.nn_mass import cell_mass, exact_average_degree, links_into_cell


@pytest.mark.parametrize("links", [0, 1, 5, 8, 14, 500])
def test_links_come_from_layers_before_the_previous_one(links):
    spec = SkipMLPSpec(2, 2, depth=9, links=links)
    drawn = draw_links(spec, generator(0, links))
    assert len(drawn) == 8
    for layer, neurons in enumerate(drawn, 1):
        assert len(neurons) == min(8 * (layer - 1), links)  # the paper's min(w (i - 1), t)
        assert len(set(neurons.tolist())) == len(neurons)  # without replacement
        assert all(0 <= neuron // 8 <= layer - 2 for neuron in neurons.tolist())  # layers 0 to i - 2
    assert sum(map(len, drawn)) == links_into_cell(8, 9, links)


def test_links_are_uniform():
    spec = SkipMLPSpec(2, 2, depth=5, links=3, width=4)
    counts = torch.zeros(12)
    for seed in range(2000):
        counts[draw_links(spec, generator(seed))[3]] += 1
    assert counts.sum() == 6000
    assert (counts - 500).abs().max() < 5 * (500 * 0.75) ** 0.5  # five standard deviations


def test_links_reach_the_layer_just_before_the_previous_one():
    """Layer i - 2 is a source, layer i - 1 never is: an index that is off by one fails here."""
    drawn = draw_links(SkipMLPSpec(2, 2, depth=6, links=1000), generator(0))
    assert [int(neurons.max()) if len(neurons) else None for neurons in drawn] == [None, 7, 15, 23, 31]


@pytest.mark.parametrize("inputs", [2, 64])
@pytest.mark.parametrize("depth", [3, 16])
@pytest.mark.parametrize("links", [0, 1, 8, 14])
@pytest.mark.parametrize("width", [1, 8])
def test_params_are_numel(inputs, depth, links, width):
    spec = SkipMLPSpec(inputs, 10, depth, links, width)
    network = SkipMLP(spec, generator(0))
    assert spec.params == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("depth", "links", "printed"), [(24, 2, "8.3"), (32, 2, "9.0"), (16, 8, "8.3")])
def test_models_x_y_z_of_the_paper(depth, links, printed):
    """Section 4.2: 8.3K, 9.0K and 8.3K parameters on MNIST, cut off; no other t gives them."""

    def fits(t):
        return f"{SkipMLPSpec(784, 10, depth, t).params / 1000:.3f}"[:3] == printed

    assert [t for t in range(15) if fits(t)] == [links]


def test_models_x_and_y_have_the_same_mass_and_z_more():
    x, y, z = (SkipMLPSpec(784, 10, depth, links).mass for depth, links in ((24, 2), (32, 2), (16, 8)))
    assert x == pytest.approx(y, rel=0.02)
    assert z > 3 * x


def test_mass_is_the_theorys():
    assert SkipMLPSpec(2, 2, 24, 5).mass == cell_mass(8, 24, 5)


@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize("depth", [3, 16])
@pytest.mark.parametrize("links", [0, 5, 500])
def test_described_network_is_the_same_but_for_its_draw(depth, links, activation, tmp_path):
    """What ``madnas score`` reads and ``madnas.models`` builds has as many links into every layer, and weights."""
    spec = SkipMLPSpec(3, 10, depth, links, activation=activation)
    path = tmp_path / "network.yaml"
    path.write_text(dump_spec(spec.network("mine")))
    described = resolve(str(path))
    assert described == spec.network("mine")
    assert (described.name, described.groups[0].act) == ("mine", activation)
    model, network = build(described), SkipMLP(spec, generator(0))
    sizes = [tuple(one.shape) for one in network.parameters()]
    assert [tuple(one.shape) for one in model.parameters()] == sizes
    drawn = [layer.skip.channels if hasattr(layer.skip, "channels") else () for layer in model.groups[0]]
    assert [len(channels) for channels in drawn] == [0, *map(len, network.links)]


def test_seed_of_a_described_network_decides_its_links():
    spec = SkipMLPSpec(2, 2, 16, 5)
    assert [spec.network("x", seed).groups[0].seed for seed in (0, 7)] == [0, 7]


def test_average_degree_is_that_of_the_built_network():
    """Definition 1 on the module: connections inside the cell over its neurons."""
    spec = SkipMLPSpec(2, 2, 16, 6)
    network = SkipMLP(spec, generator(0))
    edges = sum(network.hidden_layer(layer).weight.numel() for layer in range(1, 16))
    assert edges / (8 * 16) == pytest.approx(exact_average_degree(8, 16, spec.mass))


@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_forward_by_hand(activation):
    """Neuron by neuron, from the definition."""
    network = SkipMLP(SkipMLPSpec(3, 2, depth=5, links=3, width=2, activation=activation), generator(1)).double()
    x = torch.tensor([0.3, -1.2, 0.8], dtype=torch.float64)
    act = {"relu": lambda z: max(z, 0.0), "elu": lambda z: z if z > 0 else torch.expm1(torch.tensor(z)).item()}[
        activation
    ]

    def linear(layer, values):
        rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        return [sum(w * v for w, v in zip(row, values, strict=True)) + bias for row, bias in rows]

    neurons = [act(z) for z in linear(network.first, x.tolist())]
    for layer, links in enumerate(network.links, 1):
        values = neurons[2 * (layer - 1) :] + [neurons[j] for j in links.tolist()]
        neurons += [act(z) for z in linear(network.hidden_layer(layer), values)]
    expected = linear(network.classifier, neurons[-2:])
    assert network(x[None])[0].tolist() == pytest.approx(expected, rel=1e-6)


def test_weights_start_as_torchs_linear_layers_do():
    network = SkipMLP(SkipMLPSpec(2, 2, 32, 14), generator(0))
    weights = torch.cat([network.hidden_layer(layer).weight.flatten() for layer in range(3, 32)])
    bound = 22**-0.5
    assert weights.abs().max() <= bound and weights.abs().max() > 0.99 * bound
    assert weights.var().item() == pytest.approx(bound**2 / 3, rel=0.05)


def test_drawing_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    SkipMLP(SkipMLPSpec(2, 2, 4, 3), generator(0))
    assert torch.equal(torch.get_rng_state(), before)
