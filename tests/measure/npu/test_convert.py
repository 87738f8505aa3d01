"""Conversion to TFLite: the file's bytes, computed by an interpreter of our own, against the module."""

import copy
from collections import Counter

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip("tflite", reason="needs the extra npu")

from madnas.errors import UsageError
from madnas.measure.npu.convert import convert
from madnas.measure.npu.flatbuffer import flatbuffer
from madnas.models import build
from madnas.models.exponential import Exponential
from madnas.network.count import count
from madnas.network.named import get
from madnas.restructure.border import BorderConv2d
from tests.measure.npu.interpreter import File
from tests.models.examples import EXAMPLES

SLOPE = 0.5


def neutral(module):
    """The module in double precision, whose norms and scales do nothing: what goes into random weights is exact."""
    module = module.double().eval()
    for name, parameter in module.named_parameters():
        if name.endswith("gamma"):
            nn.init.ones_(parameter)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
            part.running_var.fill_(1 - part.eps)
    return module


def with_weights_of(module, file, shape):
    """The module with a file's random weights."""
    module = copy.deepcopy(module)
    loaded = set()
    with torch.no_grad():
        for kind, name, weights, bias, source in file.weighted():
            layer = module.get_submodule(name)
            if kind == "DEPTHWISE_CONV_2D":
                weights = weights.permute(3, 0, 1, 2)
            elif isinstance(layer, nn.Conv2d):
                weights = weights.permute(0, 3, 1, 2)
            elif len(shape) == 3 and file.names[source].partition("/")[2].startswith("reshape"):
                chs = channels_before(file, source)  # columns are in the order of what was stored
                weights = weights.reshape(len(weights), -1, chs).transpose(1, 2)
            layer.weight.copy_(weights.reshape(layer.weight.shape))
            if layer.bias is None:
                layer.bias = nn.Parameter(bias.clone())
            layer.bias.copy_(bias)
            loaded.add(name)
    layers = {name for name, part in module.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)}
    assert loaded == layers
    return module


def channels_before(file, reshaped):
    (source,) = (inputs[0] for _, inputs, output, _ in file.operators if output == reshaped)
    return file.shapes[source][-1]


def both(module, shape, seed=0):
    """What the module and its file give out for one image."""
    module = neutral(module)
    graph = convert(module, shape, seed=seed)
    file = File(flatbuffer(graph))
    module = with_weights_of(module, file, shape)
    image = torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    stored = image.permute(0, 2, 3, 1) if len(shape) == 3 else image
    (found,) = file.run(stored)
    with torch.no_grad():
        return graph, module(image), found.permute(0, 3, 1, 2) if found.ndim == 4 else found


CONVERTED = {name: spec for name, spec in EXAMPLES.items() if name != "vgg"}


@pytest.mark.parametrize("name", CONVERTED)
def test_the_file_computes_what_the_module_computes(name):
    spec = CONVERTED[name]
    graph, expected, found = both(build(spec), spec.input)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6 * expected.abs().max().item())
    assert expected.abs().max() > 0
    assert graph.macs == int(count(spec).macs)


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(1, 2, 1), (2, 2, 1), (3, 2, 1), (5, 3, 1), (7, 4, 1),
                                                           (3, 1, 2)])  # fmt: skip
