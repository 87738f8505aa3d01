"""A module as a graph of its operations with the shape of every tensor, and ways to walk through it."""

import operator
from contextlib import suppress
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from madnas.errors import UsageError
from madnas.measure.module_count import inference

SUMS = frozenset({operator.add, operator.iadd, torch.add})
PRODUCTS = frozenset({operator.mul, operator.imul, torch.mul})
CONCATENATIONS = frozenset({torch.cat, torch.concat})
LAYERS = (nn.Conv2d, nn.Linear)
LIBRARIES = ("torch", "timm", "torchvision", "madnas")


class LayerTracer(fx.Tracer):
    """Keeps layers in one piece, and the libraries' modules without any (norms, activations, poolings ...)."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        """Whether a module stays in one piece: what strangers wrote is looked into, a link may be in it."""
        if isinstance(module, LAYERS):
            return True
        known = type(module).__module__.partition(".")[0] in LIBRARIES
        return known and not any(isinstance(part, LAYERS) for part in module.modules())


def trace(module: nn.Module, input_shape: tuple[int, ...], whole: bool = False) -> fx.GraphModule:
    """Trace a module and give every node the shape of its tensor, for one image.

    Of timm's models whose head cannot be traced (VGG) it is the graph of what comes before.

    Args:
        module: any module that takes one tensor; it is left in the mode that it came in. On the meta device nothing is
            computed.
        input_shape: shape of one input without the batch.
        whole: with the head, or not at all.

    Raises:
        UsageError: it cannot be traced.
    """
    try:
        return _trace(module, input_shape)
    except Exception as error:  # whatever a module's code does with a proxy
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        attention = next((part for part in module.modules() if "attention" in type(part).__name__.lower()), None)
        if attention is not None:
            raise UsageError(f"has attention ({type(attention).__name__}), and its graph cannot be traced") from error
        if (
            hasattr(module, "forward_features") and not whole
        ):  # timm's, whose head may look at the size of its input (VGG)
            with suppress(Exception):
                return _trace(Features(module), input_shape)
        raise UsageError(f"{type(module).__name__} cannot be traced: {reason}") from error


class Features(nn.Module):
    """What a model of timm's computes before its head."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, C, H, W)`` to the last map."""
        network: Any = self.network
        return network.forward_features(x)


def _trace(module: nn.Module, input_shape: tuple[int, ...]) -> fx.GraphModule:
    with inference(module, input_shape) as x:
        traced = fx.GraphModule(module, LayerTracer().trace(module))
        ShapeProp(traced).propagate(x)
    return traced


def is_sum(node: fx.Node) -> bool:
    """Whether a node adds."""
    if node.op == "call_function":
        return node.target in SUMS
    return node.op == "call_method" and node.target in ("add", "add_")


def is_product(node: fx.Node) -> bool:
    """Whether a node multiplies."""
    if node.op == "call_function":
        return node.target in PRODUCTS
    return node.op == "call_method" and node.target in ("mul", "mul_")


def way_back(node: fx.Node) -> list[fx.Node]:
    """From a node to the input along the maps of features: the largest tensor that a step takes, gates aside."""
    way = [node]
    while way[-1].all_input_nodes:
        way.append(max(way[-1].all_input_nodes, key=lambda step: torch.Size(shape(step)).numel()))
    return way


def ways_of_sum(node: fx.Node) -> tuple[list[fx.Node], list[fx.Node]] | str | None:
    """The two ways of a residual sum, from the sum back to where they meet, the one with fewer layers first.

    Returns:
        The ways, each from its last node to the one before the meeting, empty for an identity; why there are none; or
        ``None`` if it is no sum of maps at all.
    """
    sides = [side for side in _operands(node) if len(shape(side)) > 2]
    if not is_sum(node) or len(sides) < 2:
        return None  # a constant, a bias
    if any(len(shape(side)) != MAP for side in sides):
        return "sum of tokens, which are no maps"
    one, other = (way_back(side) for side in sides)
    meeting = next((step for step in one if step in set(other)), None)
    if meeting is None:
        return "sum of two ways that do not meet"
    traced = node.graph.owning_module
    assert traced is not None
    ways = sorted((way[: way.index(meeting)] for way in (one, other)), key=lambda way: len(layers_on(traced, way)))
    return ways[0], ways[1]


MAP = 4
"""Dimensions of a batch of maps."""


def main_input(node: fx.Node) -> fx.Node | None:
    """What a residual sum adds to, or what a gate scales: the way that has the layers; ``None`` of other nodes.

    Raises:
        UsageError: two branches of which neither is a link or a gate.
    """
    ways = ways_of_sum(node)
    if isinstance(ways, str):
        raise UsageError(f"has a {ways}")
    if ways is not None:
        traced = node.graph.owning_module
        assert traced is not None
        shortcut, branch = ways
        if not branch or len(layers_on(traced, shortcut)) == len(layers_on(traced, branch)):
            raise UsageError("has a sum of two branches of which neither is a residual link")
        return branch[0]
    if not is_product(node):
        return None
    maps = [part for part in _operands(node) if len(shape(part)) == MAP]
    if len(maps) < 2 or any(_is_constant(part) for part in maps):
        return None  # a scale
    pair = next(((one, other) for one, other in (maps, maps[::-1]) if one in ancestors(other)), None)
    if pair is None:
        raise UsageError("has a product of two maps of which neither is a gate for the other")
    return pair[0] if _is_gate(*pair) else None


