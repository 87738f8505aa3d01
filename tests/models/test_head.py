"""Heads: the definition written out, dropout, poolings, and what timm's interface does to each kind."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from madnas.errors import UsageError
from madnas.models import build
from madnas.network.spec import Head, NetworkSpec
from tests.models.examples import EXAMPLES

MAPS = torch.randn(2, 16, 8, 6, generator=torch.Generator().manual_seed(0))


def with_head(head: Head, name: str = "basic-conv") -> NetworkSpec:
    return replace(EXAMPLES[name], head=head)


def test_layer_norm_follows_the_pooling() -> None:
    model = build(with_head(Head(10, norm="layer"))).eval()
    _ = [nn.init.normal_(parameter) for parameter in model.head.parameters()]
    pooled = F.layer_norm(MAPS.mean((2, 3)), (16,), model.head.norm.weight, model.head.norm.bias, 1e-6)
    torch.testing.assert_close(model.forward_head(MAPS, pre_logits=True), pooled)
    torch.testing.assert_close(model.forward_head(MAPS), F.linear(pooled, model.head.fc.weight, model.head.fc.bias))


def test_batch_norm_and_activation_come_before_the_pooling() -> None:
    model = build(with_head(Head(10, norm="batch", act="silu"))).eval()
    norm = model.final_norm.bn
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    x = torch.randn(2, 3, 32, 32)
    last, maps = model.forward_intermediates(x)
    expected = F.silu(
        (maps[-1] - norm.running_mean[:, None, None]) / (1 + 1e-5) ** 0.5 * norm.weight[:, None, None]
        + norm.bias[:, None, None]
    )
    torch.testing.assert_close(last, expected)
    torch.testing.assert_close(model.forward_features(x), expected)
    torch.testing.assert_close(model.forward_head(last, pre_logits=True), expected.mean((2, 3)))
    normed = model.forward_intermediates(x, norm=True, intermediates_only=True)
    torch.testing.assert_close(normed, [*maps[:-1], expected])
    torch.testing.assert_close(
        model.forward_intermediates(x, indices=[0], norm=True, intermediates_only=True), maps[:1]
    )


@pytest.mark.parametrize(("pool_type", "pool"), {None: F.adaptive_max_pool2d, "avg": F.adaptive_avg_pool2d}.items())
def test_hidden_layers_see_the_flattened_map(pool_type, pool) -> None:
    kwargs = {} if pool_type is None else {"global_pool": pool_type}
    model = build(with_head(Head(10, hidden=(7, 5), pool=3, act="silu")), **kwargs).eval()
    state = model.head.state_dict()
    x = pool(MAPS, 3).flatten(1)
    for name in ("hidden1", "hidden2"):
        x = F.silu(F.linear(x, state[f"hidden.{name}.linear.weight"], state[f"hidden.{name}.linear.bias"]))
    torch.testing.assert_close(model.forward_head(MAPS, pre_logits=True), x)
    torch.testing.assert_close(model.forward_head(MAPS), F.linear(x, state["fc.weight"], state["fc.bias"]))
    assert (model.num_features, model.head_hidden_size) == (16, 5)


@pytest.mark.parametrize(
    ("head", "number"),
    [(Head(10), 1), (Head(10, norm="layer"), 1), (Head(10, hidden=(7, 5)), 2), (Head(10, pool=2), 1)],
    ids=["plain", "norm", "hidden", "pool"],
)
def test_dropout_before_the_classifier_and_behind_every_hidden_layer(head: Head, number: int) -> None:
    model = build(with_head(head), drop_rate=0.5)
    drops = [part for part in model.modules() if isinstance(part, nn.Dropout)]
    assert [drop.p for drop in drops] == [0.5] * number
    dropped = (model.forward_head(MAPS, pre_logits=True) == 0).float().mean()
    assert 0.2 < dropped < 0.95


HEADS = {
    "norm": Head(10, norm="layer"),
    "hidden": Head(10, hidden=(7,)),
    "pool": Head(10, pool=2),
    "all": Head(10, 12, "relu", "layer", (9, 7), 2),
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_classifier_comes_and_goes(head: Head) -> None:
    model = build(with_head(head)).eval()
    x = torch.randn(2, 3, 32, 32)
    model.reset_classifier(3, "max")
    assert (model(x).shape, model.num_classes) == ((2, 3), 3)
    model.reset_classifier(0)
    torch.testing.assert_close(model(x), model.forward_head(model.forward_features(x), pre_logits=True))
    assert model(x).shape == (2, model.head_hidden_size)
    model.reset_classifier(0, "")
    assert model(x).shape == model.forward_features(x).shape == (2, model.num_features, 8, 8)
    model.double().reset_classifier(4, "avg")
    assert model(x.double()).shape == (2, 4)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_poolings_that_do_not_fit_are_errors(head: Head) -> None:
    with pytest.raises(UsageError, match="no pooling 'catavgmax' for this head"):
        build(with_head(head), global_pool="catavgmax")
    with pytest.raises(UsageError, match="needs a pooling"):
        build(with_head(head), global_pool="")
    assert build(with_head(head), global_pool="", num_classes=0).eval()(torch.randn(1, 3, 32, 32)).ndim == 4


def test_hidden_layers_of_an_mlp() -> None:
    model = build(EXAMPLES["mlp-skip"]).eval()
    assert model.head_hidden_size == 9
    model.reset_classifier(3)
    assert model(torch.randn(2, 3, 4, 5)).shape == (2, 3)
    model.reset_classifier(0, "")
    assert model(torch.randn(2, 3, 4, 5)).shape == (2, 9)


def test_biases_of_a_head_with_layer_norm_start_at_zero() -> None:
    assert not build(with_head(HEADS["norm"])).head.fc.bias.any()
    assert build(with_head(HEADS["hidden"])).head.fc.bias.any()
