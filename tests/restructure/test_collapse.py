"""Whole networks, ours and timm's: what is merged, at what cost, and that nothing changed."""

import copy
from dataclasses import replace

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from madnas.errors import UsageError
from madnas.measure.module_count import count_module
from madnas.models import build
from madnas.models.restructurable import alphas_of
from madnas.network.named import get
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.report.certificate import doubts
from madnas.report.collapse import collapse_report, folded
from madnas.restructure.border import BorderConv2d
from madnas.restructure.collapse import collapse, round_alphas

EDGE = 32


def unsettled(model, seed=0):
    """Statistics of batch norms far from the initial ones."""
    chance = torch.Generator().manual_seed(seed)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 1, generator=chance)
            part.running_var.uniform_(0.1, 4, generator=chance)
            part.weight.data.uniform_(0.3, 2, generator=chance)
            part.bias.data.normal_(0, 1, generator=chance)
    return model.eval()


def afrb(*groups, alpha=1.0, **settings):
    """A small network of restructurable blocks."""
    spec = NetworkSpec("small", (3, EDGE, EDGE), groups, Head(10), Stem(8, act="relu"), **settings)
    model = unsettled(build(spec))
    for one in alphas_of(model).values():
        one.data.fill_(alpha)
    return model


SMALL = (Group("afrb", 16, 1, expand=6, kernel=3, stride=2), Group("afrb", 16, 1, expand=6, kernel=3, stride=1))


def collapsed(model, shape=(3, EDGE, EDGE), **options):
    return collapse(model, shape, **options)


def assert_counted_twice(result):
    """On the collapsed module, constants of borders aside, and merge by merge."""
    saved = sum(one.before.macs - one.after.macs for one in result.merged)
    assert result.after.macs == result.before.macs - saved


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("repvgg_a0", 8_309_384),  # as deployed, RepVGG's Table 4: 8.30 M
        ("mobileone_s0", 2_078_504),  # as deployed, MobileOne's Table 3: 2.1 M
        ("mobilenetv2_050", None),
        ("resnet26d", None),
        ("regnety_002", None),
        ("efficientnet_lite0", None),
    ],
)
def test_timms_networks(name, params):
    model = unsettled(timm.create_model(name, num_classes=7))
    result = collapsed(model, (3, 64, 64))
    assert result.errors["float64"].relative <= 1e-12
    assert result.errors["float32"].within(torch.float32)
    assert len(result.errors["float64"].shapes) == 4
    kinds = {type(part) for part in result.model.modules()}
    assert nn.BatchNorm2d not in kinds
    assert_counted_twice(result)
    if params is not None:
        assert result.after.params == params - 993 * (model.num_features + 1)


@pytest.mark.parametrize("name", ["ran-e-a", "repvgg-a0", "mobilenetv2-1.4", "resnet18"])
def test_our_networks(name):
    spec = replace(get(name), input=(3, 64, 64), head=Head(10) if name != "mobilenetv2-1.4" else get(name).head)
    result = collapsed(unsettled(build(spec)), spec.input)
    assert result.errors["float64"].relative <= 1e-12
    assert result.errors["float32"].within(torch.float32)
    assert result.after.macs <= result.before.macs


def test_counts_are_those_of_the_collapsed_module():
    model = unsettled(timm.create_model("repvgg_a0", num_classes=7))
    result = collapsed(model, (3, 64, 64))
    counted = count_module(result.model, (3, 64, 64))
    assert (result.after.macs, result.after.params) == (counted.macs, counted.params)


