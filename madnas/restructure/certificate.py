"""Proof that a merge changed nothing: errors on random probes, in double and single precision."""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from madnas.data.seeds import generator
from madnas.errors import UsageError
from madnas.restructure.merge import Merge
from madnas.restructure.runs import constant

PRECISIONS = {"float64": torch.float64, "float32": torch.float32}


TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}
"""Largest relative errors; ..."""

SLACK = 3.0
"""... or so many times the rounding error that the network had in that precision before, where that is more."""

PROBES = 2
"""Images of a probe."""

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a network, or of a part.

    Attributes:
        params: of its tensors that are trained.
        macs: multiply-adds of one image; constants are not counted.
    """

    params: int
    macs: int


@dataclass(frozen=True, slots=True)
class Errors:
    """Differences between two maps over all probes.

    Attributes:
        absolute: the largest.
        relative: the largest of a probe, over the largest output of that probe.
        shapes: of one image of each probe.
        rounding: relative error that there was before, against double precision; 0 where it was not looked at.
    """

    absolute: float
    relative: float
    shapes: tuple[tuple[int, ...], ...]
    rounding: float = 0.0

    def within(self, dtype: torch.dtype) -> bool:
        """Whether they are small enough; what is not finite is not."""
        return self.relative <= max(TOLERANCES[dtype], SLACK * self.rounding)


def check_errors(what: str, errors: Errors, dtype: torch.dtype) -> None:
    """Refuse what differs.

    Raises:
        UsageError: by more than the tolerance.
    """
    if not errors.within(dtype):
        raise UsageError(
            f"{what}: merged, it differs by {errors.relative:.2g} of its largest output in {dtype}; nothing is written",
            "weights or running statistics of very different sizes, or not finite, make sums inexact",
        )


def compare(before: Function, after: Function, probes: Iterable[Tensor], exact: Function | None = None) -> Errors:
    """Differences of two maps on probes (B, ...).

    Args:
        before: one.
        after: the other.
        probes: in their precision.
        exact: the first one in double precision, to see how much it was rounded.
    """
    absolute = relative = rounding = 0.0
    shapes = []
    with torch.inference_mode():
        for probe in probes:
            expected, found = before(probe.clone()), after(probe.clone())  # an activation may work in place
            difference, share = _difference(expected, found)
            absolute, relative = _worst(absolute, difference), _worst(relative, share)
            if exact is not None:
                rounding = _worst(rounding, _difference(exact(probe.double()), expected.double())[1])
            shapes.append(tuple(probe.shape[1:]))
    return Errors(absolute, relative, tuple(shapes), rounding)


def probes_of(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> Iterator[Tensor]:
    """Normal images at a size and at those one pixel beside it: odd and even, as strides see them differently."""
    chs, height, width = shape
    chance = generator(seed, "probes")
    for down, across in ((0, 0), (1, 0), (0, 1), (1, 1)):
        yield torch.randn(PROBES, chs, height + down, width + across, generator=chance, dtype=torch.float64).to(dtype)


def accepted(model: nn.Module, input_shape: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
    """Probes of the sizes that a network takes."""
    found: list[Tensor] = []
    for probe in probes_of(input_shape, dtype):
        try:
            with torch.inference_mode():
                model(probe.double())
        except (AssertionError, RuntimeError, ValueError):  # a classifier or positions that are made for one size
            if not found:
                raise
            continue
        found.append(probe)
    return found


def steps_of(traced: fx.GraphModule, merge: Merge, dtype: torch.dtype) -> Function:
    """What is to be merged as a function of its source, on copies of its modules in a precision."""
    modules = {name: copy.deepcopy(traced.get_submodule(name)).to(dtype) for name in merge.modules}
    source, nodes = merge.source, merge.nodes

    def argument(value: Any, known: dict[fx.Node, Tensor]) -> Any:
        if not isinstance(value, fx.Node):
            return value
        if value in known:
            return known[value]
        fixed = constant(traced, value)
        assert fixed is not None, value
        return fixed.to(dtype)

    constants = {one for node in nodes for one in node.all_input_nodes} - set(nodes) - {source}
    fixed = {one: argument(one, {}) for one in constants}

    def function(x: Tensor) -> Tensor:
        known = {source: x, **fixed}
        for node in nodes:
            if node.op == "call_module":
                known[node] = modules[str(node.target)](known[node.all_input_nodes[0]])
                continue
            given = [argument(value, known) for value in node.args]
            target: Any = node.target
            known[node] = getattr(given[0], target)(*given[1:]) if node.op == "call_method" else target(*given)
        return known[nodes[-1]]

    return function


def in_dtype(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of a module in a precision, in evaluation mode."""
    return copy.deepcopy(module).to(dtype).eval()


def _difference(expected: Tensor, found: Tensor) -> tuple[float, float]:
    """The largest difference, and its share of the largest value."""
    difference, largest = float((expected - found).abs().max()), float(expected.abs().max())
    return difference, difference / largest if largest else difference


def _worst(one: float, other: float) -> float:
    """The larger of two; NaN if one of them is."""
    return other if other != other or other > one else one
