"""Rules for what treats every number alone: activations, sums, products."""

from collections.abc import Callable
from typing import Any

import torch

from madnas.measure.npu.graph import Option
from madnas.measure.npu.lowering import PLAIN, Call, Lowering, Value, rule


def scaled(low: Lowering, x: Value, factor: torch.Tensor) -> Value:
    """A value times a constant."""
    return _with_constant(low, "MUL", x, factor)


def shifted(low: Lowering, x: Value, summand: torch.Tensor) -> Value:
    """A value plus a constant."""
    return _with_constant(low, "ADD", x, summand)


def _with_constant(low: Lowering, kind: str, x: Value, constant: torch.Tensor) -> Value:
    if constant.ndim > len(x.order):
        raise low.refusal("a constant with more dimensions than what it is put to")
    stored = low.quantised(constant, x)
    shape = torch.broadcast_shapes(x.tensor.shape, stored.shape)
    return low.emit(kind, [x, stored], shape, x, options=PLAIN)


def combined(low: Lowering, kind: str, one: Value, other: Value) -> Value:
    """Two values, in the layout of the first.

    Raises:
        UsageError: they have different numbers of dimensions.
    """
    if len(one.order) != len(other.order):
        raise low.refusal(f"{kind} of tensors with {len(one.order)} and {len(other.order)} dimensions")
    other = low.arranged(other, one.order)
    shape = torch.broadcast_shapes(one.tensor.shape, other.tensor.shape)
    return low.emit(kind, [one, other], shape, one, options=PLAIN)


def _operands(low: Lowering, call: Call) -> tuple[Any, Any]:
    one, other = (call[name] for name in ("self", "other"))
    if call.arguments.get("alpha", 1) != 1:
        raise low.refusal("a sum with a factor")
    return one, other


def _tensor(number: Any) -> torch.Tensor:
    return number if isinstance(number, torch.Tensor) else torch.tensor(float(number))


@rule("add")
def add(low: Lowering, call: Call) -> Value:
    """A sum of two maps, or with a constant."""
    one, other = _operands(low, call)
    if isinstance(one, Value) and isinstance(other, Value):
        return combined(low, "ADD", one, other)
    x, constant = (one, other) if isinstance(one, Value) else (other, one)
    return shifted(low, x, _tensor(constant))


@rule("sub")
def sub(low: Lowering, call: Call) -> Value:
    """A difference."""
    one, other = _operands(low, call)
    if isinstance(one, Value) and isinstance(other, Value):
        return combined(low, "SUB", one, other)
    if isinstance(one, Value):
        return shifted(low, one, -_tensor(other))
    return _reversed_sub(low, other, _tensor(one))


@rule("rsub")
def rsub(low: Lowering, call: Call) -> Value:
    """A constant minus a value."""
    one, other = _operands(low, call)
    return _reversed_sub(low, one, _tensor(other))


def _reversed_sub(low: Lowering, x: Value, constant: torch.Tensor) -> Value:
    stored = low.quantised(constant, x)
    shape = torch.broadcast_shapes(x.tensor.shape, stored.shape)
    return low.emit("SUB", [stored, x], shape, x, options=PLAIN)


@rule("mul")
def mul(low: Lowering, call: Call) -> Value:
    """A product of two maps, such as one with its gate, or with a constant."""
    one, other = call["self"], call["other"]
    if isinstance(one, Value) and isinstance(other, Value):
        return combined(low, "MUL", one, other)
    x, constant = (one, other) if isinstance(one, Value) else (other, one)
    return scaled(low, x, _tensor(constant))


@rule("div")
def div(low: Lowering, call: Call) -> Value:
    """A quotient."""
    one, other = call["self"], call["other"]
    if isinstance(one, Value) and isinstance(other, Value):
        return combined(low, "DIV", one, other)
    if not isinstance(one, Value):
        raise low.refusal("a constant divided by a map")
    return scaled(low, one, 1 / _tensor(other))


@rule("addcmul")
def addcmul(low: Lowering, call: Call) -> Value:
    """A value plus the product of two others."""
    product = mul(low, Call("mul", {"self": call["tensor1"], "other": call["tensor2"]}, call.shape, False))
    total = {"self": call["self"], "other": scaled(low, product, _tensor(call["value"])), "alpha": 1}
    return add(low, Call("add", total, call.shape, False))


def unary(kind: str, **options: Option) -> Callable[[Lowering, Value], Value]:
    """What emits one operator for every number."""
    return lambda low, x: low.emit(kind, [x], x.tensor.shape, x, options=options)


relu6 = unary("RELU6")
logistic = unary("LOGISTIC")


def activation(*names: str) -> Callable[[Callable[[Lowering, Call], Value]], Callable[[Lowering, Call], Value]]:
    """Register a rule for an activation, which may be asked to be a ReLU6."""

    def register(function: Callable[[Lowering, Call], Value]) -> Callable[[Lowering, Call], Value]:
        def chosen(low: Lowering, call: Call) -> Value:
            return relu6(low, call["self"]) if low.relu6 else function(low, call)

        rule(*names)(chosen)
        return function

    return register


