"""Entropy, rho and layers of any module from its traced graph, by the same formulas as those of a description.

Layers on the main path are found by walking back from the last map, through the branches of residual sums and past
gates. A stage ends where the map gets smaller; a block that takes the stride belongs to the next one as a whole. What
has no such path (tokens, parallel branches, concatenations) has no entropy, and says why.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Any

import torch
from torch import fx, nn

from madnas.errors import UsageError
from madnas.measure.graph import (
    LAYERS,
    MAP,
    ancestors,
    concatenated,
    in_chs_of,
    last_map,
    main_input,
    shape,
    ways_of_sum,
)
from madnas.network.analyse import Stage, Structure
from madnas.theory.entropy import cnn_entropy, layer_width, log_variance

ATTENTION = ("softmax", "scaled_dot_product_attention", "matmul", "bmm", "einsum")
"""Parts of operators' names that attention has, and chains of convolutions do not."""


FUNCTIONS = ("conv", "linear", "bilinear")
"""Beginnings of the names of functions that are layers without a module."""


MOST_BEFORE = 1
"""Layers of a block before its strided one, at most; a module that has more is no block but a part of a network."""


@dataclass(frozen=True, slots=True)
class TracedLayer:
    """A layer on the main path.

    Attributes:
        name: of its module.
        width: inputs per output, c k^2 / g.
        out_chs: output channels.
        resolution: height and width of its output.
        strided: whether it makes its map smaller itself.
    """

    name: str
    width: int
    out_chs: int
    resolution: tuple[int, int]
    strided: bool


def structure(traced: fx.GraphModule) -> Structure:
    """Structural scores of a traced module; without the depths of its groups, which a graph does not tell.

    Raises:
        UsageError: its layers are no single path of convolutions; says what stands in the way.

    >>> from timm import create_model
    >>> from madnas.measure.graph import trace
    >>> found = structure(trace(create_model("resnet18"), (3, 224, 224)))
    >>> found.depth, round(found.rho, 4), len(found.stages)
    (17, 0.0136, 5)
    """
    layers = main_layers(traced)
    stages: list[Stage] = []
    before = 0.0
    for members in _stages(layers):
        last = members[-1]
        log_widths = float(log_variance([layer.width for layer in members]))
        before += log_widths
        side = sqrt(last.resolution[0] * last.resolution[1])
        stages.append(Stage(side, last.out_chs, len(members), log_widths, cnn_entropy(side, last.out_chs, before)))
    return Structure(tuple(stages), ())


def main_layers(traced: fx.GraphModule) -> list[TracedLayer]:
    """Convolutions on the main path (linear layers over the pixels of a map included), from input to output.

    Raises:
        UsageError: there is no single path.
    """
    last = last_map(traced)
    before = [*ancestors(last), last]
    for node in before:
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        if any(part in name for part in ATTENTION) and node.op != "call_module":
            raise UsageError(f"has attention ({name}), which is no convolution")
    path = _main_path(last)
    aside = _beside(before)
    for node in before:
        if node in aside:
            continue
        if node.op == "call_function" and name.startswith(FUNCTIONS):
            raise UsageError(f"calls {name} as a function, which has no layer that could be read")
        if node.op == "call_module" and _layer(traced, node) is None:
            part = traced.get_submodule(str(node.target))
            if any(parameter.ndim > 1 for parameter in part.parameters()):
                raise UsageError(f"has a {type(part).__name__}, which is no convolution over maps")
    known = aside | set(path)
    others = [node for node in before if _layer(traced, node) is not None and node not in known]
    if others:
        raise UsageError(f"has {len(others)} layers in parallel branches, such as {others[0].target}")
    return [_traced_layer(traced, node) for node in reversed(path) if _layer(traced, node) is not None]


def _main_path(last: fx.Node) -> list[fx.Node]:
    """Nodes from the last map back to the input."""
    path = [last]
    while path[-1].all_input_nodes:
        node = path[-1]
        if len(shape(node)) != MAP:
            raise UsageError(f"has tokens or vectors on its way, at {node.name}")
        kept = main_input(node)
        if concatenated(node) is not None:
            raise UsageError(f"concatenates maps, at {node.name}")
        path.append(kept or max(node.all_input_nodes, key=lambda one: torch.Size(shape(one)).numel()))
    return path


def _beside(nodes: list[fx.Node]) -> set[fx.Node]:
    """Nodes of residual links and of gates, which are not on the main path by design."""
    found: set[fx.Node] = set()
    for node in nodes:
        ways = ways_of_sum(node)
        if isinstance(ways, tuple):
            found.update(ways[0])
        elif ways is None and (kept := main_input(node)) is not None:
            (gate,) = (one for one in node.all_input_nodes if one is not kept)
            found |= {gate} | (ancestors(gate) - ancestors(kept) - {kept})
    return found


def _layer(traced: fx.GraphModule, node: fx.Node) -> Any:
    """The layer of a node, if it is one."""
    part = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
    return part if isinstance(part, LAYERS) else None


def _traced_layer(traced: fx.GraphModule, node: fx.Node) -> TracedLayer:
    layer = _layer(traced, node)
    size = shape(node)
    if isinstance(layer, nn.Linear):  # over the pixels of a map, channels last
        return TracedLayer(str(node.target), in_chs_of(layer), layer.out_features, (size[1], size[2]), False)
    height, width_of_kernel = layer.kernel_size  # may differ, as 1 x 7
    width = layer_width(layer.in_channels, 1, layer.groups) * height * width_of_kernel
    return TracedLayer(str(node.target), width, layer.out_channels, (size[2], size[3]), max(layer.stride) > 1)


def _stages(layers: list[TracedLayer]) -> list[list[TracedLayer]]:
    """Layers by stage."""
    starts = {0}
    for place in range(1, len(layers)):
        if _area(layers[place]) < _area(layers[place - 1]):
            starts.add(_block_start(layers, place) if layers[place].strided else place)
    edges = [*sorted(starts), len(layers)]
    return [layers[start:end] for start, end in pairwise(edges)]


def _block_start(layers: list[TracedLayer], place: int) -> int:
    """Place of the first layer of the block that a strided layer belongs to, by the names of modules.

    The block is the smallest module with several layers, if the others in it keep the size of the map.
    """
    parts = layers[place].name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        prefix = ".".join(parts[:length]) + "."
        start = place
        while start > 0 and layers[start - 1].name.startswith(prefix):
            start -= 1
        end = place + 1
        while end < len(layers) and layers[end].name.startswith(prefix):
            end += 1
        if end - start > 1:
            inside = [layer for layer in layers[start:end] if layer.strided]
            return start if len(inside) == 1 and place - start <= MOST_BEFORE else place
    return place


def _area(layer: TracedLayer) -> int:
    return layer.resolution[0] * layer.resolution[1]
