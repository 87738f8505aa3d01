"""The block catalogue as modules: one ``nn.Module`` per kind of :mod:`madnas.network.blocks`, the cells' layers aside.

A block asks the catalogue for its layers and gives every one of them a submodule of the same name; what is left to say
here is how they are wired. Every block has the same signature ``(group, in_chs, index, drop_path)``. A block with a
residual link holds it in ``shortcut``, a module that maps the input to the shape of the output; ``None`` means that
there is no link, so that whoever wants a network without links (Zen-Score does) sets it so.
"""

from collections import OrderedDict

from timm.layers import DropPath
from torch import Tensor, nn

from madnas.models.convnext_block import ConvNeXtBlock
from madnas.models.layers import (
    ConvNormAct,
    NormAct,
    PadShortcut,
    SqueezeExcite,
    activation,
    average_pool,
    block_layers,
    conv2d,
    join,
    linear,
    zero_scale,
)
from madnas.models.restructurable import (
    ActConvBlock,
    ActConvPairBlock,
    ActExpandBlock,
    AFRBlock,
    AFRBPairBlock,
    DepthwiseBlock,
    InvertedPairBlock,
    RepVGGBlock,
)
from madnas.network.blocks import projects, shortcut_of
from madnas.network.layer import Layer
from madnas.network.shapes import block_stride
from madnas.network.spec import Group


class ConvBlock(nn.Module):
    """Plain k x k convolution, batch norm or bias, activation; with ``pool`` a 2x2 maximum pooling takes the stride."""

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2) if group.pool and index == 0 else nn.Identity()
        self.conv = ConvNormAct(block_layers(group, in_chs, index)["conv"], group.act)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        return self.conv(self.pool(x))


class BasicBlock(nn.Module):
    """ResNet's basic block [He et al. 2015]: two k x k convolutions; activation between them and after the sum.

    Optional SE ends the branch.
    """

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        layers = block_layers(group, in_chs, index)
        self.conv1 = ConvNormAct(layers["conv1"], group.act)
        self.conv2 = ConvNormAct(layers["conv2"], act=None)
        self.se = squeeze_excite(group, layers)
        self.shortcut: nn.Module | None = residual_shortcut(group, in_chs, index, layers)
        self.drop_path = DropPath(drop_path)
        self.act = activation(group.act)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        branch = self.se(self.conv2(self.conv1(x)))
        return self.act(join(branch, x, self.shortcut, self.drop_path))

    def zero_init_last(self) -> None:
        """Start as the shortcut alone."""
        zero_scale(self.conv2)


class BottleneckBlock(nn.Module):
    """ResNet's bottleneck [He et al. 2015]: 1x1, k x k, 1x1; activations between them and after the sum.

    The stride sits on the k x k convolution (torchvision's and everyone's "v1.5"; the paper has it on the first 1x1).
    Optional SE follows the k x k convolution (RegNetY), or with ``senet`` the last one (SE-ResNet).
    """

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        layers = block_layers(group, in_chs, index)
        self.conv1 = ConvNormAct(layers["conv1"], group.act)
        self.conv2 = ConvNormAct(layers["conv2"], group.act)
        last = group.se == "senet"
        self.se = nn.Identity() if last else squeeze_excite(group, layers)
        self.conv3 = ConvNormAct(layers["conv3"], act=None)
        self.last_se = squeeze_excite(group, layers) if last else nn.Identity()
        self.shortcut: nn.Module | None = residual_shortcut(group, in_chs, index, layers)
        self.drop_path = DropPath(drop_path)
        self.act = activation(group.act)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        branch = self.last_se(self.conv3(self.se(self.conv2(self.conv1(x)))))
        return self.act(join(branch, x, self.shortcut, self.drop_path))

    def zero_init_last(self) -> None:
        """Start as the shortcut alone."""
        zero_scale(self.conv3)


class InvertedResidualBlock(nn.Module):
    """MobileNetV2's block [Sandler et al. 2018]: 1x1 expansion, k x k depthwise, optional SE, 1x1 projection.

    Its residual link is the identity, and absent where shapes do not allow it. With shortcut ``identity`` (MobileNetV2,
    EfficientNet) that is stride 1 and in = out, and no activation follows the projection or the sum. With ``pool``
    (DeepMAD) it is in = out, average-pooled where strided, and an activation ends the block, with or without a link.
    """

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        layers = block_layers(group, in_chs, index)
        stride = block_stride(group, index)
        pools = shortcut_of(group) == "pool"
        linked = in_chs == group.out and (stride == 1 or pools)
        self.expand = ConvNormAct(layers["expand"], group.act)
        self.depthwise = ConvNormAct(layers["depthwise"], group.act)
        self.se = squeeze_excite(group, layers)
        self.project = ConvNormAct(layers["project"], act=None)
        self.shortcut = average_pool(stride) if linked else None
        self.drop_path = DropPath(drop_path)
        self.act = activation(group.act if pools else None)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        branch = self.project(self.se(self.depthwise(self.expand(x))))
        return self.act(join(branch, x, self.shortcut, self.drop_path))

    def zero_init_last(self) -> None:
        """Start as the shortcut alone, where there is one (a zeroed block without a link would stop the signal)."""
        if self.shortcut is not None:
            zero_scale(self.project)


