"""Collapse: what is linear in a row or side by side becomes one convolution, in a traced module."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from torch import Tensor, fx, nn

from madnas.measure.graph import LAYERS
from madnas.restructure.affine import Affine, Unmergeable
from madnas.restructure.border import conv_of, linear_of
from madnas.restructure.pieces import FEATURES, Piece, changes_in_place, macs_of, source_of
from madnas.restructure.places import owner_of
from madnas.restructure.runs import Left, Run, composed, names_of, runs_of

Segment = tuple[Piece, ...]
"""Pieces in a row that become one."""


@dataclass(frozen=True, slots=True)
class Merge:
    """What is to become one convolution.

    Attributes:
        pieces: in a row.
    """

    pieces: Segment

    @property
    def source(self) -> fx.Node:
        """What goes in, now: it changes when that is merged itself."""
        return source_of(self.nodes[0])

    @property
    def dim(self) -> int:
        """Along which it works."""
        return self.pieces[0].dim

    @property
    def nodes(self) -> tuple[fx.Node, ...]:
        """All nodes, in the graph's order."""
        return tuple(node for piece in self.pieces for node in piece.nodes)

    @property
    def end(self) -> fx.Node:
        """What comes out."""
        return self.nodes[-1]

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of its modules."""
        return names_of(self.nodes)

    @property
    def layers(self) -> int:
        """Convolutions and linear layers before."""
        return sum(piece.layers for piece in self.pieces)

    @property
    def macs(self) -> int:
        """Multiply-adds of one image before."""
        return sum(piece.macs for piece in self.pieces)

    @property
    def macs_after(self) -> int:
        """Multiply-adds of one image after."""
        return macs_of(_shape_of(self.pieces), self.end)


def plan(traced: fx.GraphModule, costly: bool = False, only: Sequence[str] = ()) -> tuple[list[Merge], list[Left]]:
    """What to merge so that the fewest multiply-adds are left, then the fewest layers; and what is better left.

    Args:
        traced: by :func:`traced_for_merging`.
        costly: the fewest layers first, whatever that costs.
        only: names of modules; nothing is merged but what is in one of them as a whole. Empty for the network.
    """
    runs, left = runs_of(traced, costly, only)
    merges = []
    for row in (row for run in runs for row in _within(run, only)):
        if not any(piece.layers for piece in row):
            continue
        chosen = _segments(row, costly)
        merges += [Merge(one) for one in chosen if _changes(one) and any(piece.layers for piece in one)]
        if not costly:
            left += _left(row, chosen)
    return merges, left


def name_of(traced: fx.GraphModule, merge: Merge) -> str:
    """The name of the first layer that is merged, which the new one gets."""
    return next(name for name in merge.modules if isinstance(traced.get_submodule(name), LAYERS))


def made(merge: Merge, like: Tensor) -> nn.Conv2d | nn.Linear:
    """The one layer, in the precision and on the device of a tensor."""
    affine = composed(merge.pieces)
    return linear_of(affine, like) if merge.dim == FEATURES else conv_of(affine, like)


def apply(traced: fx.GraphModule, merge: Merge) -> None:
    """Replace nodes by one layer, in the place of their first one."""
    layer = made(merge, next(traced.parameters()))
    name = name_of(traced, merge)
    layer.train(traced.training)
    with traced.graph.inserting_before(min(merge.nodes)):  # an activation in place may change the source later
        new = traced.graph.call_module(name, (merge.source,))
    new.meta.update(merge.end.meta)
    merge.end.replace_all_uses_with(new)
    for node in reversed(merge.nodes):
        traced.graph.erase_node(node)
    traced.set_submodule(name, layer)


def finish(traced: fx.GraphModule) -> fx.GraphModule:
    """Drop what nothing uses any more."""
    traced.graph.eliminate_dead_code(lambda node: node.is_impure() or changes_in_place(traced, node))
    traced.delete_all_unused_submodules()
    _drop_tensors(traced)
    traced.graph.lint()
    traced.recompile()
    return traced


def _drop_tensors(traced: fx.GraphModule) -> None:
    """Drop parameters and buffers that no node and no module that is called looks at, such as slopes that were 1."""
    called = {str(node.target) for node in traced.graph.nodes if node.op == "call_module"}
    looked_at = {str(node.target) for node in traced.graph.nodes if node.op == "get_attr"}
    for place, part in traced.named_modules(remove_duplicate=False):
        if any(place == one or place.startswith(f"{one}.") for one in called):
            continue
        own = [name for name, _ in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))]
        for name in own:
            if f"{place}.{name}".lstrip(".") not in looked_at:
                delattr(part, name)


def _within(run: Run, only: Sequence[str]) -> list[Segment]:
    """A run, cut where one of some modules begins or ends, without what is in none of them."""
    if not only:
        return [run.pieces]
    rows = groupby(run.pieces, lambda piece: owner_of(piece.nodes, only))
    return [tuple(pieces) for owner, pieces in rows if owner is not None]


def _segments(pieces: Segment, costly: bool) -> list[Segment]:
    """The best way to cut a row, by dynamic programming over where the last cut is."""
    best: list[tuple[tuple[int, ...], list[Segment]]] = [((0, 0, 0, 0), [])]
    for end in range(1, len(pieces) + 1):
        choices = []
        for start in range(end):
            segment = pieces[start:end]
            cost = _cost(segment, costly)
            if cost is not None:
                before, cuts = best[start]
                total = tuple(one + own for one, own in zip(before, cost, strict=True))
                choices.append((total, [*cuts, segment]))
        best.append(min(choices, key=lambda choice: choice[0]))
    return best[-1][1]


def _cost(segment: Segment, costly: bool) -> tuple[int, ...] | None:
    """Multiply-adds, operations, borders and changes of a segment; None where it is no convolution."""
    if not _changes(segment):
        (piece,) = segment
        operations = 0 if piece.idle else len(piece.nodes)
        return _order(costly, piece.macs, operations, 0, 0)
    if not any(piece.layers for piece in segment):  # norms alone: they stay as they are
        return _order(costly, 0, len(segment[0].nodes), 0, 0) if len(segment) == 1 else None
    try:
        whole = _shape_of(segment)
    except Unmergeable:
        return None
    macs = macs_of(whole, segment[-1].nodes[-1])
    border = int(whole.border is not None)
    return _order(costly, macs, 1, border, 1)


def _order(costly: bool, macs: int, operations: int, border: int, change: int) -> tuple[int, ...]:
    """What comes first is saved first."""
    return (operations, macs, border, change) if costly else (macs, operations, border, change)


def _changes(segment: Segment) -> bool:
    """Whether there is more than one node to merge."""
    return len(segment) > 1 or len(segment[0].nodes) > 1


def _shape_of(pieces: Segment) -> Affine:
    """Pieces as one without their numbers: the same rules on tensors that hold nothing."""
    return composed(tuple(replace(piece, affine=_hollow(piece.affine)) for piece in pieces))


def _hollow(affine: Affine) -> Affine:
    border = None if affine.border is None else affine.border.to("meta")
    return replace(affine, weight=affine.weight.to("meta"), bias=affine.bias.to("meta"), border=border)


def _left(row: Segment, chosen: list[Segment]) -> list[Left]:
    """What fewer layers would cost."""
    found = []
    for segment in _segments(row, costly=True):
        if not _changes(segment) or segment in chosen:
            continue
        costs = [_cost(one, costly=False) for one in chosen if one[0] in segment and one[-1] in segment]
        before = sum(cost[0] for cost in costs if cost is not None)
        after = macs_of(_shape_of(segment), segment[-1].nodes[-1])
        if after > before:
            found.append(Left(names_of(tuple(node for piece in segment for node in piece.nodes)), before, after))
    return found
