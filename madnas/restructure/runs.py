"""Where a network is linear: layers in a row or side by side, with nothing else between them."""

import operator
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers import DropPath
from torch import Tensor, fx, nn
from torch.nn import functional as F

from madnas.measure.graph import MAP, is_sum, shape
from madnas.restructure.affine import Affine, Unmergeable, identity, of_conv, of_norm

NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d, DropPath)
"""Modules that change nothing in a test."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A part of a run that is taken as a whole: a layer, or branches side by side with their sum.

    Attributes:
        nodes: of the graph, in its order; the last one gives the result.
        affine: what they do.
        macs: of one image.
        layers: convolutions among them.
    """

    nodes: tuple[fx.Node, ...]
    affine: Affine
    macs: int
    layers: int


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Layers in a row that are linear together.

    Attributes:
        source: what goes in.
        pieces: one or more.
    """

    source: fx.Node
    pieces: tuple[Piece, ...]

    @property
    def end(self) -> fx.Node:
        """What comes out."""
        return self.pieces[-1].nodes[-1]


@dataclass(frozen=True, slots=True)
class Left:
    """What could be merged and would have more multiply-adds.

    Attributes:
        modules: their names.
        before: multiply-adds for one image.
        after: if it were one.
    """

    modules: tuple[str, ...]
    before: int
    after: int


def runs_of(traced: fx.GraphModule, costly: bool = False) -> tuple[list[Run], list[Left]]:
    """The longest linear runs of a traced module whose nodes know their shapes, and sums that are better left.

    Args:
        traced: in evaluation mode.
        costly: take branches as one also where that has more multiply-adds.
    """
    found: dict[fx.Node, Run] = {}
    left: list[Left] = []
    for node in traced.graph.nodes:
        run = _continued(traced, node, found) or (_branches(node, found) if is_sum(node) else None)
        if run is None:
            continue
        (piece,) = run.pieces[-1:]
        after = macs_of(piece.affine, node)
        if after > piece.macs and not costly:
            left.append(Left(names_of(piece.nodes), piece.macs, after))
            continue
        found[node] = run
    inner = {one for run in found.values() for piece in run.pieces for one in piece.nodes[:-1]}
    inner |= {piece.nodes[-1] for run in found.values() for piece in run.pieces[:-1]}
    return [run for node, run in found.items() if node not in inner], left


def names_of(nodes: tuple[fx.Node, ...]) -> tuple[str, ...]:
    """The modules' names of nodes."""
    return tuple(str(node.target) for node in nodes if node.op == "call_module")


def macs_of(affine: Affine, node: fx.Node) -> int:
    """Multiply-adds for one image of a map whose result is a node's; of batch norms 0, as everywhere."""
    return 0 if affine.is_diagonal else affine.macs_per_pixel * shape(node)[2] * shape(node)[3]


def _continued(traced: fx.GraphModule, node: fx.Node, found: dict[fx.Node, Run]) -> Run | None:
    """The run that ends with a layer; None of other nodes."""
    affine = _layer(traced, node)
    if affine is None:
        return None
    before = node.all_input_nodes[0]
    counted = not affine.is_diagonal
    piece = Piece((node,), affine, macs_of(affine, node), int(counted))
    if before in found and len(before.users) == 1:
        return Run(found[before].source, (*found[before].pieces, piece))
    return Run(before, (piece,))


def _branches(node: fx.Node, found: dict[fx.Node, Run]) -> Run | None:
    """The run that is a sum of linear branches of one map; None of other sums."""
    sides = [one for one in node.args if isinstance(one, fx.Node)]
    if len(set(sides)) != 2 or node.kwargs or len(node.args) != 2 or any(shape(one) != shape(node) for one in sides):
        return None
    runs = [found[side] for side in sides if side in found and len(side.users) == 1]
    if not runs:
        return None
    source = runs[0].source
    whole: Affine | None = None
    for side in sides:
        run = next((one for one in runs if one.end is side), None)
        if (source if run is None else run.source) is not (side if run is None else source):
            return None
        try:
            own = identity(shape(side)[1], runs[0].pieces[0].affine.weight) if run is None else composed(run.pieces)
            whole = own if whole is None else whole.plus(own)
        except Unmergeable:
            return None
    assert whole is not None
    pieces = [piece for run in runs for piece in run.pieces]
    nodes = [one for piece in pieces for one in piece.nodes]
    return Run(
        source,
        (Piece((*nodes, node), whole, sum(one.macs for one in pieces), sum(one.layers for one in pieces)),),
    )


def composed(pieces: tuple[Piece, ...]) -> Affine:
    """Pieces in a row as one.

    Raises:
        Unmergeable: they are not.
    """
    first, *others = pieces
    whole = first.affine
    for piece in others:
        whole = whole.then(piece.affine)
    return whole


def _layer(traced: fx.GraphModule, node: fx.Node) -> Affine | None:
    """What a node does to a map, if that is linear."""
    inputs = node.all_input_nodes
    if not inputs or len(shape(node)) != MAP or len(shape(inputs[0])) != MAP:
        return None
    same = identity(shape(node)[1], torch.zeros((), dtype=torch.float64))
    if is_sum(node) and len(inputs) == 1 and _adds_zero(node):  # of branches that a block does not have
        return same
    if node.op == "call_function" and node.target is F.prelu and not node.kwargs:
        return same if is_linear_prelu(traced, node) else None
    if node.op != "call_module" or len(inputs) != 1 or is_shared(traced, node):
        return None
    part = traced.get_submodule(str(node.target))
    if type(part) is nn.Conv2d and part.padding_mode == "zeros" and not isinstance(part.padding, str):
        return of_conv(part)
    if type(part) is nn.BatchNorm2d and part.running_mean is not None:
        return of_norm(part)
    if isinstance(part, NOTHING) or (type(part) is nn.PReLU and bool((part.weight == 1).all())):
        return same
    return None


def _adds_zero(node: fx.Node) -> bool:
    others = [one for one in node.args if not isinstance(one, fx.Node)]
    return not node.kwargs and len(others) == 1 and isinstance(others[0], int | float) and others[0] == 0


def is_linear_prelu(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether the slope of a PReLU is 1, to the last bit."""
    slope = constant(traced, node.args[1])
    return slope is not None and bool((slope == 1).all())


def constant(traced: fx.GraphModule, value: Any) -> Tensor | None:
    """What a node is that does not depend on the input; None if it does."""
    if isinstance(value, int | float):
        return torch.as_tensor(value)
    if not isinstance(value, fx.Node):
        return None
    if value.op == "get_attr":
        return operator.attrgetter(str(value.target))(traced).detach()
    function: Any = value.target
    if value.op != "call_function" or value.kwargs:
        return None
    parts = [constant(traced, one) for one in value.args]
    return None if any(one is None for one in parts) else function(*parts)


def is_shared(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a module is called more than once: it cannot be changed for one of its places."""
    return sum(one.op == "call_module" and one.target == node.target for one in traced.graph.nodes) > 1
