"""From a network to its collapsed form, with a certificate: what was merged, and that nothing changed."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import fx, nn

from madnas.errors import UsageError
from madnas.measure.graph import LAYERS, shape
from madnas.measure.latency import Latency, race
from madnas.measure.module_count import count_params
from madnas.models.restructurable import alphas_of
from madnas.restructure.certificate import (
    PRECISIONS,
    Certified,
    Cost,
    certify,
    cost_of,
    in_dtype,
    probes_of,
    steps_of,
)
from madnas.restructure.merge import Merge, apply, finish, made, name_of, plan
from madnas.restructure.pieces import NOTHING
from madnas.restructure.places import lies_in
from madnas.restructure.prepared import traced_for_merging
from madnas.restructure.runs import Left, composed
from madnas.theory.restructuring import LINEAR, is_linear


@dataclass(frozen=True, slots=True)
class Merged:
    """One merge that was made.

    Attributes:
        name: of the new layer: that of the first one that was merged.
        modules: names of what it was.
        layers: convolutions and linear layers that it was.
        kernel: sides of the new kernel.
        border: whether it has constants that know where the image ends.
        before: cost.
        after: cost.
        errors: by precision.
        latency: of what it was and what it is; empty if it was not measured.
    """

    name: str
    modules: tuple[str, ...]
    layers: int
    kernel: tuple[int, int]
    border: bool
    before: Cost
    after: Cost
    errors: Certified
    latency: dict[str, Latency]


@dataclass(frozen=True, slots=True)
class Collapsed:
    """A collapsed network.

    Attributes:
        model: in single precision, for evaluation.
        merged: in the network's order.
        left: what would have cost multiply-adds.
        errors: of the whole network, by precision.
        before: cost of the network.
        after: cost of the collapsed one.
        latency: ``before`` and ``after``, of the whole network; empty if it was not measured.
    """

    model: fx.GraphModule
    merged: tuple[Merged, ...]
    left: tuple[Left, ...]
    errors: Certified
    before: Cost
    after: Cost
    latency: dict[str, Latency]


def collapse(
    model: nn.Module,
    input_shape: tuple[int, ...],
    costly: bool = False,
    only: Sequence[str] = (),
    device: str | None = None,
    watch: Callable[[str], None] = lambda text: None,
) -> Collapsed:
    """Merge what is linear in a network, and prove that nothing changed.

    Args:
        model: any that can be traced; it is not changed.
        input_shape: (C, H, W).
        costly: merge also where that has more multiply-adds.
        only: names of modules that have to become fewer convolutions; what lies in none of them stays as it is.
        device: where latencies are measured, one image at a time; None for not at all. The rest is done on the CPU.
        watch: told what is going on.

    Raises:
        UsageError: it cannot be traced, there is nothing to merge (in one of ``only``), or an error is above the
            tolerance.
    """
    watch("looking for what is linear")
    reference = in_dtype(model, torch.float64)
    traced = traced_for_merging(copy.deepcopy(reference), input_shape)
    merges, left = plan(traced, costly, only)
    left = _checked(reference, merges, left, only)
    merged = []
    for number, merge in enumerate(merges, 1):
        watch(f"merging {number} of {len(merges)}: {name_of(traced, merge)}")
        merged.append(_merge(traced, merge, device))
    finish(traced)
    watch("comparing the networks")
    before = {"float64": reference, "float32": in_dtype(model, torch.float32)}
    after: dict[str, nn.Module] = {"float64": traced, "float32": in_dtype(traced, torch.float32)}
    errors = certify("the network", before, after, probes_of(input_shape), sizes=True)
    latency = {}
    if device is not None:
        watch("measuring the networks")
        probe = next(probes_of(input_shape))[:1].to(device, torch.float32)
        both = {"before": copy.deepcopy(before["float32"]), "after": copy.deepcopy(after["float32"])}
        latency = race({name: partial(one.to(device), probe) for name, one in both.items()}, torch.device(device))
    collapsed = after["float32"]
    assert isinstance(collapsed, fx.GraphModule)
    return Collapsed(
        collapsed,
        tuple(merged),
        tuple(left),
        errors,
        cost_of(model, input_shape),
        cost_of(collapsed, input_shape),
        latency,
    )


def round_alphas(
    model: nn.Module, input_shape: tuple[int, ...], costly: bool = False, only: Sequence[str] = ()
) -> dict[str, float]:
    """Set slopes that count as linear to 1 where their blocks are then collapsed, which changes the network.

    Args:
        model: changed in place.
        input_shape: (C, H, W).
        costly: as in :func:`collapse`.
        only: as in :func:`collapse`.

    Returns:
        the slopes that were changed, by their blocks' names.

    Raises:
        UsageError: as :func:`collapse`.
    """
    slopes = {name: alpha.item() for name, alpha in alphas_of(model).items()}
    trial = copy.deepcopy(model)
    _set_alphas(trial, [name for name, slope in slopes.items() if is_linear(slope)])
    merges, left = plan(traced_for_merging(copy.deepcopy(trial), input_shape), costly, only)
    _checked(trial, merges, left, only)
    several = [name for merge in merges if merge.layers > 1 for name in merge.modules]
    changed = {
        name: slope for name, slope in slopes.items() if is_linear(slope) and slope != 1 and lies_in(several, name)
    }
    _set_alphas(model, list(changed))
    return changed


def _set_alphas(model: nn.Module, names: Sequence[str]) -> None:
    """Slopes of 1."""
    alphas = alphas_of(model)
    with torch.no_grad():
        for name in names:
            alphas[name].fill_(1.0)


def _merge(traced: fx.GraphModule, merge: Merge, device: str | None) -> Merged:
    """Make one merge, and compare what was with what is."""
    affine = composed(merge.pieces)
    like, name = next(traced.parameters()), name_of(traced, merge)
    source = shape(merge.source)[1:]
    before = {precision: steps_of(traced, merge, dtype) for precision, dtype in PRECISIONS.items()}
    after = {precision: made(merge, like.to(dtype)) for precision, dtype in PRECISIONS.items()}
    errors = certify(name, before, after, probes_of(source, still=merge.dim))
    latency = {}
    if device is not None:
        probe = next(probes_of(source, still=merge.dim))[:1].to(device, torch.float32)
        calls = steps_of(traced, merge, torch.float32, device), copy.deepcopy(after["float32"]).to(device)
        latency = race(
            {when: partial(call, probe) for when, call in zip(("before", "after"), calls, strict=True)},
            torch.device(device),
            rounds=7,
        )
    old = sum(count_params(traced.get_submodule(one)) for one in dict.fromkeys(merge.modules))
    costs = Cost(old, merge.macs), Cost(count_params(after["float64"]), merge.macs_after)
    modules, layers = merge.modules, merge.layers
    apply(traced, merge)
    return Merged(name, modules, layers, affine.kernel, affine.border is not None, *costs, errors, latency)


def _checked(model: nn.Module, merges: list[Merge], left: list[Left], only: Sequence[str]) -> list[Left]:
    """What is left in some modules.

    Raises:
        UsageError: there is nothing to merge, or not in all of them.
    """
    names = {name for name, _ in model.named_modules()}
    for one in only:
        if one not in names:
            parts = ", ".join(name for name, _ in model.named_children())
            hint = "its parts are {}; networks of timm that are described here have madnas' names, such as groups.0.1"
            raise UsageError(f"no module {one!r} in the network", hint.format(parts[:200]))
        layers = sum(isinstance(part, LAYERS) for part in model.get_submodule(one).modules())
        if not any(lies_in(merge.modules, one) and (layers == 1 or merge.layers > 1) for merge in merges):
            costly = next((other for other in left if lies_in(other.modules, one)), None)
            if costly is not None and all(alpha.item() == 1 for alpha in alphas_of(model.get_submodule(one)).values()):
                raise UsageError(
                    f"{one}: merged, it has {costly.after:,} MACs instead of {costly.before:,}", "--costly merges it"
                )
            raise UsageError(f"{one}: not linear: {_why_not(model.get_submodule(one))}")
    if not merges:
        raise UsageError("nothing in the network is linear over more than one layer")
    return [other for other in left if not only or any(lies_in(other.modules, one) for one in only)]


def _why_not(part: nn.Module) -> str:
    """What stands between the layers of a module."""
    low, high = LINEAR
    for slope in (alpha.item() for alpha in alphas_of(part).values()):
        if not is_linear(slope):
            return f"its alpha is {slope:.4g}, outside of {low} to {high}"
        if slope != 1:
            return f"its alpha is {slope:.4g}; --round-alphas takes {low} to {high} as 1"
    linear = (*LAYERS, nn.BatchNorm2d, *NOTHING)
    between = [f"{name} ({type(one).__name__})" for name, one in part.named_modules()
               if not list(one.children()) and not isinstance(one, linear)]  # fmt: skip
    return f"there is {', '.join(between[:3])}" if between else "it is a single layer, or one of several uses"
