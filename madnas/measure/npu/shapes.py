"""Rules for what only moves numbers: layouts, slices, concatenations."""

from collections.abc import Sequence
from typing import Any

import torch

from madnas.measure.npu.graph import Option
from madnas.measure.npu.lowering import IMAGE, PLAIN, Call, Lowering, Value, rule


@rule("dropout", "feature_dropout", "alias", "clone", "contiguous", "detach", "to", "_to_copy", "type_as", shares=True)
def nothing(low: Lowering, call: Call) -> Any:
    """What changes nothing in evaluation."""
    return next(iter(call.arguments.values()))


@rule("permute", shares=True)
def permute(low: Lowering, call: Call) -> Value:
    """Dimensions in another order: what is stored stays."""
    x: Value = call["self"]
    dims = [dim % len(x.order) for dim in call["dims"]]
    return Value(x.tensor, tuple(dims.index(dim) for dim in x.order))


@rule("transpose", shares=True)
def transpose(low: Lowering, call: Call) -> Value:
    """Two dimensions in each other's place."""
    x: Value = call["self"]
    dims = list(range(len(x.order)))
    one, other = call["dim0"], call["dim1"]
    dims[one], dims[other] = dims[other], dims[one]
    return permute(low, Call(call.name, {"self": x, "dims": dims}, call.shape, call.linear_only))


@rule("view", "reshape", "flatten", "squeeze", "unsqueeze", "_unsafe_view", "unflatten", "expand", shares=True)
def reshape(low: Lowering, call: Call) -> Value:
    """Numbers in torch's order with other sizes.

    Vectors that only linear layers read keep the order in which they are stored, because a layer's weights can be in
    any.
    """
    x: Value = call["self"]
    if x.shape == call.shape:
        return x
    if torch.Size(x.shape).numel() != torch.Size(call.shape).numel():
        raise low.refusal("a map repeated along a dimension")
    straight = range(len(x.order))
    if not (call.linear_only and len(call.shape) == 2):
        x = low.arranged(x, straight)
    if len(call.shape) == len(IMAGE) and _is_vector(call.shape):
        return low.reshaped(x, [call.shape[dim] for dim in IMAGE], IMAGE)
    return low.reshaped(x, call.shape, range(len(call.shape)))


def _is_vector(shape: Sequence[int]) -> bool:
    """Whether only the channels have several places, so that every layout stores the same."""
    return tuple(shape[2:]) == (1, 1)


@rule("cat", "concat")
def cat(low: Lowering, call: Call) -> Value:
    """A concatenation."""
    values = call["tensors"]
    if not all(isinstance(one, Value) for one in values):
        raise low.refusal("a concatenation with a constant")
    first: Value = values[0]
    parts = [low.arranged(one, first.order) for one in values]
    axis = first.axis(call["dim"])
    shape = list(first.tensor.shape)
    shape[axis] = sum(one.tensor.shape[axis] for one in parts)
    return low.emit("CONCATENATION", parts, shape, first, same_scale=True,
                    options={**PLAIN, "Axis": axis})  # fmt: skip


@rule("slice", shares=True)
def slice_(low: Lowering, call: Call) -> Value:
    """Every n-th place of a dimension; a pooling of single pixels does it over the whole of a map."""
    x: Value = call["self"]
    axis = x.axis(call["dim"])
    size = x.tensor.shape[axis]
    start, end, step = slice(call["start"], call["end"], call["step"]).indices(size)
    if (start, end, step) == (0, size, 1):
        return x
    shape = list(x.tensor.shape)
    shape[axis] = len(range(start, end, step))
    whole = start == 0 and shape[axis] == -(-size // step)  # a pooling goes on as far as the map does
    if step > 1 and whole and x.order == IMAGE and axis in (1, 2):
        strides = [step if axis == place else 1 for place in (1, 2)]
        options: dict[str, Option] = {
            "Padding": "VALID", "StrideH": strides[0], "StrideW": strides[1], "FilterHeight": 1, "FilterWidth": 1,
            **PLAIN,
        }  # fmt: skip
        return low.emit("MAX_POOL_2D", [x], shape, x, same_scale=True, options=options)
    return cut(low, x, axis, start, end, step)


def cut(low: Lowering, x: Value, axis: int, start: int, end: int, step: int = 1) -> Value:
    """Places of a stored axis."""
    rank, sizes = len(x.order), x.tensor.shape
    begins = [start if place == axis else 0 for place in range(rank)]
    ends = [end if place == axis else sizes[place] for place in range(rank)]
    steps = [step if place == axis else 1 for place in range(rank)]
    shape = [len(range(*bounds)) for bounds in zip(begins, ends, steps, strict=True)]
    bounds = [low.integers(one) for one in (begins, ends, steps)]
    return low.emit("STRIDED_SLICE", [x, *bounds], shape, x, same_scale=True)


@rule("chunk", "split", "split_with_sizes", shares=True)
def split(low: Lowering, call: Call) -> tuple[Value, ...]:
    """Parts of a dimension."""
    x: Value = call["self"]
    axis = x.axis(call["dim"])
    size = x.tensor.shape[axis]
    if "chunks" in call.arguments:
        sizes: Any = -(-size // call["chunks"])
    else:
        sizes = call.arguments.get("split_size", call.arguments.get("split_sizes"))
    if isinstance(sizes, int):
        sizes = [min(sizes, size - start) for start in range(0, size, sizes)]
    parts, start = [], 0
    for one in sizes:
        parts.append(cut(low, x, axis, start, start + one))
        start += one
    return tuple(parts)


@rule("index_select")
def index_select(low: Lowering, call: Call) -> Value:
    """Chosen places of a dimension."""
    x: Value = call["self"]
    axis, chosen = x.axis(call["dim"]), call["index"]
    if isinstance(chosen, Value):
        raise low.refusal("a choice that depends on the image")
    shape = list(x.tensor.shape)
    shape[axis] = len(chosen)
    places = low.integers(chosen.tolist())
    return low.emit("GATHER", [x, places], shape, x, same_scale=True, options={"Axis": axis})


@rule("pad", "constant_pad_nd", shares=True)
def pad(low: Lowering, call: Call) -> Value:
    """Zeros around."""
    x: Value = call["self"]
    if call.arguments.get("mode", "constant") != "constant":
        raise low.refusal(f"a padding by {call['mode']}")
    amounts, rank = call["pad"], len(x.order)
    by_dim = {rank - 1 - place: (amounts[2 * place], amounts[2 * place + 1]) for place in range(len(amounts) // 2)}
    pads = [by_dim.get(dim, (0, 0)) for dim in x.order]
    if not any(map(any, pads)):
        return x
    if any(amount < 0 for one in pads for amount in one):
        raise low.refusal("a padding by less than nothing")
    shape = [size + sum(one) for size, one in zip(x.tensor.shape, pads, strict=True)]
    value = call.arguments.get("value")
    if not value:
        return low.emit("PAD", [x, low.integers(pads)], shape, x, same_scale=True)
    return low.emit("PADV2", [x, low.integers(pads), low.like(value, x)], shape, x, same_scale=True)
