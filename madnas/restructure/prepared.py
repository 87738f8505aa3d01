"""A network's graph in the form in which linear runs are looked for."""

from typing import Any

import torch
from timm.layers import BatchNormAct2d, LayerScale
from torch import fx, nn

from madnas.measure.graph import is_product, shape, trace
from madnas.restructure.pieces import CHANNELS, FEATURES, NOTHING, is_shared, piece_of, source_of


def traced_for_merging(model: nn.Module, input_shape: tuple[int, ...]) -> fx.GraphModule:
    """A graph of a module in evaluation mode, in which norms, activations and scales are where they can be merged.

    Batch norms and activations are parts of their own; scales of channels come before a change of layout.

    Args:
        model: any that can be traced; its own modules are used.
        input_shape: of one image.

    Raises:
        UsageError: it cannot be traced.
    """
    traced = trace(model.eval(), input_shape, whole=True)
    for node in list(traced.graph.nodes):
        part = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
        if type(part) is BatchNormAct2d and not is_shared(traced, node):
            _take_apart(traced, node, part)
    for node in list(traced.graph.nodes):
        _scale_earlier(traced, node)
    traced.recompile()
    return traced


def _take_apart(traced: fx.GraphModule, node: fx.Node, part: Any) -> None:
    """timm's batch norm with an activation inside becomes a batch norm, and what follows in it."""
    norm = nn.BatchNorm2d(part.num_features, part.eps, part.momentum, part.affine, part.track_running_stats)
    norm.load_state_dict(part.state_dict(), strict=False)
    norm.to(part.running_mean).train(part.training)
    name, last = str(node.target), node
    for suffix, inner in (("_drop", part.drop), ("_act", part.act)):
        if isinstance(inner, nn.Identity):
            continue
        traced.add_submodule(f"{name}{suffix}", inner)
        with traced.graph.inserting_after(last):
            new = traced.graph.call_module(f"{name}{suffix}", (last,))
        new.meta.update(node.meta)
        for user in [one for one in last.users if one is not new]:
            user.replace_input_with(last, new)
        last = new
    traced.set_submodule(name, norm)


def _scale_earlier(traced: fx.GraphModule, node: fx.Node) -> None:
    """A scale of channels behind a linear layer and a change of layout goes before that (ConvNeXt's in timm)."""
    order = source_of(node) if is_product(node) and node.all_input_nodes else None
    moved = None if order is None or len(order.users) > 1 else _permutation(traced, order)
    if order is None or moved is None or moved[CHANNELS] != len(moved) - 1:
        return
    scale = piece_of(traced, node, CHANNELS)
    (before,) = order.all_input_nodes
    linear = _layer_before(traced, before)
    if scale is None or scale.dim != CHANNELS or linear is None or len(before.users) > 1:
        return
    name = f"{linear.target}_scale"
    layer = LayerScale(shape(before)[FEATURES]).to(next(traced.parameters()))
    with torch.no_grad():
        layer.gamma.copy_(scale.affine.weight.flatten())
    traced.add_submodule(name, layer.train(traced.training))
    with traced.graph.inserting_after(before):
        new = traced.graph.call_module(name, (before,))
    new.meta.update(before.meta)
    order.replace_input_with(before, new)
    node.replace_all_uses_with(order)
    traced.graph.erase_node(node)


def _permutation(traced: fx.GraphModule, node: fx.Node) -> list[int] | None:
    """Which dimension each one of a node's is of what it takes; None where it is no change of layout."""
    given: Any = node.args[1:]
    if node.op == "call_module":
        part = traced.get_submodule(str(node.target))
        given = part.dims if type(part).__name__ == "Permute" else None
    elif not ((node.op == "call_method" and node.target == "permute") or node.target is torch.permute):
        return None
    if given and len(given) == 1 and isinstance(given[0], tuple | list):
        (given,) = given
    if not given or node.kwargs or not all(type(one) is int for one in given):
        return None
    return [one % len(given) for one in given]


def _layer_before(traced: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The linear layer that gives out what a node does, over what changes nothing and nobody else sees."""
    while node.op == "call_module" and len(node.users) == 1:
        part = traced.get_submodule(str(node.target))
        if type(part) is nn.Linear:
            return None if is_shared(traced, node) else node
        if not isinstance(part, NOTHING):
            return None
        (node,) = node.all_input_nodes
    return None
