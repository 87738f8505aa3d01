"""The convention table of ``madnas/theory/README.md``, a test per row: ours holds, and the other choices would show."""

import math

import pytest

from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.expand import at_resolution, segments
from madnas.network.layer import Layer
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.program.problem import Problem
from madnas.program.space import load_space
from madnas.theory.effectiveness import effectiveness
from madnas.theory.entropy import layer_width, log_variance
from madnas.theory.objective import depth_imbalance


def resnet(name: str, block: str, depths: tuple[int, ...], expansion: int) -> NetworkSpec:
    """A ResNet as He et al. (2015) describe it."""
    groups = tuple(
        Group(block, width * expansion, depth, hidden=width, kernel=3, stride=1 if width == 64 else 2)
        for width, depth in zip((64, 128, 256, 512), depths, strict=True)
    )
    return NetworkSpec(name, (3, 224, 224), groups, Head(1000), Stem(64, kernel=7, pool=True))


def mobile(name: str, rows: list[tuple[int, int, int, int, int]], se: str) -> NetworkSpec:
    """MobileNetV2 or EfficientNet-B0: rows of expansion, channels, depth, stride and kernel, as in their papers."""
    groups = tuple(
        Group(
            "separable" if expand == 1 else "inverted-residual",
            out,
            depth,
            expand=None if expand == 1 else expand,
            kernel=kernel,
            stride=stride,
            se=se,
        )
        for expand, out, depth, stride, kernel in rows
    )
    return NetworkSpec(name, (3, 224, 224), groups, Head(1000, conv=1280), Stem(32))


RESNET18 = resnet("resnet18", "basic", (2, 2, 2, 2), 1)
RESNET34 = resnet("resnet34", "basic", (3, 4, 6, 3), 1)
RESNET50 = resnet("resnet50", "bottleneck", (3, 4, 6, 3), 4)
MOBILENETV2 = mobile(
    "mobilenetv2",
    [
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 32, 3, 2, 3),
        (6, 64, 4, 2, 3),
        (6, 96, 3, 1, 3),
        (6, 160, 3, 2, 3),
        (6, 320, 1, 1, 3),
    ],
    "none",
)
EFFICIENTNET_B0 = mobile(
    "efficientnet_b0",
    [
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 40, 2, 2, 5),
        (6, 80, 3, 2, 3),
        (6, 112, 3, 1, 5),
        (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    ],
    "efficientnet",
)


def main_layers(spec: NetworkSpec) -> list[Layer]:
    """Every layer on the main path, repeated as often as its block."""
    return [
        layer for segment in segments(spec) for _ in range(segment.repeat) for layer in segment.layers if layer.main
    ]


def all_layers(spec: NetworkSpec) -> list[Layer]:
    """Every layer, shortcut projections, squeeze-excitation and classifier too."""
    return [layer for segment in segments(spec) for _ in range(segment.repeat) for layer in segment.layers]


# --- one multiply-add is 1 ---------------------------------------------------------------------------------------


def test_one_multiply_add_is_one():
    """A 3x3 convolution 3 -> 8 on a 4x4 map: 16 positions, 8 outputs, 27 multiply-adds each."""
    assert Layer("conv", 3, 8, (4, 4), kernel=3).macs == 16 * 8 * 27


@pytest.mark.parametrize(
    ("spec", "giga"),
    [(RESNET18, "1.8"), (RESNET34, "3.7"), (RESNET50, "4.1")],
    ids=lambda value: getattr(value, "name", ""),
)
def test_papers_flops_are_multiply_adds(spec: NetworkSpec, giga: str):
    """Table 1's FLOPs, the classifier included; counted as 2 they would be twice as many.

    ResNet-34 is 3.66 or 3.67 G, which the table prints as 3.6.
    """
    assert f"{count(spec).macs / 1e9:.1f}" == giga


def test_macs_of_published_networks(published):
    assert published.agrees("macs", count(published.spec).macs / 1e9)


def test_norm_is_no_multiply_add(published):
    """At 2 per batch-norm element, as NN-Mass and Zen-NAS count, every published network shows other digits."""
    elements = sum(layer.outputs for layer in all_layers(published.spec) if layer.norm)
    assert not published.agrees("macs", (count(published.spec).macs + 2 * elements) / 1e9)


