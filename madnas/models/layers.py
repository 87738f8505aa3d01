"""The pieces that every block is made of, each built from a :class:`~madnas.network.layer.Layer` of the catalogue.

A module takes channels, kernel, stride, groups, bias and norm from the same ``Layer`` that the closed form counts, so
the two cannot drift apart.
"""

import torch
from timm.layers import create_act_layer
from torch import Tensor, nn
from torch.nn import functional as F

from madnas.network.blocks import CATALOGUE
from madnas.network.layer import Layer
from madnas.network.spec import Group


def block_layers(group: Group, in_chs: int, index: int) -> dict[str, Layer]:
    """The catalogue's layers of one block, by name. Their resolutions mean nothing here: modules take any size."""
    return {layer.name: layer for layer in CATALOGUE[group.block].layers(group, in_chs, (1, 1), index)}


def conv2d(layer: Layer, kind: type[nn.Conv2d] = nn.Conv2d) -> nn.Conv2d:
    """The layer's convolution; an odd kernel is padded by ``(k - 1) / 2``, which gives ``ceil(side / stride)``."""
    return kind(
        layer.in_chs,
        layer.out_chs,
        layer.kernel,
        stride=layer.stride,
        padding=(layer.kernel - 1) // 2,
        groups=layer.groups,
        bias=layer.bias,
    )


def patches(layer: Layer) -> nn.Conv2d:
    """The layer's convolution over patches that do not overlap, without padding: ``floor(side / stride)``."""
    assert layer.kernel == layer.stride, layer.name
    return nn.Conv2d(layer.in_chs, layer.out_chs, layer.kernel, stride=layer.stride, bias=layer.bias)


def linear(layer: Layer) -> nn.Linear:
    """The linear layer."""
    return nn.Linear(layer.in_chs, layer.out_chs, bias=layer.bias)


class ConvNormAct(nn.Module):
    """Convolution, batch norm where the layer has one, activation where one is given.

    Conv, norm and activation stay modules of their own (timm's ``ConvNormAct`` hides the activation in its norm),
    because scores hook each of them.

    Args:
        layer: the convolution.
        act: timm's name of an activation, or None.
    """

    def __init__(self, layer: Layer, act: str | None) -> None:
        super().__init__()
        self.conv = conv2d(layer)
        self.bn = nn.BatchNorm2d(layer.out_chs) if layer.norm else nn.Identity()
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, ceil(H / stride), ceil(W / stride))``."""
        return self.act(self.bn(self.conv(x)))


class NormAct(nn.Module):
    """Batch norm and activation, of blocks that begin with them ("pre-activation").

    Args:
        chs: channels.
        act: timm's name of an activation.
    """

    def __init__(self, chs: int, act: str) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(chs)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the same shape."""
        return self.act(self.bn(x))


def zero_scale(unit: ConvNormAct) -> None:
    """Set the scale of a unit's batch norm to 0, so that it gives out nothing at first."""
    assert isinstance(unit.bn, nn.BatchNorm2d)
    nn.init.zeros_(unit.bn.weight)


class SqueezeExcite(nn.Module):
    """Squeeze-excitation [Hu et al. 2018]: scales every channel by a gate computed from the channels' means.

    Both variants of the catalogue, with norm (DeepMAD) and with bias (EfficientNet). timm's ``SEModule`` has no norm
    after its second convolution.

    Args:
        reduce: the squeezing 1x1 convolution, followed by ``act``.
        expand: the 1x1 convolution back to all channels, followed by a sigmoid.
        act: timm's name of an activation.
    """

    def __init__(self, reduce: Layer, expand: Layer, act: str) -> None:
        super().__init__()
        self.reduce = ConvNormAct(reduce, act)
        self.expand = ConvNormAct(expand, "sigmoid")

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the same shape."""
        means = x.mean((2, 3), keepdim=True)  # (B, C, 1, 1)
        return x * self.expand(self.reduce(means))


class PadShortcut(nn.Module):
    """He et al.'s option A: every ``stride``-th pixel, and zeros for the channels that the input lacks; no parameters.

    The paper does not say where the zeros go; here, as in Facebook's fb.resnet.torch, they follow the input's channels.
    """

    def __init__(self, missing_chs: int, stride: int) -> None:
        super().__init__()
        self.missing_chs = missing_chs
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, in + missing, ceil(H / stride), ceil(W / stride))``."""
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, self.missing_chs))


def join(branch: Tensor, x: Tensor, shortcut: nn.Module | None, drop_path: nn.Module) -> Tensor:
    """Sum of a block's branch and its shortcut's map of the input; the branch alone where there is no shortcut."""
    return branch if shortcut is None else drop_path(branch) + shortcut(x)


def average_pool(stride: int) -> nn.Module:
    """2x2 average pooling of a strided shortcut; a border window averages only the pixels it has, so sides round up."""
    return nn.Identity() if stride == 1 else nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)


def activation(name: str | None, inplace: bool = True) -> nn.Module:
    """Activation by timm's name (``relu``, ``relu6``, ``silu``, ``hard_swish`` ...), in place where it can be."""
    return nn.Identity() if name is None else create_act_layer(name, inplace=inplace)


@torch.no_grad()
def init_weights(module: nn.Module) -> None:
    r"""Initialise one convolution; use with ``nn.Module.apply``. Linear layers keep torch's default.

    :math:`w \sim N(0, 2 / (c_{out} k^2 / g))`, the backward case (``fan_out``) of He et al. 2015, "Delving Deep
    into Rectifiers", Eq. (14). Dividing by the groups g makes it hold for depthwise convolutions too, whose outputs
    share no weights (``nn.init.kaiming_normal_`` does not divide). Biases start at 0.
    """
    if isinstance(module, nn.Conv2d):
        fan_out = module.out_channels // module.groups * module.kernel_size[0] * module.kernel_size[1]
        nn.init.normal_(module.weight, 0.0, (2.0 / fan_out) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
