"""TFLite files computed in floating point, from their bytes alone: what a converted network has to agree with.

Activations are not rounded; constants are what their integers and scales say.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tflite
import torch
from torch import Tensor
from torch.nn import functional as F

TYPES = {tflite.TensorType.INT8: np.int8, tflite.TensorType.INT32: np.int32}
KINDS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if not name.startswith("_")}
TABLES = {code: name for name, code in vars(tflite.BuiltinOptions).items() if not name.startswith("_")}


class File:
    """A TFLite file.

    Attributes:
        constants: values of tensors by number: integers as they are, quantised ones as numbers.
        names: of tensors.
        shapes: of tensors.
        operators: kind, inputs, output, options.
    """

    def __init__(self, data: bytes) -> None:
        assert tflite.Model.ModelBufferHasIdentifier(data, 0)
        model = tflite.Model.GetRootAsModel(data, 0)
        graph = model.Subgraphs(0)
        self.constants: dict[int, Tensor] = {}
        self.names: list[str] = []
        self.shapes: list[tuple[int, ...]] = []
        for number in range(graph.TensorsLength()):
            self._read(model, graph.Tensors(number), number)
        self.operators = [_operator(model, graph.Operators(place)) for place in range(graph.OperatorsLength())]
        self.inputs, self.outputs = list(graph.InputsAsNumpy()), list(graph.OutputsAsNumpy())

    def _read(self, model: Any, tensor: Any, number: int) -> None:
        self.names.append(tensor.Name().decode())
        shape = tuple(tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
        self.shapes.append(shape)
        buffer = model.Buffers(tensor.Buffer())
        if not buffer.DataLength():
            return
        stored = torch.tensor(buffer.DataAsNumpy().view(TYPES[tensor.Type()]).reshape(shape))
        quantised = tensor.Quantization()
        if quantised is not None and quantised.ScaleLength():
            stored = (stored.double() - quantised.ZeroPoint(0)) * float(np.float64(quantised.Scale(0)))
        self.constants[number] = stored

    def run(self, image: Tensor) -> list[Tensor]:
        """What the network gives out for an image, channels last."""
        known = dict(self.constants)
        known[self.inputs[0]] = image
        for kind, inputs, output, options in self.operators:
            result = _activated(RULES[kind](*(known[number] for number in inputs), options), options)
            assert tuple(result.shape) == self.shapes[output], (kind, self.names[output])
            known[output] = result
        return [known[number] for number in self.outputs]

    def weighted(self) -> list[tuple[str, str, Tensor, Tensor, int]]:
        """Kind, module, weights, bias and input of every layer."""
        kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
        return [
            (kind, self.names[inputs[1]].partition("/")[0], self.constants[inputs[1]], self.constants[inputs[2]],
             inputs[0])
            for kind, inputs, _, _ in self.operators if kind in kinds
        ]  # fmt: skip


def _operator(model: Any, operator: Any) -> tuple[str, list[int], int, Any]:
    code = model.OperatorCodes(operator.OpcodeIndex())
    assert code.DeprecatedBuiltinCode() == min(127, code.BuiltinCode())
    options = None
    if operator.BuiltinOptionsType():
        options = getattr(tflite, TABLES[operator.BuiltinOptionsType()])()
        table = operator.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
    assert operator.OutputsLength() == 1
    return KINDS[code.BuiltinCode()], list(operator.InputsAsNumpy()), int(operator.Outputs(0)), options


def _activated(result: Tensor, options: Any) -> Tensor:
    which = options.FusedActivationFunction() if hasattr(options, "FusedActivationFunction") else 0
    return {
        tflite.ActivationFunctionType.NONE: lambda x: x,
        tflite.ActivationFunctionType.RELU: F.relu,
        tflite.ActivationFunctionType.RELU6: F.relu6,
        tflite.ActivationFunctionType.RELU_N1_TO_1: F.hardtanh,
    }[which](result)


def _first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _padded(x: Tensor, sizes: tuple[int, int], options: Any, fill: float) -> Tensor:
    """A map (B, C, H, W) with what SAME pads."""
    if options.Padding() == tflite.Padding.VALID:
        return x
    pads: list[int] = []
    for side, size, step in zip(x.shape[2:], sizes, (options.StrideH(), options.StrideW()), strict=True):
        total = max((-(-side // step) - 1) * step + size - side, 0)
        pads = [total // 2, total - total // 2, *pads]
    return F.pad(x, pads, value=fill)


def _conv(x: Tensor, weights: Tensor, bias: Tensor, options: Any, depthwise: bool = False) -> Tensor:
    kernel = weights.permute(3, 0, 1, 2) if depthwise else weights.permute(0, 3, 1, 2)
    dilation = options.DilationHFactor(), options.DilationWFactor()
    height, width = ((size - 1) * step + 1 for size, step in zip(kernel.shape[2:], dilation, strict=True))
    maps = _padded(_first(x), (height, width), options, 0.0)
    stride = options.StrideH(), options.StrideW()
    groups = maps.shape[1] // kernel.shape[1]
    return _last(F.conv2d(maps, kernel, bias, stride, 0, dilation, groups))


def _max_pool(x: Tensor, options: Any) -> Tensor:
    sizes, stride = (options.FilterHeight(), options.FilterWidth()), (options.StrideH(), options.StrideW())
    return _last(F.max_pool2d(_padded(_first(x), sizes, options, -torch.inf), sizes, stride))


def _average_pool(x: Tensor, options: Any) -> Tensor:
    """Pixels that were padded are not counted."""
    sizes, stride = (options.FilterHeight(), options.FilterWidth()), (options.StrideH(), options.StrideW())
    maps = _first(x)
    sums = F.avg_pool2d(_padded(maps, sizes, options, 0.0), sizes, stride, divisor_override=1)
    numbers = F.avg_pool2d(_padded(torch.ones_like(maps), sizes, options, 0.0), sizes, stride, divisor_override=1)
    return _last(sums / numbers)


def _pad(x: Tensor, amounts: Tensor, fill: float = 0.0) -> Tensor:
    return F.pad(x, [int(amount) for one in amounts.flip(0) for amount in one], value=float(fill))


def _strided(x: Tensor, begins: Tensor, ends: Tensor, steps: Tensor, options: Any) -> Tensor:
    parts = zip(begins.tolist(), ends.tolist(), steps.tolist(), strict=True)
    return x[tuple(slice(*bounds) for bounds in parts)]


def _unary(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda x, options: function(x)


RULES: dict[str, Callable[..., Tensor]] = {
    "ADD": lambda one, other, options: one + other,
    "AVERAGE_POOL_2D": _average_pool,
    "CONCATENATION": lambda *given: torch.cat(given[:-1], given[-1].Axis()),
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": lambda x, weights, bias, options: _conv(x, weights, bias, options, depthwise=True),
    "DIV": lambda one, other, options: one / other,
    "ELU": _unary(F.elu),
    "EXP": _unary(torch.exp),
    "FULLY_CONNECTED": lambda x, weights, bias, options: F.linear(x, weights, bias),
    "GATHER": lambda x, places, options: x.index_select(options.Axis(), places),
    "GELU": lambda x, options: F.gelu(x, approximate="tanh" if options.Approximate() else "none"),
    "HARD_SWISH": _unary(F.hardswish),
    "LEAKY_RELU": lambda x, options: F.leaky_relu(x, options.Alpha()),
    "LOGISTIC": _unary(torch.sigmoid),
    "MAXIMUM": lambda one, other, options: torch.maximum(one, other),
    "MAX_POOL_2D": _max_pool,
    "MEAN": lambda x, axes, options: x.mean(axes.tolist(), keepdim=options.KeepDims()),
    "MINIMUM": lambda one, other, options: torch.minimum(one, other),
    "MUL": lambda one, other, options: one * other,
    "PAD": lambda x, amounts, options: _pad(x, amounts),
    "PADV2": lambda x, amounts, fill, options: _pad(x, amounts, fill),
    "PRELU": lambda x, slopes, options: torch.where(x > 0, x, x * slopes),
    "RELU": _unary(F.relu),
    "RELU6": _unary(F.relu6),
    "RESHAPE": lambda x, sizes, options: x.reshape(sizes.tolist()),
    "RESIZE_NEAREST_NEIGHBOR": lambda x, sizes, options: _last(F.interpolate(_first(x), sizes.tolist())),
    "RSQRT": _unary(torch.rsqrt),
    "SOFTMAX": lambda x, options: (options.Beta() * x).softmax(-1),
    "SQRT": _unary(torch.sqrt),
    "STRIDED_SLICE": _strided,
    "SUB": lambda one, other, options: one - other,
    "SUM": lambda x, axes, options: x.sum(axes.tolist(), keepdim=options.KeepDims()),
    "TANH": _unary(torch.tanh),
    "TRANSPOSE": lambda x, axes, options: x.permute(axes.tolist()),
}
