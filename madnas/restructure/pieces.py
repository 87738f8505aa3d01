"""What a node of a traced network does, where that is linear."""

import operator
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers import Conv2dSame, DropPath
from torch import Tensor, fx, nn
from torch.nn import functional as F

from madnas.measure.graph import MAP, ancestors, is_sum, shape
from madnas.restructure.affine import Affine, Sides
from madnas.restructure.layers import CONVS, identity, of_conv, of_linear, of_norm, scaled, zeros

NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, DropPath)
"""Modules that change nothing in a test."""

CHANNELS, FEATURES = 1, -1
"""Where the numbers are that a convolution mixes, and a linear layer."""

ARITHMETIC = {
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), "+"),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, "sub", "sub_"), "-"),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul, "mul", "mul_"), "*"),
    **dict.fromkeys((operator.truediv, operator.itruediv, torch.div, "div", "div_"), "/"),
}
IN_PLACE = frozenset({operator.iadd, operator.isub, operator.imul, operator.itruediv, "add_", "sub_", "mul_", "div_"})


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A part of a run that is taken as a whole: a layer, or branches side by side with their sum.

    Attributes:
        nodes: of the graph, in its order; the last one gives the result.
        affine: what they do.
        dim: along which they do it: :data:`CHANNELS` or :data:`FEATURES`.
        macs: of one image.
        layers: convolutions and linear layers among them.
        idle: whether they change nothing, and cost nothing.
    """

    nodes: tuple[fx.Node, ...]
    affine: Affine
    dim: int
    macs: int = 0
    layers: int = 0
    idle: bool = False


def piece_of(traced: fx.GraphModule, node: fx.Node, dim: int | None = None) -> Piece | None:
    """What a node does to what it takes, if that is linear and pixels do not change their places.

    Args:
        traced: in evaluation mode; its nodes know their shapes.
        node: of it.
        dim: along which the layer before it works, for what works along any; None if there is none.
    """
    if len(shape(node)) < 2 or not node.all_input_nodes:
        return None
    own = dim or (CHANNELS if len(shape(node)) == MAP else FEATURES)
    if _does_nothing(traced, node):
        return Piece((node,), identity(shape(node)[own], zeros(0)), own, idle=True)
    if node.op == "call_module":
        return None if is_shared(traced, node) else _of_module(traced, node)
    return _of_arithmetic(traced, node, own)


def source_of(node: fx.Node) -> fx.Node:
    """What a node works on: of several inputs the one that depends on the image."""
    inputs = node.all_input_nodes
    return inputs[0] if len(inputs) == 1 else next(one for one in inputs if _is_variable(one))


def macs_of(affine: Affine, node: fx.Node) -> int:
    """Multiply-adds for one image of a layer whose result is a node's."""
    return affine.weight.numel() * torch.Size(shape(node)[1:]).numel() // affine.out_chs


