"""Blocks of restructurable networks as modules [RAN-e, Sections 2.2 and 2.3; RepVGG]."""

import torch
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn import functional as F

from madnas.models.layers import ConvNormAct, NormAct, activation, block_layers, join, zero_scale
from madnas.network.layer import Layer
from madnas.network.restructurable import is_linked
from madnas.network.spec import Group

ALPHA = 0.25
"""Slope that a search begins with: torch's of a PReLU; the paper does not say. 0 is the inverted residual, 1 linear."""


class DepthwiseBlock(nn.Module):
    """k x k depthwise convolution, batch norm, activation."""

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.conv = ConvNormAct(block_layers(group, in_chs, index)["conv"], group.act)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to ``(B, C, H', W')``."""
        return self.conv(x)


class InvertedUnit(nn.Module):
    """1x1 expansion, k x k depthwise, 1x1 projection, with batch norms.

    Args:
        layers: of the block, by name.
        number: end of the unit's layers' names.
        act: activation behind the first two.
    """

    def __init__(self, layers: dict[str, Layer], number: str, act: str) -> None:
        super().__init__()
        self.expand = ConvNormAct(layers[f"expand{number}"], act)
        self.depthwise = ConvNormAct(layers[f"depthwise{number}"], act)
        self.project = ConvNormAct(layers[f"project{number}"], act=None)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H, W)``."""
        return self.project(self.depthwise(self.expand(x)))


class InvertedPairBlock(nn.Module):
    """AFRB-3 with its non-linearities: two inverted bottlenecks around a waist, inside one residual link."""

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        layers = block_layers(group, in_chs, index)
        self.first = InvertedUnit(layers, "1", group.act)
        self.second = InvertedUnit(layers, "2", group.act)
        self.shortcut: nn.Module | None = nn.Identity()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the same shape."""
        return join(self.second(self.first(x)), x, self.shortcut, self.drop_path)

    def zero_init_last(self) -> None:
        """Start as the shortcut alone."""
        zero_scale(self.second.project)


class SlopedUnit(nn.Module):
    """Batch norm, PReLU of slope 1 - a, 1x1, k x k depthwise, PReLU of slope a, 1x1; with batch norms (Fig. 2a).

    Args:
        layers: of the block, by name.
        number: end of the unit's layers' names.
    """

    def __init__(self, layers: dict[str, Layer], number: str) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(layers[f"expand{number}"].in_chs)
        self.expand = ConvNormAct(layers[f"expand{number}"], act=None)
        self.depthwise = ConvNormAct(layers[f"depthwise{number}"], act=None)
        self.project = ConvNormAct(layers[f"project{number}"], act=None)

    def forward(self, x: Tensor, alpha: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``; alpha (1,)."""
        x = self.expand(F.prelu(self.norm(x), 1 - alpha))
        return self.project(F.prelu(self.depthwise(x), alpha))


class AFRBlock(nn.Module):
    """AFRB-1 and, with a residual link where shapes allow it, AFRB-2.

    Attributes:
        alpha: the slope that both PReLUs share (1,): 0 is an inverted residual, 1 collapses to a convolution.
    """

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.unit = SlopedUnit(block_layers(group, in_chs, index), "")
        self.alpha = nn.Parameter(torch.full((1,), ALPHA))
        self.shortcut: nn.Module | None = nn.Identity() if is_linked(group, in_chs, index) else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        return join(self.unit(x, self.alpha), x, self.shortcut, self.drop_path)

    def zero_init_last(self) -> None:
        """Start as the shortcut alone, where there is one."""
        if self.shortcut is not None:
            zero_scale(self.unit.project)


class AFRBPairBlock(nn.Module):
    """AFRB-3: two units around a waist, with one alpha and one residual link."""

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        layers = block_layers(group, in_chs, index)
        self.first, self.second = SlopedUnit(layers, "1"), SlopedUnit(layers, "2")
        self.alpha = nn.Parameter(torch.full((1,), ALPHA))
        self.shortcut: nn.Module | None = nn.Identity()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the same shape."""
        branch = self.second(self.first(x, self.alpha), self.alpha)
        return join(branch, x, self.shortcut, self.drop_path)

    def zero_init_last(self) -> None:
        """Start as the shortcut alone."""
        zero_scale(self.second.project)


class ActConvBlock(nn.Module):
    """AFRB-1 collapsed: activation, k x k, batch norm; or AFRB-2: batch norm, activation, k x k, batch norm, link."""

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        linked = is_linked(group, in_chs, index)
        # Not in place: what comes in may be somebody else's too.
        self.norm = NormAct(in_chs, group.act) if linked else activation(group.act, inplace=False)
        self.conv = ConvNormAct(block_layers(group, in_chs, index)["conv"], act=None)
        self.shortcut: nn.Module | None = nn.Identity() if linked else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        return join(self.conv(self.norm(x)), x, self.shortcut, self.drop_path)

    def zero_init_last(self) -> None:
        """Start as the shortcut alone, where there is one."""
        if self.shortcut is not None:
            zero_scale(self.conv)


class ActExpandBlock(nn.Module):
    """What collapses to :class:`ActConvBlock`: (batch norm,) activation, 1x1, k x k depthwise, 1x1; link."""

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        layers = block_layers(group, in_chs, index)
        linked = is_linked(group, in_chs, index)
        self.norm = NormAct(in_chs, group.act) if linked else activation(group.act, inplace=False)
        self.expand = ConvNormAct(layers["expand"], act=None)
        self.depthwise = ConvNormAct(layers["depthwise"], act=None)
        self.project = ConvNormAct(layers["project"], act=None)
        self.shortcut: nn.Module | None = nn.Identity() if linked else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        return join(self.project(self.depthwise(self.expand(self.norm(x)))), x, self.shortcut, self.drop_path)

    def zero_init_last(self) -> None:
        """Start as the shortcut alone, where there is one."""
        if self.shortcut is not None:
            zero_scale(self.project)


class ActConvPairBlock(nn.Module):
    """AFRB-3 collapsed: twice activation, k x k, batch norm; a batch norm before them, and a residual link."""

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        layers = block_layers(group, in_chs, index)
        self.norm = NormAct(in_chs, group.act)
        self.conv1 = ConvNormAct(layers["conv1"], group.act)
        self.conv2 = ConvNormAct(layers["conv2"], act=None)
        self.shortcut: nn.Module | None = nn.Identity()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the same shape."""
        return join(self.conv2(self.conv1(self.norm(x))), x, self.shortcut, self.drop_path)

    def zero_init_last(self) -> None:
        """Start as the shortcut alone."""
        zero_scale(self.conv2)


class RepVGGBlock(nn.Module):
    """RepVGG's block in training: k x k and 1x1 with batch norms, and a batch norm alone where shapes agree, summed."""

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        layers = block_layers(group, in_chs, index)
        self.conv = ConvNormAct(layers["conv"], act=None)
        self.pointwise = ConvNormAct(layers["pointwise"], act=None)
        self.identity = nn.BatchNorm2d(in_chs) if is_linked(group, in_chs, index) else None
        self.act = activation(group.act)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        branches = self.conv(x) + self.pointwise(x)
        return self.act(branches if self.identity is None else branches + self.identity(x))


def alphas_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """The slopes of a network's restructurable blocks, by their names, in its order."""
    return {name: part.alpha for name, part in model.named_modules() if isinstance(part, AFRBlock | AFRBPairBlock)}