class MobilePairBlock(nn.Module):
    """Zen-NAS's MB block: two MobileNetV2 blocks, each with a residual link and an activation after the sum."""

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        layers = block_layers(group, in_chs, index)
        self.first = MobileUnit(group, layers, "1", drop_path)
        self.second = MobileUnit(group, layers, "2", drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        return self.second(self.first(x))


class MobileUnit(nn.Module):
    """One of the pair.

    Args:
        group: the pair's group.
        layers: the pair's layers, by name.
        number: ``1`` or ``2``, the end of its layers' names.
        drop_path: rate of stochastic depth.
    """

    def __init__(self, group: Group, layers: dict[str, Layer], number: str, drop_path: float) -> None:
        super().__init__()
        own = {name.removesuffix(number): layer for name, layer in layers.items() if name.endswith(number)}
        self.expand = ConvNormAct(own["expand"], group.act)
        self.depthwise = ConvNormAct(own["depthwise"], group.act)
        self.se = squeeze_excite(group, own)
        self.project = ConvNormAct(own["project"], act=None)
        projection = own.get("shortcut")
        self.shortcut: nn.Module | None = ConvNormAct(projection, act=None) if projection else nn.Identity()
        self.drop_path = DropPath(drop_path)
        self.act = activation(group.act)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        branch = self.project(self.se(self.depthwise(self.expand(x))))
        return self.act(join(branch, x, self.shortcut, self.drop_path))

    def zero_init_last(self) -> None:
        """Start as the shortcut alone."""
        zero_scale(self.project)


class SeparableBlock(nn.Module):
    """Depthwise separable block: k x k depthwise, optional SE, 1x1 projection without an activation.

    The residual link is the identity, for stride 1 and in = out.
    """

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        layers = block_layers(group, in_chs, index)
        linked = in_chs == group.out and block_stride(group, index) == 1
        self.depthwise = ConvNormAct(layers["depthwise"], group.act)
        self.se = squeeze_excite(group, layers)
        self.project = ConvNormAct(layers["project"], act=None)
        self.shortcut = nn.Identity() if linked else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        branch = self.project(self.se(self.depthwise(x)))
        return join(branch, x, self.shortcut, self.drop_path)

    def zero_init_last(self) -> None:
        """Start as the shortcut alone, where there is one."""
        if self.shortcut is not None:
            zero_scale(self.project)


class PreactBlock(nn.Module):
    """Wide-ResNet's block [Zagoruyko and Komodakis 2016]: twice batch norm, activation, k x k; residual link.

    Where the shape changes the link is a 1x1 convolution, of the activated input as in He et al. 2016, "Identity
    Mappings in Deep Residual Networks", Section 3. No norm ends the branch, so that none could start at 0.
    """

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        layers = block_layers(group, in_chs, index)
        self.norm1 = NormAct(in_chs, group.act)
        self.conv1 = conv2d(layers["conv1"])
        self.norm2 = NormAct(group.out, group.act)
        self.conv2 = conv2d(layers["conv2"])
        self.projects = "shortcut" in layers
        self.shortcut: nn.Module | None = conv2d(layers["shortcut"]) if self.projects else nn.Identity()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        active = self.norm1(x)
        branch = self.conv2(self.norm2(self.conv1(active)))
        return join(branch, active if self.projects else x, self.shortcut, self.drop_path)


class LinearBlock(nn.Module):
    """Linear layer with bias and an activation, for MLPs."""

    def __init__(self, group: Group, in_chs: int, index: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.linear = linear(block_layers(group, in_chs, index)["linear"])
        self.act = activation(group.act)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in)`` to ``(B, out)``."""
        return self.act(self.linear(x))


BLOCKS: dict[str, type[nn.Module]] = {
    "conv": ConvBlock,
    "basic": BasicBlock,
    "bottleneck": BottleneckBlock,
    "inverted-residual": InvertedResidualBlock,
    "mobile-pair": MobilePairBlock,
    "separable": SeparableBlock,
    "preact": PreactBlock,
    "convnext": ConvNeXtBlock,
    "depthwise": DepthwiseBlock,
    "afrb": AFRBlock,
    "afrb-pair": AFRBPairBlock,
    "inverted-pair": InvertedPairBlock,
    "act-conv": ActConvBlock,
    "act-conv-pair": ActConvPairBlock,
    "act-expand": ActExpandBlock,
    "repvgg": RepVGGBlock,
    "linear": LinearBlock,
}
"""The module of every kind of block in the catalogue, but for those whose groups are a cell."""


def squeeze_excite(group: Group, layers: dict[str, Layer]) -> nn.Module:
    """The squeeze-excitation that the catalogue gives the block, or nothing."""
    if "se_reduce" not in layers:
        return nn.Identity()
    return SqueezeExcite(layers["se_reduce"], layers["se_expand"], group.act)


def residual_shortcut(group: Group, in_chs: int, index: int, layers: dict[str, Layer]) -> nn.Module:
    """Shortcut of a ResNet block: projection where the catalogue projects, zero padding, or the identity."""
    stride = block_stride(group, index)
    if projects(group, in_chs, index):
        projection = ConvNormAct(layers["shortcut"], act=None)
        pools = shortcut_of(group) in ("pool", "avg-down") and stride != 1
        return nn.Sequential(OrderedDict(pool=average_pool(stride), proj=projection)) if pools else projection
    if stride == 1 and in_chs == group.out:
        return nn.Identity()
    return PadShortcut(group.out - in_chs, stride)