# --- parameters: all that are trained ----------------------------------------------------------------------------


def test_params_include_norm_and_bias():
    assert Layer("conv", 3, 8, (4, 4), kernel=3).params == 8 * 27 + 2 * 8
    assert Layer("classifier", 512, 1000, (1, 1), bias=True, norm=False).params == 513_000


def test_params_of_published_networks(published):
    params = count(published.spec).params
    classifier = all_layers(published.spec)[-1]
    assert published.agrees("params", params / 1e6)
    assert not published.agrees("params", (params - classifier.params) / 1e6)


def test_params_of_resnet18_are_torchvisions():
    assert count(RESNET18).params == 11_689_512


def test_classifier_pushes_r18_over_its_own_budget(all_published):
    """Budgets are for the whole model: the published R18 fits 11.69 M only without its classifier."""
    spec = all_published["deepmad-r18"].spec
    assert count(spec).params > 11.69e6 > count(spec).params - all_layers(spec)[-1].params


# --- depth L: convolutions on the main path -----------------------------------------------------------------------


def test_layers_of_published_networks(published):
    assert published.agrees("layers", count(published.spec).layers)
    assert published.agrees("layers", len(main_layers(published.spec)))


@pytest.mark.parametrize(
    ("spec", "layers", "paper", "measured"),
    [
        (RESNET18, 17, "0.01", "0.0136"),
        (RESNET34, 33, "0.02", "0.022"),
        (RESNET50, 49, "0.09", "0.087"),
        (MOBILENETV2, 52, "0.9", "0.94"),
        (EFFICIENTNET_B0, 49, "0.6", "0.63"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_rho_of_known_networks_is_tables_1_and_2s(spec: NetworkSpec, layers: int, paper: str, measured: str):
    structure = analyse(spec)
    assert structure.depth == layers
    for printed in (paper, measured):
        assert f"{structure.rho:.{len(printed) - 2}f}" == printed


def test_rho_of_published_networks(published):
    assert published.agrees("rho", analyse(published.spec).rho)


def test_counting_every_layer_gives_another_rho(published):
    """With shortcut projections, squeeze-excitation and classifier the printed rho does not come out."""
    layers = all_layers(published.spec)
    assert not published.agrees("rho", effectiveness(len(layers), log_variance(layer.width for layer in layers)))


# --- width of a layer, and the logarithm's base --------------------------------------------------------------------


def test_width_of_a_depthwise_layer_is_its_kernel():
    """c k^2 / g with g = c, as Section 4.1 says; c k^2 or c would not give MobileNetV2 the rho of 0.9 of Table 2."""
    layers = main_layers(MOBILENETV2)
    assert {layer.width for layer in layers if layer.name == "depthwise"} == {9}
    ungrouped = log_variance(layer_width(layer.in_chs, layer.kernel) for layer in layers)
    channels = log_variance(layer.in_chs for layer in layers)
    assert f"{effectiveness(len(layers), ungrouped):.2f}" == "0.14"
    assert f"{effectiveness(len(layers), channels):.2f}" == "0.31"


def test_rho_does_not_depend_on_the_base_and_entropy_does(published):
    """In base 2 rho is the same and Eq. (4), a product of two logarithms, 1 / ln(2)^2 times as large."""
    structure = analyse(published.spec)
    bits = sum(math.log2(layer.width) for layer in main_layers(published.spec))
    assert structure.depth / 2 ** (bits / structure.depth) == pytest.approx(structure.rho, rel=1e-12)
    last = structure.stages[-1]
    in_bits = math.log2(last.resolution**2 * last.out_chs) * bits
    assert in_bits == pytest.approx(last.entropy / math.log(2) ** 2, rel=1e-12)
    assert not published.agrees("entropy", structure.weighted_entropy() / math.log(2) ** 2)


# --- entropy: per stage, at the network's own resolution, ln w ------------------------------------------------------


def test_entropy_of_published_networks(published):
    assert published.agrees("entropy", analyse(published.spec).weighted_entropy())


def test_per_stage_entropies_of_r18(all_published):
    entropies = analyse(all_published["deepmad-r18"].spec).entropies
    assert [f"{h:.2f}" for h in entropies] == ["42.53", "218.97", "1453.96", "5565.56", "7119.92"]


def test_entropy_is_at_the_networks_own_resolution(all_published):
    large = all_published["deepmad-29m-288"]
    assert analyse(at_resolution(large.spec, 224)).weighted_entropy() < analyse(large.spec).weighted_entropy()
    assert not large.agrees("entropy", analyse(at_resolution(large.spec, 224)).weighted_entropy())


def test_a_stage_is_between_two_strides_and_may_hold_two_groups(published):
    """Six parts (the stem and five groups) but five stages: one group of every published network has stride 1."""
    structure = analyse(published.spec)
    assert len(published.spec.groups) == len(structure.group_depths) == 5
    assert len(structure.stages) == 5
    assert [group.stride for group in published.spec.groups].count(1) == 1
    side = published.spec.input[1]
    assert [stage.resolution for stage in structure.stages] == [side / 2**level for level in range(1, 6)]


def test_entropy_has_no_square_root_inside_the_logarithm(published):
    """Eq. (4) sums ln w; ln sqrt(w), the authors' code, would halve it."""
    assert not published.agrees("entropy", analyse(published.spec).weighted_entropy() / 2)


# --- Q: over all groups but the first -------------------------------------------------------------------------------


def test_depth_imbalance_over_all_groups_would_exceed_the_entropy(all_published):
    """Taken literally, beta Q of the published R18 is hundreds of times its entropy; without the first group, 2 %."""
    structure = analyse(all_published["deepmad-r18"].spec)
    assert 10 * depth_imbalance(structure.group_depths) > 100 * structure.weighted_entropy()
    penalty = structure.weighted_entropy() - structure.objective()
    assert penalty == pytest.approx(10 * depth_imbalance([6, 9, 10, 12]), rel=1e-9)
    assert 0.01 < penalty / structure.weighted_entropy() < 0.02


# --- Guideline 3: outputs of blocks ---------------------------------------------------------------------------------


def test_widths_cannot_grow_layer_by_layer(published):
    """Read literally, w_1 <= w_2 <= ... of Eq. (5) is broken inside the first block of every published network."""
    widths = [layer.width for layer in main_layers(published.spec)]
    assert widths != sorted(widths)


def test_block_outputs_grow_in_all_published_networks_but_two(all_published):
    outs = {name: [group.out for group in network.spec.groups] for name, network in all_published.items()}
    assert {name for name, chs in outs.items() if chs != sorted(chs)} == {"deepmad-r18", "deepmad-r34"}


def test_first_group_is_no_narrower_than_the_stem(all_published):
    """Nor is one that the program may answer with, unless the guideline is switched off."""
    assert all(network.spec.groups[0].out >= network.spec.stem.out for network in all_published.values())
    problem = Problem(load_space("mobilenet-se"), {"macs": 50e6})
    assert any(ratio.low == 1 and ratio.bottom == problem.index["stem"] for ratio in problem.ratios)
    free = Problem(load_space("mobilenet-se"), {"macs": 50e6}, guidelines=frozenset({1, 2}))
    assert not any(ratio.bottom == free.index["stem"] for ratio in free.ratios)


# --- activations ----------------------------------------------------------------------------------------------------


def test_activations_are_outputs_of_convolutions_and_linear_layers():
    """A stem of 8 at 16x16, a 3x3 convolution of 12 at 8x8, ten classes: norm, activation and pooling add nothing."""
    spec = NetworkSpec("hand", (3, 32, 32), (Group("conv", 12, 1, kernel=3, stride=2),), Head(10), Stem(8))
    assert count(spec).activations == 16 * 16 * 8 + 8 * 8 * 12 + 10


def test_activations_of_resnet50_are_fvcores():
    """The total of fvcore's ``ActivationCountAnalysis`` (0.1.5) of torchvision's ResNet-50 at 224 px, exact."""
    assert count(RESNET50).activations == 11_114_984