def test_restructurable_blocks_become_one_convolution():
    """With borders, because batch norms shift between expansion and depthwise convolution."""
    model = afrb(*SMALL)
    before = copy.deepcopy(model.state_dict())
    result = collapsed(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    kinds = [one for one in result.merged if one.before.macs != one.after.macs]
    assert [(one.kernel, one.border) for one in kinds] == [((3, 3), True)] * 2
    assert_counted_twice(result)
    borders = [name for name, part in result.model.named_modules() if isinstance(part, BorderConv2d)]
    assert borders == [one.modules[0] for one in kinds]


def test_merges_are_told_apart_by_their_layers():
    """2 -> 1 -> 2 has the 4 multiply-adds for every pixel of 2 -> 2: still, two layers became one."""
    layers = nn.Conv2d(2, 1, 1), nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
    found = collapsed(unsettled(nn.Sequential(*layers)), (2, 6, 6))
    assert found.before.macs == found.after.macs
    assert [[one.modules for one in kind] for kind in folded(found)] == [[("0", "1")], [("3", "4")]]


def test_it_says_where_fewer_layers_cost_multiply_adds():
    """Of expansion 4: 9 n^2 instead of 8 n^2, and the depthwise convolution."""
    model = afrb(Group("afrb", 64, 1, expand=6, kernel=3, stride=2), Group("afrb", 64, 1, expand=4, kernel=3, stride=1))
    result = collapsed(model)
    (left,) = [one for one in result.left if one.modules[0].startswith("groups.1")]
    assert left.after > left.before
    forced = collapsed(model, costly=True)
    assert not forced.left
    assert forced.after.macs > result.after.macs
    assert len(list(forced.model.graph.nodes)) < len(list(result.model.graph.nodes))


@settings(max_examples=10)
@given(
    seed=st.integers(0, 2**31),
    kernel=st.sampled_from([3, 5, 7]),
    stride=st.sampled_from([1, 2]),
    out=st.sampled_from([8, 12]),
    expand=st.sampled_from([1, 2, 6]),
    side=st.integers(9, 18),
    pair=st.booleans(),
)
def test_random_networks_of_restructurable_blocks(seed, kernel, stride, out, expand, side, pair):
    torch.manual_seed(seed)
    groups = [Group("afrb", out, 2, expand=expand, kernel=kernel, stride=stride)]
    if pair:
        groups.append(Group("afrb-pair", out, 1, expand=expand, kernel=3))
    model = unsettled(build(NetworkSpec("random", (3, side, side + 1), tuple(groups), Head(5), Stem(8))), seed)
    for one in alphas_of(model).values():
        one.data.fill_(1.0)
    result = collapsed(model, (3, side, side + 1), costly=True)
    assert result.errors["float64"].relative <= 1e-12
    assert result.errors["float32"].within(torch.float32)
    assert all(len([n for n in one.modules if n.endswith("conv")]) >= 1 for one in result.merged)


class Foreign(nn.Module):
    """Somebody else's: 1x1 pairs, a shared layer, a sum with an identity, and layers across a change of shape."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 12, 1)
        self.second = nn.Conv2d(12, 8, 1)
        self.shared = nn.Conv2d(8, 8, 3, padding=1)
        self.branch = nn.Conv2d(8, 8, 3, padding=1)
        self.reflect = nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect")
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        x = torch.relu(self.second(self.first(x)))
        x = torch.relu(self.shared(torch.relu(self.shared(x))))
        x = torch.relu(self.branch(x) + x)
        x = self.norm(self.reflect(x))
        return self.fc(x.mean((2, 3)))


def test_foreign_modules():
    result = collapsed(unsettled(Foreign()), (3, 16, 16))
    assert [one.modules for one in result.merged] == [("first", "second"), ("branch",)]
    assert result.errors["float64"].relative <= 1e-12
    assert {"shared", "reflect", "norm"} <= {name for name, _ in result.model.named_modules()}


def test_alphas_that_are_not_one_are_no_line():
    model = afrb(*SMALL, alpha=0.9)
    assert not any(one.before.macs != one.after.macs for one in collapsed(model).merged)
    with pytest.raises(UsageError, match=r"groups.1.0: not linear: its alpha is 0.9; --round-alphas"):
        collapsed(model, only=["groups.1.0"])
    small = (3, EDGE, EDGE)
    assert round_alphas(copy.deepcopy(model), small, only=["groups.1.0"]) == pytest.approx({"groups.1.0": 0.9})
    assert round_alphas(model, small) == pytest.approx({"groups.0.0": 0.9, "groups.1.0": 0.9})
    assert any(one.before.macs != one.after.macs for one in collapsed(model).merged)


def test_an_alpha_out_of_range_is_refused():
    model = afrb(*SMALL, alpha=0.3)
    for refused in (collapsed, lambda model, only: round_alphas(model, (3, EDGE, EDGE), only=only)):
        with pytest.raises(UsageError, match=r"groups.0.0: not linear: its alpha is 0.3, outside of 0.8 to 1.3"):
            refused(model, only=["groups.0.0"])
    assert round_alphas(model, (3, EDGE, EDGE)) == {}


def test_slopes_of_blocks_that_are_left_stay_as_they_are():
    groups = Group("afrb", 64, 1, expand=6, kernel=3, stride=2), Group("afrb", 64, 1, expand=4, kernel=3, stride=1)
    model = afrb(*groups, alpha=0.9)
    assert list(round_alphas(model, (3, EDGE, EDGE))) == ["groups.0.0"]
    assert [alpha.item() for alpha in alphas_of(model).values()] == pytest.approx([1, 0.9])
    assert list(round_alphas(model, (3, EDGE, EDGE), costly=True)) == ["groups.1.0"]


def test_only_some_modules():
    model = unsettled(timm.create_model("repvgg_a0", num_classes=7))
    result = collapsed(model, (3, 64, 64), only=["stages.0.1", "stages.1.0"])
    assert [one.modules[0].rpartition(".conv")[0][:10] for one in result.merged] == ["stages.0.1", "stages.1.0"]
    with pytest.raises(UsageError, match=r"no module .stages\.9"):
        collapsed(model, (3, 64, 64), only=["stages.9"])
    with pytest.raises(UsageError, match=r"head: not linear|head.fc: not linear"):
        collapsed(model, (3, 64, 64), only=["head"])


class Row(nn.Module):
    """Linear over all of its parts, one of which has branches."""

    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1))
        self.b = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.side, self.other = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = 2 * self.b(self.a(x))
        return self.side(x) + self.other(x)


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["a"], [("a.0", "a.1")]),
        (["b"], [("b.0", "b.1")]),
        (["b", "a"], [("a.0", "a.1"), ("b.0", "b.1")]),
        (["side", "a"], None),
        ([], [("a.0", "a.1", "b.0", "b.1"), ("side", "other")]),
    ],
)
def test_nothing_is_merged_beyond_what_is_named(only, expected):
    if expected is None:
        with pytest.raises(UsageError, match=r"side: not linear: it is a single layer"):
            collapsed(unsettled(Row()), (4, 6, 6), only=only)
        return
    assert [one.modules for one in collapsed(unsettled(Row()), (4, 6, 6), only=only).merged] == expected


def test_numbers_that_are_not_finite_are_refused():
    model = unsettled(timm.create_model("repvgg_a0", num_classes=7))
    model.stages[0][1].conv_kxk.bn.running_var.fill_(float("nan"))
    with pytest.raises(UsageError, match="differs by nan"):
        collapsed(model, (3, 64, 64))


def test_a_wrong_merge_is_refused(monkeypatch):
    """The certificate is not for show."""
    import madnas.restructure.merge as room

    right = room.composed
    monkeypatch.setattr(room, "composed", lambda pieces: replace(right(pieces), bias=right(pieces).bias + 1e-6))
    with pytest.raises(UsageError, match="nothing is written"):
        collapsed(unsettled(timm.create_model("repvgg_a0", num_classes=7)), (3, 64, 64))


class OneSize(nn.Module):
    """Positions that fit any size, until the network is traced; or, with a linear layer, never."""

    def __init__(self, fixed=False, depends=True):
        super().__init__()
        self.conv, self.norm, self.fixed = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), fixed
        self.fc = nn.Linear(4 * 64 if fixed else 4, 5)
        self.places = nn.Parameter(torch.randn(1, 4, 8, 8))
        if not depends:
            nn.init.zeros_(self.fc.weight)

    def forward(self, x):
        x = self.norm(self.conv(x))
        places = self.places if isinstance(x, torch.fx.Proxy) else nn.functional.interpolate(self.places, x.shape[2:])
        x = torch.relu(x + places)
        return self.fc(x.flatten(1) if self.fixed else x.mean((2, 3)))


def test_a_graph_of_one_size():
    found = collapsed(unsettled(OneSize()), (3, 8, 8))
    errors = found.errors["float64"]
    assert errors.shapes == ((3, 8, 8),) and len(errors.refused) == 3
    assert errors.spread > 1e-3
    (doubt,) = doubts(found.errors)
    assert "works at 8x8 only" in doubt
    assert "works at 8x8 only" in collapse_report("it", found, None, {"device": "cpu", "threads": 1, "torch": "2"})


@pytest.mark.parametrize("fixed", [False, True])
def test_outputs_that_do_not_depend_on_what_was_merged(fixed):
    """Whatever the merge does, the network's errors are 0: that is no proof."""
    found = collapsed(unsettled(OneSize(fixed, depends=False)), (3, 8, 8))
    assert found.errors["float64"].relative == found.errors["float64"].spread == 0
    assert any("hardly depend on what was merged" in one for one in doubts(found.errors))


def test_a_network_of_one_size_is_compared_on_two_images():
    errors = collapsed(unsettled(OneSize(fixed=True)), (3, 8, 8)).errors["float64"]
    assert (errors.shapes, errors.refused) == (((3, 8, 8),), ())
    assert errors.tells(torch.float64)


def test_nothing_to_merge():
    with pytest.raises(UsageError, match="nothing in the network is linear"):
        collapsed(timm.create_model("convnextv2_atto", num_classes=7), (3, 32, 32))


def test_what_cannot_be_traced_is_an_error():
    class Looks(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(UsageError, match="cannot be traced"):
        collapsed(Looks(), (3, 8, 8))


class Odd(nn.Module):
    """A norm beside the identity before a convolution, a map added to itself, and a PReLU by keyword."""

    def __init__(self):
        super().__init__()
        self.norm, self.first, self.last = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.slope = nn.Parameter(torch.ones(1))

    def forward(self, x):
        x = self.first(x + self.norm(x))
        x = torch.relu(x + x)
        return self.last(nn.functional.prelu(x, weight=self.slope))


def test_odd_sums():
    result = collapsed(unsettled(Odd()), (4, 8, 8))
    assert result.errors["float64"].relative <= 1e-12
    assert result.after.macs <= result.before.macs


def test_a_model_without_a_head_that_can_be_traced_is_an_error():
    with pytest.raises(UsageError, match="cannot be traced"):
        collapsed(timm.create_model("vgg11_bn", num_classes=3), (3, 224, 224))


def test_what_a_merge_does_not_see_is_not_blamed_on_rounding():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 3, padding=1))
    model[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    with pytest.raises(UsageError, match="it differs by") as caught:
        collapse(model, (3, 8, 8))
    assert "hooks" in str(caught.value.hint)
