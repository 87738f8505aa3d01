"""Rules for layers with weights: convolutions, linear layers, norms."""

import math

import torch

from madnas.measure.npu.graph import Option
from madnas.measure.npu.lowering import KEEP, PLAIN, Call, Lowering, Value, rule
from madnas.measure.npu.padding import bordered, pair
from madnas.measure.npu.pointwise import scaled, shifted


@rule("conv2d", "convolution")
def conv2d(low: Lowering, call: Call) -> Value:
    """A convolution: over all channels, depthwise, or by groups."""
    x = low.image(call["input"])
    out_chs, in_chs, *kernel = call["weight"].shape
    groups, stride, dilation = call["groups"], pair(call["stride"]), pair(call["dilation"])
    if call.arguments.get("transposed"):
        raise low.refusal("a transposed convolution")
    extent = [(size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True)]
    x, padding = bordered(low, x, extent, stride, call["padding"], call.shape[2:])
    options: dict[str, Option] = {
        "Padding": padding, "StrideH": stride[0], "StrideW": stride[1], "DilationHFactor": dilation[0],
        "DilationWFactor": dilation[1], **PLAIN,
    }  # fmt: skip
    shape = [1, call.shape[2], call.shape[3], out_chs]
    macs = math.prod(shape) * in_chs * math.prod(kernel)
    if groups > 1 and in_chs == 1 and out_chs == groups:
        weights = low.weights([1, *kernel, out_chs])
        options["DepthMultiplier"] = 1
        return low.emit("DEPTHWISE_CONV_2D", [x, weights, low.bias(out_chs)], shape, x, macs=macs, options=options)
    weights = low.weights([out_chs, *kernel, in_chs])  # fewer input channels than the map has: by groups
    return low.emit("CONV_2D", [x, weights, low.bias(out_chs)], shape, x, macs=macs, options=options)


@rule("linear")
def linear(low: Lowering, call: Call) -> Value:
    """A linear layer: over vectors, or as a 1x1 convolution over the pixels of a map that has its channels last."""
    x: Value = call["input"]
    out_chs, in_chs = call["weight"].shape
    last = len(x.order) - 1
    if x.order[-1] != last:
        x = low.arranged(x, range(last + 1))
    shape = [*x.tensor.shape[:-1], out_chs]
    macs = math.prod(shape) * in_chs
    if len(shape) == 4:
        options: dict[str, Option] = {"Padding": "VALID", "StrideH": 1, "StrideW": 1, **PLAIN}
        weights = low.weights([out_chs, 1, 1, in_chs])
        return low.emit("CONV_2D", [x, weights, low.bias(out_chs)], shape, x, macs=macs, options=options)
    weights = low.weights([out_chs, in_chs])
    return low.emit("FULLY_CONNECTED", [x, weights, low.bias(out_chs)], shape, x, macs=macs,
                    options={**PLAIN, "KeepNumDims": len(shape) > 2})  # fmt: skip


@rule("batch_norm", "_native_batch_norm_legit_no_training")
def batch_norm(low: Lowering, call: Call) -> Value:
    """A batch norm of evaluation: a product and a sum, which the convolution before it takes where there is one."""
    x: Value = call["input"]
    per_channel = (-1, *(1,) * (len(x.order) - 2))
    variance, mean = call["running_var"], call["running_mean"]
    if call.arguments.get("training") or variance is None:
        raise low.refusal("a batch norm without running statistics")
    scale = torch.rsqrt(variance + call["eps"])
    scale = scale if call["weight"] is None else scale * call["weight"]
    shift = -mean * scale if call["bias"] is None else call["bias"] - mean * scale
    return shifted(low, scaled(low, x, scale.reshape(per_channel)), shift.reshape(per_channel))


@rule("layer_norm")
def layer_norm(low: Lowering, call: Call) -> Value:
    """A layer norm over the last dimension, spelled out."""
    x: Value = call["input"]
    if len(call["normalized_shape"]) != 1:
        raise low.refusal("a layer norm over several dimensions")
    axis = x.axis(-1)
    shape = x.tensor.shape
    small = [1 if place == axis else size for place, size in enumerate(shape)]

    def mean(value: Value) -> Value:
        return low.emit("MEAN", [value, low.integers([axis])], small, x, options=KEEP)

    centred = low.emit("SUB", [x, mean(x)], shape, x, options=PLAIN)
    variance = mean(low.emit("MUL", [centred, centred], shape, x, options=PLAIN))
    root = low.emit("RSQRT", [shifted(low, variance, torch.tensor(call["eps"]))], small, x)
    result = low.emit("MUL", [centred, root], shape, x, options=PLAIN)
    result = result if call["weight"] is None else scaled(low, result, call["weight"])
    return result if call["bias"] is None else shifted(low, result, call["bias"])
