"""Layers of every kind that a collapse knows, each in a small network, against the network itself."""

import copy
from itertools import pairwise

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import Conv2dSame, LayerScale, LayerScale2d
from torch import nn
from torch.nn import functional as F
from torchvision.ops import Permute
from torchvision.ops.misc import FrozenBatchNorm2d

from madnas.errors import UsageError
from madnas.restructure.border import BorderConv2d, PaddedConv2d
from madnas.restructure.collapse import collapse
from tests.restructure.test_collapse import unsettled


def drawn(model, seed=0):
    chance = torch.Generator().manual_seed(seed)
    for value in model.parameters():
        value.data.normal_(0, 1, generator=chance)
    return unsettled(model, seed)


def assert_collapses(model, shape, layers, **options):
    """To so many layers, with equal outputs: seen here, and not by the certificate alone."""
    before = copy.deepcopy(model).double()
    found = collapse(model, shape, **options)
    assert found.errors["float64"].relative <= 1e-12
    assert found.errors["float32"].within(torch.float32)
    kinds = [part for part in found.model.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert len(kinds) == layers
    for more in (0, 1):
        images = torch.randn(3, *shape[:-2], *(side + more for side in shape[-2:]), dtype=torch.float64)
        with torch.no_grad():
            expected = before(images)
            assert (found.model.double()(images) - expected).abs().max() < 1e-5 * expected.abs().max()
    return found


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**31),
    kernel=st.sampled_from([(1, 1), (2, 2), (3, 3), (5, 3), (4, 5)]),
    stride=st.sampled_from([1, 2, 3]),
    dilation=st.sampled_from([1, 2]),
    side=st.integers(7, 14),
    expansion=st.booleans(),
)
def test_convolutions_padded_as_tensorflow_does(seed, kernel, stride, dilation, side, expansion):
    """Their zeros depend on the size of the input, and so does what the border sees."""
    conv = Conv2dSame(6, 4, kernel, stride=stride, dilation=dilation, bias=False)
    first = [nn.Conv2d(3, 6, 1, bias=False), nn.BatchNorm2d(6)] if expansion else [nn.Conv2d(3, 6, 1), nn.ReLU()]
    model = drawn(nn.Sequential(*first, conv, nn.BatchNorm2d(4), nn.ReLU()), seed)
    found = assert_collapses(model, (3, side, side + 1), 1 if expansion else 2, costly=True)
    assert any(isinstance(part, BorderConv2d) for part in found.model.modules()) == (expansion and kernel != (1, 1))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [1, 2, 3, (2, 5)])
def test_padding_by_name(padding, kernel):
    layers = nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.Conv2d(6, 4, kernel, padding=padding, dilation=2)
    assert_collapses(drawn(nn.Sequential(*layers, nn.ReLU())), (3, 11, 9), 1, costly=True)


@pytest.mark.parametrize("pad", [nn.ZeroPad2d(1), nn.ZeroPad2d((0, 1, 0, 2)), nn.ConstantPad2d(2, 0.0)])
@pytest.mark.parametrize("padding", [0, 1])
def test_zeros_around_a_convolution(pad, padding):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), pad, nn.Conv2d(4, 5, 3, stride=2, padding=padding), nn.ReLU())
    found = assert_collapses(drawn(model), (3, 9, 10), 2)
    assert not any(isinstance(part, nn.ConstantPad2d) for part in found.model.modules())
    kinds = {type(part) for part in found.model.modules() if isinstance(part, nn.Conv2d)}
    assert (PaddedConv2d in kinds) == (pad.padding == (0, 1, 0, 2))


