"""Affine maps against the layers that they stand for: in a row, side by side, and the naive merge that is wrong."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from madnas.restructure.affine import Affine, Unmergeable
from madnas.restructure.border import BorderConv2d, conv_of
from madnas.restructure.layers import identity, of_conv, of_norm

LARGEST_ERROR = 1e-12
DOUBLE = torch.zeros((), dtype=torch.float64)
seeds = st.integers(0, 2**31)
sides = st.tuples(st.integers(7, 12), st.integers(7, 12))


def norm_of(chs, chance):
    """A batch norm whose statistics are far from the initial ones."""
    norm = nn.BatchNorm2d(chs).double().eval()
    norm.running_mean.normal_(0, 3, generator=chance)
    norm.running_var.uniform_(0.05, 9, generator=chance)
    norm.weight.data.normal_(0, 2, generator=chance)
    norm.bias.data.normal_(0, 2, generator=chance)
    return norm


def conv(in_chs, out_chs, kernel, chance, **settings):
    found = nn.Conv2d(in_chs, out_chs, kernel, **settings).double()
    for weight in found.parameters():
        weight.data.normal_(0, 1, generator=chance)
    return found


def relative(expected, found):
    return float((expected - found).abs().max() / expected.abs().max())


def assert_same(layers, affine, shape, chance):
    images = torch.randn(2, *shape, generator=chance, dtype=torch.float64)
    merged = conv_of(affine, DOUBLE)
    with torch.no_grad():
        assert relative(layers(images), merged(images)) <= LARGEST_ERROR


@given(
    seed=seeds,
    chs=st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 6)),
    kernel=st.sampled_from([3, 5, 7]),
    stride=st.sampled_from([1, 2]),
    side=sides,
    norms=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
)
def test_an_inverted_bottleneck_without_activations_is_one_convolution(seed, chs, kernel, stride, side, norms):
    """1x1, k x k depthwise, 1x1, with batch norms before, between and behind: also on maps smaller than the kernel."""
    chance = torch.Generator().manual_seed(seed)
    inside, hidden, out = chs
    layers = [
        norm_of(inside, chance) if norms[0] else nn.Identity(),
        conv(inside, hidden, 1, chance, bias=not norms[1]),
        norm_of(hidden, chance) if norms[1] else nn.Identity(),
        conv(hidden, hidden, kernel, chance, stride=stride, padding=kernel // 2, groups=hidden),
        norm_of(hidden, chance) if norms[2] else nn.Identity(),
        conv(hidden, out, 1, chance),
        norm_of(out, chance) if norms[3] else nn.Identity(),
    ]
    affine = identity(inside, DOUBLE)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            affine = affine.then(of_conv(layer))
        elif isinstance(layer, nn.BatchNorm2d):
            affine = affine.then(of_norm(layer))
    assert affine.kernel == (kernel, kernel)
    assert affine.stride == (stride, stride)
    assert_same(nn.Sequential(*layers), affine, (inside, *side), chance)


@given(
    seed=seeds,
    groups=st.sampled_from([1, 2, 4]),
    later=st.sampled_from([1, 2, 4]),
    kernel=st.sampled_from([1, 3, 5]),
    first_is_pointwise=st.booleans(),
    side=sides,
)
def test_grouped_convolutions_in_a_row(seed, groups, later, kernel, first_is_pointwise, side):
    chance = torch.Generator().manual_seed(seed)
    kernels = (1, kernel) if first_is_pointwise else (kernel, 1)
    one = conv(4, 8, kernels[0], chance, padding=kernels[0] // 2, groups=groups)
    other = conv(8, 12, kernels[1], chance, padding=kernels[1] // 2, groups=later)
    affine = of_conv(one).then(of_conv(other))
    assert affine.groups == (groups if groups == later else 1)
    assert_same(nn.Sequential(one, other), affine, (4, *side), chance)


@given(seed=seeds, kernel=st.sampled_from([3, 5, 7]), stride=st.sampled_from([1, 2]), side=sides, norm=st.booleans())
def test_branches_side_by_side(seed, kernel, stride, side, norm):
    """As in RepVGG: k x k, 1x1 and a batch norm alone; each with constants of its own."""
    chance = torch.Generator().manual_seed(seed)
    large = nn.Sequential(norm_of(5, chance), conv(5, 5, kernel, chance, stride=stride, padding=kernel // 2))
    small = nn.Sequential(conv(5, 5, 1, chance, stride=stride), norm_of(5, chance))
    alone = norm_of(5, chance)
    affine = of_conv(small[0]).then(of_norm(small[1])).plus(of_norm(large[0]).then(of_conv(large[1])))
    with_alone = stride == 1 and norm
    if with_alone:
        affine = affine.plus(of_norm(alone))

    def layers(images):
        both = large(images) + small(images)
        return both + alone(images) if with_alone else both

    assert_same(layers, affine, (5, *side), chance)


def test_without_padding_there_is_no_border():
    chance = torch.Generator().manual_seed(0)
    layers = nn.Sequential(norm_of(3, chance), conv(3, 4, 3, chance))
    affine = of_norm(layers[0]).then(of_conv(layers[1]))
    assert affine.border is None
    assert type(conv_of(affine, DOUBLE)) is nn.Conv2d
    assert_same(layers, affine, (3, 8, 9), chance)


def test_dilation_stays():
    chance = torch.Generator().manual_seed(0)
    layers = nn.Sequential(conv(3, 6, 1, chance), conv(6, 4, 3, chance, padding=2, dilation=2), norm_of(4, chance))
    affine = of_conv(layers[0]).then(of_conv(layers[1])).then(of_norm(layers[2]))
    assert_same(layers, affine, (3, 9, 8), chance)


def test_the_naive_merge_is_wrong_at_the_border_and_right_inside():
    """The constant that the border does not see, added as if it did; 52 of 196 pixels of a 14 x 14 map are wrong."""
    chance = torch.Generator().manual_seed(0)
    layers = nn.Sequential(
        conv(4, 8, 1, chance, bias=False),
        norm_of(8, chance),
        conv(8, 8, 3, chance, padding=1, groups=8, bias=False),
        conv(8, 4, 1, chance),
    )
    affine = of_conv(layers[0]).then(of_norm(layers[1])).then(of_conv(layers[2])).then(of_conv(layers[3]))
    assert affine.border is not None
    naive = conv_of(replace(affine, bias=affine.bias + affine.border.sum((1, 2, 3)), border=None), DOUBLE)
    images = torch.randn(1, 4, 14, 14, generator=chance, dtype=torch.float64)
    with torch.no_grad():
        expected, exact, found = layers(images), conv_of(affine, DOUBLE)(images), naive(images)
    assert relative(expected, exact) <= LARGEST_ERROR
    wrong = ((expected - found).abs() > 1e-9).any(1)[0]
    assert int(wrong.sum()) == 52
    assert not wrong[1:-1, 1:-1].any()


@pytest.mark.parametrize(
    ("first", "later", "why"),
    [
        ({"kernel_size": 3, "padding": 1}, {"kernel_size": 3, "padding": 1}, "pads what a kernel"),
        ({"kernel_size": 1, "stride": 2}, {"kernel_size": 3, "padding": 1}, "every 2th pixel"),
        ({"kernel_size": 1, "padding": 1}, {"kernel_size": 3, "padding": 1}, "pads what a kernel"),
    ],
)
def test_what_is_no_convolution(first, later, why):
    with pytest.raises(Unmergeable, match=why):
        of_conv(nn.Conv2d(4, 4, **first)).then(of_conv(nn.Conv2d(4, 4, **later)))


@pytest.mark.parametrize("other", [{"kernel_size": 3, "padding": 0}, {"kernel_size": 3, "padding": 1, "stride": 2},
                                   {"kernel_size": 2}, {"kernel_size": (1, 3), "padding": (0, 1)}])  # fmt: skip
def test_what_is_no_sum(other):
    with pytest.raises(Unmergeable):
        of_conv(nn.Conv2d(4, 4, (3, 1), padding=(1, 0))).plus(of_conv(nn.Conv2d(4, 4, **other)))


def test_channels_that_do_not_meet():
    with pytest.raises(Unmergeable, match="6 channels come out, and 5 go in"):
        of_conv(nn.Conv2d(4, 6, 1)).then(of_conv(nn.Conv2d(5, 4, 1)))


def test_a_border_is_kept_in_files_and_in_half_precision():
    affine = Affine(torch.ones(2, 3, 3, 3).double(), torch.ones(2).double(), torch.ones(2, 1, 3, 3).double(),
                    padding=(1, 1))  # fmt: skip
    made = conv_of(affine, torch.zeros((), dtype=torch.bfloat16))
    assert isinstance(made, BorderConv2d)
    assert made.border.dtype == torch.bfloat16
    assert set(made.state_dict()) == {"weight", "bias", "border"}
