"""ConvNeXts to and from timm, and how they start."""

from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
from timm.layers import DropPath, LayerNorm, LayerNorm2d
from timm.models.convnext import ConvNeXt
from torch import nn

from madnas.errors import UsageError
from madnas.models import build
from madnas.models.convnext import SMALL, from_timm, to_timm
from madnas.network import named
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.target import resolve

TINY = named.get("convnext-t")
IMAGES = torch.randn(2, 3, 64, 75, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def scrambled(module: nn.Module) -> nn.Module:
    """Every parameter does something, the tiny scales included."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, 0, 0.1)
    return module.double().eval()


def assert_same_logits(ours: nn.Module, theirs: nn.Module, images: torch.Tensor = IMAGES) -> None:
    with torch.no_grad():
        expected, logits = theirs(images), ours(images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["convnext-t", "ran-i-t"])
def test_timms_convnext_has_the_same_logits(name: str) -> None:
    ours = scrambled(build(named.get(name)))
    theirs = to_timm(ours)
    assert isinstance(theirs, ConvNeXt)
    assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in ours.parameters())
    assert_same_logits(ours, theirs)


def test_convnext_tiny_of_timm_is_ours() -> None:
    theirs = scrambled(timm.create_model("convnext_tiny"))
    spec, state = from_timm(theirs)
    assert spec == replace(TINY, name="convnext_tiny")
    ours = build(spec).double().eval()
    ours.load_state_dict(state)
    assert_same_logits(ours, theirs)


@pytest.mark.parametrize("name", ["convnextv2_atto", "convnextv2_tiny"])
def test_convnext_v2_of_timm_is_ours(name: str) -> None:
    theirs = scrambled(timm.create_model(name))
    spec, state = from_timm(theirs)
    assert spec == resolve(f"timm/{name}")
    ours = build(spec).double().eval()
    ours.load_state_dict(state)
    assert_same_logits(ours, theirs)
    assert_same_logits(ours, to_timm(ours))


def test_there_and_back_again() -> None:
    ours = scrambled(build(SMALL))
    spec, state = from_timm(to_timm(ours), name="small")
    assert spec == replace(SMALL, input=(3, 224, 224))
    torch.testing.assert_close(state, dict(ours.state_dict()), rtol=0, atol=0)


def test_pointwise_convolutions_of_timm_become_linear_layers() -> None:
    theirs = scrambled(ConvNeXt(depths=(1, 1, 2, 1), dims=(4, 8, 12, 16), conv_mlp=True, kernel_sizes=(3, 5, 7, 7)))
    spec, state = from_timm(theirs)
    assert [group.kernel for group in spec.groups] == [3, 5, 7, 7]
    ours = build(spec).double().eval()
    ours.load_state_dict(state)
    assert_same_logits(ours, theirs)


def test_everything_about_a_module_is_kept() -> None:
    ours = build(SMALL, in_chans=1, num_classes=3, drop_rate=0.25, drop_path_rate=0.3, global_pool="max").double()
    theirs = to_timm(ours)
    assert theirs.training
    assert (theirs.in_chans, theirs.num_classes, theirs.head.drop.p) == (1, 3, 0.25)
    rates = [part.drop_prob for part in theirs.modules() if isinstance(part, DropPath)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert_same_logits(scrambled(ours), to_timm(ours), IMAGES[:, :1])


def test_module_without_classifier() -> None:
    ours = scrambled(build(SMALL, num_classes=0))
    assert_same_logits(ours, to_timm(ours))


def test_description_gives_a_new_module() -> None:
    theirs = to_timm(TINY)
    assert sum(p.numel() for p in theirs.parameters()) == 28_589_128


def changed(**kwargs: Any) -> NetworkSpec:
    """The small ConvNeXt with its second group changed."""
    groups = list(SMALL.groups)
    groups[1] = replace(groups[1], **kwargs)
    return replace(SMALL, groups=tuple(groups))


NOT_TIMMS = {
    "groups": (replace(SMALL, groups=SMALL.groups[:3]), "it has 4 groups of 'convnext' blocks"),
    "blocks": (changed(block="basic", expand=None), "it has 4 groups of 'convnext' blocks"),
    "strides": (changed(stride=1), "the strides of its groups are 1, 2, 2, 2"),
    "hidden": (changed(expand=None, hidden=31), "its blocks are 4 times as wide inside"),
    "act": (changed(act="relu"), "it has one activation"),
    "stem": (replace(SMALL, stem=Stem(8, kernel=4, stride=4, norm="layer")), "its stem has patches of 4 pixels"),
    "patches": (replace(SMALL, stem=Stem(4, kernel=2, stride=2, norm="layer")), "its stem has patches of 4 pixels"),
    "head": (replace(SMALL, head=Head(10)), "its head is norm 'layer' and the classifier"),
}


@pytest.mark.parametrize("name", NOT_TIMMS)
def test_what_timm_has_not_is_an_error(name: str) -> None:
    spec, message = NOT_TIMMS[name]
    with pytest.raises(UsageError, match=f"small: no ConvNeXt as timm builds it: {message}"):
        to_timm(spec)
    with pytest.raises(UsageError, match=message):
        to_timm(build(spec))


def test_hidden_of_four_times_out_is_timms() -> None:
    assert to_timm(changed(expand=None, hidden=32)).stages[1].blocks[0].mlp.fc1.out_features == 32


def test_all_that_does_not_fit_is_named() -> None:
    with pytest.raises(UsageError, match=r"one activation; its stem .*; its head"):
        to_timm(replace(changed(act="relu"), stem=Stem(4), head=Head(10)))


def test_pruned_module_is_an_error() -> None:
    model = build(SMALL)
    model.prune_intermediate_layers([1])
    with pytest.raises(UsageError, match="small: the module lacks parts of the network"):
        to_timm(model)


@pytest.mark.parametrize("other", [nn.Identity(), "convnext-t", None], ids=["module", "text", "nothing"])
def test_other_things_are_errors(other: object) -> None:
    with pytest.raises(UsageError, match=f"not {type(other).__name__}"):
        to_timm(other)
    with pytest.raises(UsageError, match=f"not {type(other).__name__}"):
        from_timm(other)


SMALL_KEYS: dict[str, Any] = {"depths": (1, 1, 1, 1), "dims": (4, 8, 12, 16), "num_classes": 10}
NOT_OURS: dict[str, tuple[dict[str, Any], str]] = {
    "norms beside scales": ({"use_grn": True}, "neither all a scale"),
    "no scale": ({"ls_init_value": None}, "neither all a scale"),
    "dilated": ({"output_stride": 16}, "it is dilated"),
    "stem": ({"stem_type": "overlap"}, "its stem has no patches of 4 pixels"),
    "no bias": ({"conv_bias": False}, "no bias"),
    "norm": ({"norm_layer": "rmsnorm"}, "norms other than layer norms"),
    "epsilon": ({"norm_eps": 1e-5}, "norms other than layer norms with an epsilon of 1e-06"),
    "norm first": ({"head_norm_first": True}, "its head is not layer norm and classifier"),
    "hidden head": ({"head_hidden_size": 5}, "its head is not layer norm and classifier"),
    "no classifier": ({"num_classes": 0}, "it has no classifier"),
    "activation": ({"act_layer": "gelu_tanh"}, "it has another activation"),
}


@pytest.mark.parametrize("name", NOT_OURS)
def test_what_is_not_described_here_is_an_error(name: str) -> None:
    keys, message = NOT_OURS[name]
    with pytest.raises(UsageError, match=f"convnext: no ConvNeXt as it is described here: .*{message}"):
        from_timm(ConvNeXt(**SMALL_KEYS | keys))


# How they start


def test_weights_start_as_in_the_paper() -> None:
    torch.manual_seed(0)
    group = Group("convnext", 96, 1, expand=4, kernel=7, stride=2, act="gelu")
    spec = NetworkSpec("c", (3, 32, 32), (group,), Head(100, norm="layer"), Stem(48, kernel=4, stride=4, norm="layer"))
    model = build(spec)
    block = model.groups[0][0]
    for layer in (model.stem.conv, block.downsample.conv, block.depthwise, block.expand, block.project, model.head.fc):
        n = layer.weight.numel()
        # The variance of n normal samples is off by sqrt(2 / n), relatively; the cut is 100 deviations away.
        assert layer.weight.var().item() == pytest.approx(0.02**2, rel=4 * (2 / n) ** 0.5)
        assert not layer.bias.any()
    assert bool((block.gamma == 1e-6).all())


def test_norms_have_the_epsilon_of_timms() -> None:
    model = build(SMALL)
    norms = [part for part in model.modules() if isinstance(part, LayerNorm | LayerNorm2d)]
    assert len(norms) == 4 + 3 + 2
    assert {norm.eps for norm in norms} == {1e-6}


def test_block_starts_as_nearly_its_shortcut() -> None:
    torch.manual_seed(0)
    model = build(SMALL)
    x = torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(model.groups[0](x), x, rtol=0, atol=1e-5)