def test_borders_are_those_of_torch(side, kernel, stride, dilation):
    layer = nn.Sequential(nn.Conv2d(4, 6, kernel, stride, padding=kernel // 2, dilation=dilation))
    _, expected, found = both(layer, (4, side, side))
    torch.testing.assert_close(found, expected)


class Unusual(nn.Module):
    """What no block of ours has, but some network of timm or torchvision has."""

    def __init__(self, function):
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, padding=1)
        self.function = function

    def forward(self, x):
        return self.function(self.conv(x))


def changed(view, change, base=lambda x: x):
    """What is left of a map after a view of it was changed in place."""

    def function(x):
        x = base(x)
        change(view(x))
        return x

    return function


def changed_under_a_view(x):
    viewed = x.view(1, 8, 64)
    x.relu_().tanh_()
    return viewed


def copied(copy):
    """A copy that is changed, beside what it is of."""
    return lambda x: copy(x).relu_() + x


IN_PLACE = {
    "view": changed(lambda x: x.view(1, 8, 64), lambda x: x.mul_(torch.linspace(1, 127, 8).double()[:, None])),
    "permuted": changed(lambda x: x.permute(0, 2, 3, 1), lambda x: x.relu_()),
    "reshaped": changed(lambda x: x.flatten(2), lambda x: x.sigmoid_()),
    "after-relu": changed(lambda x: x.unsqueeze(0), lambda x: x.add_(0.5), F.relu_),
    "twice-viewed": changed(lambda x: x.view(1, 8, 64).transpose(1, 2), lambda x: x.tanh_()),
    "base": changed_under_a_view,
    "clone": copied(torch.clone),
    "padded-by-nothing": copied(lambda x: F.pad(x, (0, 0, 0, 0))),
    "pooled-to-itself": copied(lambda x: F.adaptive_avg_pool2d(x, 8)),
    "dropout": copied(lambda x: F.dropout(x, training=False)),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_what_works_in_place_changes_all_views(name):
    _, expected, found = both(Unusual(IN_PLACE[name]), (4, 8, 8))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_view_of_a_part_that_is_changed_is_refused_by_name():
    with pytest.raises(UsageError, match="slice_scatter has no counterpart"):
        convert(Unusual(changed(lambda x: x[:, :4], lambda x: x.relu_())), (4, 8, 8))


def test_a_buffer_that_is_changed_is_no_output():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("factor", torch.full((4, 1), 8.0))

        def forward(self, x):
            self.factor.view(4).mul_(0.5)
            x.view(1, 4, 64).mul_(self.factor)
            return x.relu()

    graph = convert(Counts(), (4, 8, 8))
    assert [one.kind for one in graph.operations if one.kind not in ("RESHAPE", "TRANSPOSE")] == ["MUL", "RELU"]
    assert len(graph.outputs) == 1


def test_relus_in_place_need_no_second_pass(monkeypatch):
    """Functionalising takes longer than exporting; usual networks do without."""
    monkeypatch.delattr(torch.export.ExportedProgram, "run_decompositions")
    convert(timm.create_model("resnet10t"), (3, 64, 64))
    convert(nn.Sequential(nn.Flatten(), nn.Dropout(inplace=True), nn.Linear(64, 8), nn.ReLU(True)), (4, 4, 4))


UNUSUAL = {
    "ceil": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "counted-border": lambda x: F.avg_pool2d(x, 3, 2, padding=1),
    "uncounted-border": lambda x: F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False),
    "shuffle": lambda x: x.view(1, 2, 4, 8, 8).transpose(1, 2).reshape(1, 8, 8, 8),
    "halves": lambda x: torch.cat([half.sigmoid() * 2 for half in x.chunk(2, 1)], 1),
    "split": lambda x: sum(x.split([4, 4], 1)),
    "gate": lambda x: x * F.hardsigmoid(x.mean((2, 3), keepdim=True)),
    "silu": F.silu,
    "in-place": lambda x: F.relu_(x) + x,
    "clamp": lambda x: x.clamp(-0.25, 0.5),
    "tokens": lambda x: x.flatten(2).transpose(1, 2).mean(1),
    "tokens-norm": lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (8,)),
    "reversed": lambda x: 1 - F.relu(x) / 4,
    "nearest": lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
    "softmax": lambda x: x.mean((2, 3)).softmax(1),
    "constant": lambda x: x + (2 * torch.arange(64, dtype=x.dtype) + 1).reshape(8, 8),
    "square": lambda x: (x**2).mean(1, keepdim=True),
    "borders": lambda x: F.pad(x, (1, 2, 0, 1)),
    "every-other": lambda x: x[:, 2:7, ::2, 1::2],
    "every-other-until": lambda x: x[:, :, :5:2, :7:2],
    "norm": lambda x: x / (x.norm(p=2, dim=(2, 3), keepdim=True) + 1),
    "minus-one": lambda x: torch.expm1(x),
    "elu": F.elu,
    "leaky": lambda x: F.leaky_relu(x, 0.25),
    "tanh": torch.tanh,
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_functions_of_other_networks(name):
    _, expected, found = both(Unusual(UNUSUAL[name]), (4, 8, 8))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_slopes_become_those_of_a_leaky_relu():
    graph, expected, found = both(nn.Sequential(nn.Conv2d(4, 8, 1), nn.PReLU(init=SLOPE)), (4, 5, 5))
    torch.testing.assert_close(found, expected)
    assert [one.kind for one in graph.operations] == ["CONV_2D", "LEAKY_RELU"]
    graph, expected, found = both(nn.Sequential(nn.Conv2d(4, 8, 1), nn.PReLU(8, init=SLOPE)), (4, 5, 5))
    torch.testing.assert_close(found, expected)
    assert [one.kind for one in graph.operations] == ["CONV_2D", "PRELU"]


def test_norms_and_relus_are_no_operators_of_their_own():
    graph = convert(build(get("resnet18")), (3, 224, 224))
    assert Counter(one.kind for one in graph.operations) == {
        "CONV_2D": 20, "ADD": 8, "MAX_POOL_2D": 1, "MEAN": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1, "PAD": 4, "PADV2": 1,
    }  # fmt: skip


def test_a_norm_without_a_layer_before_it_stays():
    module = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 1))
    kinds = [(one.kind, one.options.get("FusedActivationFunction")) for one in convert(module, (4, 8, 8)).operations]
    assert kinds == [("MUL", "NONE"), ("ADD", "RELU"), ("CONV_2D", "NONE")]


