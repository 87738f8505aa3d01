"""Proof that a merge changed nothing: errors on random probes, in double and single precision."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from madnas.data.seeds import generator
from madnas.errors import UsageError
from madnas.measure.module_count import count_module
from madnas.restructure.merge import Merge
from madnas.restructure.pieces import constant

PRECISIONS = {"float64": torch.float64, "float32": torch.float32}


TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}
"""Largest relative errors; ..."""

SLACK = 3.0
"""... or so many times the rounding error that the network had in that precision before, where that is more."""

TELLING = 1e3
"""Outputs for two images should be so many times the tolerance apart."""

NO_ROUNDING = 1e-3
"""Relative error in double precision that no rounding explains."""

LARGE = 64
"""Pixels from which on a side is large."""

PROBES = 2
"""Images of a probe; one in that of the size itself."""

Function = Callable[[Tensor], Any]
Functions = Mapping[str, Function]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a network, or of a part.

    Attributes:
        params: of its tensors that are trained.
        macs: multiply-adds of one image; constants are not counted.
    """

    params: int
    macs: int


def cost_of(model: nn.Module, input_shape: tuple[int, ...]) -> Cost:
    """Cost of a whole network, counted on its trace."""
    counts = count_module(model, input_shape)
    return Cost(counts.params, counts.macs)


@dataclass(frozen=True, slots=True)
class Errors:
    """Differences between two maps over all probes.

    Attributes:
        absolute: the largest.
        relative: the largest of a probe, over the largest output of that probe.
        shapes: of one image of each probe.
        rounding: relative error that there was before, against double precision; 0 where it was not looked at.
        spread: how far the outputs for two images are apart, over the largest output; the most of all probes, 0 where
            there was one image only. Where it is small, outputs hardly depend on the image, and errors say little.
        refused: shapes that the first map takes and the second one does not: its graph is of one size.
    """

    absolute: float
    relative: float
    shapes: tuple[tuple[int, ...], ...]
    rounding: float = 0.0
    spread: float = 0.0
    refused: tuple[tuple[int, ...], ...] = ()

    def within(self, dtype: torch.dtype) -> bool:
        """Whether they are small enough; what is not finite is not."""
        return self.relative <= self._tolerance(dtype)

    def tells(self, dtype: torch.dtype) -> bool:
        """Whether outputs depend on the image by so much that the errors say something."""
        return self.spread >= TELLING * self._tolerance(dtype)

    def _tolerance(self, dtype: torch.dtype) -> float:
        return max(TOLERANCES[dtype], SLACK * self.rounding)


Certified = dict[str, Errors]
"""Errors by precision."""


def check_errors(what: str, errors: Errors, dtype: torch.dtype) -> None:
    """Refuse what differs.

    Raises:
        UsageError: by more than the tolerance.
    """
    if not errors.within(dtype):
        inexact = "weights or running statistics of very different sizes, or not finite, make sums inexact"
        unseen = "hooks, and weights that are read elsewhere too, are more than a merge sees"
        raise UsageError(
            f"{what}: merged, it differs by {errors.relative:.2g} of its largest output in {dtype}; nothing is written",
            unseen if errors.relative > NO_ROUNDING and dtype == torch.float64 else inexact,
        )


def compare(before: Function, after: Function, probes: Iterable[Tensor]) -> Errors:
    """Differences of two maps on probes (B, ...)."""
    found = _Found()
    with torch.inference_mode():
        for probe in probes:
            found.add(before(probe.clone()), after(probe.clone()))  # an activation may work in place
            found.shapes.append(tuple(probe.shape[1:]))
    return found.errors()


def certify(what: str, before: Functions, after: Functions, probes: Iterable[Tensor], sizes: bool = False) -> Certified:
    """Differences of two maps in double and in single precision.

    Args:
        what: it is about, for messages.
        before: one, by precision.
        after: the other, by precision.
        probes: (B, ...) in double precision, each of a value that single precision has too.
        sizes: leave out probes after the first of sizes that one of the maps does not take; where that are all of
            them, there is a second image of the first size.

    Raises:
        UsageError: they differ by more than the tolerance.
    """
    found = {name: _Found() for name in PRECISIONS}
    with torch.inference_mode():
        first, *others = probes
        for probe in (first, *others):
            _compare_at(probe, before, after, found, sizes and probe is not first)
        if sizes and len(found["float64"].shapes) == 1:
            images = torch.randn(PROBES, *first.shape[1:], generator=generator(1, "probes"), dtype=torch.float32)
            _compare_at(images.double(), before, after, found, False)
    errors = {name: one.errors() for name, one in found.items()}
    for name, dtype in PRECISIONS.items():
        check_errors(what, errors[name], dtype)
    return errors


def _compare_at(probe: Tensor, before: Functions, after: Functions, found: "dict[str, _Found]", sizes: bool) -> None:
    """Note how two maps differ on a probe; with ``sizes``, if they take it."""
    exact = _taken(before["float64"], probe, sizes)
    merged = None if exact is None else _taken(after["float64"], probe, sizes)
    if merged is None:
        if exact is not None:
            for one in found.values():
                one.refused.append(tuple(probe.shape[1:]))
        return
    for name, dtype in PRECISIONS.items():
        if dtype == torch.float64:
            found[name].add(exact, merged)
        else:
            found[name].add(before[name](probe.to(dtype)), after[name](probe.to(dtype, copy=True)), exact)
        found[name].shapes.append(tuple(probe.shape[1:]))


