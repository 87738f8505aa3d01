"""ConvNeXt's block and stem [Liu et al. 2022], with the layer norms of timm (epsilon 1e-6)."""

from collections import OrderedDict

import torch
from timm.layers import DropPath, LayerNorm, LayerNorm2d
from timm.layers.grn import GlobalResponseNorm
from torch import Tensor, nn

from madnas.models.exponential import branch_act
from madnas.models.layers import activation, block_layers, conv2d, join, linear, patches
from madnas.network.layer import Layer
from madnas.network.spec import Group

LAYER_SCALE = 1e-6
"""Start of the scale that ends a residual branch, ..."""

INIT_STD = 0.02
"""... and standard deviation of the truncated normal weights at the start [Liu et al. 2022, Table 5]."""


class PatchStem(nn.Module):
    """Convolution over patches with a bias, and a layer norm over the channels of every pixel."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.conv = patches(layer)
        self.norm = LayerNorm2d(layer.out_chs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, floor(H / stride), floor(W / stride))``."""
        return self.norm(self.conv(x))

    def init_own(self) -> None:
        """Initialise as the paper does."""
        init_truncated(self)


class ConvNeXtBlock(nn.Module):
    """ConvNeXt's block: k x k depthwise, layer norm, 1x1 to hidden, activation, 1x1 back, scale; residual link.

    The two 1x1 convolutions are linear layers over the channels of every pixel, which is the same and, as timm found,
    faster. Where the shape changes, a layer norm and a strided convolution come before block and link. With ``grn``
    (ConvNeXt-V2) a global response norm follows the activation, and no scale ends the branch. With ``branch`` a linear
    layer beside the two, perhaps with an activation, takes what became linear in them (RAN, Fig. 8).
    """

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        layers = block_layers(group, in_chs, index)
        self.downsample = _downsample(layers["downsample"]) if "downsample" in layers else nn.Identity()
        self.depthwise = conv2d(layers["depthwise"])
        self.norm = LayerNorm(group.out)
        self.expand = linear(layers["expand"])
        self.act = activation(group.act)
        hidden = layers["expand"].out_chs
        self.grn = GlobalResponseNorm(hidden, channels_last=True) if group.grn else nn.Identity()
        self.project = linear(layers["project"])
        self.branch = linear(layers["branch"]) if "branch" in layers else None
        self.branch_act = branch_act(group.branch or "none")
        self.gamma = None if group.grn else nn.Parameter(torch.full((group.out,), LAYER_SCALE))
        self.shortcut: nn.Module | None = nn.Identity()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        x = self.downsample(x)
        inside = self.norm(self.depthwise(x).permute(0, 2, 3, 1))  # (B, H', W', out)
        branch = self.project(self.grn(self.act(self.expand(inside))))
        if self.branch is not None:
            branch = branch + self.branch_act(self.branch(inside))
        branch = branch if self.gamma is None else branch * self.gamma
        return join(branch.permute(0, 3, 1, 2), x, self.shortcut, self.drop_path)

    def init_own(self) -> None:
        """Initialise as the paper does."""
        init_truncated(self)
        if self.gamma is not None:
            nn.init.constant_(self.gamma, LAYER_SCALE)


def _downsample(layer: Layer) -> nn.Sequential:
    return nn.Sequential(OrderedDict(norm=LayerNorm2d(layer.in_chs), conv=patches(layer)))


def init_truncated(module: nn.Module) -> None:
    """Weights of a module's convolutions and linear layers from a truncated normal distribution, biases 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(part.weight, std=INIT_STD)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
