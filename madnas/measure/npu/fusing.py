"""What TFLite's converter merges: norms into the layers before them, ReLUs into the operators before them."""

from collections.abc import Mapping
from dataclasses import replace

from madnas.measure.npu.graph import Graph, Operation, Option, Tensor, rewired, used
from madnas.measure.npu.lowering import ACTIVATION, NONE

FUSIBLE = ("RELU", "RELU6", "RELU_N1_TO_1")
"""Activations that other operators can have."""

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def fused(graph: Graph) -> Graph:
    """The graph with as few operators as a converter makes; weights are not multiplied, for they are random."""
    readers = graph.consumers()
    instead: dict[Tensor, Tensor] = {}
    last: dict[Tensor, int] = {}
    kept: list[Operation] = []
    for operation in used(graph.operations, graph.outputs):
        step = rewired(operation, instead)
        place = last.get(step.inputs[0])
        before = None if place is None or readers[step.inputs[0]] > 1 else kept[place]
        merged = None if before is None else _merged(before, step)
        if merged is None:
            last[step.output] = len(kept)
            kept.append(step)
        else:
            assert place is not None
            kept[place] = merged
            instead[step.output] = merged.output
            readers[merged.output] = readers[step.output]
    outputs = tuple(instead.get(tensor, tensor) for tensor in graph.outputs)
    return replace(graph, operations=tuple(kept), outputs=outputs)


def _merged(before: Operation, step: Operation) -> Operation | None:
    """Two operators as one, or None."""
    if before.options.get(ACTIVATION) != NONE:
        return None
    if step.kind in FUSIBLE:
        return replace(before, options=_with(before.options, step.kind))
    if before.kind in WEIGHTED and _is_per_channel(step):
        return replace(before, options=_with(before.options, str(step.options[ACTIVATION])))
    return None


def _with(options: Mapping[str, Option], activation: str) -> dict[str, Option]:
    return {**options, ACTIVATION: activation}


def _is_per_channel(step: Operation) -> bool:
    """Whether an operator multiplies or shifts whole channels by constants."""
    if step.kind not in ("MUL", "ADD") or len(step.inputs) < 2 or step.inputs[1].values is None:
        return False
    return all(size == 1 for size in step.inputs[1].shape[:-1])