def _taken(function: Function, probe: Tensor, sizes: bool) -> Any:
    """What a map gives out; with ``sizes`` None where it does not take the probe."""
    try:
        return function(probe.clone())
    except (AssertionError, RuntimeError, ValueError):  # a classifier or positions made for one size
        if not sizes:
            raise
        return None


def probes_of(shape: tuple[int, ...], seed: int = 0, still: int = 1) -> Iterator[Tensor]:
    """Normal values at a size, and at odd and even ones, as strides see them differently.

    The first probe is of the size itself. The others, one pixel larger in one dimension or both, are of half a large
    size: what is right there is right everywhere, and double precision takes its time.

    Args:
        shape: of one image.
        seed: of the values.
        still: dimensions that keep their size: the first, of channels, or with -1 the last.

    Yields:
        float64 of values that float32 has too (B, ...).
    """
    chance = generator(seed, "probes")
    free = [at for at in range(len(shape)) if at != (0 if still == 1 else len(shape) - 1)][:2]
    for number in range(2 ** len(free)):
        sides = list(shape)
        for place, at in enumerate(free):
            if number and shape[at] >= LARGE:
                sides[at] = shape[at] // 4 * 2 + shape[at] % 2  # about half, and as odd or even
            sides[at] += number >> place & 1
        yield torch.randn(PROBES if number else 1, *sides, generator=chance, dtype=torch.float64).float().double()


def steps_of(traced: fx.GraphModule, merge: Merge, dtype: torch.dtype, device: str = "cpu") -> Function:
    """What is to be merged as a function of its source, on copies of its modules in a precision, on a device."""
    modules = {name: copy.deepcopy(traced.get_submodule(name)).to(device, dtype) for name in merge.modules}
    source, nodes = merge.source, merge.nodes

    def argument(value: Any, known: dict[fx.Node, Tensor]) -> Any:
        if not isinstance(value, fx.Node):
            return value
        if value in known:
            return known[value]
        fixed = constant(traced, value)
        assert fixed is not None, value
        return fixed.to(device, dtype)

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
            if node.op == "call_method":
                known[node] = getattr(given[0], target)(*given[1:])
            else:
                known[node] = target(*given, **node.kwargs)
        return known[nodes[-1]]

    return function


def in_dtype(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of a module in a precision, in evaluation mode."""
    return copy.deepcopy(module).to(dtype).eval()


class _Found:
    """The worst differences so far."""

    def __init__(self) -> None:
        self.absolute = self.relative = self.rounding = self.spread = 0.0
        self.shapes: list[tuple[int, ...]] = []
        self.refused: list[tuple[int, ...]] = []

    def add(self, expected: Any, found: Any, exact: Any = None) -> None:
        """Note those of a probe: of two results, and of the first one from what it is in double precision."""
        difference, share = _difference(expected, found)
        self.absolute, self.relative = _worst(self.absolute, difference), _worst(self.relative, share)
        self.spread = max(self.spread, *(_spread(one) for one in tensors_of(expected)))
        if exact is not None:
            self.rounding = _worst(self.rounding, _difference(exact, expected)[1])

    def errors(self) -> Errors:
        """All of it."""
        shapes, refused = tuple(dict.fromkeys(self.shapes)), tuple(self.refused)
        return Errors(self.absolute, self.relative, shapes, self.rounding, self.spread, refused)


def _difference(expected: Any, found: Any) -> tuple[float, float]:
    """The largest difference of all tensors that two maps gave out, and its largest share of a tensor's largest value.

    Raises:
        UsageError: they gave out no tensors.
    """
    absolute = relative = 0.0
    pairs = list(zip(tensors_of(expected), tensors_of(found), strict=True))
    if not pairs:
        raise UsageError("the network gives out no tensors that could be compared")
    for one, other in pairs:
        if not one.numel():
            continue
        difference, largest = float((one.double() - other.double()).abs().max()), float(one.abs().max())
        absolute = _worst(absolute, difference)
        relative = _worst(relative, difference / largest if largest else difference)
    return absolute, relative


def _spread(outputs: Tensor) -> float:
    """How far the outputs for two images are apart, over the largest one; 0 of a single image."""
    if not outputs.dim() or len(outputs) != PROBES or not outputs.numel():
        return 0.0
    largest = float(outputs.abs().max())
    return float((outputs[0].double() - outputs[1].double()).abs().max()) / largest if largest else 0.0


def tensors_of(output: Any) -> list[Tensor]:
    """All tensors of what a network gives out, which may be a tuple, a list or a dictionary."""
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
    return [tensor for part in parts for tensor in tensors_of(part)]


def _worst(one: float, other: float) -> float:
    """The larger of two; NaN if one of them is."""
    return other if other != other or other > one else one