def _is_gate(scaled: fx.Node, factor: fx.Node) -> bool:
    """Whether a factor is made by layers or from a smaller map; else the product is an activation, as x sigmoid(x)."""
    traced = factor.graph.owning_module
    assert traced is not None
    between = [factor, *(ancestors(factor) - ancestors(scaled) - {scaled})]
    smaller = any(shape(one) and torch.Size(shape(one)).numel() < torch.Size(shape(scaled)).numel() for one in between)
    return smaller or any(
        isinstance(part, nn.Module) and any(True for _ in part.parameters())
        for part in (traced.get_submodule(str(one.target)) for one in between if one.op == "call_module")
    )


def _operands(node: fx.Node) -> list[fx.Node]:
    """What a sum or product is of, by place or by name."""
    named = [node.kwargs[name] for name in ("input", "other") if name in node.kwargs]
    return [one for one in (*node.args[:2], *named) if isinstance(one, fx.Node)]


def concatenated(node: fx.Node) -> list[fx.Node] | None:
    """The maps of a concatenation; empty where the graph does not tell them apart, None of other nodes."""
    if node.op != "call_function" or node.target not in CONCATENATIONS:
        return None
    parts = node.args[0] if node.args else node.kwargs.get("tensors")
    return [one for one in parts if isinstance(one, fx.Node)] if isinstance(parts, list | tuple) else []


def _is_constant(node: fx.Node) -> bool:
    """Whether a node does not depend on the input."""
    return all(one.op != "placeholder" for one in {node, *ancestors(node)})


def last_map(traced: fx.GraphModule) -> fx.Node:
    """The map before the global pooling.

    Raises:
        UsageError: there is none, or something else than maps is processed behind it.
    """
    (output,) = (node for node in traced.graph.nodes if node.op == "output")
    if not isinstance(output.args[0], fx.Node):
        raise UsageError("gives out several tensors")
    way = way_back(output.args[0])
    pools = [node for node in way if _is_global_pool(traced, node)]
    pooled = next((node for node in reversed(pools) if not _sees_neighbours(traced, way[: way.index(node)])), None)
    last = way[0] if pooled is None else next(one for one in way[way.index(pooled) + 1 :] if len(shape(one)) == MAP)
    if len(shape(last)) != MAP:
        raise UsageError("has no map of features before its classifier")
    tokens = next((node for node in way[: way.index(last)] if len(shape(node)) == MAP - 1), None)
    if tokens is not None:
        raise UsageError(f"processes tokens, which are no maps, at {tokens.name}")
    return last


def _sees_neighbours(traced: fx.GraphModule, nodes: list[fx.Node]) -> bool:
    """Whether there is a convolution over several pixels, which no classifier has."""
    return any(side_of(layer) > 1 for layer in layers_on(traced, nodes))


def _is_global_pool(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node makes one pixel, or a vector, of a map."""
    before = [one for one in node.all_input_nodes if len(shape(one)) == MAP]
    if not before:
        return False
    if node.op == "call_module":
        part = traced.get_submodule(str(node.target))
        if isinstance(part, POOLS) or type(part).__name__ == "SelectAdaptivePool2d":
            return True
        if any(True for _ in part.parameters()):
            return False
    return 0 < len(shape(node)) < MAP or (shape(node)[2:] == (1, 1) and shape(before[0])[2:] != (1, 1))


POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


def shape(node: fx.Node) -> tuple[int, ...]:
    """Shape of a node's tensor, for one image; empty if it is none."""
    meta = node.meta.get("tensor_meta")
    return tuple(getattr(meta, "shape", ()))


def layers_on(traced: fx.GraphModule, way: list[fx.Node]) -> list[nn.Module]:
    """Convolutions and linear layers on a way back, from input to output."""
    modules = [traced.get_submodule(str(node.target)) for node in reversed(way) if node.op == "call_module"]
    return [module for module in modules if isinstance(module, LAYERS)]


def side_of(layer: nn.Module) -> int:
    """Side of a layer's kernel; 1 of a linear layer."""
    return max(layer.kernel_size) if isinstance(layer, nn.Conv2d) else 1


def is_depthwise(layer: nn.Module) -> bool:
    """Whether a layer is a depthwise convolution."""
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1


def in_chs_of(layer: Any) -> int:
    """Input channels or features of a layer."""
    return int(layer.in_channels if isinstance(layer, nn.Conv2d) else layer.in_features)


def ancestors(node: fx.Node) -> set[fx.Node]:
    """All nodes that a node's value comes from."""
    seen: set[fx.Node] = set()
    stack = [node]
    while stack:
        for step in stack.pop().all_input_nodes:
            if step not in seen:
                seen.add(step)
                stack.append(step)
    return seen