def test_a_map_that_others_read_before_the_relu_keeps_it_apart():
    class Read(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, x):
            x = self.conv(x)
            return x.relu() + x

    graph, expected, found = both(Read(), (4, 6, 6))
    torch.testing.assert_close(found, expected)
    assert [one.kind for one in graph.operations] == ["CONV_2D", "RELU", "ADD"]


def test_constants_at_the_border_are_a_sum_with_a_constant_map():
    conv = BorderConv2d(4, 6, 3, stride=2, padding=1)
    nn.init.ones_(conv.border)
    graph = convert(nn.Sequential(conv, nn.ReLU()).double(), (4, 8, 8))
    kinds = [(one.kind, one.options.get("FusedActivationFunction")) for one in graph.operations]
    assert kinds == [("PAD", None), ("CONV_2D", "NONE"), ("ADD", "RELU")]
    constant = graph.operations[-1].inputs[1]
    assert constant.shape == (1, 4, 4, 6)
    found = constant.values[0, :, :, 0] * constant.scale - conv.bias[0].item()
    inside = torch.tensor([[4, 6, 6, 6], [6, 9, 9, 9], [6, 9, 9, 9], [6, 9, 9, 9]], dtype=torch.float64)
    torch.testing.assert_close(torch.tensor(found), inside, rtol=0, atol=10 / 127)


def test_relu6_for_all_activations():
    spec = get("ran-e-digits")
    own, clipped = convert(build(spec), spec.input), convert(build(spec), spec.input, relu6=True)
    assert (
        Counter(one.kind for one in own.operations)["HARD_SWISH"] == 18
    )  # stem and top, two of six blocks, four of a pair
    kinds = {one.kind for one in clipped.operations} | {
        one.options.get("FusedActivationFunction") for one in clipped.operations
    }
    assert "HARD_SWISH" not in kinds
    assert "RELU6" in kinds
    assert own.macs == clipped.macs


def test_a_clamp_is_no_activation():
    """The limit of an exponential stays, and so do bounds of a map; a hardtanh is one, as which ReLU6 is exported."""
    for module in (Exponential(limit=2), Clamps()):
        own, clipped = (kinds_of(convert(module, (4, 8, 8), relu6)) for relu6 in (False, True))
        assert own == clipped
        assert "MINIMUM" in own
        assert "RELU6" not in own
    assert kinds_of(convert(nn.Hardtanh(), (4, 8, 8), relu6=True)) == ["RELU6"]


class Clamps(nn.Module):
    def forward(self, x):
        return (x.clamp(-2, 3) + 1).clamp_max(2).clamp_min(-1)


def kinds_of(graph):
    return [one.kind for one in graph.operations]


def test_weights_are_drawn_by_the_seed():
    module = nn.Conv2d(4, 8, 3)
    data = [flatbuffer(convert(module, (4, 8, 8), seed=seed)) for seed in (0, 0, 1)]
    assert data[0] == data[1] != data[2]


@pytest.mark.parametrize(
    ("module", "what"),
    [
        (nn.Sequential(nn.Conv2d(4, 8, 1), nn.GroupNorm(2, 8)), "1: group_norm"),
        (nn.Sequential(nn.ConvTranspose2d(4, 8, 2)), "0: conv_transpose2d"),
        (nn.Sequential(nn.Conv2d(4, 8, 1), nn.AdaptiveAvgPool2d(5)), "1: an adaptive pooling from 8 x 8 to 5 x 5"),
        (nn.Sequential(nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8, track_running_stats=False)), "1: a batch norm without"),
        (
            nn.Sequential(nn.Conv2d(4, 8, 1), nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
            "1: a mean that leaves out",
        ),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(module, what):
    with pytest.raises(UsageError, match=what):
        convert(module, (4, 8, 8))


def test_attention_and_what_cannot_be_exported_are_refused():
    class Asks(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(UsageError, match="Asks cannot be exported"):
        convert(Asks(), (4, 8, 8))

    class Casts(nn.Module):
        def forward(self, x):
            with torch.autocast("cpu", enabled=False):
                return x.relu()

    with pytest.raises(UsageError, match="wrap_with_autocast has no counterpart"):
        convert(Casts(), (4, 8, 8))
    with pytest.raises(UsageError, match="self_attn: attention has no counterpart"):
        convert(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (4, 8))


def test_the_module_keeps_its_weights():
    class Halves(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("factor", torch.full((4, 1, 1), 8.0))

        def forward(self, x):
            return F.relu(x) * self.factor.detach().mul_(0.5)

    module = Halves()
    graph = convert(module, (4, 8, 8))
    assert module.factor.unique().tolist() == [8.0]
    constant = graph.operations[-1].inputs[1]
    assert (constant.values * constant.scale).max() == pytest.approx(4)


def test_the_module_stays_in_its_mode():
    module = nn.Sequential(nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8)).train()
    convert(module, (4, 8, 8))
    assert module.training
    assert module[1].training