def test_other_padding_is_none_of_ours():
    layers = nn.ConstantPad2d(1, 1.0), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.ZeroPad2d(-1), nn.Conv2d(4, 4, 3)
    with pytest.raises(UsageError, match="nothing in the network is linear"):
        collapse(drawn(nn.Sequential(*layers)), (3, 9, 9))


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**31),
    chs=st.lists(st.integers(1, 9), min_size=3, max_size=5),
    shape=st.sampled_from([(), (5,), (4, 6)]),
    bias=st.booleans(),
    scale=st.booleans(),
)
def test_linear_layers_in_a_row(seed, chs, shape, bias, scale):
    """Of vectors, tokens and maps with their channels last; with --costly all of them become one."""
    layers = []
    for inside, outside in pairwise(chs):
        layers += [nn.Linear(inside, outside, bias=bias), nn.Dropout(0.5), *([LayerScale(outside)] if scale else [])]
    model = drawn(nn.Sequential(*layers), seed)
    found = collapse(model, (*shape, chs[0]), costly=True)
    assert found.errors["float64"].relative <= 1e-12
    (layer,) = (part for part in found.model.modules() if isinstance(part, nn.Linear))
    assert (layer.in_features, layer.out_features) == (chs[0], chs[-1])
    assert found.after.params == (chs[0] + 1) * chs[-1]
    with torch.no_grad():
        given = torch.randn(2, *shape, chs[0])
        assert torch.allclose(found.model(given), model(given), rtol=1e-3, atol=1e-3)


def test_wide_layers_between_narrow_ones_and_the_reverse():
    """4 -> 100 -> 4 is one layer of 16 numbers; 100 -> 4 -> 100 is better left."""
    wide = nn.Sequential(nn.Linear(4, 100), nn.Linear(100, 4), nn.ReLU())
    assert collapse(drawn(wide), (4,)).after.macs == 16
    narrow = nn.Sequential(nn.Linear(100, 4), nn.Linear(4, 100), nn.BatchNorm1d(100), nn.ReLU())
    found = collapse(drawn(narrow), (100,))
    assert (found.before.macs, found.after.macs) == (800, 800)
    assert [(one.before, one.after) for one in found.left] == [(800, 10000)]


class Adapter(nn.Module):
    """A linear layer with one of low rank beside it."""

    def __init__(self):
        super().__init__()
        self.own, self.down, self.up = nn.Linear(6, 8), nn.Linear(6, 2), nn.Linear(2, 8)

    def forward(self, x):
        return torch.relu(self.own(x) + self.up(self.down(x)))


def test_linear_layers_side_by_side():
    found = collapse(drawn(Adapter()), (5, 6))
    assert found.after.macs == 5 * 6 * 8


