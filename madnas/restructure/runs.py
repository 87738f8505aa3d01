"""Where a network is linear: layers in a row or side by side, with nothing else between them."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import fx

from madnas.measure.graph import is_sum, shape
from madnas.restructure.affine import Affine, Unmergeable
from madnas.restructure.layers import identity
from madnas.restructure.pieces import IN_PLACE, Piece, changes_in_place, macs_of, piece_of, source_of
from madnas.restructure.places import owner_of


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
    def dim(self) -> int:
        """Along which they work."""
        return self.pieces[-1].dim

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


def runs_of(traced: fx.GraphModule, costly: bool = False, only: Sequence[str] = ()) -> tuple[list[Run], list[Left]]:
    """The longest linear runs of a traced module whose nodes know their shapes, and sums that are better left.

    Args:
        traced: in evaluation mode.
        costly: take branches as one also where that has more multiply-adds.
        only: names of modules; branches that are not in one of them together with their sum are none. Empty for all.
    """
    found: dict[fx.Node, Run] = {}
    left: list[Left] = []
    for node in traced.graph.nodes:
        run = _continued(traced, node, found) or (_branches(traced, node, found) if is_sum(node) else None)
        if run is None:
            continue
        (piece,) = run.pieces[-1:]
        if only and len(run.pieces[-1].nodes) > 1 and owner_of(run.pieces[-1].nodes, only) is None:
            continue
        if not costly and is_sum(node) and piece.layers:
            after = macs_of(piece.affine, node)
            if after > piece.macs:
                left.append(Left(names_of(piece.nodes), piece.macs, after))
                continue
        found[node] = run
    inner = {one for run in found.values() for piece in run.pieces for one in piece.nodes[:-1]}
    inner |= {piece.nodes[-1] for run in found.values() for piece in run.pieces[:-1]}
    return [run for node, run in found.items() if node not in inner], left


def names_of(nodes: tuple[fx.Node, ...]) -> tuple[str, ...]:
    """The modules' names of nodes."""
    return tuple(str(node.target) for node in nodes if node.op == "call_module")


def _continued(traced: fx.GraphModule, node: fx.Node, found: dict[fx.Node, Run]) -> Run | None:
    """The run that ends with a layer; None of other nodes."""
    before = next((found[one] for one in node.all_input_nodes if one in found and len(one.users) == 1), None)
    piece = piece_of(traced, node, None if before is None else before.dim)
    if piece is None:
        return None
    source = source_of(piece.nodes[0])
    earlier = found.get(source)
    if earlier is not None and len(source.users) == 1 and earlier.dim == piece.dim:
        return Run(earlier.source, (*earlier.pieces, piece))
    return Run(source, (piece,))


def _branches(traced: fx.GraphModule, node: fx.Node, found: dict[fx.Node, Run]) -> Run | None:
    """The run that is a sum of linear branches of one map; None of other sums."""
    sides = [one for one in node.args if isinstance(one, fx.Node)]
    if len(set(sides)) != 2 or node.kwargs or len(node.args) != 2 or any(shape(one) != shape(node) for one in sides):
        return None
    runs = [found[side] for side in sides if side in found and len(side.users) == 1]
    if not runs or len({run.dim for run in runs}) > 1:
        return None
    source, dim = runs[0].source, runs[0].dim
    whole: Affine | None = None
    for side in sides:
        run = next((one for one in runs if one.end is side), None)
        if (source if run is None else run.source) is not (side if run is None else source):
            return None
        try:
            own = identity(shape(side)[dim], runs[0].pieces[0].affine.bias) if run is None else composed(run.pieces)
            whole = own if whole is None else whole.plus(own)
        except Unmergeable:
            return None
    assert whole is not None
    pieces = [piece for run in runs for piece in run.pieces]
    nodes = (*(one for piece in pieces for one in piece.nodes), node)
    if node.target in IN_PLACE and any(one > node for one in source.users):
        return None  # the sum would have changed what those see
    if any(one < node and one not in nodes and changes_in_place(traced, one) for one in source.users):
        return None  # some of the branches see what it was before
    costs = sum(one.macs for one in pieces), sum(one.layers for one in pieces)
    return Run(source, (Piece(nodes, whole, dim, *costs),))


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
