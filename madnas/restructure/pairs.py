"""Where a network has two layers with nothing but an activation between them."""

from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, fx, nn

from madnas.measure.graph import MAP, shape
from madnas.restructure.pieces import NOTHING, is_shared

ACTIVATIONS = frozenset({"ReLU", "ReLU6", "GELU", "GELUTanh", "QuickGELU", "SiLU", "Swish", "Mish", "Hardswish",
                         "HardSwish", "HardSwishMe", "Sigmoid", "Tanh", "ELU", "LeakyReLU", "Hardsigmoid"})  # fmt: skip
"""Names of modules that map every number by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two layers with an activation between them.

    Attributes:
        first: node of the first layer.
        act: of the activation.
        last: of the second layer.
        hidden: units between them.
        pixels: of the map.
    """

    first: fx.Node
    act: fx.Node
    last: fx.Node
    hidden: int
    pixels: int

    @property
    def name(self) -> str:
        """Of the first layer."""
        return str(self.first.target)


def pairs_of(traced: fx.GraphModule) -> list[Pair]:
    """All pairs of layers with an activation between them, in the network's order."""
    found: list[Pair] = []
    taken: set[fx.Node] = set()
    for node in traced.graph.nodes:
        pair = _pair(traced, node)
        if pair is not None and pair.first not in taken:  # of three layers in a row, the first two
            found.append(pair)
            taken.add(pair.last)
    return found


def module_at(traced: fx.GraphModule, node: fx.Node) -> nn.Module:
    """The module that a node calls."""
    return traced.get_submodule(str(node.target))


def _pair(traced: fx.GraphModule, node: fx.Node) -> Pair | None:
    """The pair that begins with a node."""
    if not _is_pointwise(traced, node):
        return None
    hidden = len(matrix_of(module_at(traced, node)))
    act = _next(traced, node)
    if act is None or act.op != "call_module" or type(module_at(traced, act)).__name__ not in ACTIVATIONS:
        return None
    last = None if is_shared(traced, act) else _next(traced, act)
    if last is None or not _is_pointwise(traced, last) or matrix_of(module_at(traced, last)).shape[1] != hidden:
        return None
    sides = shape(node)[2:] if len(shape(node)) == MAP and dim_of(module_at(traced, node)) == 1 else shape(node)[1:-1]
    return Pair(node, act, last, hidden, prod(sides))


def _next(traced: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The only node that uses a node's value, over those that change nothing."""
    while len(node.users) == 1:
        (node,) = node.users
        if node.op != "call_module" or not isinstance(module_at(traced, node), NOTHING):
            return node
    return None


def _is_pointwise(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is a linear layer, or a 1x1 convolution that is one."""
    if node.op != "call_module" or is_shared(traced, node):
        return False
    part = module_at(traced, node)
    if type(part) is nn.Linear:
        return True
    return (
        type(part) is nn.Conv2d
        and part.kernel_size == part.stride == (1, 1)
        and part.padding == (0, 0)
        and part.groups == 1
    )


def matrix_of(layer: Any) -> Tensor:
    """Weights (out, in)."""
    found: Tensor = layer.weight.detach().flatten(1)
    return found


def dim_of(layer: nn.Module) -> int:
    """Where a layer's units are."""
    return -1 if isinstance(layer, nn.Linear) else 1