class Normalised(nn.Module):
    """Statistics of images inside the network, as scripts put them there."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1))
        self.conv, self.bias = nn.Conv2d(3, 6, 3, padding=1), nn.Parameter(torch.zeros(6, 1, 1))

    def forward(self, x):
        x = (2 * x / 255 - self.mean) / self.std
        return torch.relu(1.5 - self.conv(x) * 0.5 + self.bias)


def test_arithmetic_with_constants():
    found = assert_collapses(drawn(Normalised()), (3, 8, 9), 1)
    assert sum(node.op != "placeholder" for node in found.model.graph.nodes) == 3  # convolution, ReLU, output
    assert not list(found.model.buffers())


class Scaled(nn.Module):
    """Layer scales of several kinds behind convolutions and, over a change of layout, behind linear layers."""

    def __init__(self, inplace):
        super().__init__()
        self.conv, self.scale = nn.Conv2d(3, 8, 3, padding=1), LayerScale2d(8, inplace=inplace)
        self.first, self.second, self.drop = nn.Linear(8, 12), nn.Linear(12, 8), nn.Dropout(0.1)
        self.gamma, self.factor = nn.Parameter(torch.ones(8)), nn.Parameter(torch.ones(8, 1, 1))
        self.last, self.order = nn.Linear(8, 8), Permute([0, 3, 1, 2])

    def forward(self, x):
        x = torch.relu(self.scale(self.conv(x)))
        inside = self.drop(self.second(torch.relu(self.first(x.permute(0, 2, 3, 1)))))
        x = x + inside.permute(0, 3, 1, 2).mul(self.gamma.reshape(1, -1, 1, 1))
        return torch.relu(x + self.factor * self.order(self.last(x.permute(0, 2, 3, 1))))


@pytest.mark.parametrize("inplace", [False, True])
def test_scales_of_layers(inplace):
    found = assert_collapses(drawn(Scaled(inplace)), (3, 7, 8), 4)
    assert sorted(one.modules[0] for one in found.merged) == ["conv", "last", "second"]
    names = {name.rpartition(".")[2] for name, _ in found.model.named_parameters()}
    assert names == {"weight", "bias"}  # what was a scale is gone, and not only unused


@pytest.mark.parametrize(
    "name",
    [
        "convnext_atto",
        "tf_mobilenetv3_small_minimal_100",
        pytest.param("inception_next_atto", marks=pytest.mark.slow),
        pytest.param("resmlp_12_224", marks=pytest.mark.slow),
    ],
)
def test_timms_networks(name):
    side = 224 if "224" in name else 64
    model = drawn(timm.create_model(name, num_classes=5))
    for part in model.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.reset_parameters()
    found = collapse(model, (3, side, side))
    assert found.errors["float64"].relative <= 1e-12
    assert found.after.params < found.before.params
    assert not any(name.endswith(("gamma", "running_mean")) for name in found.model.state_dict())


NORMS = [
    nn.SyncBatchNorm(6),
    nn.BatchNorm2d(6, affine=False),
    nn.BatchNorm2d(6, momentum=None),
    nn.BatchNorm2d(6, eps=0.1),
    FrozenBatchNorm2d(6),
]


@pytest.mark.parametrize("norm", NORMS)
def test_norms(norm):
    norm.running_mean.normal_(0, 9)
    norm.running_var.uniform_(1e-12, 1e6)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), norm, nn.ReLU()).eval()
    assert_collapses(model, (3, 8, 8), 1)


def test_norms_without_statistics_are_not_linear():
    norms = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, track_running_stats=False), nn.InstanceNorm2d(6))
    with pytest.raises(UsageError, match="nothing in the network is linear"):
        collapse(norms.eval(), (3, 8, 8))


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**31),
    groups=st.sampled_from([1, 2, 4]),
    multiplier=st.sampled_from([1, 2, 3]),
    kernel=st.sampled_from([1, 3, 5, 7]),
    stride=st.sampled_from([1, 2]),
    dilation=st.sampled_from([1, 2]),
    side=st.integers(8, 15),
)
def test_depthwise_and_grouped_layers(seed, groups, multiplier, kernel, stride, dilation, side):
    """Several outputs of every input channel; counts are those of the module that is left."""
    from madnas.measure.module_count import count_module

    depthwise = nn.Conv2d(4, 4 * multiplier, kernel, stride, dilation * (kernel // 2), dilation, groups=4)
    layers = nn.Conv2d(4, 4, 1, groups=groups), depthwise, nn.Conv2d(4 * multiplier, 4, 1, groups=groups)
    model = drawn(nn.Sequential(*layers, nn.BatchNorm2d(4), nn.ReLU()), seed)
    found = assert_collapses(model, (4, side, side + 1), 1, costly=True)
    if not any(isinstance(part, BorderConv2d) for part in found.model.modules()):
        assert found.after.macs == count_module(found.model, (4, side, side + 1)).macs


def test_a_depthwise_1x1_convolution_has_multiply_adds():
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 1, groups=6), nn.ReLU())
    found = collapse(drawn(model), (3, 5, 5))
    assert (found.before.macs, found.after.macs) == (25 * 24, 25 * 18)


class Crossing(nn.Module):
    """Linear layers on both sides of a change of shape, with channels that would fit."""

    def __init__(self, change):
        super().__init__()
        self.first, self.last, self.change = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), change

    def forward(self, x):
        return self.last(self.change(self.first(x)))


CHANGES = {
    "reshape": lambda x: x.reshape(x.shape[0], 4, 2, -1),
    "transpose": lambda x: x.transpose(2, 3),
    "swap": lambda x: x.transpose(1, 2),
    "concatenation": lambda x: torch.cat([x[:, :2], x[:, 2:]], 1),
    "chunks": lambda x: x.chunk(2, 1)[0].repeat(1, 2, 1, 1),
    "shuffle": lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2),
    "pool": lambda x: F.avg_pool2d(x, 2),
    "roll": lambda x: x.roll(1, 2),
    "product of maps": lambda x: x * x,
    "position": lambda x: x + torch.arange(4.0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_lies_across_something_else_is_left(change):
    with pytest.raises(UsageError, match="nothing in the network is linear"):
        collapse(drawn(Crossing(change)), (4, 4, 4))


def test_a_linear_layer_on_rows_is_not_merged_with_a_convolution_of_as_many_channels():
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Linear(4, 4), nn.Conv2d(4, 4, 1))
    with pytest.raises(UsageError, match="nothing in the network is linear"):
        collapse(drawn(model), (4, 4, 4))


class Several(nn.Module):
    """Outputs of several kinds, one of them from the middle of what would be linear."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(3, 3, 1) for _ in range(3))
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        middle = self.norm(self.first(x))
        return {"middle": middle, "rest": (self.third(self.second(middle)), [torch.relu(middle)])}