def is_linear_prelu(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether the slope of a PReLU is 1, to the last bit."""
    slope = constant(traced, node.args[1])
    return slope is not None and bool((slope == 1).all())


def constant(traced: fx.GraphModule, value: Any) -> Tensor | None:
    """What a node is that does not depend on the input; None if it does."""
    if isinstance(value, int | float):
        return torch.as_tensor(value)
    found = _evaluated(traced, value) if isinstance(value, fx.Node) else None
    return found if isinstance(found, Tensor) else None


def is_shared(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a module is called more than once: it cannot be changed for one of its places."""
    return sum(one.op == "call_module" and one.target == node.target for one in traced.graph.nodes) > 1


def changes_in_place(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node changes what it works on: an activation, say, or arithmetic."""
    if node.op == "call_module":
        return any(getattr(part, "inplace", False) is True for part in traced.get_submodule(str(node.target)).modules())
    if node.kwargs.get("inplace") is True or node.target in IN_PLACE:
        return True
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return name.endswith("_") and not name.endswith("__")


def _does_nothing(traced: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        part = traced.get_submodule(str(node.target))
        return isinstance(part, NOTHING) or (type(part) is nn.PReLU and bool((part.weight == 1).all()))
    if node.target is F.prelu:
        return not node.kwargs and is_linear_prelu(traced, node)
    if node.target in (F.dropout, F.dropout2d):
        return False in (node.kwargs.get("training"), *node.args[2:3])
    return (
        is_sum(node) and len(node.all_input_nodes) == 1 and _adds_zero(node)
    )  # of branches that a block does not have


def _adds_zero(node: fx.Node) -> bool:
    others = [one for one in node.args if not isinstance(one, fx.Node)]
    return not node.kwargs and len(others) == 1 and isinstance(others[0], int | float) and others[0] == 0


def _of_module(traced: fx.GraphModule, node: fx.Node) -> Piece | None:
    part: Any = traced.get_submodule(str(node.target))
    if len(node.all_input_nodes) != 1:
        return None
    if type(part) in CONVS and part.padding_mode == "zeros" and len(shape(node)) == MAP:
        pad, around = _padding_before(traced, node)
        nodes: tuple[fx.Node, ...] = (node,)
        if pad is not None and type(part) is not Conv2dSame:
            nodes = (pad, node)
        affine = of_conv(part, around if len(nodes) > 1 else None)
        return Piece(nodes, affine, CHANNELS, macs_of(affine, node), 1)
    if type(part) is nn.Linear:
        affine = of_linear(part)
        return Piece((node,), affine, FEATURES, macs_of(affine, node), 1)
    dim = _dim_of_norm(part, len(shape(node)))
    if dim is not None:
        return Piece((node,), of_norm(part), dim)
    if type(part).__name__ in ("LayerScale", "LayerScale2d") and isinstance(getattr(part, "gamma", None), Tensor):
        gamma = part.gamma.detach().double()
        dim = CHANNELS if type(part).__name__ == "LayerScale2d" or gamma.dim() > 1 else FEATURES
        if part.inplace and not _may_change(node):
            return None
        return Piece((node,), scaled(gamma.flatten(), zeros(gamma.numel())), dim)
    return None


def _dim_of_norm(part: Any, dimensions: int) -> int | None:
    """Along which a batch norm works; None of other modules."""
    two = type(part) in (nn.BatchNorm2d, nn.SyncBatchNorm) or type(part).__name__ == "FrozenBatchNorm2d"
    if two and dimensions == MAP and part.running_mean is not None:
        return CHANNELS
    if type(part) is nn.BatchNorm1d and dimensions == 2 and part.running_mean is not None:
        return FEATURES
    return None


def _padding_before(traced: fx.GraphModule, node: fx.Node) -> tuple[fx.Node | None, Sides | None]:
    """A layer that only adds zeros around what a node takes, and how many."""
    before = node.all_input_nodes[0]
    if len(before.users) > 1 or len(before.all_input_nodes) != 1:
        return None, None
    sides: Any = None
    if before.op == "call_module":
        part: Any = traced.get_submodule(str(before.target))
        if type(part) is nn.ZeroPad2d or (type(part) is nn.ConstantPad2d and part.value == 0):
            sides = part.padding
    elif before.target is F.pad and not before.kwargs and before.args[2:] in ((), ("constant",), ("constant", 0)):
        sides = before.args[1]
    if (
        not isinstance(sides, tuple | list)
        or len(sides) != 4
        or not all(type(one) is int and one >= 0 for one in sides)
    ):
        return None, None
    left, right, top, bottom = sides
    return before, (left, right, top, bottom)


def _of_arithmetic(traced: fx.GraphModule, node: fx.Node, dim: int) -> Piece | None:
    """A number for every channel that is added or multiplied."""
    what = ARITHMETIC.get(node.target) if node.op in ("call_function", "call_method") else None
    if what is None or node.kwargs or len(node.args) != 2:
        return None
    first, second = (constant(traced, value) for value in node.args)
    if (first is None) == (second is None) or (second is None and what == "/"):
        return None
    known, given = (first, node.args[1]) if second is None else (second, node.args[0])
    if known is None or not isinstance(given, fx.Node) or shape(given) != shape(node) or not _is_real(given):
        return None
    if node.target in IN_PLACE and (second is None or not _may_change(node)):
        return None
    for own in dict.fromkeys((dim, CHANNELS, FEATURES)):
        values = _along(known.double(), shape(node), own)
        if values is not None:
            return Piece((node,), _arithmetic(what, values, second is None), own)
    return None


def _arithmetic(what: str, values: Tensor, first: bool) -> Affine:
    ones = torch.ones_like(values)
    if what == "+":
        return scaled(ones, values)
    if what == "-":
        return scaled(-ones, values) if first else scaled(ones, -values)
    return scaled(values if what == "*" else 1 / values, zeros(len(values)))


def _along(values: Tensor, whole: tuple[int, ...], dim: int) -> Tensor | None:
    """Constants as one for each number along a dimension (C,); None where they differ along others."""
    if values.dim() > len(whole):
        return None
    chs, place = whole[dim], dim % len(whole)
    full = (1,) * (len(whole) - values.dim()) + tuple(values.shape)
    if any(side != 1 for at, side in enumerate(full) if at != place) or full[place] not in (1, chs):
        return None
    return values.flatten().expand(chs)


def _may_change(node: fx.Node) -> bool:
    """Whether nobody else sees what a node works on, so that it does not matter if it changes it in place."""
    return len(source_of(node).users) == 1


def _is_variable(node: fx.Node) -> bool:
    return node.op == "placeholder" or any(one.op == "placeholder" for one in ancestors(node))


def _is_real(node: fx.Node) -> bool:
    """Whether a node gives out numbers with fractions, and not places or yes and no."""
    dtype = getattr(node.meta.get("tensor_meta"), "dtype", None)
    return isinstance(dtype, torch.dtype) and dtype.is_floating_point


def _evaluated(traced: fx.GraphModule, value: Any) -> Any:
    """The value of a node that does not depend on the input; None if it does."""
    if not isinstance(value, fx.Node):
        return value
    if value.op == "get_attr":
        return operator.attrgetter(str(value.target))(traced).detach()
    if value.op not in ("call_function", "call_method") or not value.all_input_nodes or _is_variable(value):
        return None
    known = {one: _evaluated(traced, one) for one in value.all_input_nodes}
    if any(one is None for one in known.values()):
        return None
    given: Any = fx.node.map_arg(value.args, known.__getitem__)
    named: Any = fx.node.map_arg(value.kwargs, known.__getitem__)
    target: Any = value.target
    found = getattr(given[0], target)(*given[1:], **named) if value.op == "call_method" else target(*given, **named)
    return found
