"""Every kind of block against its definition, written out with torch's functions on the block's own weights."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from madnas.models.blocks import BLOCKS
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
        if f"{name}.bn.weight" not in self.state:
            return x
        mean, variance, scale, shift = (
            self.state[f"{name}.bn.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def squeeze(self, x: Tensor) -> Tensor:
        """Squeeze-excitation, if the block has it."""
        if "se.reduce.conv.weight" not in self.state:
            return x
        gate = self.conv(self.act(self.conv(x.mean((2, 3), keepdim=True), "se.reduce")), "se.expand")
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

    def inverted(self, x: Tensor) -> Tensor:
        return self.separable(self.act(self.conv(x, "expand")))


Formula = Callable[[Reference, Tensor], Tensor]
BASIC = Group("basic", 8, 1, kernel=3)
BOTTLENECK = Group("bottleneck", 8, 1, hidden=6, kernel=5)
INVERTED = Group("inverted-residual", 8, 1, hidden=40, kernel=5, act="silu")
DEEPMAD = replace(INVERTED, se="deepmad", shortcut="pool")
SEPARABLE = Group("separable", 8, 1, kernel=3, act="silu", se="efficientnet")

# Name: group, channels in, whether the block opens its group, definition.
CASES: dict[str, tuple[Group, int, bool, Formula]] = {
    "conv": (Group("conv", 8, 1, kernel=5, stride=2), 6, True, lambda r, x: r.plain(x)),
    "basic, identity": (BASIC, 8, True, lambda r, x: r.act(r.basic(x) + x)),
    "basic, conv, wider": (BASIC, 6, True, lambda r, x: r.act(r.basic(x) + r.conv(x, "shortcut"))),
    "basic, conv, strided": (
        replace(BASIC, stride=2, hidden=5),
        8,
        True,
        lambda r, x: r.act(r.basic(x) + r.conv(x, "shortcut", 2)),
    ),
    "basic, pool, same shape": (
        replace(BASIC, shortcut="pool"),
        8,
        True,
        lambda r, x: r.act(r.basic(x) + r.conv(x, "shortcut")),
    ),
    "basic, pool, strided": (
        replace(BASIC, shortcut="pool", stride=2),
        8,
        True,
        lambda r, x: r.act(r.basic(x) + r.conv(r.pooled(x), "shortcut.proj")),
    ),
    "basic, pool, later": (replace(BASIC, shortcut="pool", stride=2), 8, False, lambda r, x: r.act(r.basic(x) + x)),
    "basic, pad, strided": (
        replace(BASIC, shortcut="pad", stride=2),
        6,
        True,
        lambda r, x: r.act(r.basic(x) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 2))),
    ),
    "bottleneck, conv, strided": (
        replace(BOTTLENECK, stride=2),
        6,
        True,
        lambda r, x: r.act(r.bottleneck(x) + r.conv(x, "shortcut", 2)),
    ),
    "bottleneck, pool, strided": (
        replace(BOTTLENECK, stride=2, shortcut="pool"),
        6,
        True,
        lambda r, x: r.act(r.bottleneck(x) + r.conv(r.pooled(x), "shortcut.proj")),
    ),
    "bottleneck, later": (BOTTLENECK, 8, False, lambda r, x: r.act(r.bottleneck(x) + x)),
    "inverted, identity": (INVERTED, 8, True, lambda r, x: r.inverted(x) + x),
    "inverted, identity, wider": (INVERTED, 6, True, lambda r, x: r.inverted(x)),
    "inverted, identity, strided": (replace(INVERTED, stride=2), 8, True, lambda r, x: r.inverted(x)),
    "inverted, efficientnet": (replace(INVERTED, se="efficientnet"), 8, True, lambda r, x: r.inverted(x) + x),
    "inverted, pool": (DEEPMAD, 8, True, lambda r, x: r.act(r.inverted(x) + x)),
    "inverted, pool, wider": (DEEPMAD, 6, True, lambda r, x: r.act(r.inverted(x))),
    "inverted, pool, strided": (
        replace(DEEPMAD, stride=2),
        8,
        True,
        lambda r, x: r.act(r.inverted(x) + r.pooled(x)),
    ),
    "separable": (SEPARABLE, 8, True, lambda r, x: r.separable(x) + x),
    "separable, strided": (replace(SEPARABLE, stride=2), 8, True, lambda r, x: r.separable(x)),
    "separable, wider": (SEPARABLE, 6, True, lambda r, x: r.separable(x)),
}


def test_every_kind_of_the_catalogue_has_a_module() -> None:
    assert set(BLOCKS) == set(CATALOGUE)


def test_every_kind_is_checked_here() -> None:
    assert {group.block for group, *_ in CASES.values()} == set(CATALOGUE) - {"linear"}


@pytest.mark.parametrize(("group", "in_chs", "first", "formula"), CASES.values(), ids=CASES.keys())
def test_block_is_its_definition(group: Group, in_chs: int, first: bool, formula: Formula) -> None:
    torch.manual_seed(0)
    block = BLOCKS[group.block](group, in_chs, first).double().eval()
    for name, tensor in block.state_dict().items():
        if tensor.is_floating_point():  # every weight, norm and bias does something, and every activation cuts
            _ = nn.init.uniform_(tensor, 0.5, 1.5) if name.endswith("running_var") else nn.init.normal_(tensor, 0, 0.7)
    images = torch.randn(2, in_chs, 7, 6, dtype=torch.float64)
    expected = formula(Reference(block, group, group.stride if first else 1), images)
    torch.testing.assert_close(block(images), expected)


def test_linear_block_is_a_linear_layer_and_an_activation() -> None:
    block = BLOCKS["linear"](Group("linear", 5, 1, act="silu"), 7, True)
    x = torch.randn(3, 7)
    weight, bias = block.state_dict().values()
    torch.testing.assert_close(block(x), F.silu(x @ weight.T + bias))


def test_pad_shortcut_by_hand() -> None:
    image = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]])
    padded = PadShortcut(missing_chs=1, stride=2)(image)
    torch.testing.assert_close(padded, torch.tensor([[[[1.0, 3.0], [7.0, 9.0]], [[0.0, 0.0], [0.0, 0.0]]]]))


@pytest.mark.parametrize("name", ["basic, conv, strided", "bottleneck, later", "inverted, pool", "separable"])
def test_block_with_its_link_taken_away_is_its_branch(name: str) -> None:
    group, in_chs, first, _ = CASES[name]
    torch.manual_seed(0)
    block = BLOCKS[group.block](group, in_chs, first).double().eval()
    block.shortcut = None
    images = torch.randn(1, in_chs, 6, 6, dtype=torch.float64)
    reference = Reference(block, group, group.stride if first else 1)
    branch = {
        "basic": lambda: reference.act(reference.basic(images)),
        "bottleneck": lambda: reference.act(reference.bottleneck(images)),
        "inverted-residual": lambda: reference.act(reference.inverted(images)),
        "separable": lambda: reference.separable(images),
    }[group.block]()
    torch.testing.assert_close(block(images), branch)
