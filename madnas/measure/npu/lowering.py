"""What the rules of a conversion work with: values with their layout, constants, and the operators emitted so far."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from madnas.errors import UsageError
from madnas.measure.npu.graph import SCALE, Operation, Option, Tensor

IMAGE = (0, 2, 3, 1)
"""Layout of maps: torch's (B, C, H, W) stored as (B, H, W, C)."""

SPREAD = 32.0
"""Standard deviation of the random int8 weights, whose entropy says how well Vela compresses them: with the largest of
some thousand normal weights at 127 it is about this."""

ACTIVATION, NONE = "FusedActivationFunction", "NONE"
PLAIN: Mapping[str, Option] = MappingProxyType({ACTIVATION: NONE})
"""Options of an operator that has no activation, but could have one."""

KEEP: Mapping[str, Option] = MappingProxyType({"KeepDims": True})
"""Options of a reduction to dimensions of size 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """What a node of the network gives out.

    Attributes:
        tensor: stored.
        order: dimension of torch's tensor that each stored axis is.
    """

    tensor: Tensor
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes as torch has them."""
        return tuple(self.tensor.shape[self.order.index(dim)] for dim in range(len(self.order)))

    def axis(self, dim: int) -> int:
        """The stored axis of one of torch's dimensions."""
        return self.order.index(dim % len(self.order))


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function of torch.

    Attributes:
        name: of the function.
        arguments: by their names, defaults included; values, constant tensors, numbers.
        shape: of its result, as torch has it.
        linear_only: whether linear layers alone read the result.
    """

    name: str
    arguments: dict[str, Any]
    shape: tuple[int, ...]
    linear_only: bool

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]


class Lowering:
    """Operators emitted so far.

    Args:
        seed: of the weights.
        relu6: take all activations as ReLU6.

    Attributes:
        where: module that is being converted.
    """

    def __init__(self, seed: int, relu6: bool) -> None:
        self.relu6 = relu6
        self.where = ""
        self.operations: list[Operation] = []
        self._random = np.random.default_rng(seed)
        self._names = 0

    def emit(
        self,
        kind: str,
        inputs: Sequence[Value | Tensor],
        shape: Sequence[int],
        like: Value,
        order: Sequence[int] | None = None,
        same_scale: bool = False,
        macs: int = 0,
        options: Mapping[str, Option] = MappingProxyType({}),
    ) -> Value:
        """Add an operator.

        Args:
            kind: TFLite's name.
            inputs: what it reads.
            shape: stored sizes of what it gives out.
            like: where layout comes from, unless ``order`` says it, ...
            order: layout of the output.
            same_scale: ... and the quantisation, of what only moves numbers.
            macs: multiply-adds.
            options: of the operator's table.
        """
        tensors = tuple(one.tensor if isinstance(one, Value) else one for one in inputs)
        scale, zero = (like.tensor.scale, like.tensor.zero_point) if same_scale else FIXED.get(kind, (SCALE, 0))
        output = Tensor(self._name(kind), tuple(int(size) for size in shape), scale=scale, zero_point=zero)
        self.operations.append(Operation(kind, tensors, output, options, self.where, macs))
        return Value(output, tuple(like.order if order is None else order))

    def integers(self, values: Sequence[Any]) -> Tensor:
        """A shape, axes or paddings."""
        array = np.array(values, np.int32)
        return Tensor(self._name("integers"), array.shape, "int32", 0.0, 0, array)

    def quantised(self, values: torch.Tensor, like: Value) -> Tensor:
        """A constant of an element-wise operator, broadcast as torch does, in the layout of the other operand."""
        rank = len(like.order)
        whole = values.detach().cpu().double().reshape((1,) * (rank - values.ndim) + tuple(values.shape))
        stored = whole.permute(like.order).numpy()
        scale = float(np.abs(stored).max()) / 127 or 1.0
        array = np.clip(np.round(stored / scale), -128, 127).astype(np.int8)
        return Tensor(self._name("constant"), array.shape, "int8", scale, 0, array)

    def like(self, number: float, value: Value) -> Tensor:
        """One number in the quantisation of a value."""
        tensor = value.tensor
        whole = np.round(np.clip(number / tensor.scale + tensor.zero_point, -128, 127))
        return Tensor(self._name("constant"), (), "int8", tensor.scale, tensor.zero_point, np.array(whole, np.int8))

    def weights(self, shape: Sequence[int]) -> Tensor:
        """Random weights of a layer."""
        drawn = self._random.standard_normal(tuple(shape), np.float32) * SPREAD
        array = np.clip(np.round(drawn), -127, 127).astype(np.int8)
        return Tensor(self._name("weights"), array.shape, "int8", SCALE / SPREAD, 0, array)

    def bias(self, chs: int) -> Tensor:
        """Random bias of a layer."""
        array = self._random.integers(-1000, 1000, chs, np.int32)
        return Tensor(self._name("bias"), (chs,), "int32", SCALE * SCALE / SPREAD, 0, array)

    def arranged(self, value: Value, order: Sequence[int]) -> Value:
        """The value in another layout: transposed, or only named anew where nothing moves."""
        order = tuple(order)
        if value.order == order:
            return value
        axes = [value.order.index(dim) for dim in order]
        shape = [value.tensor.shape[axis] for axis in axes]
        moving = [axis for axis in axes if value.tensor.shape[axis] > 1]
        if moving == sorted(moving):
            return self.reshaped(value, shape, order)
        return self.emit("TRANSPOSE", [value, self.integers(axes)], shape, value, order, same_scale=True)

    def reshaped(self, value: Value, shape: Sequence[int], order: Sequence[int]) -> Value:
        """The stored numbers with other sizes."""
        if tuple(shape) == value.tensor.shape:
            return Value(value.tensor, tuple(order))
        return self.emit("RESHAPE", [value, self.integers(shape)], shape, value, order, same_scale=True)

    def image(self, value: Value) -> Value:
        """A batch of maps, channels last.

        Raises:
            UsageError: it is none.
        """
        if len(value.order) != len(IMAGE):
            raise self.refusal("a layer over maps whose input is none")
        return self.arranged(value, IMAGE)

    def refusal(self, what: str) -> UsageError:
        """The error that says what has no counterpart, and where it is."""
        return UsageError(
            f"{self.where or 'the network'}: {what} has no counterpart on the NPU",
            "networks of convolutions, linear layers, poolings, gates and the usual activations can be estimated",
        )

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{self.where or 'network'}/{kind.lower()}_{self._names}"


FIXED = {"LOGISTIC": (1 / 256, -128), "SOFTMAX": (1 / 256, -128), "TANH": (1 / 128, 0)}
"""Operators whose output has a quantisation that TFLite prescribes."""

Rule = Callable[[Lowering, Call], Any]
RULES: dict[str, Rule] = {}
"""Rules by the name of torch's function, without the underscore of what works in place."""


SHARING: set[str] = set()
"""Those of them whose result may be a view of an argument, or the argument itself."""


def rule(*names: str, shares: bool = False) -> Callable[[Rule], Rule]:
    """Register a rule.

    Args:
        names: of torch's functions.
        shares: whether the result may be a view of an argument, in torch or among the values here.
    """

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        if shares:
            SHARING.update(names)
        return function

    return register
