"""Rules for poolings and means."""

from typing import Any

from madnas.measure.npu.lowering import IMAGE, KEEP, PLAIN, Call, Lowering, Value, rule
from madnas.measure.npu.padding import bordered, padded, pair


@rule("max_pool2d", "max_pool2d_with_indices")
def max_pool2d(low: Lowering, call: Call) -> Value:
    """A maximum over windows."""
    size, stride = pair(call["kernel_size"]), pair(call["stride"] or call["kernel_size"])
    if pair(call["dilation"]) != [1, 1]:
        raise low.refusal("a dilated pooling")
    x, padding = bordered(low, low.image(call["self"]), size, stride, call["padding"], call.shape[2:], lowest=True)
    return _pool(low, "MAX_POOL_2D", x, size, stride, padding, call)


@rule("avg_pool2d")
def avg_pool2d(low: Lowering, call: Call) -> Value:
    """A mean over windows; TFLite's own padding is not counted in the mean, and zeros put around before are."""
    x = low.image(call["self"])
    size, stride = pair(call["kernel_size"]), pair(call["stride"] or call["kernel_size"])
    before = pair(call["padding"])
    if call["divisor_override"] is not None:
        raise low.refusal("a mean with a divisor of its own")
    if call["count_include_pad"] and any(before):
        x = padded(low, x, [(before[0], before[0]), (before[1], before[1])])
        before = [0, 0]
    inside = x
    x, padding = bordered(low, x, size, stride, before, call.shape[2:])
    if x is not inside:
        raise low.refusal("a mean that leaves out pixels which TFLite would not leave out")
    return _pool(low, "AVERAGE_POOL_2D", x, size, stride, padding, call)


def _pool(low: Lowering, kind: str, x: Value, size: Any, stride: Any, padding: str, call: Call) -> Value:
    options = {
        "Padding": padding, "StrideH": stride[0], "StrideW": stride[1], "FilterHeight": size[0],
        "FilterWidth": size[1], **PLAIN,
    }  # fmt: skip
    shape = [1, *call.shape[2:], x.tensor.shape[-1]]
    return low.emit(kind, [x], shape, x, same_scale=True, options=options)


@rule("adaptive_avg_pool2d", "adaptive_max_pool2d", shares=True)
def adaptive_pool2d(low: Lowering, call: Call) -> Value:
    """A pooling to a number of pixels that divides the map's."""
    maximum = "adaptive_max_pool2d" in call.name
    x = low.image(call["self"])
    sides, out = x.tensor.shape[1:3], call.shape[2:]
    if tuple(out) == sides:
        return x
    if tuple(out) == (1, 1) and not maximum:
        return low.emit("MEAN", [x, low.integers([1, 2])], [1, 1, 1, x.tensor.shape[3]], x, options=KEEP)
    if any(side % number for side, number in zip(sides, out, strict=True)):
        raise low.refusal(f"an adaptive pooling from {sides[0]} x {sides[1]} to {out[0]} x {out[1]} pixels")
    size = [side // number for side, number in zip(sides, out, strict=True)]
    return _pool(low, "MAX_POOL_2D" if maximum else "AVERAGE_POOL_2D", x, size, size, "VALID", call)


@rule("mean")
def mean(low: Lowering, call: Call) -> Value:
    """A mean over dimensions."""
    return reduced(low, "MEAN", call["self"], call.arguments.get("dim"), call.arguments.get("keepdim", False))


@rule("sum")
def total(low: Lowering, call: Call) -> Value:
    """A sum over dimensions."""
    return reduced(low, "SUM", call["self"], call.arguments.get("dim"), call.arguments.get("keepdim", False))


@rule("linalg_vector_norm")
def vector_norm(low: Lowering, call: Call) -> Value:
    """A Euclidean norm over dimensions."""
    x: Value = call["self"]
    if call["ord"] != 2:
        raise low.refusal(f"a norm of order {call['ord']}")
    squares = low.emit("MUL", [x, x], x.tensor.shape, x, options=PLAIN)
    sums = reduced(low, "SUM", squares, call["dim"], call["keepdim"])
    return low.emit("SQRT", [sums], sums.tensor.shape, sums)


def reduced(low: Lowering, kind: str, x: Value, dims: Any, keep: bool) -> Value:
    """A reduction over some of torch's dimensions, or all."""
    rank = len(x.order)
    which = range(rank) if dims is None else [dims] if isinstance(dims, int) else dims
    gone = {int(dim) % rank for dim in which}
    axes = sorted(x.axis(dim) for dim in gone)
    if keep:
        shape = [1 if axis in axes else size for axis, size in enumerate(x.tensor.shape)]
        return low.emit(kind, [x, low.integers(axes)], shape, x, options=KEEP)
    stay = [dim for dim in x.order if dim not in gone]
    order = [sorted(stay).index(dim) for dim in stay]
    shape = [x.tensor.shape[x.axis(dim)] for dim in stay]
    return low.emit(kind, [x, low.integers(axes)], shape, x, order, options={"KeepDims": False})


@rule("upsample_nearest2d")
def upsample_nearest2d(low: Lowering, call: Call) -> Value:
    """A map made larger by repeating its pixels."""
    x = low.image(call["input"])
    shape = [1, *call.shape[2:], x.tensor.shape[3]]
    return low.emit("RESIZE_NEAREST_NEIGHBOR", [x, low.integers(shape[1:3])], shape, x, IMAGE, same_scale=True)
