"""NN-Mass of any module, from its traced graph: which known kinds of blocks it has, and what is none of them.

A residual block is found from its sum: the way back from both of its sides ends where they meet, and the layers on the
longer side say which kind it is. A dense cell is found from its concatenations, which grow layer by layer from the same
first map. What is summed or concatenated otherwise is counted and named in :attr:`Topology.left_out`, never guessed at.
"""

import operator
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from madnas.errors import UsageError
from madnas.measure.module_count import inference
from madnas.theory.nn_mass import (
    addition_density,
    basic_block_mass,
    bottleneck_mass,
    convnext_mass,
    dense_cell_mass,
    network_density,
    possible_additions,
)

SUMS = frozenset({operator.add, operator.iadd, torch.add})
LAYERS = (nn.Conv2d, nn.Linear)


@dataclass(frozen=True, slots=True)
class Block:
    """A block that was recognised.

    Attributes:
        kind: ``basic``, ``bottleneck``, ``inverted-residual``, ``separable``, ``convnext`` or ``dense`` (a whole cell).
        mass: its NN-Mass, in channels.
        density: share of the possible skip connections that it has.
        where: name of its last node in the graph.
    """

    kind: str
    mass: float
    density: float
    where: str


@dataclass(frozen=True, slots=True)
class Topology:
    """Topology of a traced module.

    Attributes:
        blocks: the blocks that were recognised, from input to output.
        left_out: what was not, and how often.
    """

    blocks: tuple[Block, ...]
    left_out: dict[str, int]

    @property
    def mass(self) -> float:
        """NN-Mass of the recognised blocks."""
        return sum(block.mass for block in self.blocks)

    @property
    def density(self) -> float:
        """Mean density of the recognised blocks; 0 without any."""
        return float(network_density([block.density for block in self.blocks]))


