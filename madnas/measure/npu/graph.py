"""An int8 network as plain data: operations over tensors in TFLite's vocabulary and layout, channels last."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

SCALE = 0.05
"""Step of all activations but those whose format is fixed: int8 then covers -6.4 to 6.35, all of ReLU6."""

Option = int | float | bool | str


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor; two are the same only if they are one object.

    Attributes:
        name: unique.
        shape: stored sizes, channels last.
        dtype: ``int8``, or ``int32`` of biases, shapes and axes.
        scale: step of the quantisation; 0 of what has none.
        zero_point: integer that stands for 0.
        values: of a constant.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: float = SCALE
    zero_point: int = 0
    values: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operator.

    Attributes:
        kind: TFLite's name, such as ``CONV_2D``.
        inputs: activations first, then weights and bias or other constants.
        output: what it gives out.
        options: of its table in TFLite's schema; activation and padding by their names.
        where: module that it comes from.
        macs: multiply-adds, as madnas counts them.
    """

    kind: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    options: Mapping[str, Option] = field(default_factory=dict)
    where: str = ""
    macs: int = 0


@dataclass(frozen=True, slots=True)
class Graph:
    """A network.

    Attributes:
        name: of the network.
        input: its image.
        outputs: what it gives out.
        operations: in an order in which they can be executed.
    """

    name: str
    input: Tensor
    outputs: tuple[Tensor, ...]
    operations: tuple[Operation, ...]

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and fully connected layers."""
        return sum(operation.macs for operation in self.operations)

    def consumers(self) -> Counter[Tensor]:
        """How often each tensor is read; the network's outputs once more."""
        read = (tensor for operation in self.operations for tensor in operation.inputs)
        return Counter([*read, *self.outputs])


def rewired(operation: Operation, instead: Mapping[Tensor, Tensor]) -> Operation:
    """An operation with other inputs."""
    if not any(tensor in instead for tensor in operation.inputs):
        return operation
    return replace(operation, inputs=tuple(instead.get(tensor, tensor) for tensor in operation.inputs))


def used(operations: Iterable[Operation], outputs: Iterable[Tensor]) -> list[Operation]:
    """Operations without those whose result nobody reads."""
    wanted, kept = set(outputs), []
    for operation in reversed(list(operations)):
        if operation.output in wanted:
            wanted.update(operation.inputs)
            kept.append(operation)
    return kept[::-1]
