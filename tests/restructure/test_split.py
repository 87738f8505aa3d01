"""Activations removed and what became linear taken out: exact, for ConvNeXts, mixers, MLPs; and safe exponentials."""

import copy

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from madnas.errors import SpecError, UsageError
from madnas.models import build
from madnas.models.exponential import LIMIT, Exponential, branch_act
from madnas.network.count import count
from madnas.network.named import get
from madnas.network.specfile import load_spec
from madnas.restructure.split import SplitPair, split, split_structure
from madnas.restructure.split_spec import as_spec
from madnas.theory.restructuring import kept_units

# params in millions and MACs in billions as RAN's Table 4 prints them; MACs in fvcore's total, norms included
TABLE_4 = {
    "convnext-t": ("28.6", 4.47),
    "convnext-t-pruned-40": ("18.2", 2.8),
    "convnext-t-pruned-27.5": ("21.5", 3.32),
    "convnext-t-split-40": ("21.5", 3.32),
    "convnext-t-split-40-gelu": ("21.5", 3.32),
    "convnext-t-split-40-exp": ("21.5", 3.32),
}


@pytest.mark.parametrize("name", TABLE_4)
def test_table_4(name):
    found = count(get(name))
    params, macs = TABLE_4[name]
    assert f"{found.params / 1e6:.1f}" == params
    assert found.macs / 1e9 == pytest.approx(macs, rel=0.005)


def drawn(model, seed=0):
    """Weights large enough that every unit matters."""
    chance = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        weight.data.normal_(0, 0.3, generator=chance)
    return model.eval()


class Mlp(nn.Module):
    def __init__(self, inside, hidden, out, act, convs, bias):
        super().__init__()
        layer = (lambda a, b: nn.Conv2d(a, b, 1, bias=bias)) if convs else (lambda a, b: nn.Linear(a, b, bias=bias))
        self.first, self.act, self.drop, self.last = layer(inside, hidden), act, nn.Dropout(0.5), layer(hidden, out)
        self.convs = convs

    def forward(self, x):
        if self.convs:
            return self.last(self.drop(self.act(self.first(x))))
        return self.last(self.drop(self.act(self.first(x.permute(0, 2, 3, 1)))))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    chs=st.tuples(st.integers(1, 6), st.integers(2, 20), st.integers(1, 6)),
    fraction=st.floats(0.05, 0.95),
    act=st.sampled_from([nn.GELU, nn.ReLU, nn.SiLU, nn.Hardswish]),
    convs=st.booleans(),
    bias=st.booleans(),
    which=st.sampled_from(["first", "random"]),
)
def test_random_pairs(seed, chs, fraction, act, convs, bias, which):
    torch.manual_seed(seed)
    model = drawn(Mlp(*chs, act(inplace=True) if act is not nn.GELU else act(), convs, bias), seed)
    kept = kept_units(chs[1], fraction)
    if not 0 < kept < chs[1]:
        with pytest.raises(UsageError, match="leaves"):
            split(model, (chs[0], 5, 4), fraction, costly=True)
        return
    result = split(model, (chs[0], 5, 4), fraction, which=which, seed=seed, costly=True)
    (part,) = result.parts
    for errors in (part.errors, result.errors):
        assert errors["float64"].relative <= 1e-12
        assert errors["float32"].within(torch.float32)
    assert part.kept == kept


