"""What rows are about: every kind of network, and the papers' ways of counting one."""

from dataclasses import replace

import pytest

from madnas.network.count import count
from madnas.network.named import get
from madnas.network.zoo.skip import skip_cnn, skip_mlp
from madnas.papers.networks import Backbone, Network, Scaled, Several, SkipCnn, SkipMlp
from madnas.papers.quantities import QUANTITIES, column, value
from madnas.papers.recompute import with_digits

TABLE_5 = {
    31: ((10, 30, 50), (40, 60, 90), (70, 90, 130), (100, 120, 170), (130, 150, 210)),
    64: ((12, 32, 52), (44, 64, 95), (76, 96, 136), (106, 126, 178), (135, 156, 216)),
}
"""Links of NN-Mass's Table 5 (width multiplier 3) by depth, of which Appendix H.3 prints two sizes."""


def test_a_backbone_has_no_head():
    whole, maps = Network("resnet50"), Backbone("resnet50", (224, 224))
    assert whole.params - maps.params == 2048 * 1000 + 1000
    assert whole.macs - maps.macs == 2048 * 1000


def test_another_size_of_images():
    assert Network("resnet18", (448, 448)).macs == pytest.approx(4 * Network("resnet18").macs, rel=1e-3)
    assert Network("resnet18", (448, 448)).params == Network("resnet18").params


def test_bare_of_squeeze_excitation():
    spec = get("zennet-400m-se")
    bare = replace(spec, groups=tuple(replace(group, se="none") for group in spec.groups))
    network = Network("zennet-400m-se", bare=True)
    assert network.params == count(bare).params < Network("zennet-400m-se").params
    assert network.elements.macs == network.macs == count(bare).macs


def test_what_zen_nas_counts_of_its_networks():
    """Only with norms and biases do all three SE networks come out; either alone misses one."""
    printed = {"400m": "0.410", "600m": "0.611", "900m": "0.926"}
    networks = {name: Network(f"zennet-{name}-se", bare=True) for name in printed}
    shown = {
        what: [
            with_digits(value(networks[name], column(f"{what} G")), digits, False) for name, digits in printed.items()
        ]
        for what in ("macs", "macs+norms", "macs+norms+biases", "openmmlab")
    }
    assert [what for what, digits in shown.items() if digits == list(printed.values())] == ["macs+norms+biases"]


@pytest.mark.parametrize(("name", "printed"), [("mobilenetv2-0.25", "44"), ("mobilenetv2-1.4", "610")])
def test_what_zen_nas_counts_of_mobilenets(name, printed):
    assert with_digits(value(Network(name), column("openmmlab M")), printed, False) == printed
    assert with_digits(value(Network(name), column("macs+norms M")), printed, False) != printed


def test_convnexts_scaled_by_hand():
    """RAN-i-T: 96 * 0.666 = 63.9, 768 * 0.666 = 511.5, 3 * 1.65 = 4.95, 9 * 1.65 = 14.85."""
    scaled = Scaled("convnext-t, 0.666, 1.65")
    assert scaled.sizes == ((64, 128, 256, 511), (5, 5, 15, 5))
    assert [QUANTITIES[f"width {stage}"](scaled) for stage in (1, 4)] == [64.0, 511.0]
    assert QUANTITIES["depth 3"](scaled) == 15.0


def test_a_fit_needs_the_right_wide_resnet():
    """Two networks lie on a line whatever their values; a third does not."""
    two = Several("resnet18 30.4, resnet34 26.77")
    assert two.errors == {"resnet18": 30.4, "resnet34": 26.77}
    assert QUANTITIES["r2 of mass"](two) == pytest.approx(1)
    three = Several("resnet18 30.4, resnet34 26.77, wrn-imagenet-50-2 21.9")
    assert 0.5 < QUANTITIES["r2 of mass"](three) < 1


def test_cells_and_mlps_of_nn_mass():
    assert SkipCnn("4; 2, 3, 4; 3, 4, 5").described == skip_cnn("4; 2, 3, 4; 3, 4, 5", 4, (2, 3, 4), (3, 4, 5))
    assert SkipMlp("24; 8; 2").described == skip_mlp("24; 8; 2", 784, 24, 8, 2, 10)


@pytest.mark.parametrize(("depth", "printed", "links"), [(24, "8.3", 2), (32, "9.0", 2), (16, "8.3", 8)])
def test_links_of_section_4_2_are_the_only_ones(depth, printed, links):
    sizes = {most: SkipMlp(f"{depth}; 8; {most}").params / 1e3 for most in range(15)}
    assert [most for most, size in sizes.items() if with_digits(size, printed, True) == printed] == [links]


@pytest.mark.parametrize(("depth", "printed"), [(31, "6.7"), (64, "16.7")])
def test_links_of_appendix_h_3_are_the_only_ones(depth, printed):
    networks = [skip_cnn("cnn", (depth - 4) // 3, (48, 96, 192), links) for links in TABLE_5[depth]]
    sizes = [float(count(spec).params) / 1e6 for spec in networks]
    assert [place for place, size in enumerate(sizes) if with_digits(size, printed, True) == printed] == [3]