class _Tracer(fx.Tracer):
    """Keeps modules without layers of their own (norms, activations, poolings, stochastic depth) in one piece."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return isinstance(module, LAYERS) or not any(isinstance(part, LAYERS) for part in module.modules())


def topology(module: nn.Module, input_shape: tuple[int, ...]) -> Topology:
    """Trace a module and recognise its blocks.

    Args:
        module: any module that takes one tensor; it is left in the mode that it came in.
        input_shape: shape of one input without the batch.

    Raises:
        UsageError: it cannot be traced.

    >>> from timm import create_model
    >>> found = topology(create_model("resnet18"), (3, 64, 64))
    >>> len(found.blocks), found.mass, found.left_out
    (8, 3392.0, {})
    """
    try:
        with inference(module, input_shape) as x:
            traced = fx.GraphModule(module, _Tracer().trace(module))
            ShapeProp(traced).propagate(x)
    except Exception as error:  # whatever a module's code does with a proxy
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{type(module).__name__} cannot be traced: {reason}") from error
    left_out: Counter[str] = Counter()
    blocks = list(_residual_blocks(traced, left_out)) + list(_dense_cells(traced, left_out))
    return Topology(tuple(blocks), dict(left_out))


def _residual_blocks(traced: fx.GraphModule, left_out: Counter[str]) -> Iterator[Block]:
    for node in traced.graph.nodes:
        if _is_sum(node):
            sides = [side for side in node.args[:2] if isinstance(side, fx.Node) and len(_shape(side)) > 2]
            if len(sides) < 2:
                continue  # a constant, a bias
            if any(len(_shape(side)) != 4 for side in sides):
                left_out["sum of tokens, which are no maps"] += 1
                continue
            one, other = (_way_back(side) for side in sides)
            meeting = next((step for step in one if step in set(other)), None)
            if meeting is None:
                left_out["sum of two ways that do not meet"] += 1
                continue
            ways = [_layers(traced, way[: way.index(meeting)]) for way in (one, other)]
            shortcut, branch = sorted(ways, key=len)
            block = _residual_block(shortcut, branch, node.name)
            if block is None:
                left_out[_describe(shortcut, branch)] += 1
            else:
                yield block


def _is_sum(node: fx.Node) -> bool:
    if node.op == "call_function":
        return node.target in SUMS
    return node.op == "call_method" and node.target in ("add", "add_")


def _way_back(node: fx.Node) -> list[fx.Node]:
    """From a node to the input along the maps of features: the largest tensor that a step takes, gates aside."""
    way = [node]
    while way[-1].all_input_nodes:
        way.append(max(way[-1].all_input_nodes, key=lambda step: torch.Size(_shape(step)).numel()))
    return way


def _shape(node: fx.Node) -> tuple[int, ...]:
    meta = node.meta.get("tensor_meta")
    return tuple(getattr(meta, "shape", ()))


def _layers(traced: fx.GraphModule, way: list[fx.Node]) -> list[nn.Module]:
    """Convolutions and linear layers on a way back, from input to output."""
    modules = [traced.get_submodule(str(node.target)) for node in reversed(way) if node.op == "call_module"]
    return [module for module in modules if isinstance(module, LAYERS)]


def _residual_block(shortcut: list[nn.Module], branch: list[nn.Module], where: str) -> Block | None:
    """The block of a sum, or ``None`` if it is of no known kind."""
    if len(shortcut) > 1 or any(_side(layer) > 1 or _depthwise(layer) for layer in shortcut):
        return None
    sides, depthwise = [_side(layer) for layer in branch], [_depthwise(layer) for layer in branch]
    widths = [_in_chs(layer) for layer in branch]
    match sides, depthwise:
        case [[_, _], [False, False]] if min(sides) > 1:
            return Block("basic", float(basic_block_mass(*widths)), 1.0, where)
        case [[_, 1], [True, False]] if not shortcut:
            return _bottleneck("separable", widths[0], widths[0], where)
        case [[1, _, 1], [False, True, False]] if not shortcut:
            return _bottleneck("inverted-residual", widths[0], widths[1], where)
        case [[1, _, 1], [False, False, False]]:
            return _bottleneck("bottleneck", widths[0], widths[1], where)
        case [[_, 1, 1], [True, False, False]] if not shortcut:
            return Block("convnext", float(convnext_mass(widths[0], widths[2] / widths[0])), 1 / 3, where)
    return None


def _bottleneck(kind: str, outer: int, inner: int, where: str) -> Block:
    density = addition_density(outer, possible_additions((outer, inner, inner)))
    return Block(kind, float(bottleneck_mass(outer, inner)), float(density), where)


def _side(layer: nn.Module) -> int:
    return max(layer.kernel_size) if isinstance(layer, nn.Conv2d) else 1


def _depthwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1


def _in_chs(layer: Any) -> int:
    return int(layer.in_channels if isinstance(layer, nn.Conv2d) else layer.in_features)


def _describe(shortcut: list[nn.Module], branch: list[nn.Module]) -> str:
    def names(layers: list[nn.Module]) -> str:
        return (
            ", ".join(
                "linear"
                if isinstance(layer, nn.Linear)
                else f"{_side(layer)}x{_side(layer)}" + " depthwise" * _depthwise(layer)
                for layer in layers
            )
            or "no layer"
        )

    return f"residual over [{names(branch)}] with shortcut [{names(shortcut)}]"


def _dense_cells(traced: fx.GraphModule, left_out: Counter[str]) -> Iterator[Block]:
    """Cells whose layers take the concatenation of all maps before them."""
    longest: dict[fx.Node, list[fx.Node]] = {}
    for node in traced.graph.nodes:
        if node.op == "call_function" and node.target in (torch.cat, torch.concat):
            maps = [part for part in node.args[0] if isinstance(part, fx.Node)]
            if len(maps) > len(longest.get(maps[0], ())):
                longest[maps[0]] = maps
    for first, maps in longest.items():
        added = {_shape(part)[1] for part in maps[1:] if len(_shape(part)) == 4}
        grows = all(first in _ancestors(part) for part in maps[1:])
        if len(maps) > MOST_SHALLOW and len(added) == 1 and grows:
            growth = added.pop()
            yield Block("dense", float(dense_cell_mass(growth, len(maps) - 1)), 1.0, maps[-1].name)
        elif len(maps) > 1:
            left_out[f"concatenation of {len(maps)} maps"] += 1


MOST_SHALLOW = 3
"""Maps up to which a concatenation is no dense cell: density needs three layers."""


def _ancestors(node: fx.Node) -> set[fx.Node]:
    seen: set[fx.Node] = set()
    stack = [node]
    while stack:
        for step in stack.pop().all_input_nodes:
            if step not in seen:
                seen.add(step)
                stack.append(step)
    return seen
