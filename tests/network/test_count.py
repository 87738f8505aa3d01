"""Closed-form counting: against published numbers, against sums by hand, and over arrays of candidates."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from madnas.errors import UsageError
from madnas.measure.module_count import count_module
from madnas.models import build
from madnas.network.analyse import analyse
from madnas.network.blocks import CATALOGUE
from madnas.network.count import Counts, count, count_backbone
from madnas.network.expand import at_resolution, segments, vanishes
from madnas.network.named import get
from madnas.network.spec import LINEAR_BLOCKS, Group, Head, NetworkSpec, Stem
from tests.models.examples import CONVOLUTIONAL, EXAMPLES

DEEPMAD = ("r18", "r34", "r50", "29m", "29m-288", "50m", "89m")
BASELINES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "mobilenetv2", "efficientnet-b0", "resnet20")


def shows(printed: str, value: float) -> bool:
    """Whether a value shows every digit that was printed."""
    return f"{value:.{len(printed.partition('.')[2])}f}" == printed


def test_golden_file_is_whole(golden):
    assert sorted(golden["deepmad"]) == sorted(f"deepmad-{name}" for name in DEEPMAD)
    assert sorted(golden["params"]) == sorted(BASELINES)


@pytest.mark.parametrize("name", DEEPMAD)
def test_published_deepmad_networks(golden, name):
    printed = golden["deepmad"][f"deepmad-{name}"]
    costs = count(get(f"deepmad-{name}"))
    assert shows(printed["params"], costs.params / 1e6)
    assert shows(printed["macs"], costs.macs / 1e9)
    assert shows(printed["layers"], costs.layers)


@pytest.mark.parametrize("name", BASELINES)
def test_params_of_reference_implementations(golden, name):
    assert count(get(name)).params == golden["params"][name]


# Every kind of block by hand, on a 3x8x8 input; the stem (3x3, stride 2, 4 channels) leaves 4x4 maps and costs
# 3*9*4 weights + 2*4 of the norm = 116 params, 3*9*4*16 = 1728 MACs, 64 outputs; 10 classes cost 11 * 10 * in params.
STEM = Counts(params=116, macs=1728, activations=64, layers=1)

BY_HAND = {
    "conv": (
        Group("conv", 6, 2, kernel=3),
        # 4*9*6 + 12 = 228 and 6*9*6 + 12 = 336; 216*16 + 324*16; 2 * 6*16
        Counts(228 + 336, 3456 + 5184, 192, 2),
    ),
    "basic conv": (
        Group("basic", 6, 2, kernel=3, stride=2),
        # first: 228 + 336 + projection 4*6 + 12 = 36, on 2x2 maps; second: 336 + 336
        Counts(228 + 336 + 36 + 672, 4 * (216 + 324 + 24 + 648), 4 * 6 * 5, 4),
    ),
    "basic conv, same shape": (Group("basic", 4, 1, kernel=3), Counts(2 * 152, 16 * 2 * 144, 2 * 64, 2)),
    "basic pad": (Group("basic", 6, 1, kernel=3, stride=2, shortcut="pad"), Counts(564, 4 * 540, 4 * 12, 2)),
    "basic pool": (Group("basic", 4, 1, kernel=3, shortcut="pool"), Counts(304 + 24, 16 * (288 + 16), 64 * 3, 2)),
    "basic hidden": (
        Group("basic", 4, 1, hidden=2, kernel=3),
        # 4*9*2 + 4 = 76, 2*9*4 + 8 = 80
        Counts(156, 16 * 144, 16 * 6, 2),
    ),
    "bottleneck": (
        Group("bottleneck", 8, 1, hidden=2, kernel=3, stride=2),
        # 4*2 + 4 on 4x4, 2*9*2 + 4 on 2x2, 2*8 + 16, projection 4*8 + 16
        Counts(12 + 40 + 32 + 48, 16 * 8 + 4 * (36 + 16 + 32), 16 * 2 + 4 * (2 + 8 + 8), 3),
    ),
    "bottleneck in groups of 2, with SE": (
        Group("bottleneck", 8, 1, hidden=4, kernel=3, group_width=2, se="senet"),
        # 16 + 8, 4*18 + 8, 32 + 16, squeeze to 8: 64 + 8 twice, projection 32 + 16
        Counts(24 + 80 + 48 + 144 + 48, 16 * (16 + 72 + 32 + 32) + 128, 16 * 24 + 16, 3),
    ),
    "basic biased": (
        Group("basic", 4, 2, kernel=3, shortcut="biased"),
        Counts(4 * 152 + 16 + 4 + 8, 16 * (4 * 144 + 16), 64 * 5, 4),
    ),
    "mobile pair": (
        Group("mobile-pair", 6, 1, hidden=4, expand=2, kernel=3, stride=2, se="zennet"),
        # 4 -> 8 -> 4: 48, 88, squeeze to 2: 20 + 32, 40, link 16 + 4 + 8; 4 -> 12 -> 6: 72, 132, 42 + 60, 84, 42
        Counts(
            256 + 432,
            16 * 32 + 4 * (72 + 32 + 16) + 32 + 4 * (48 + 108 + 72 + 24) + 72,
            16 * 8 + 4 * (8 + 4 + 4) + 10 + 4 * (12 + 12 + 6 + 6) + 15,
            6,
        ),
    ),
    "convnext with GRN": (
        Group("convnext", 4, 1, hidden=6, kernel=3, grn=True),
        # 36 + 4 + 8, 24 + 6, 24 + 4 and the norm's 12
        Counts(48 + 30 + 40, 16 * (36 + 24 + 24), 16 * 14, 3),
    ),
    "inverted residual": (
        Group("inverted-residual", 4, 1, hidden=8, kernel=3),
        # 4*8 + 16, 8*9 + 16, 8*4 + 8
        Counts(48 + 88 + 40, 16 * (32 + 72 + 32), 16 * (8 + 8 + 4), 3),
    ),
    "inverted residual expand": (
        Group("inverted-residual", 6, 2, expand=2, kernel=3),
        # first hidden 8: 48 + 88 + (48 + 12); second hidden 12: (72 + 24) + (108 + 24) + (72 + 12)
        Counts(48 + 88 + 60 + 96 + 132 + 84, 16 * (32 + 72 + 48 + 72 + 108 + 72), 16 * (22 + 30), 6),
    ),
    "se deepmad": (
        Group("inverted-residual", 4, 1, hidden=40, kernel=3, se="deepmad"),
        # 4*40 + 80, 360 + 80, squeeze to 8: 320 + 16 and 320 + 80 on 1x1, 160 + 8
        Counts(240 + 440 + 336 + 400 + 168, 16 * (160 + 360 + 160) + 640, 16 * 84 + 48, 3),
    ),
    "se efficientnet": (
        Group("inverted-residual", 4, 1, expand=2, kernel=3, se="efficientnet"),
        # a quarter of the block's 4 inputs is 1: 8 + 1 and 8 + 8 with bias and without norm
        Counts(176 + 9 + 16, 16 * 136 + 16, 16 * 20 + 9, 3),
    ),
    "separable": (
        Group("separable", 6, 1, kernel=5, stride=2),
        # 4*25 + 8, 4*6 + 12
        Counts(108 + 36, 4 * (100 + 24), 4 * 10, 2),
    ),
    "depthwise": (
        Group("depthwise", 4, 1, kernel=5, stride=2),
        # 4*25 + 8
        Counts(108, 4 * 100, 4 * 4, 1),
    ),
    "afrb": (
        Group("afrb", 6, 1, expand=2, kernel=3, stride=2),
        # norm 8, alpha 1, 4*8 + 16, 8*9 + 16 on 2x2, 8*6 + 12
        Counts(9 + 48 + 88 + 60, 16 * 32 + 4 * (72 + 48), 16 * 8 + 4 * 14, 3),
    ),
    "afrb pair": (
        Group("afrb-pair", 4, 1, expand=2, kernel=3),
        # norms 8 and 4, alpha 1; 4 -> 8 -> 2: 48 + 88 + 20; 2 -> 8 -> 4: 32 + 88 + 40
        Counts(13 + 156 + 160, 16 * (32 + 72 + 16 + 16 + 72 + 32), 16 * (8 + 8 + 2 + 8 + 8 + 4), 6),
    ),
    "inverted pair": (
        Group("inverted-pair", 4, 1, expand=2, kernel=3),
        Counts(156 + 160, 16 * 240, 16 * 38, 6),
    ),
    "act conv": (
        Group("act-conv", 6, 2, kernel=3, stride=2),
        # 4*9*6 + 6 + 12; then, with a link and so a norm of 12 before it, 6*9*6 + 6 + 12
        Counts(234 + 354, 4 * (216 + 324), 4 * 12, 2),
    ),
    "act expand": (
        Group("act-expand", 6, 2, expand=2, kernel=3, stride=2),
        # 4*8 + 16 on 4x4, 8*9 + 16, 8*6 + 12 on 2x2; then, with a norm of 12, 6*12 + 24, 12*9 + 24, 12*6 + 12
        Counts(
            48 + 88 + 60 + 12 + 96 + 132 + 84,
            16 * 32 + 4 * (72 + 48 + 72 + 108 + 72),
            16 * 8 + 4 * (14 + 12 + 12 + 6),
            6,
        ),
    ),
    "act conv pair": (
        Group("act-conv-pair", 4, 1, kernel=3),
        # norm 8, 4*9*2 + 2 + 4, 2*9*4 + 4 + 8
        Counts(8 + 78 + 84, 16 * 144, 16 * 6, 2),
    ),
    "repvgg": (
        Group("repvgg", 6, 2, kernel=3, stride=2),
        # 4*9*6 + 12, 4*6 + 12; then 6*9*6 + 12, 36 + 12 and a norm of 12
        Counts(228 + 36 + 336 + 48 + 12, 4 * (216 + 24 + 324 + 36), 4 * 24, 2),
    ),
    "conv bias": (
        Group("conv", 6, 2, kernel=3, norm="none"),
        # 4*9*6 + 6 and 6*9*6 + 6
        Counts(222 + 330, 16 * (216 + 324), 192, 2),
    ),
    "conv pool": (Group("conv", 6, 1, kernel=3, stride=2, pool=True), Counts(228, 4 * 216, 24, 1)),
    "preact": (
        Group("preact", 6, 2, kernel=3, stride=2),
        # first, on 2x2 maps: norm 8, 216, norm 12, 324, projection 24; second: 12 + 324, 12 + 324
        Counts(8 + 216 + 12 + 324 + 24 + 672, 4 * (216 + 324 + 24 + 648), 4 * 6 * 5, 4),
    ),
    "preact, same shape": (Group("preact", 4, 1, kernel=3), Counts(2 * (8 + 144), 16 * 288, 128, 2)),
    "convnext": (
        Group("convnext", 4, 1, expand=4, kernel=7),
        # 4*49 + 4 and norm 8; 4*16 + 16; 16*4 + 4 and scale 4
        Counts(200 + 8 + 80 + 68 + 4, 16 * (196 + 64 + 64), 16 * 24, 3),
    ),
    "convnext, strided": (
        Group("convnext", 6, 2, hidden=9, kernel=3, stride=2),
        # norm 8 and 4*4*6 + 6 of 2x2 patches; twice 54 + 6 and norm 12, 54 + 9, 54 + 6 and scale 6
        Counts(8 + 102 + 2 * (72 + 63 + 66), 4 * 96 + 2 * 4 * 162, 4 * 6 + 2 * 4 * 21, 7),
    ),
    "dense": (
        Group("dense", 10, 2, hidden=5, kernel=3, growth=3),
        # norm 8, 4*5, norm 10, 5*9*3; the second sees 7 channels: norm 14, 7*5, norm 10, 135
        Counts(8 + 20 + 10 + 135 + 14 + 35 + 10 + 135, 16 * (20 + 135 + 35 + 135), 16 * 2 * 8, 4),
    ),
    "dense, transition": (
        Group("dense", 5, 1, kernel=3, stride=2, growth=3),
        # norm 8 and 4*2, before the pooling; norm 4 and 2*9*3 behind it
        Counts(8 + 8 + 4 + 54, 16 * 8 + 4 * 54, 16 * 2 + 4 * 3, 2),
    ),
    "random-skip": (
        Group("random-skip", 3, 4, kernel=3, links=4),
        # inputs: 4, the stem's; 3; 3 + min(3, 4); 3 + min(6, 4); each with a norm and 9*3 weights
        Counts((2 + 27) * (4 + 3 + 6 + 7), 16 * 27 * 20, 16 * 12, 4),
    ),
    "random-skip, bare": (
        Group("random-skip", 3, 4, kernel=3, stride=2, links=4, bare=True),
        Counts((2 + 27) * 20 - 8, 4 * 27 * 20, 4 * 12, 4),
    ),
    "random-skip, no links": (
        Group("random-skip", 3, 4, kernel=3, links=0),
        Counts((2 + 27) * (4 + 3 + 3 + 3), 16 * 27 * 13, 16 * 12, 4),
    ),
    "random-skip-mobile": (
        Group("random-skip-mobile", 3, 3, hidden=5, kernel=3, stride=2, links=2),
        # inputs: 4, on 4x4; 3; 3 + 2; then always 5*9 + 10 and 5*3 + 6
        Counts((20 + 10) + (15 + 10) + (25 + 10) + 3 * (55 + 21), 16 * 20 + 4 * (15 + 25 + 3 * 60), 80 + 40 + 96, 9),
    ),
    "random-skip-mobile, expand": (
        Group("random-skip-mobile", 4, 3, expand=2, kernel=3, links=4),
        # inputs 4, 4, 8; hidden 8, 8, 16
        Counts(2 * (48 + 88 + 40) + (160 + 176 + 72), 16 * (2 * 136 + 128 + 144 + 64), 16 * (2 * 20 + 36), 9),
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_block_by_hand(name):
    group, block = BY_HAND[name]
    spec = NetworkSpec("hand", (3, 8, 8), (group,), Head(10), Stem(4))
    assert count(spec) == Counts(
        STEM.params + block.params + 10 * group.out + 10,
        STEM.macs + block.macs + 10 * group.out,
        STEM.activations + block.activations + 10,
        STEM.layers + block.layers,
    )


def test_hand_counts_cover_the_catalogue():
    assert {group.block for group, _ in BY_HAND.values()} | LINEAR_BLOCKS == set(CATALOGUE)


def test_mlp_by_hand():
    spec = NetworkSpec("mlp", (1, 2, 3), (Group("linear", 5, 2),), Head(4))
    assert count(spec) == Counts(6 * 5 + 5 + 5 * 5 + 5 + 5 * 4 + 4, 30 + 25 + 20, 14, 3)


def test_mlp_of_a_random_skip_cell_by_hand():
    spec = NetworkSpec("mlp", (1, 2, 3), (Group("random-skip-linear", 5, 4, links=3),), Head(4, hidden=(7,)))
    # inputs 6, 5, 5 + 3, 5 + 3; then 5*7 and 7*4
    weights = 5 * (6 + 5 + 8 + 8) + 35 + 28
    assert count(spec) == Counts(weights + 4 * 5 + 7 + 4, weights, 4 * 5 + 7 + 4, 6)


ONE = NetworkSpec("one", (3, 8, 8), (Group("conv", 6, 1, kernel=3),), Head(10), Stem(4))
"""Its group gives out 6 channels on 4x4 maps; its classifier costs 70 params and 60 MACs."""


@pytest.mark.parametrize(
    ("head", "params", "macs"),
    [
        (Head(10, norm="batch"), 12, 0),
        (Head(10, norm="layer"), 12, 0),
        # 6*4 features of 2x2 pixels, then 20 and 5
        (Head(10, hidden=(20, 5), pool=2), 480 + 20 + 100 + 5 + 50 + 10 - 70, 480 + 100 + 50 - 60),
        (Head(10, pool=2), 180, 180),
        # 6*20 and norm 40; layer norm 40 and a classifier of 4*20*10 + 10
        (Head(10, conv=20, norm="layer", pool=2), 160 + 40 + 810 - 70, 16 * 120 + 800 - 60),
    ],
    ids=["batch", "layer", "hidden", "pool", "all"],
)
def test_heads_by_hand(head, params, macs):
    costs, base = count(replace(ONE, head=head)), count(ONE)
    assert (costs.params - base.params, costs.macs - base.macs) == (params, macs)
    assert costs.layers - base.layers == (head.conv is not None)


@pytest.mark.parametrize(
    ("stem", "params", "macs", "side"),
    [
        (Stem(4), 116, 1728, 4),
        (Stem(4, norm="later"), 108, 1728, 4),
        # 3*16*4 + 4 and norm 8, on 2x2 maps
        (Stem(4, kernel=4, stride=4, norm="layer"), 204, 4 * 192, 2),
    ],
    ids=["batch", "later", "layer"],
)
def test_stems_by_hand(stem, params, macs, side):
    costs = count(replace(ONE, stem=stem))
    assert (costs.params, costs.macs) == (params + 228 + 70, macs + side**2 * 216 + 60)


def test_network_without_a_stem_by_hand():
    # its group sees the image: 3*9*6 + 12, on 8x8
    assert count(replace(ONE, stem=None)) == Counts(174 + 70, 64 * 162 + 60, 64 * 6 + 10, 1)


def test_head_convolution_by_hand():
    base = NetworkSpec("head", (3, 8, 8), (Group("conv", 6, 1, kernel=3),), Head(10), Stem(4))
    with_conv = count(replace(base, head=Head(10, conv=20)))
    # 6*20 + 40 for the convolution, and a classifier of 20*10 + 10 instead of 6*10 + 10
    assert with_conv.params - count(base).params == 160 + 140
    assert with_conv.macs - count(base).macs == 16 * 120 + 140
    assert with_conv.layers - count(base).layers == 1


def test_params_do_not_depend_on_the_input_and_macs_nearly_scale_with_its_area():
    spec = get("deepmad-r50")
    small, large = count(spec), count(at_resolution(spec, 448))
    assert small.params == large.params
    classifier = 1232 * 1000
    assert large.macs - classifier == 4 * (small.macs - classifier)


def test_odd_sizes_round_up():
    spec = NetworkSpec("odd", (3, 33, 17), (Group("conv", 4, 1, kernel=3, stride=2),), Head(10), Stem(4))
    resolutions = [segment.layers[-1].resolution for segment in segments(spec)]
    assert resolutions == [(17, 9), (9, 5), (1, 1)]


@pytest.mark.parametrize(
    "group",
    [
        Group("conv", 4, 2, kernel=3, stride=2, pool=True),
        Group("convnext", 4, 2, expand=2, kernel=3, stride=2),
        Group("dense", 6, 2, kernel=3, stride=2, growth=2),
    ],
    ids=lambda group: group.block,
)
def test_odd_sizes_of_patches_and_poolings_round_down(group):
    spec = NetworkSpec("odd", (3, 33, 17), (group,), Head(10), Stem(4, kernel=3, stride=3, norm="layer"))
    resolutions = [segment.layers[-1].resolution for segment in segments(spec)]
    assert resolutions == [(11, 5), (5, 2), (5, 2), (1, 1)]


def test_map_that_vanishes():
    group = Group("convnext", 4, 1, expand=2, kernel=3, stride=2)
    spec = NetworkSpec("small", (3, 8, 16), (group, group), Head(10), Stem(4, kernel=4, stride=4, norm="layer"))
    assert [vanishes(at_resolution(spec, side)) for side in (3, 4, 8, 16)] == ["stem", "groups[0]", "groups[1]", None]
    assert vanishes(spec) == "groups[1]"
    assert vanishes(at_resolution(get("resnet50"), 1)) is None


ARRAYS: dict[str, dict[str, Any]] = {
    "bottleneck": {"block": "bottleneck", "shortcut": "pool"},
    "basic-pool": {"block": "basic", "shortcut": "pool"},
    "basic-pad": {"block": "basic", "shortcut": "pad"},
    "inverted-residual": {"block": "inverted-residual"},
    "inverted-residual-se": {"block": "inverted-residual", "se": "deepmad", "shortcut": "pool"},
    "conv": {"block": "conv"},
    "preact": {"block": "preact"},
    "convnext": {"block": "convnext", "expand": 4},
    "basic-conv": {"block": "basic", "shortcut": "conv"},
    "bottleneck-conv": {"block": "bottleneck", "shortcut": "conv"},
    "expand": {"block": "inverted-residual"},
    "expand-se": {"block": "inverted-residual", "se": "deepmad"},
    "expand-se-efficientnet": {"block": "inverted-residual", "se": "efficientnet"},
    "separable-se-efficientnet": {"block": "separable", "se": "efficientnet"},
}


def test_convnexts_with_and_without_a_downsampling_layer_are_not_counted_together():
    group = Group("convnext", np.array([16, 24]), 2, expand=4, kernel=7)
    with pytest.raises(ValueError, match="cannot be counted together"):
        count(NetworkSpec("mixed", (3, 32, 32), (group,), Head(10, norm="layer"), Stem(np.array([16, 16]), norm="layer",
                          kernel=4, stride=4)))  # fmt: skip


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_count_as_each_of_their_elements(kind):
    rng = np.random.default_rng(0)
    hides = kind.startswith(("bottleneck", "inverted"))

    def columns() -> dict[str, Any]:
        hidden = {"hidden": rng.integers(1, 100, 20)} if hides else {}
        hidden |= {"expand": rng.choice([0.75, 1.5, 4], 20)} if kind.startswith("expand") else {}
        kernel = rng.choice([3, 5, 7], 20)
        return {"out": rng.integers(1, 64, 20) * 8, "depth": rng.integers(1, 9, 20), "kernel": kernel, **hidden}

    stem, head, groups = rng.integers(8, 64, 20), rng.integers(100, 200, 20), [columns(), columns(), columns()]
    if kind != "convnext":  # whose candidates with and without a downsampling layer are refused
        groups[1]["out"][::2] = groups[0]["out"][::2]  # which of the candidates project their shortcut differs

    def spec(pick: Any) -> NetworkSpec:
        parts = [
            Group(**{key: pick(value) for key, value in group.items()}, **ARRAYS[kind], stride=stride)
            for group, stride in zip(groups, (2, 1, 2), strict=True)
        ]
        return NetworkSpec("arrays", (3, 64, 48), tuple(parts), Head(10, pick(head)), Stem(pick(stem)))

    together, structure = count(spec(lambda column: column)), analyse(spec(lambda column: column))
    for index in range(20):
        single = spec(lambda column, index=index: column[index].item())
        one, lone = count(single), analyse(single)
        assert [int(value[index]) for value in (together.params, together.macs, together.activations)] == [
            *(one.params, one.macs, one.activations)
        ]
        assert together.layers[index] == one.layers
        assert structure.rho[index] == pytest.approx(lone.rho, rel=1e-12)
        assert [h[index] for h in structure.entropies[1:]] == pytest.approx(lone.entropies[1:], rel=1e-12)
        assert structure.objective()[index] == pytest.approx(lone.objective(), rel=1e-12)


class TestBackbone:
    """What gives the maps: all but the head."""

    @pytest.mark.parametrize("name", sorted(CONVOLUTIONAL))
    @pytest.mark.parametrize("size", [(32, 32), (48, 37)])
    def test_agrees_with_fvcore_on_the_module(self, name, size):
        spec = at_resolution(CONVOLUTIONAL[name], *size)
        costs, counted = count_backbone(spec), count_module(build(spec, features_only=True), spec.input)
        assert (costs.params, costs.macs, costs.activations) == (counted.params, counted.macs, counted.activations)

    @pytest.mark.parametrize(("name", "size"), [("deepmad-r18", (96, 160)), ("ran-i-t", (100, 66))])
    def test_named_networks(self, name, size):
        spec = at_resolution(get(name), *size)
        counted = count_module(build(spec, features_only=True), spec.input)
        assert (count_backbone(spec).params, count_backbone(spec).macs) == (counted.params, counted.macs)

    @pytest.mark.parametrize("name", ["bottleneck-conv", "dense", "vgg", "bottleneck-pool", "random-skip"])
    def test_up_to_a_map(self, name):
        spec = CONVOLUTIONAL[name]
        maps = len(build(spec).feature_info)
        for last in range(-maps, maps):
            counted = count_module(build(spec, features_only=True, out_indices=(last,)), spec.input)
            assert (count_backbone(spec, last).params, count_backbone(spec, last).macs) == (
                counted.params,
                counted.macs,
            )
        with pytest.raises(UsageError, match=f"has {maps} maps"):
            count_backbone(spec, maps)

    def test_head_is_the_rest(self):
        spec = get("deepmad-29m")
        head = 312 * 1792 + 2 * 1792 + 1792 * 1000 + 1000
        assert count(spec).params - count_backbone(spec).params == head
        assert count(spec).macs - count_backbone(spec).macs == 312 * 1792 * 7 * 7 + 1792 * 1000

    def test_mlp(self):
        with pytest.raises(UsageError, match="no backbone"):
            count_backbone(EXAMPLES["mlp"])
