"""Every kind of block against its definition, written out with torch's functions on the block's own weights."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from madnas.models.blocks import BLOCKS
from madnas.models.cells import CELLS
from madnas.models.layers import PadShortcut
from madnas.network.blocks import CATALOGUE
from madnas.network.spec import Group

ACTS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "silu": F.silu}


class Reference:
    """Block definitions over a block's state, by the names that the state has."""

    def __init__(self, block: nn.Module, group: Group, stride: int) -> None:
        self.state = block.state_dict()
        self.act = ACTS[group.act]
        self.stride = stride

    def conv(self, x: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        """Convolution with zero padding (k - 1) / 2 and its batch norm, if it has one, in eval mode."""
        weight = self.state[f"{name}.conv.weight"]
        bias = self.state.get(f"{name}.conv.bias")
        x = F.conv2d(x, weight, bias, stride, (weight.shape[-1] - 1) // 2, groups=groups)
        return self.normed(x, name) if f"{name}.bn.weight" in self.state else x

    def normed(self, x: Tensor, name: str) -> Tensor:
        """Batch norm in eval mode."""
        mean, variance, scale, shift = (
            self.state[f"{name}.bn.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def batch(self, x: Tensor, name: str) -> Tensor:
        """A batch norm by itself, in eval mode."""
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(self.state[f"{name}.{key}"] for key in keys))

    def inverted_unit(self, x: Tensor, name: str) -> Tensor:
        x = self.act(self.conv(x, f"{name}.expand"))
        return self.conv(self.act(self.conv(x, f"{name}.depthwise", groups=x.shape[1])), f"{name}.project")

    def sloped_unit(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        """Fig. 2a: y = x above 0, below it x times a slope."""
        alpha = float(self.state["alpha"])
        x = self.batch(x, f"{name}.norm")
        x = self.conv(torch.where(x > 0, x, (1 - alpha) * x), f"{name}.expand")
        x = self.conv(x, f"{name}.depthwise", stride, groups=x.shape[1])
        return self.conv(torch.where(x > 0, x, alpha * x), f"{name}.project")

    def expanded(self, x: Tensor, stride: int = 1) -> Tensor:
        x = self.conv(x, "expand")
        return self.conv(self.conv(x, "depthwise", stride, groups=x.shape[1]), "project")

    def repvgg(self, x: Tensor) -> Tensor:
        return self.conv(x, "conv", self.stride) + self.conv(x, "pointwise", self.stride)

    def active(self, x: Tensor, name: str) -> Tensor:
        """Batch norm and activation."""
        return self.act(self.normed(x, name))

    def bare(self, x: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        """Convolution with nothing around it."""
        weight, bias = self.state[f"{name}.weight"], self.state.get(f"{name}.bias")
        return F.conv2d(x, weight, bias, stride, (weight.shape[-1] - 1) // 2, groups=groups)

    def layer_normed(self, x: Tensor, name: str) -> Tensor:
        """Layer norm over the channels of every pixel."""
        mean, variance = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
        scale, shift = (self.state[f"{name}.{key}"][:, None, None] for key in ("weight", "bias"))
        return (x - mean) / (variance + 1e-6).sqrt() * scale + shift

    def pointwise(self, x: Tensor, name: str) -> Tensor:
        """Linear layer over the channels of every pixel, as the 1x1 convolution that it is."""
        return F.conv2d(x, self.state[f"{name}.weight"][:, :, None, None], self.state[f"{name}.bias"])

    def squeeze(self, x: Tensor, name: str = "se") -> Tensor:
        """Squeeze-excitation, if the block has it."""
        if f"{name}.reduce.conv.weight" not in self.state:
            return x
        gate = self.conv(self.act(self.conv(x.mean((2, 3), keepdim=True), f"{name}.reduce")), f"{name}.expand")
        return x * gate.sigmoid()

    def pooled(self, x: Tensor) -> Tensor:
        """Mean of the pixels that each 2x2 window has, where strided."""
        if self.stride == 1:
            return x
        ones = F.pad(torch.ones_like(x), (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        padded = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        return F.avg_pool2d(padded, 2) / F.avg_pool2d(ones, 2)

    def plain(self, x: Tensor) -> Tensor:
        return self.act(self.conv(x, "conv", self.stride))

    def basic(self, x: Tensor) -> Tensor:
        return self.conv(self.act(self.conv(x, "conv1", self.stride)), "conv2")

    def bottleneck(self, x: Tensor) -> Tensor:
        return self.conv(self.act(self.conv(self.act(self.conv(x, "conv1")), "conv2", self.stride)), "conv3")

    def separable(self, x: Tensor) -> Tensor:
        x = self.act(self.conv(x, "depthwise", self.stride, groups=x.shape[1]))
        return self.conv(self.squeeze(x), "project")

    def preact(self, x: Tensor) -> Tensor:
        x = self.bare(self.active(x, "norm1"), "conv1", self.stride)
        return self.bare(self.active(x, "norm2"), "conv2")

    def convnext(self, x: Tensor) -> Tensor:
        x = self.layer_normed(self.bare(x, "depthwise", groups=x.shape[1]), "norm")
        x = self.pointwise(self.act(self.pointwise(x, "expand")), "project")
        return x * self.state["gamma"][:, None, None]

    def down(self, x: Tensor) -> Tensor:
        x, conv = self.layer_normed(x, "downsample.norm"), "downsample.conv"
        return F.conv2d(x, self.state[f"{conv}.weight"], self.state[f"{conv}.bias"], self.stride)

    def mobile(self, x: Tensor, name: str, stride: int, projects: bool) -> Tensor:
        """One of a pair, with its link."""
        inside = self.act(self.conv(x, f"{name}.expand"))
        inside = self.act(self.conv(inside, f"{name}.depthwise", stride, groups=inside.shape[1]))
        inside = self.conv(self.squeeze(inside, f"{name}.se"), f"{name}.project")
        return self.act(inside + (self.conv(x, f"{name}.shortcut", stride) if projects else x))

    def inverted(self, x: Tensor) -> Tensor:
        return self.separable(self.act(self.conv(x, "expand")))


Formula = Callable[[Reference, Tensor], Tensor]
BASIC = Group("basic", 8, 1, kernel=3)
BOTTLENECK = Group("bottleneck", 8, 1, hidden=6, kernel=5)
INVERTED = Group("inverted-residual", 8, 1, hidden=40, kernel=5, act="silu")
DEEPMAD = replace(INVERTED, se="deepmad", shortcut="pool")
PREACT = Group("preact", 8, 1, kernel=3, act="silu")
CONVNEXT = Group("convnext", 8, 1, hidden=20, kernel=5, act="silu")
PAIR = Group("mobile-pair", 8, 1, hidden=6, expand=2, kernel=5, se="zennet")
SEPARABLE = Group("separable", 8, 1, kernel=3, act="silu", se="efficientnet")
AFRB = Group("afrb", 8, 2, expand=3, kernel=5, stride=2)
ACT_EXPAND = Group("act-expand", 8, 2, expand=3, kernel=5, stride=2, act="silu")
ACT_CONV = Group("act-conv", 8, 2, kernel=5, stride=2, act="silu")
REPVGG = Group("repvgg", 8, 1, kernel=3)

# Name: group, channels in, place of the block in its group, definition.
CASES: dict[str, tuple[Group, int, int, Formula]] = {
    "conv": (Group("conv", 8, 1, kernel=5, stride=2), 6, 0, lambda r, x: r.plain(x)),
    "basic, identity": (BASIC, 8, 0, lambda r, x: r.act(r.basic(x) + x)),
    "basic, conv, wider": (BASIC, 6, 0, lambda r, x: r.act(r.basic(x) + r.conv(x, "shortcut"))),
    "basic, conv, strided": (
        replace(BASIC, stride=2, hidden=5),
        8,
        0,
        lambda r, x: r.act(r.basic(x) + r.conv(x, "shortcut", 2)),
    ),
    "basic, pool, same shape": (
        replace(BASIC, shortcut="pool"),
        8,
        0,
        lambda r, x: r.act(r.basic(x) + r.conv(x, "shortcut")),
    ),
    "basic, pool, strided": (
        replace(BASIC, shortcut="pool", stride=2),
        8,
        0,
        lambda r, x: r.act(r.basic(x) + r.conv(r.pooled(x), "shortcut.proj")),
    ),
    "basic, pool, later": (replace(BASIC, shortcut="pool", stride=2), 8, 1, lambda r, x: r.act(r.basic(x) + x)),
    "basic, pad, strided": (
        replace(BASIC, shortcut="pad", stride=2),
        6,
        0,
        lambda r, x: r.act(r.basic(x) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 2))),
    ),
    "bottleneck, conv, strided": (
        replace(BOTTLENECK, stride=2),
        6,
        0,
        lambda r, x: r.act(r.bottleneck(x) + r.conv(x, "shortcut", 2)),
    ),
    "bottleneck, pool, strided": (
        replace(BOTTLENECK, stride=2, shortcut="pool"),
        6,
        0,
        lambda r, x: r.act(r.bottleneck(x) + r.conv(r.pooled(x), "shortcut.proj")),
    ),
    "bottleneck, later": (BOTTLENECK, 8, 1, lambda r, x: r.act(r.bottleneck(x) + x)),
    "inverted, identity": (INVERTED, 8, 0, lambda r, x: r.inverted(x) + x),
    "inverted, identity, wider": (INVERTED, 6, 0, lambda r, x: r.inverted(x)),
    "inverted, identity, strided": (replace(INVERTED, stride=2), 8, 0, lambda r, x: r.inverted(x)),
    "inverted, efficientnet": (replace(INVERTED, se="efficientnet"), 8, 0, lambda r, x: r.inverted(x) + x),
    "inverted, pool": (DEEPMAD, 8, 0, lambda r, x: r.act(r.inverted(x) + x)),
    "inverted, pool, wider": (DEEPMAD, 6, 0, lambda r, x: r.act(r.inverted(x))),
    "inverted, pool, strided": (
        replace(DEEPMAD, stride=2),
        8,
        0,
        lambda r, x: r.act(r.inverted(x) + r.pooled(x)),
    ),
    "conv, bias, pooled": (
        Group("conv", 8, 1, kernel=3, stride=2, norm="none", pool=True),
        6,
        0,
        lambda r, x: r.act(r.conv(F.max_pool2d(x, 2), "conv")),
    ),
    "conv, pooled, later": (Group("conv", 8, 1, kernel=3, stride=2, pool=True), 8, 1, lambda r, x: r.plain(x)),
    "preact": (PREACT, 8, 0, lambda r, x: r.preact(x) + x),
    "preact, later": (replace(PREACT, stride=2), 8, 1, lambda r, x: r.preact(x) + x),
    "preact, wider": (PREACT, 6, 0, lambda r, x: r.preact(x) + r.bare(r.active(x, "norm1"), "shortcut")),
    "preact, strided": (
        replace(PREACT, stride=2),
        8,
        0,
        lambda r, x: r.preact(x) + r.bare(r.active(x, "norm1"), "shortcut", 2),
    ),
    "convnext": (CONVNEXT, 8, 0, lambda r, x: r.convnext(x) + x),
    "convnext, later": (replace(CONVNEXT, stride=2), 8, 1, lambda r, x: r.convnext(x) + x),
    "convnext, wider": (CONVNEXT, 6, 0, lambda r, x: r.convnext(r.down(x)) + r.down(x)),
    "convnext, strided": (replace(CONVNEXT, stride=2), 8, 0, lambda r, x: r.convnext(r.down(x)) + r.down(x)),
    "basic, biased, same shape": (
        replace(BASIC, shortcut="biased"),
        8,
        0,
        lambda r, x: r.act(r.basic(x) + r.conv(x, "shortcut")),
    ),
    "bottleneck, biased, strided": (
        replace(BOTTLENECK, stride=2, shortcut="biased"),
        8,
        0,
        lambda r, x: r.act(r.bottleneck(x) + r.conv(x, "shortcut", 2)),
    ),
    "bottleneck, biased, later": (
        replace(BOTTLENECK, stride=2, shortcut="biased"),
        8,
        1,
        lambda r, x: r.act(r.bottleneck(x) + x),
    ),
    "mobile pair": (
        replace(PAIR, stride=2),
        8,
        0,
        lambda r, x: r.mobile(r.mobile(x, "first", 2, True), "second", 1, True),
    ),
    "mobile pair, later": (PAIR, 8, 1, lambda r, x: r.mobile(r.mobile(x, "first", 1, True), "second", 1, True)),
    "mobile pair, all alike": (
        replace(PAIR, hidden=8),
        8,
        1,
        lambda r, x: r.mobile(r.mobile(x, "first", 1, False), "second", 1, False),
    ),
    "depthwise": (
        Group("depthwise", 8, 1, kernel=5, stride=2), 8, 0, lambda r, x: r.act(r.conv(x, "conv", 2, groups=8))
    ),
    "inverted pair": (
        Group("inverted-pair", 8, 1, expand=3, kernel=3, act="silu"), 8, 0,
        lambda r, x: r.inverted_unit(r.inverted_unit(x, "first"), "second") + x,
    ),
    "afrb-1": (AFRB, 6, 0, lambda r, x: r.sloped_unit(x, "unit", 2)),
    "afrb-2": (AFRB, 8, 1, lambda r, x: r.sloped_unit(x, "unit") + x),
    "afrb-3": (
        Group("afrb-pair", 8, 1, expand=2, kernel=3), 8, 0,
        lambda r, x: r.sloped_unit(r.sloped_unit(x, "first"), "second") + x,
    ),
    "afrb-1, collapsed": (ACT_CONV, 6, 0, lambda r, x: r.conv(r.act(x), "conv", 2)),
    "afrb-2, collapsed": (ACT_CONV, 8, 1, lambda r, x: r.conv(r.active(x, "norm"), "conv") + x),
    "afrb-1, expanded": (ACT_EXPAND, 6, 0, lambda r, x: r.expanded(r.act(x), 2)),
    "afrb-2, expanded": (ACT_EXPAND, 8, 1, lambda r, x: r.expanded(r.active(x, "norm")) + x),
    "afrb-3, collapsed": (
        Group("act-conv-pair", 8, 1, kernel=3, act="silu"), 8, 0,
        lambda r, x: r.conv(r.act(r.conv(r.active(x, "norm"), "conv1")), "conv2") + x,
    ),
    "repvgg": (replace(REPVGG, stride=2), 6, 0, lambda r, x: r.act(r.repvgg(x))),
    "repvgg, same shape": (REPVGG, 8, 1, lambda r, x: r.act(r.repvgg(x) + r.batch(x, "identity"))),
    "separable": (SEPARABLE, 8, 0, lambda r, x: r.separable(x) + x),
    "separable, strided": (replace(SEPARABLE, stride=2), 8, 0, lambda r, x: r.separable(x)),
    "separable, wider": (SEPARABLE, 6, 0, lambda r, x: r.separable(x)),
}  # fmt: skip


def test_every_kind_of_the_catalogue_has_a_module() -> None:
    assert set(BLOCKS) | set(CELLS) == set(CATALOGUE)
    assert not set(BLOCKS) & set(CELLS)
    assert set(CELLS) == {name for name, kind in CATALOGUE.items() if not kind.uniform}


def test_every_kind_is_checked_here() -> None:
    assert {group.block for group, *_ in CASES.values()} == set(BLOCKS) - {"linear"}


@pytest.mark.parametrize(("group", "in_chs", "index", "formula"), CASES.values(), ids=CASES.keys())
def test_block_is_its_definition(group: Group, in_chs: int, index: int, formula: Formula) -> None:
    torch.manual_seed(0)
    block = BLOCKS[group.block](group, in_chs, index).double().eval()
    for name, tensor in block.state_dict().items():
        if tensor.is_floating_point():  # every weight, norm and bias does something, and every activation cuts
            _ = nn.init.uniform_(tensor, 0.5, 1.5) if name.endswith("running_var") else nn.init.normal_(tensor, 0, 0.7)
    images = torch.randn(2, in_chs, 7, 6, dtype=torch.float64)
    expected = formula(Reference(block, group, group.stride if index == 0 else 1), images)
    torch.testing.assert_close(block(images), expected)


def test_linear_block_is_a_linear_layer_and_an_activation() -> None:
    block = BLOCKS["linear"](Group("linear", 5, 1, act="silu"), 7, 0)
    x = torch.randn(3, 7)
    weight, bias = block.state_dict().values()
    torch.testing.assert_close(block(x), F.silu(x @ weight.T + bias))


def test_pad_shortcut_by_hand() -> None:
    image = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]])
    padded = PadShortcut(missing_chs=1, stride=2)(image)
    torch.testing.assert_close(padded, torch.tensor([[[[1.0, 3.0], [7.0, 9.0]], [[0.0, 0.0], [0.0, 0.0]]]]))


LINKED = ["basic, conv, strided", "bottleneck, later", "inverted, pool", "separable", "preact, wider", "convnext"]


@pytest.mark.parametrize("name", LINKED)
def test_block_with_its_link_taken_away_is_its_branch(name: str) -> None:
    group, in_chs, index, _ = CASES[name]
    torch.manual_seed(0)
    block = BLOCKS[group.block](group, in_chs, index).double().eval()
    block.shortcut = None
    images = torch.randn(1, in_chs, 6, 6, dtype=torch.float64)
    reference = Reference(block, group, group.stride if index == 0 else 1)
    branch = {
        "basic": lambda: reference.act(reference.basic(images)),
        "bottleneck": lambda: reference.act(reference.bottleneck(images)),
        "inverted-residual": lambda: reference.act(reference.inverted(images)),
        "separable": lambda: reference.separable(images),
        "preact": lambda: reference.preact(images),
        "convnext": lambda: reference.convnext(images),
    }[group.block]()
    torch.testing.assert_close(block(images), branch)
