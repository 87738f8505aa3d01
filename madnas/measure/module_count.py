"""Costs of any module, counted operator by operator on its trace by fvcore and, as an audit, by torch's own counter.

Conventions: one image, eval mode. ``macs`` are the multiply-adds of convolutions and linear layers, one multiply-add
being 1 (fvcore's "flop"); ``activations`` the elements of their outputs. What fvcore counts besides (norm, pooling)
stands apart in ``other``, and what it has no rule for in ``uncounted``: nothing is left out in silence. Constants are
no multiply-adds: a convolution of a map of ones, which no image changes, counts as little as a bias.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

with warnings.catch_warnings():
    # fvcore scripts a loss function on import, and torch deprecates scripting.
    warnings.simplefilter("ignore")
    from fvcore.nn import FlopCountAnalysis
    from fvcore.nn.jit_handles import (
        addmm_flop_jit,
        bmm_flop_jit,
        conv_flop_count,
        conv_flop_jit,
        einsum_flop_jit,
        generic_activation_jit,
        get_shape,
        linear_flop_jit,
        matmul_flop_jit,
    )

WEIGHTED = ("conv", "linear", "addmm", "mm", "matmul", "bmm", "einsum", "attention")
"""fvcore's names of the operators that make a convolution, a linear layer or a matrix product."""

CONV, SAME_CONV = "aten::_convolution", "aten::_convolution_mode"
"""Convolution, and that with ``padding="same"`` or ``"valid"``, for which fvcore has no rule of its own."""

ONES, PADDINGS = ("aten::ones", "aten::new_ones"), ("aten::pad", "aten::constant_pad_nd")
"""What makes a map that no image changes, and what may surround it by zeros."""

ATTENTION = "aten::scaled_dot_product_attention"
"""Attention as one operator, for which fvcore has no rule either."""


Rule = Callable[[list[Any], list[Any]], Counter[str]]
"""What fvcore calls a handle: from an operator's inputs and outputs to a count."""

PRODUCTS: dict[str, Any] = {
    "aten::addmm": addmm_flop_jit, "aten::bmm": bmm_flop_jit, "aten::einsum": einsum_flop_jit,
    "aten::linear": linear_flop_jit, "aten::matmul": matmul_flop_jit,
}  # fmt: skip
"""fvcore's rules for the operators, besides convolutions, whose outputs are activations."""

OUTPUTS = "outputs"
"""What elements of outputs are counted as, beside multiply-adds: a network is traced once for both."""


@dataclass(frozen=True, slots=True)
class ModuleCounts:
    """Costs of one module at one input size.

    Attributes:
        params: trainable parameters, shared ones once.
        macs: multiply-adds of convolutions and linear layers, one image.
        activations: output elements of convolutions and linear layers, one image.
        by_operator: the MACs by fvcore's name of the operator.
        other: what fvcore counts besides (norm, pooling), in its own operations per element.
        uncounted: operators that fvcore has no rule for, and how often each occurs.
    """

    params: int
    macs: int
    activations: int
    by_operator: Mapping[str, int]
    other: Mapping[str, int]
    uncounted: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Audit:
    """One module counted by two programs.

    Attributes:
        macs: fvcore's count of convolutions and linear layers, one multiply-add being 1.
        flops: the count of ``torch.utils.flop_counter``, one multiply-add being 2.
    """

    macs: int
    flops: int

    @property
    def agrees(self) -> bool:
        """Whether both saw the same multiply-adds."""
        return self.flops == 2 * self.macs


def count_module(module: nn.Module, input_shape: tuple[int, ...]) -> ModuleCounts:
    """Count a module that takes one tensor.

    Args:
        module: any module; it is left in the mode that it came in.
        input_shape: shape of one input without the batch, ``(C, H, W)`` for images.

    >>> counts = count_module(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()), (3, 4, 4))
    >>> counts.params, counts.macs, counts.activations
    (224, 3456, 128)
    """
    with inference(module, input_shape) as x:
        flops = _quiet(FlopCountAnalysis(module, x)).set_op_handle(
            CONV, _of_images(_with_outputs(conv_flop_jit)), SAME_CONV, _with_outputs(_same_conv), ATTENTION, _attention,
            **{name: _with_outputs(rule) for name, rule in PRODUCTS.items()},
        )  # fmt: skip
        operators = {name: int(value) for name, value in flops.by_operator().items()}
        activations = operators.pop(OUTPUTS, 0)
        uncounted = dict(flops.unsupported_ops())
    macs = {name: value for name, value in operators.items() if name in WEIGHTED}
    other = {name: value for name, value in operators.items() if name not in WEIGHTED}
    return ModuleCounts(count_params(module), sum(macs.values()), activations, macs, other, uncounted)


def count_params(module: nn.Module) -> int:
    """Trainable parameters of a module, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def audit(module: nn.Module, input_shape: tuple[int, ...]) -> Audit:
    """Count a module's multiply-adds with fvcore and with torch's own counter.

    Args:
        module: any module; it is left in the mode that it came in.
        input_shape: shape of one input without the batch.

    >>> audit(nn.Conv2d(3, 8, 3, padding=1), (3, 4, 4))
    Audit(macs=3456, flops=6912)
    """
    counter = FlopCounterMode(display=False)
    # As two products: not every version of torch counts its fused attention on the CPU.
    with inference(module, input_shape) as x, sdpa_kernel(SDPBackend.MATH), counter:
        module(x)
    return Audit(count_module(module, input_shape).macs, counter.get_total_flops())


@contextmanager
def inference(module: nn.Module, input_shape: tuple[int, ...]) -> Iterator[Tensor]:
    """Eval mode without gradients, and one input of zeros on the module's device and in its precision."""
    modes = {part: part.training for part in module.modules()}
    reference = next(module.parameters(), torch.empty(0))
    module.eval()
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one operator for a whole transformer layer, which nobody can count
    try:
        with torch.no_grad():
            yield torch.zeros(1, *input_shape, device=reference.device, dtype=reference.dtype)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for part, training in modes.items():
            part.training = training


def _of_images(rule: Rule) -> Rule:
    """A rule for convolutions that counts nothing of a constant."""

    def counted(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        node = inputs[0].node()
        while node.kind() in PADDINGS:
            node = next(node.inputs()).node()
        return Counter(conv=0) if node.kind() in ONES else rule(inputs, outputs)

    return counted


def _with_outputs(rule: Any) -> Rule:
    """A rule that counts an operator's output elements too."""
    elements = generic_activation_jit(OUTPUTS)

    def counted(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        found = rule(inputs, outputs)
        kind = outputs[0].node().kind().partition("::")[2]
        counts = found if isinstance(found, Counter) else Counter({kind: found})
        return counts + elements(inputs, outputs)

    return counted


def _same_conv(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """fvcore's rule for :data:`SAME_CONV`: that of any convolution."""
    return Counter(conv=conv_flop_count(get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0])))


def _attention(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """The two matrix products of attention, which are counted where a model spells them out as well."""
    (*_, queries, chs), keys, values = get_shape(inputs[0]), get_shape(inputs[1]), get_shape(inputs[2])
    heads = int(torch.Size(get_shape(inputs[0])[:-2]).numel())
    return Counter(attention=heads * queries * keys[-2] * (chs + values[-1]))


def _quiet(analysis: Any) -> Any:
    """One of fvcore's analyses without its log lines: what they would say is in ``uncounted``."""
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