def test_networks_of_several_outputs():
    model = drawn(Several())
    found = collapse(model, (3, 6, 6))
    assert [one.modules for one in found.merged] == [("first", "norm"), ("second", "third")]
    images = torch.randn(2, 3, 6, 6)
    with torch.no_grad():
        before, after = model(images), found.model(images)
    assert torch.allclose(before["middle"], after["middle"], atol=1e-4)
    assert torch.allclose(before["rest"][0], after["rest"][0], atol=1e-4)


class Changed(nn.Module):
    """Operations in place on what others see too."""

    def __init__(self, which):
        super().__init__()
        self.conv, self.norm, self.which = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), which

    def forward(self, x):
        x = torch.relu(x)
        if self.which == "scale":
            y = x.mul_(2.0)
            return self.norm(self.conv(y)) + x
        y = self.norm(self.conv(x))
        z = x.add_(y) if self.which == "sum" else torch.relu_(x)
        return torch.relu(z * y + x)


@pytest.mark.parametrize("which", ["scale", "sum", "activation"])
def test_operations_in_place(which):
    model = drawn(Changed(which))
    found = collapse(model, (3, 5, 5))
    images = torch.randn(2, 3, 5, 5)
    with torch.no_grad():
        assert torch.allclose(found.model(images.clone()), model(images.clone()), rtol=1e-4, atol=1e-4)


class Between(nn.Module):
    """Branches of one map, which is changed in place after the first one has seen it."""

    def __init__(self, which):
        super().__init__()
        self.first, self.last, self.which = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), which
        self.norm, self.act = nn.BatchNorm2d(3), nn.ReLU(inplace=True)

    def forward(self, x):
        x = torch.tanh(x)
        y = self.first(x)
        changes = {"module": self.act, "function": torch.relu_, "method": lambda x: x.mul_(2.0),
                   "functional": lambda x: F.relu(x, inplace=True)}  # fmt: skip
        changes[self.which](x)
        return self.norm(y + self.last(x))


@pytest.mark.parametrize("which", ["module", "function", "method", "functional"])
def test_branches_whose_source_is_changed_between_them(which):
    model = drawn(Between(which))
    model = nn.Sequential(model, nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    found = collapse(drawn(model), (3, 5, 5))
    assert [one.modules for one in found.merged] == [("0.norm", "1", "2")]
    images = torch.randn(2, 3, 5, 5)
    with torch.no_grad():
        assert torch.allclose(found.model(images), model(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision(dtype):
    model = drawn(nn.Sequential(nn.Conv2d(3, 12, 1), nn.Conv2d(12, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()))
    found = collapse(model.to(dtype), (3, 8, 8))
    assert found.errors["float64"].relative <= 1e-12
    assert next(found.model.parameters()).dtype == torch.float32


def test_a_module_that_is_called_twice_stays():
    conv, norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
    found = collapse(drawn(nn.Sequential(conv, nn.ReLU(), conv, nn.ReLU(), nn.Conv2d(3, 3, 1), norm)), (3, 5, 5))
    assert [one.modules for one in found.merged] == [("4", "5")]


@pytest.mark.parametrize("alpha", [float("nan"), -0.5, 1.31])
def test_slopes_out_of_range_are_named(alpha):
    from tests.restructure.test_collapse import SMALL, afrb

    with pytest.raises(UsageError, match=r"groups.0.0: not linear: its alpha is (nan|-0.5|1.31), outside of"):
        collapse(afrb(*SMALL, alpha=alpha), (3, 32, 32), only=["groups.0.0"])
