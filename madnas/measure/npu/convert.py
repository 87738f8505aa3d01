"""From a module to an int8 graph of TFLite's operators, by the functions of torch that an export of it calls."""

import operator
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.export.graph_signature import OutputKind

from madnas.errors import UsageError
from madnas.measure.module_count import inference

# Rules register themselves.
from madnas.measure.npu import layers, pointwise, pooling, shapes  # noqa: F401
from madnas.measure.npu.fusing import fused
from madnas.measure.npu.graph import Graph, Tensor
from madnas.measure.npu.inplace import function_name, functional, out_of_place
from madnas.measure.npu.lowering import IMAGE, RULES, Call, Lowering, Value

CHECKS = ("_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range_for_size")
"""Functions that compute nothing."""

ATTENTION = ("scaled_dot_product_attention", "_native_multi_head_attention", "_transformer_encoder_layer_fwd")
"""Functions that are named in one word when they are refused."""


def convert(
    module: nn.Module, input_shape: tuple[int, ...], relu6: bool = False, seed: int = 0, name: str = ""
) -> Graph:
    """Convert a network for one image; weights are random.

    Args:
        module: any that torch can export; it is left in the mode that it came in.
        input_shape: (C, H, W), or (F,) of vectors.
        relu6: take all activations as ReLU6.
        seed: of the weights.
        name: of the network.

    Raises:
        UsageError: it cannot be exported, or something in it has no counterpart.
    """
    program = _export(module, input_shape)
    low = Lowering(seed, relu6)
    shape = (1, *input_shape)
    order = IMAGE if len(shape) == len(IMAGE) else tuple(range(len(shape)))
    image = Value(Tensor("input", tuple(shape[dim] for dim in order)), order)
    outputs = _walk(program, low, image)
    return fused(Graph(name, image.tensor, tuple(value.tensor for value in outputs), tuple(low.operations)))


def _export(module: nn.Module, input_shape: tuple[int, ...]) -> Any:
    try:
        with inference(module, input_shape) as x, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a module keeps for itself while it is exported
            return functional(torch.export.export(module, (x,)))
    except Exception as error:  # whatever a module's code does with a symbolic tensor
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UsageError(f"{type(module).__name__} cannot be exported: {reason}") from error


def _walk(program: Any, low: Lowering, image: Value) -> list[Value]:
    """Apply the rules in order.

    Returns:
        what the network gives out; maps channels last.
    """
    attention = next((node for node in program.graph.nodes if function_name(node) in ATTENTION), None)
    if attention is not None:
        low.where = _where(attention)
        raise low.refusal("attention")
    known: dict[fx.Node, Any] = {}
    constants = _constants(program)
    for node in program.graph.nodes:
        if node.op == "placeholder":
            known[node] = constants.get(node.name, image)
        elif node.op == "get_attr":  # a constant, or a part of the graph that some function is called with
            stored = getattr(program.graph_module, str(node.target), None)
            known[node] = stored if isinstance(stored, torch.Tensor) else None
        elif node.op == "output":
            results = fx.node.map_arg(node.args[0], lambda one: known[one])
            given = zip(program.graph_signature.output_specs, results, strict=True)
            values = [one for spec, one in given if spec.kind is OutputKind.USER_OUTPUT and isinstance(one, Value)]
            return [low.image(one) if len(one.order) == len(IMAGE) else one for one in values]
        elif node.op == "call_function":
            low.where = _where(node)
            known[node] = _called(node, low, known)
    raise AssertionError("a graph without outputs")


def _constants(program: Any) -> dict[str, torch.Tensor]:
    """Parameters and buffers by the names of their nodes; copies, for a network may work in place on them."""
    signature = program.graph_signature
    places = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    places |= signature.inputs_to_lifted_tensor_constants
    stored = {**program.state_dict, **program.constants}
    return {name: stored[place].detach().cpu().clone() for name, place in places.items()}


def _called(node: fx.Node, low: Lowering, known: dict[fx.Node, Any]) -> Any:
    """The result of one call."""
    args: Any
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda one: known[one])
    if node.target is operator.getitem:
        return args[0][int(args[1])] if isinstance(args[0], tuple | list) else args[0]
    overload: Any = node.target
    name = function_name(node)
    if not name:
        raise low.refusal(getattr(overload, "__name__", str(overload)))
    if name in CHECKS:
        return None
    if not _depends(args, kwargs):
        return overload(*args, **kwargs)
    if name.startswith("new_"):  # a constant that has only its device and precision from a map
        return _filled(name, args, kwargs, node.meta["val"].dtype)
    pure = out_of_place(name)
    found = RULES.get(pure or name)
    if found is None:
        raise low.refusal(name)
    names = [argument.name for argument in overload._schema.arguments]
    defaults = {one.name: one.default_value for one in overload._schema.arguments}
    arguments = {**defaults, **dict(zip(names, args, strict=False)), **kwargs}
    if any(isinstance(arguments.get(key), Value) for key in ("weight", "bias")):
        raise low.refusal(f"{name} with weights that depend on the image")
    result = found(low, Call(name, arguments, _shape(node), _linear_only(node)))
    if pure is not None:
        _replace(known, args[0], result)
    return result


def _depends(*arguments: Any) -> bool:
    """Whether a call's arguments have something in them that depends on the image."""
    for one in arguments:
        parts = one.values() if isinstance(one, Mapping) else one if isinstance(one, tuple | list) else ()
        if isinstance(one, Value) or _depends(*parts):
            return True
    return False


def _filled(name: str, args: Any, kwargs: Any, dtype: torch.dtype) -> torch.Tensor:
    """A constant of the kind of ``new_ones``."""
    fill = {"new_ones": 1.0, "new_zeros": 0.0}.get(name)
    return torch.full(tuple(args[1]), kwargs.get("fill_value", args[2] if fill is None else fill), dtype=dtype)


def _shape(node: fx.Node) -> tuple[int, ...]:
    """Sizes of what a node gives out first."""
    value = node.meta.get("val")
    first = value[0] if isinstance(value, tuple | list) else value
    return tuple(int(size) for size in getattr(first, "shape", ()))


def _linear_only(node: fx.Node) -> bool:
    """Whether all that reads a node are linear layers, perhaps behind what changes nothing."""

    def reads(user: fx.Node) -> bool:
        return function_name(user) == "linear" or (function_name(user) == "dropout" and _linear_only(user))

    return bool(node.users) and all(map(reads, node.users))


def _where(node: fx.Node) -> str:
    """Name of the module that a node comes from."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return str(stack[-1][0]).removeprefix("L['self']").lstrip(".") if stack else ""


def _replace(known: dict[fx.Node, Any], old: Any, new: Any) -> None:
    """What worked in place has changed its argument, under all of its names."""
    for node, value in known.items():
        if value is old:
            known[node] = new