def test_the_split_is_the_network_without_those_activations():
    """By hand: no certificate of ours in between."""
    model = drawn(Mlp(4, 10, 4, nn.GELU(), convs=False, bias=True)).double()
    result = split(model, (4, 3, 3), 0.4, costly=True)
    images = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    hidden = model.first(images.permute(0, 2, 3, 1))
    hidden = torch.cat([hidden[..., :4], model.act(hidden[..., 4:])], -1)
    expected = model.last(hidden)
    assert (result.model.double()(images) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_dropout_between_layers_is_there_in_further_training():
    model = drawn(Mlp(4, 40, 4, nn.GELU(), convs=True, bias=True))
    made = split(model, (4, 3, 3), 0.4, costly=True).model
    again = split_structure(copy.deepcopy(model), (4, 3, 3), {"first": 24}, "none")
    again.load_state_dict(made.state_dict())
    images = torch.randn(2, 4, 3, 3)
    with torch.no_grad():
        assert torch.equal(made(images), again.eval()(images))
        for one in (made.train(), again.train()):
            assert not torch.equal(one(images), one(images))
            (part,) = (part for part in one.modules() if isinstance(part, SplitPair))
            units = part.act(torch.full((1, 24, 20, 20), 5.0))
            assert 0.4 < (units == 0).double().mean() < 0.6


@pytest.mark.parametrize("name", ["convnext_atto", "mixer_s32_224"])
def test_timms_networks(name):
    side = 224 if "mixer" in name else 64
    result = split(drawn(timm.create_model(name, num_classes=5)), (3, side, side), 0.4, activation="expm1")
    assert result.errors["float64"].relative <= 1e-12
    assert result.errors["float32"].within(torch.float32)
    assert result.after.macs < result.before.macs
    assert result.after.macs - result.before.macs == sum(part.after.macs - part.before.macs for part in result.parts)
    assert result.changed > 0


def test_ours_are_described_by_a_spec():
    spec = get("convnext-t")
    result = split(drawn(build(spec)), (3, 64, 64), 0.4, activation="gelu")
    described, state = as_spec(spec, result, "gelu")
    assert count(described) == count(get("convnext-t-split-40-gelu"))
    assert result.after.params == count(described).params
    network = build(described).eval()
    network.load_state_dict(state)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(network(images), result.model(images), rtol=1e-4, atol=1e-4)


def test_units_by_their_effect_change_the_least():
    model = drawn(Mlp(6, 40, 6, nn.GELU(), convs=False, bias=True))
    images = [torch.randn(16, 6, 4, 4)]
    changed = {which: split(model, (6, 4, 4), 0.4, which=which, images=images).changed for which in ("first", "effect")}
    assert changed["effect"] < changed["first"]
    with pytest.raises(UsageError, match="need images"):
        split(model, (6, 4, 4), 0.4, which="effect")


def test_what_costs_more_than_it_saves_is_left():
    model = drawn(Mlp(30, 20, 30, nn.ReLU(), convs=True, bias=True))
    with pytest.raises(UsageError, match="branch would cost more"):
        split(model, (30, 4, 4), 0.4)
    assert split(model, (30, 4, 4), 0.4, costly=True).after.macs > model.first.weight.numel() * 2 * 16


@pytest.mark.parametrize("name", ["resnet18", "vgg11"])
def test_networks_without_such_pairs(name):
    with pytest.raises(UsageError, match=r"nowhere in the network|leaves|cost more"):
        split(build(get(name)), (3, 224, 224), 0.4)


def test_unknown_parts():
    with pytest.raises(UsageError, match=r"groups\.9: there are no two layers"):
        split(build(get("convnext-t")), (3, 32, 32), 0.4, only=["groups.9"])


def test_only_some_parts():
    result = split(build(get("convnext-t")), (3, 32, 32), 0.4, only=["groups.1", "groups.3.0"])
    assert [part.name for part in result.parts] == [f"groups.{one}.expand" for one in ("1.0", "1.1", "1.2", "3.0")]
    assert as_spec(get("convnext-t"), result, "none") is None


# Exponentials


@pytest.mark.parametrize("name", ["exp", "expm1", "exp-clamped"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_exponentials_are_finite_in_every_precision(name, dtype):
    act = branch_act(name)
    x = torch.tensor([-1e4, -3.0, 0.0, 1e-4, 6.0, 11.0, 12.0, 18.0, 100.0, 6e4], dtype=dtype, requires_grad=True)
    y = act(x)
    assert y.dtype == dtype
    assert y.isfinite().all()
    y.float().sum().backward()
    assert x.grad.isfinite().all()


def test_exponentials_are_what_they_are_called():
    x = torch.linspace(-5, 10, 50, dtype=torch.float64)
    assert torch.equal(Exponential()(x), x.exp())
    assert torch.equal(Exponential(minus_one=True)(x), x.expm1())
    assert Exponential(limit=LIMIT)(torch.tensor(50.0)).item() == pytest.approx(float(torch.tensor(LIMIT).exp()))
    small = torch.tensor([1e-4], dtype=torch.float16)
    assert Exponential(minus_one=True)(small) > 0  # which e^x - 1 in half precision would not be


def test_a_branch_in_a_file(tmp_path):
    path = tmp_path / "net.yaml"
    text = """schema: madnas/network/1
name: small
input: [3, 32, 32]
stem: {out: 8, kernel: 4, stride: 4, norm: layer}
groups: [{block: convnext, out: 8, depth: 1, hidden: 19, kernel: 7, act: gelu, branch: BRANCH}]
head: {classes: 10, norm: layer}
"""
    path.write_text(text.replace("BRANCH", "exp-clamped"))
    spec = load_spec(path)
    network = build(spec)
    assert sum(one.numel() for one in network.parameters()) == count(spec).params
    assert isinstance(network.groups[0][0].branch_act, Exponential)
    path.write_text(text.replace("BRANCH", "tanh"))
    with pytest.raises(SpecError, match=r"branch: .*gelu"):
        load_spec(path)
    path.write_text(text.replace("BRANCH", "none, grn: true"))
    with pytest.raises(SpecError, match="branch: beside 'grn'"):
        load_spec(path)


def test_split_pairs_are_trained_like_others():
    result = split(drawn(build(get("convnext-t"))), (3, 32, 32), 0.4, activation="exp-clamped")
    model = result.model.train()
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())
    assert sum(isinstance(part, SplitPair) for part in model.modules()) == 18
