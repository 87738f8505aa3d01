"""A graph as a TFLite file in memory, by the schema of the ``tflite`` package."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from madnas.measure.npu.graph import Graph, Operation, Option, Tensor

VERSION = 3
"""Of TFLite's schema."""
IDENTIFIER = b"TFL3"
LARGEST_OLD_CODE = 127
"""Operators with larger numbers have this one in the field that old readers know."""

OPTIONS = {
    "ADD": "AddOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DIV": "DivOptions",
    "EXP": "ExpOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "GATHER": "GatherOptions",
    "GELU": "GeluOptions",
    "HARD_SWISH": "HardSwishOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "MUL": "MulOptions",
    "PAD": "PadOptions",
    "PADV2": "PadV2Options",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SLICE": "SliceOptions",
    "SOFTMAX": "SoftmaxOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SUB": "SubOptions",
    "SUM": "ReducerOptions",
    "TRANSPOSE": "TransposeOptions",
}
"""Tables of options by operator; the others have none."""


def flatbuffer(graph: Graph) -> bytes:
    """The graph as a TFLite file."""
    return _Writer(graph).write()


class _Writer:
    """Writes one graph.

    Args:
        graph: what to write.
    """

    def __init__(self, graph: Graph) -> None:
        import flatbuffers
        import tflite

        self.graph, self.schema = graph, tflite
        self.builder: Any = flatbuffers.Builder(1 << 20)
        every = [graph.input, *(one for step in graph.operations for one in (*step.inputs, step.output))]
        self.tensors = list(dict.fromkeys(every))
        self.places = {tensor: place for place, tensor in enumerate(self.tensors)}
        self.codes = list(dict.fromkeys(step.kind for step in graph.operations))

    def write(self) -> bytes:
        """The file."""
        constants = [tensor for tensor in self.tensors if tensor.values is not None]
        buffers = [self._buffer(None), *(self._buffer(tensor.values) for tensor in constants)]
        numbers = {tensor: number for number, tensor in enumerate(constants, 1)}
        tensors = [self._tensor(tensor, numbers.get(tensor, 0)) for tensor in self.tensors]
        steps = [self._operation(step) for step in self.graph.operations]
        subgraph = self._table(
            "SubGraph",
            Tensors=self._tables(tensors),
            Inputs=self._integers([self.places[self.graph.input]]),
            Outputs=self._integers([self.places[tensor] for tensor in self.graph.outputs]),
            Operators=self._tables(steps),
            Name=self.builder.CreateString("main"),
        )
        model = self._table(
            "Model",
            Version=VERSION,
            OperatorCodes=self._tables([self._code(kind) for kind in self.codes]),
            Subgraphs=self._tables([subgraph]),
            Description=self.builder.CreateString(self.graph.name),
            Buffers=self._tables(buffers),
        )
        self.builder.Finish(model, file_identifier=IDENTIFIER)
        return bytes(self.builder.Output())

    def _buffer(self, values: np.ndarray | None) -> int:
        if values is None:
            return self._table("Buffer")
        data = np.ascontiguousarray(values).view(np.uint8).ravel()
        return self._table("Buffer", Data=self.builder.CreateNumpyVector(data))

    def _tensor(self, tensor: Tensor, buffer: int) -> int:
        return self._table(
            "Tensor",
            Shape=self._integers(tensor.shape),
            Type=getattr(self.schema.TensorType, tensor.dtype.upper()),
            Buffer=buffer,
            Name=self.builder.CreateString(tensor.name),
            Quantization=self._quantisation(tensor) if tensor.scale else None,
        )

    def _quantisation(self, tensor: Tensor) -> int:
        return self._table(
            "QuantizationParameters",
            Scale=self.builder.CreateNumpyVector(np.array([tensor.scale], np.float32)),
            ZeroPoint=self.builder.CreateNumpyVector(np.array([tensor.zero_point], np.int64)),
        )

    def _operation(self, step: Operation) -> int:
        table = OPTIONS.get(step.kind)
        kind = 0 if table is None else getattr(self.schema.BuiltinOptions, table)
        values = {name: self._value(name, value) for name, value in step.options.items()}
        options = None if table is None else self._table(table, **values)
        return self._table(
            "Operator",
            OpcodeIndex=self.codes.index(step.kind),
            Inputs=self._integers([self.places[tensor] for tensor in step.inputs]),
            Outputs=self._integers([self.places[step.output]]),
            BuiltinOptionsType=kind,
            BuiltinOptions=options,
        )

    def _value(self, name: str, value: Option) -> int | float | bool:
        if isinstance(value, str):
            names = self.schema.Padding if name == "Padding" else self.schema.ActivationFunctionType
            return int(getattr(names, value))
        return value

    def _code(self, kind: str) -> int:
        code = getattr(self.schema.BuiltinOperator, kind)
        return self._table(
            "OperatorCode", DeprecatedBuiltinCode=min(code, LARGEST_OLD_CODE), Version=1, BuiltinCode=code
        )

    def _table(self, name: str, **fields: Any) -> int:
        """A table of the schema; its parts have to be written before."""
        getattr(self.schema, f"{name}Start")(self.builder)
        for key, value in fields.items():
            if value is not None:
                getattr(self.schema, f"{name}Add{key}")(self.builder, value)
        return int(getattr(self.schema, f"{name}End")(self.builder))

    def _integers(self, values: Sequence[int]) -> int:
        return int(self.builder.CreateNumpyVector(np.array(values, np.int32)))

    def _tables(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())