@activation("relu")
def relu(low: Lowering, call: Call) -> Value:
    """ReLU."""
    return unary("RELU")(low, call["self"])


@activation("relu6")
def relu_6(low: Lowering, call: Call) -> Value:
    """ReLU6."""
    return relu6(low, call["self"])


@activation("hardswish")
def hardswish(low: Lowering, call: Call) -> Value:
    """H-Swish."""
    return unary("HARD_SWISH")(low, call["self"])


@activation("silu")
def silu(low: Lowering, call: Call) -> Value:
    """SiLU: TFLite has it as a product with a sigmoid."""
    x: Value = call["self"]
    return combined(low, "MUL", x, logistic(low, x))


@activation("gelu")
def gelu(low: Lowering, call: Call) -> Value:
    """GELU."""
    return unary("GELU", Approximate=call["approximate"] == "tanh")(low, call["self"])


@activation("elu")
def elu(low: Lowering, call: Call) -> Value:
    """ELU, of slope 1: TFLite has no other."""
    if (call["alpha"], call["scale"], call["input_scale"]) != (1, 1, 1):
        raise low.refusal("an ELU with factors")
    return unary("ELU")(low, call["self"])


@activation("leaky_relu")
def leaky_relu(low: Lowering, call: Call) -> Value:
    """Leaky ReLU."""
    return unary("LEAKY_RELU", Alpha=float(call["negative_slope"]))(low, call["self"])


@activation("prelu")
def prelu(low: Lowering, call: Call) -> Value:
    """PReLU; with one slope for all it is a leaky ReLU."""
    x, slopes = call["self"], call["weight"]
    if isinstance(slopes, Value):
        raise low.refusal("a PReLU whose slope depends on the image")
    if slopes.numel() == 1:
        return unary("LEAKY_RELU", Alpha=float(slopes))(low, x)
    stored = low.quantised(slopes.reshape(-1, *(1,) * (len(x.order) - 2)), x)
    return low.emit("PRELU", [x, stored], x.tensor.shape, x)


@activation("hardtanh")
def hardtanh(low: Lowering, call: Call) -> Value:
    """Hardtanh, which torch's ReLU6 may be too."""
    return clamp(low, call)


@rule("clamp", "clamp_min", "clamp_max")
def clamp(low: Lowering, call: Call) -> Value:
    """A clamp: one of TFLite's ReLUs, or a maximum and a minimum."""
    x: Value = call["self"]
    bottom = next((call[name] for name in ("min", "min_val") if name in call.arguments), None)
    top = next((call[name] for name in ("max", "max_val") if name in call.arguments), None)
    known: dict[Any, str] = {(0, 6): "RELU6", (-1, 1): "RELU_N1_TO_1", (0, None): "RELU"}
    if (bottom, top) in known:
        return unary(known[bottom, top])(low, x)
    for kind, limit in (("MAXIMUM", bottom), ("MINIMUM", top)):
        if limit is not None:
            x = low.emit(kind, [x, low.like(limit, x)], x.tensor.shape, x, same_scale=True)
    return x


@rule("hardsigmoid")
def hardsigmoid(low: Lowering, call: Call) -> Value:
    """The gate relu6(x + 3) / 6."""
    return scaled(low, relu6(low, shifted(low, call["self"], torch.tensor(3.0))), torch.tensor(1 / 6))


@rule("expm1")
def expm1(low: Lowering, call: Call) -> Value:
    """The exponential less 1."""
    return shifted(low, unary("EXP")(low, call["self"]), torch.tensor(-1.0))


@rule("pow")
def pow_(low: Lowering, call: Call) -> Value:
    """A square."""
    x: Value = call["self"]
    if call["exponent"] != 2:
        raise low.refusal(f"a power of {call['exponent']}")
    return combined(low, "MUL", x, x)


def _plain(kind: str) -> Callable[[Lowering, Call], Value]:
    return lambda low, call: unary(kind)(low, call["self"])


for _name, _kind in {
    "sigmoid": "LOGISTIC",
    "tanh": "TANH",
    "exp": "EXP",
    "abs": "ABS",
    "neg": "NEG",
    "sqrt": "SQRT",
    "rsqrt": "RSQRT",
    "log": "LOG",
}.items():
    rule(_name)(_plain(_kind))


@rule("softmax", "_softmax")
def softmax(low: Lowering, call: Call) -> Value:
    """A softmax over the last stored axis."""
    x: Value = call["self"]
    if x.axis(call["dim"]) != len(x.order) - 1:
        raise low.refusal("a softmax over another dimension than the channels")
    return unary("SOFTMAX", Beta=1.0)(low, x)
