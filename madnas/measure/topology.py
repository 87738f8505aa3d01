"""NN-Mass of any module, from its traced graph: which known kinds of blocks it has, and what is none of them.

A residual block is found from its sum: the way back from both of its sides ends where they meet, and the layers on the
longer side say which kind it is. A dense cell is found from its concatenations, which grow layer by layer from the same
first map. What is summed or concatenated otherwise is counted and named in :attr:`Topology.left_out`, never guessed at.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from torch import fx, nn

from madnas.measure.graph import (
    ancestors,
    concatenated,
    in_chs_of,
    is_depthwise,
    layers_on,
    shape,
    side_of,
    trace,
    ways_of_sum,
)
from madnas.theory.nn_mass import (
    addition_density,
    basic_block_mass,
    bottleneck_mass,
    convnext_mass,
    dense_cell_mass,
    network_density,
    possible_additions,
)


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
    return topology_of(trace(module, input_shape))


def topology_of(traced: fx.GraphModule) -> Topology:
    """The same of a graph that was traced already."""
    left_out: Counter[str] = Counter()
    blocks = list(_residual_blocks(traced, left_out)) + list(_dense_cells(traced, left_out))
    return Topology(tuple(blocks), dict(left_out))


def _residual_blocks(traced: fx.GraphModule, left_out: Counter[str]) -> Iterator[Block]:
    for node in traced.graph.nodes:
        ways = ways_of_sum(node)
        if isinstance(ways, str):
            left_out[ways] += 1
        elif ways is not None:
            shortcut, branch = (layers_on(traced, way) for way in ways)
            block = _residual_block(shortcut, branch, node.name)
            if block is None:
                left_out[_describe(shortcut, branch)] += 1
            else:
                yield block


def _residual_block(shortcut: list[nn.Module], branch: list[nn.Module], where: str) -> Block | None:
    """The block of a sum, or ``None`` if it is of no known kind."""
    if len(shortcut) > 1 or any(side_of(layer) > 1 or is_depthwise(layer) for layer in shortcut):
        return None
    sides, depthwise = [side_of(layer) for layer in branch], [is_depthwise(layer) for layer in branch]
    widths = [in_chs_of(layer) for layer in branch]
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


def _describe(shortcut: list[nn.Module], branch: list[nn.Module]) -> str:
    def names(layers: list[nn.Module]) -> str:
        return (
            ", ".join(
                "linear"
                if isinstance(layer, nn.Linear)
                else f"{side_of(layer)}x{side_of(layer)}" + " depthwise" * is_depthwise(layer)
                for layer in layers
            )
            or "no layer"
        )

    return f"residual over [{names(branch)}] with shortcut [{names(shortcut)}]"


def _dense_cells(traced: fx.GraphModule, left_out: Counter[str]) -> Iterator[Block]:
    """Cells whose layers take the concatenation of all maps before them."""
    longest: dict[fx.Node, list[fx.Node]] = {}
    whole: dict[tuple[fx.Node, ...], fx.Node] = {}
    for node in traced.graph.nodes:
        maps = concatenated(node)
        if maps == []:
            left_out["concatenation of the parts of a tensor"] += 1
        elif maps is not None:
            whole[tuple(maps)] = node
            if len(maps) > len(longest.get(maps[0], ())):
                longest[maps[0]] = maps
    for maps in longest.values():
        added = {shape(part)[1] for part in maps[1:] if len(shape(part)) == 4}
        if len(maps) > MOST_SHALLOW and len(added) == 1 and _is_dense(traced, maps, whole):
            growth = added.pop()
            yield Block("dense", float(dense_cell_mass(growth, len(maps) - 1)), 1.0, maps[-1].name)
        elif len(maps) > 1:
            left_out[f"concatenation of {len(maps)} maps"] += 1


def _is_dense(traced: fx.GraphModule, maps: list[fx.Node], whole: dict[tuple[fx.Node, ...], fx.Node]) -> bool:
    """Whether every map is made, by layers, from the concatenation of all maps before it."""
    for place in range(2, len(maps)):
        before = whole.get(tuple(maps[:place]))
        made_of = ancestors(maps[place]) | {maps[place]}
        if before is None or before not in made_of:
            return False
        if not layers_on(traced, list(made_of - ancestors(before))):
            return False
    return True


MOST_SHALLOW = 3
"""Maps up to which a concatenation is no dense cell: density needs three layers."""
