"""Groups whose layers take the outputs of several earlier ones: DenseNet's, and the random-skip cells of NN-Mass.

A cell is the list of its layers. A layer takes the maps of all layers before it and concatenates what it needs itself,
so that with gradient checkpointing no concatenation outlives its layer: what is kept then grows with the depth of the
cell, not with its square.
"""

from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from typing import cast

import torch
from timm.models import checkpoint
from torch import Tensor, nn

from madnas.models.layers import ConvNormAct, NormAct, activation, block_layers, conv2d, linear
from madnas.models.links import random_links
from madnas.network.layer import Layer
from madnas.network.spec import Group


class Cell(nn.ModuleList):
    """The layers of a group, in their order.

    Args:
        layers: the layers.

    Attributes:
        grad_checkpointing: recompute every layer in the backward pass instead of keeping its activations.
    """

    def __init__(self, layers: Iterable[nn.Module] = ()) -> None:
        super().__init__(layers)
        self.grad_checkpointing = False

    def call(self, layer: nn.Module, *maps: Tensor) -> Tensor:
        """Output of a layer after these maps."""
        return checkpoint(layer, *maps) if self.grad_checkpointing else layer(*maps)


class DenseCell(Cell):
    """DenseNet's group [Huang et al. 2017]: every layer's output is appended to its input."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H', W')``."""
        maps = [cast(DenseLayer, self[0]).transition(x)]
        for layer in self:
            maps.append(self.call(layer, *maps))
        return torch.cat(maps, 1)


class RandomSkipCell(Cell):
    """NN-Mass's cell [Section 3]: each layer sees the one before it and random channels of those before that."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to the last layer's ``(B, out, H', W')``; in an MLP ``(B, in)`` to ``(B, out)``."""
        maps = [self.call(self[0], x)]
        for layer in islice(self, 1, None):
            maps.append(self.call(layer, *maps))
        return maps[-1]


class DenseLayer(nn.Module):
    """DenseNet's layer: batch norm, activation, 1x1 to hidden (if any), batch norm, activation, k x k.

    A group's first layer holds its transition; the cell applies that, because the other layers see its output as well.
    """

    def __init__(self, group: Group, in_chs: int, index: int, position: int) -> None:
        super().__init__()
        layers = block_layers(group, in_chs, index)
        self.transition: nn.Module = nn.Identity()
        if "transition" in layers:
            self.transition = _preactivated(layers.pop("transition"), group.act).append(nn.AvgPool2d(2))
        self.branch = nn.Sequential(
            OrderedDict((name, _preactivated(layer, group.act)) for name, layer in layers.items())
        )

    def forward(self, *maps: Tensor) -> Tensor:
        """Map what the group has so far, maps of one size, to ``(B, growth, H, W)``."""
        return self.branch(torch.cat(maps, 1))


def _preactivated(layer: Layer, act: str) -> nn.Sequential:
    """Batch norm and activation before the layer's convolution."""
    return nn.Sequential(OrderedDict(norm=NormAct(layer.in_chs, act), conv=conv2d(layer)))


class RandomSkipLayer(nn.Module):
    """Batch norm, activation, k x k, over the last map and links; in a ``bare`` cell the first is k x k alone."""

    def __init__(self, group: Group, in_chs: int, index: int, position: int) -> None:
        super().__init__()
        layer = block_layers(group, in_chs, index)["conv"]
        self.skip = random_links(group, index, position)
        self.norm = nn.Identity() if group.bare and index == 0 else NormAct(layer.in_chs, group.act)
        self.conv = conv2d(layer)

    def forward(self, *maps: Tensor) -> Tensor:
        """Map the maps of all layers before this one to ``(B, out, H', W')``."""
        return self.conv(self.norm(self.skip(*maps)))


class RandomSkipMobileLayer(nn.Module):
    """MobileNetV2's expansion block over the last map and links: 1x1, k x k depthwise, 1x1; no residual link."""

    def __init__(self, group: Group, in_chs: int, index: int, position: int) -> None:
        super().__init__()
        layers = block_layers(group, in_chs, index)
        self.skip = random_links(group, index, position)
        self.expand = ConvNormAct(layers["expand"], group.act)
        self.depthwise = ConvNormAct(layers["depthwise"], group.act)
        self.project = ConvNormAct(layers["project"], act=None)

    def forward(self, *maps: Tensor) -> Tensor:
        """Map the maps of all layers before this one to ``(B, out, H', W')``."""
        return self.project(self.depthwise(self.expand(self.skip(*maps))))


class RandomSkipLinearLayer(nn.Module):
    """Linear layer with bias and an activation, over the last layer's outputs and links."""

    def __init__(self, group: Group, in_chs: int, index: int, position: int) -> None:
        super().__init__()
        self.skip = random_links(group, index, position)
        self.linear = linear(block_layers(group, in_chs, index)["linear"])
        self.act = activation(group.act)

    def forward(self, *maps: Tensor) -> Tensor:
        """Map the outputs of all layers before this one to ``(B, out)``."""
        return self.act(self.linear(self.skip(*maps)))


CELLS: dict[str, tuple[type[Cell], type[nn.Module]]] = {
    "dense": (DenseCell, DenseLayer),
    "random-skip": (RandomSkipCell, RandomSkipLayer),
    "random-skip-mobile": (RandomSkipCell, RandomSkipMobileLayer),
    "random-skip-linear": (RandomSkipCell, RandomSkipLinearLayer),
}
"""Cell and layer of every kind of the catalogue whose groups are one."""


def build_cell(group: Group, in_chs: int, position: int) -> Cell:
    """The cell of a group.

    Args:
        group: the group.
        in_chs: channels of the map that it sees.
        position: its place in the network, from 0; decides, with the group's seed, the random links.
    """
    cell, layer = CELLS[group.block]
    return cell(layer(group, in_chs, index, position) for index in range(group.depth))
