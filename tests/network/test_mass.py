"""NN-Mass of whole networks: the papers' numbers, policies by hand, arrays, and properties."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from madnas.network.blocks import CATALOGUE
from madnas.network.count import count
from madnas.network.mass import POLICIES, nn_mass
from madnas.network.named import get
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.zoo.convnext import convnext_of
from madnas.network.zoo.skip import skip_cnn, skip_mlp
from madnas.theory.expressivity import convnext_units_per_mass

PRINTED = {
    # NN-Mass, Table 1, Table 2 and Fig. 6(d)
    "nnmass-cifar-11.9m": 1126,
    "nnmass-cifar-8.2m": 622,
    "nnmass-cifar-5.0m": 755,
    "nnmass-cifar-4.7m": 813,
    "nnmass-cifar-3.8m": 856,
    "nnmass-mbv2-a": 1654,
    "nnmass-mbv2-b": 1030,
    "mobilenetv2-1.4": 1807,
    "mobilenetv2-0.75": 975,
    # from RAN's Table 7 by its Eq. (4), see facts in tests/golden/nn_mass.yaml
    "ran-i-t": 14710,
    "ran-i-s": 17420,
    "ran-i-b": 28154,
}


@pytest.mark.parametrize(("name", "printed"), PRINTED.items())
def test_papers_masses_truncated_as_printed(name, printed):
    assert int(nn_mass(get(name)).mass) == printed


def test_figure_6():
    """Accuracies of the Wide-ResNet paper against params and mass; WRN-50-2 with every width doubled."""
    data = yaml.safe_load((Path(__file__).parents[1] / "golden" / "wide_resnet_imagenet.yaml").read_text())
    accuracy = [100 - error for error in data["errors"].values()]
    params = [count(get(name)).params for name in data["errors"]]
    mass = {name: nn_mass(get(name)).mass for name in data["errors"]}

    def r2(values):
        return np.corrcoef(np.log(list(values)), accuracy)[0, 1] ** 2

    assert f"{r2(params):.2f}" == data["r2"]["params"]
    assert r2(mass.values()) == pytest.approx(0.778, abs=5e-4)
    mass["wrn-imagenet-50-2"] = 2 * mass["resnet50"]
    assert f"{r2(mass.values()):.2f}" == data["r2"]["mass"]


def test_every_kind_of_block_has_a_policy():
    assert set(POLICIES) == set(CATALOGUE)


def test_example_of_figure_9():
    spec = skip_cnn("fig9", 4, (2, 3, 4), (3, 4, 5))
    assert nn_mass(spec).mass == 28
    assert nn_mass(spec).density == pytest.approx((3 + 2) / 6 / 3 + (3 + 4) / 9 / 3 + (4 + 5) / 12 / 3)


def network(*groups, stem=16):
    return NetworkSpec("by-hand", (3, 32, 32), groups, Head(10), Stem(stem))


def test_resnets_count_every_block_with_its_input_channels():
    spec = network(Group("basic", 16, 2, kernel=3), Group("basic", 32, 2, kernel=3, stride=2))
    assert nn_mass(spec).mass == (16 + 16) * 2 + (16 + 32) + (32 + 32)
    assert nn_mass(spec).density == 1
    assert nn_mass(spec).units == 16 + 16 + 32 + 32
    bottleneck = network(Group("bottleneck", 64, 2, 16, kernel=3))
    assert nn_mass(bottleneck).mass == pytest.approx((16 + 32) * 16 / 48 + (64 + 32) * 64 / 144)


def test_mobile_nets_count_only_blocks_with_a_residual():
    block = {"kernel": 3, "expand": 6}
    opening = Group("inverted-residual", 24, 1, stride=2, **block)
    assert nn_mass(network(opening)).mass == 0
    assert nn_mass(network(opening)).density == 0
    assert nn_mass(network(Group("inverted-residual", 24, 3, stride=2, **block))).mass == 2 * 24 * 13 / 8
    assert nn_mass(network(Group("inverted-residual", 16, 1, **block))).mass == 16 * 13 / 8


def test_networks_without_shortcuts_have_no_mass():
    for name in ("vgg16",):
        found = nn_mass(get(name))
        assert (found.mass, found.density) == (0, 0)
    assert nn_mass(skip_mlp("mlp", 2, 16, 8, 0, 2)).mass == 0


def test_a_dense_network_is_a_skip_network_with_every_link():
    spec = network(Group("dense", 16 + 5 * 12, 5, kernel=3, growth=12))
    full = skip_cnn("full", 5, (12,), (10**6,))
    assert nn_mass(spec).mass == nn_mass(full).mass == 60
    assert nn_mass(spec).density == nn_mass(full).density == 1


def test_a_dense_group_too_shallow_for_a_density_has_no_mass():
    for depth in (1, 2):
        found = nn_mass(network(Group("dense", 16 + depth * 12, depth, kernel=3, growth=12)))
        assert (found.mass, found.density) == (0, 0)


def test_units_of_convnexts_are_whole():
    for out, hidden in ((11, 15), (49, 107), (103, 271)):
        assert nn_mass(network(Group("convnext", out, 1, hidden, kernel=7), stem=out)).units == hidden


def test_the_mlps_of_the_paper():
    """Figure 1: one cell of width 8; MNIST models of 16 to 32 layers."""
    assert nn_mass(skip_mlp("mlp", 784, 16, 8, 10**6, 10)).mass == 8 * 16
    assert nn_mass(skip_mlp("mlp", 784, 4, 8, 3, 10)).mass == pytest.approx(2 * 4 * 6 / 6)


@given(widths=st.lists(st.integers(1, 500), min_size=4, max_size=4), depths=st.lists(st.integers(1, 20), min_size=4,
       max_size=4))  # fmt: skip
def test_units_are_proportional_to_mass_in_convnexts(widths, depths):
    found = nn_mass(convnext_of("any", tuple(widths), tuple(depths)))
    assert found.mass == pytest.approx(2 * sum(w * d for w, d in zip(widths, depths, strict=True)))
    assert found.units == pytest.approx(convnext_units_per_mass(4) * found.mass)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenetv2", "convnext-t", "wrn-16-8", "deepmad-r18"])
def test_arrays_are_networks_side_by_side(name):
    base = get(name)
    factors = np.array([1, 2, 5])
    groups = tuple(
        Group(**{f: getattr(g, f) for f in Group.__slots__} | {"out": g.out * factors,
              "hidden": None if g.hidden is None else g.hidden * factors})
        for g in base.groups
    )  # fmt: skip
    batch = NetworkSpec(name, base.input, groups, base.head, Stem(base.stem.out * factors))
    found = nn_mass(batch)
    for index, factor in enumerate(factors):
        one = nn_mass(NetworkSpec(name, base.input, tuple(
            Group(**{f: getattr(g, f) for f in Group.__slots__} | {"out": int(g.out * factor),
                  "hidden": None if g.hidden is None else int(g.hidden * factor)})
            for g in base.groups
        ), base.head, Stem(int(base.stem.out * factor))))  # fmt: skip
        assert found.mass[index] == pytest.approx(one.mass)
        assert np.broadcast_to(found.units, 3)[index] == one.units
        assert np.broadcast_to(found.density, 3)[index] == pytest.approx(one.density)
