"""Activations removed from some units of a block, and what became linear taken out as one layer (RAN, Section 4).

Of two layers with an activation between them, y = W2 act(W1 x + b1) + b2, the units S that lose their activation give
W2_S (W1_S x + b1_S): one layer W2_S W1_S beside the two, and a constant that goes into b2. There are no borders: both
layers see one pixel.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from madnas.data.seeds import generator
from madnas.errors import UsageError
from madnas.measure.graph import shape, trace
from madnas.measure.latency import Latency, race
from madnas.measure.module_count import count_params
from madnas.models.exponential import branch_act
from madnas.restructure.certificate import PRECISIONS, Certified, Cost, certify, compare, cost_of, in_dtype, probes_of
from madnas.restructure.merge import finish
from madnas.restructure.pairs import Pair, dim_of, matrix_of, module_at, pairs_of
from madnas.restructure.places import lies_in
from madnas.theory.restructuring import kept_units

Which = Literal["first", "random", "effect"]


@dataclass(frozen=True, slots=True)
class Part:
    """A pair that was split.

    Attributes:
        name: of its first layer.
        hidden: units before.
        kept: units that keep their activation.
        before: cost of the two layers.
        after: cost of the three.
        errors: by precision, against the pair without those activations.
        latency: ``before`` and ``after``, with the branch's activation; empty if it was not measured.
    """

    name: str
    hidden: int
    kept: int
    before: Cost
    after: Cost
    errors: Certified
    latency: dict[str, Latency]


@dataclass(frozen=True, slots=True)
class Split:
    """A network with split pairs.

    Attributes:
        model: in single precision, for evaluation or further training.
        parts: in the network's order.
        left: names of pairs that were left, because a branch costs more than it saves.
        errors: of the whole network against the one without those activations, by precision; before the branch gets an
            activation of its own.
        before: cost of the network.
        after: cost of the split one.
        changed: largest difference from the network as it was, over its largest output: what removing activations did.
        latency: ``before`` and ``after``, of the whole network; empty if it was not measured.
    """

    model: fx.GraphModule
    parts: tuple[Part, ...]
    left: tuple[str, ...]
    errors: Certified
    before: Cost
    after: Cost
    changed: float
    latency: dict[str, Latency]


class SplitPair(nn.Module):
    """Two layers with an activation between them, and a linear one beside them, perhaps with an activation of its own.

    Args:
        first: the first layer.
        act: between the two, perhaps with dropout.
        last: the second layer.
        branch: beside them.
        name: of the branch's activation.
    """

    def __init__(self, first: nn.Module, act: nn.Module, last: nn.Module, branch: nn.Module, name: str) -> None:
        super().__init__()
        self.expand, self.act, self.project, self.branch = first, act, last, branch
        self.branch_act = branch_act(name)

    def forward(self, x: Tensor) -> Tensor:
        """Map what the first layer takes to what the second gives out."""
        inside: Tensor = self.project(self.act(self.expand(x)))
        return inside + self.branch_act(self.branch(x))


class PartlyLinear(nn.Module):
    """An activation that some units do not have.

    Args:
        act: of the others.
        linear: which have none (units,).
        dim: of the units.
    """

    linear: Tensor

    def __init__(self, act: nn.Module, linear: Tensor, dim: int) -> None:
        super().__init__()
        self.act = act
        self.register_buffer("linear", linear.view(-1, 1, 1) if dim == 1 else linear)

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to the same."""
        return torch.where(self.linear, x, self.act(x.clone()))  # the activation may work in place


def split(
    model: nn.Module,
    input_shape: tuple[int, ...],
    fraction: float,
    activation: str = "none",
    which: Which = "first",
    seed: int = 0,
    images: Iterable[Tensor] = (),
    only: Sequence[str] = (),
    costly: bool = False,
    device: str | None = None,
    watch: Callable[[str], None] = lambda text: None,
) -> Split:
    """Remove a fraction of the activations between layers, and take out what became linear.

    Args:
        model: any that can be traced; it is not changed.
        input_shape: (C, H, W).
        fraction: of the units of each pair, 0 to 1.
        activation: of the branches: ``none``, ``gelu``, ``exp``, ``expm1`` or ``exp-clamped``.
        which: units: the first, random ones, or those whose activation does least on ``images``.
        seed: of random ones.
        images: batches (B, C, H, W).
        only: names of modules; pairs in none of them stay as they are.
        costly: split also where the branch costs more multiply-adds than it saves.
        device: where latencies are measured, one image at a time; None for not at all. The rest is done on the CPU.
        watch: told what is going on.

    Raises:
        UsageError: it cannot be traced, there is nothing to split, or an error is above the tolerance.
    """
    reference = in_dtype(model, torch.float64)
    masked = trace(copy.deepcopy(reference), input_shape, whole=True)
    chosen, left = _chosen(masked, only, fraction, costly)
    watch("choosing units")
    effects = _effects(reference, masked, chosen, images) if which == "effect" else {}
    units = {}
    for pair in chosen:
        number = pair.hidden - kept_units(pair.hidden, fraction)
        units[pair.name] = _units(pair, number, which, seed, effects)
        dim = dim_of(module_at(masked, pair.first))
        masked.set_submodule(str(pair.act.target), PartlyLinear(module_at(masked, pair.act), units[pair.name], dim))
    result = trace(copy.deepcopy(reference), input_shape, whole=True)
    parts = []
    for pair in pairs_of(result):
        if pair.name in units:
            watch(f"splitting {pair.name}")
            parts.append(_split_one(result, pair, units[pair.name], activation, device))
    finish(result)
    watch("comparing the networks")
    masks, splits = ({name: in_dtype(one, dtype) for name, dtype in PRECISIONS.items()} for one in (masked, result))
    errors = certify("the network", masks, splits, probes_of(input_shape), sizes=True)
    changed = compare(reference, result, [next(probes_of(input_shape))]).relative
    single = in_dtype(result, torch.float32)
    assert isinstance(single, fx.GraphModule)
    for part in parts:
        made = single.get_submodule(part.name)
        assert isinstance(made, SplitPair)
        made.branch_act = branch_act(activation)
    latency = {}
    if device is not None:
        watch("measuring the networks")
        probe = next(probes_of(input_shape))[:1].to(device, torch.float32)
        both = {"before": in_dtype(model, torch.float32), "after": copy.deepcopy(single)}
        latency = race({name: partial(one.to(device), probe) for name, one in both.items()}, torch.device(device))
    before, after = cost_of(model, input_shape), cost_of(single, input_shape)
    return Split(single, tuple(parts), left, errors, before, after, changed, latency)


def split_structure(
    model: nn.Module, input_shape: tuple[int, ...], kept: Mapping[str, int], activation: str
) -> fx.GraphModule:
    """The structure of a split network, for weights of a file.

    Args:
        model: the network before; its modules are used.
        input_shape: (C, H, W).
        kept: units that keep their activation, by the names of the layers before them.
        activation: of the branches.

    Raises:
        UsageError: the network has no such layers.
    """
    traced = trace(model.eval(), input_shape, whole=True)
    pairs = {pair.name: pair for pair in pairs_of(traced)}
    for name, number in kept.items():
        if name not in pairs or not 0 < number < pairs[name].hidden:
            raise UsageError(f"the network has no {name} that can be split as described")
        pair = pairs[name]
        first, last = module_at(traced, pair.first), module_at(traced, pair.last)
        made = _split_pair(first, _between(traced, pair), last, torch.arange(pair.hidden) >= number, activation)
        made.branch_act = branch_act(activation)
        _replace(traced, pair, made)
    return finish(traced)


def _split_one(traced: fx.GraphModule, pair: Pair, linear: Tensor, activation: str, device: str | None) -> Part:
    """Replace a pair by its split form, and compare that with the pair without those activations."""
    first, act, last = (module_at(traced, node) for node in (pair.first, pair.act, pair.last))
    made = _split_pair(first, _between(traced, pair), last, linear, activation)
    masked = nn.Sequential(first, PartlyLinear(act, linear, dim_of(first)), last)
    masks, splits = ({name: in_dtype(one, dtype) for name, dtype in PRECISIONS.items()} for one in (masked, made))
    probe = next(probes_of(shape(pair.first.all_input_nodes[0])[1:]))
    errors = certify(pair.name, masks, splits, [probe])
    latency = {}
    if device is not None:
        before, after = in_dtype(nn.Sequential(first, act, last), torch.float32), in_dtype(made, torch.float32)
        after.branch_act = branch_act(activation)
        given = probe[:1].to(device, torch.float32)
        calls = {"before": partial(before.to(device), given), "after": partial(after.to(device), given)}
        latency = race(calls, torch.device(device), rounds=7)
    costs = [Cost(count_params(part), pair.pixels * _weights(part)) for part in (masked, made)]
    _replace(traced, pair, made)
    return Part(pair.name, pair.hidden, int((~linear).sum()), costs[0], costs[1], errors, latency)


def _replace(traced: fx.GraphModule, pair: Pair, made: SplitPair) -> None:
    """Put a split form in the place of its pair."""
    (source,) = pair.first.all_input_nodes
    with traced.graph.inserting_after(pair.last):
        new = traced.graph.call_module(pair.name, (source,))
    new.meta.update(pair.last.meta)
    pair.last.replace_all_uses_with(new)
    node = pair.last
    while node is not source:
        (earlier,) = node.all_input_nodes
        traced.graph.erase_node(node)
        node = earlier
    traced.set_submodule(pair.name, made)


def _between(traced: fx.GraphModule, pair: Pair) -> nn.Module:
    """The activation with what does nothing in a test and something in training, such as dropout."""
    parts: list[nn.Module] = []
    (node,) = pair.last.all_input_nodes
    while node is not pair.first:
        part = module_at(traced, node)
        if not isinstance(part, nn.Identity):
            parts.insert(0, part)
        (node,) = node.all_input_nodes
    return parts[0] if len(parts) == 1 else nn.Sequential(*parts)


def _split_pair(first: nn.Module, act: nn.Module, last: nn.Module, linear: Tensor, activation: str) -> SplitPair:
    """The split form, its branch without activation yet; the constant is where it will belong."""
    inner, outer = matrix_of(first), matrix_of(last)
    inner_bias, outer_bias = _bias(first), _bias(last)
    constant = outer[:, linear] @ inner_bias[linear]
    own = activation != "none"
    branch = _layer(first, outer[:, linear] @ inner[linear], constant if own else None)
    return SplitPair(
        _layer(first, inner[~linear], inner_bias[~linear]),
        act,
        _layer(last, outer[:, ~linear], outer_bias if own else outer_bias + constant),
        branch,
        "none",
    )


def _layer(kind: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
    """A linear layer, or a 1x1 convolution, as another one is."""
    out, inside = weight.shape
    made: nn.Linear | nn.Conv2d
    if isinstance(kind, nn.Linear):
        made = nn.Linear(inside, out, bias=bias is not None)
    else:
        made = nn.Conv2d(inside, out, 1, bias=bias is not None)
    made.to(weight)
    with torch.no_grad():
        made.weight.copy_(weight.view_as(made.weight))
        if bias is not None and made.bias is not None:
            made.bias.copy_(bias)
    return made


def _bias(layer: Any) -> Tensor:
    """Bias (out,), or zeros."""
    weight = matrix_of(layer)
    found: Tensor = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach()
    return found


def _weights(module: nn.Module) -> int:
    """Multiply-adds of one pixel."""
    return sum(part.weight.numel() for part in module.modules() if isinstance(part, nn.Linear | nn.Conv2d))


def _chosen(
    traced: fx.GraphModule, only: Sequence[str], fraction: float, costly: bool
) -> tuple[list[Pair], tuple[str, ...]]:
    """Pairs to split, and names of those that are left."""
    found = pairs_of(traced)
    for one in only:
        if not any(lies_in([pair.name], one) for pair in found):
            raise UsageError(f"{one}: there are no two layers with an activation between them alone")
    found = [pair for pair in found if not only or any(lies_in([pair.name], one) for one in only)]
    if not found:
        raise UsageError("nowhere in the network are two layers with an activation between them alone")
    chosen: list[Pair] = []
    left: list[Pair] = []
    for pair in found:
        kept = kept_units(pair.hidden, fraction)
        if not 0 < kept < pair.hidden:
            raise UsageError(f"--fraction {fraction:g} of the {pair.hidden} units of {pair.name} leaves {kept}")
        inside, out = matrix_of(module_at(traced, pair.first)).shape[1], len(matrix_of(module_at(traced, pair.last)))
        (chosen if costly or (pair.hidden - kept) * (inside + out) >= inside * out else left).append(pair)
    if not chosen:
        raise UsageError(
            "everywhere in the network the branch would cost more multiply-adds than it saves",
            "a larger --fraction, or --costly",
        )
    return chosen, tuple(pair.name for pair in left)


def _units(pair: Pair, number: int, which: Which, seed: int, effects: dict[str, Tensor]) -> Tensor:
    """Which units lose their activation (hidden,)."""
    if which == "first":
        order = torch.arange(pair.hidden)
    elif which == "random":
        order = torch.randperm(pair.hidden, generator=generator(seed, "units", pair.name))
    else:
        order = effects[pair.name].argsort(stable=True)
    linear = torch.zeros(pair.hidden, dtype=torch.bool)
    linear[order[:number]] = True
    return linear


def _effects(
    model: nn.Module, traced: fx.GraphModule, pairs: list[Pair], images: Iterable[Tensor]
) -> dict[str, Tensor]:
    """What the activation of every unit does to the outputs: mean of (act(h) - h)^2, times its weights' squares."""
    sums = {pair.name: torch.zeros(pair.hidden, dtype=torch.float64) for pair in pairs}
    hooks = []
    for pair in pairs:
        act, dim = model.get_submodule(str(pair.act.target)), dim_of(module_at(traced, pair.first))

        def note(part: Any, given: tuple[Tensor, ...], name: str = pair.name, dim: int = dim) -> None:
            (x,) = given
            squares = (part.forward(x.clone()) - x) ** 2
            sums[name] += squares.movedim(dim, -1).flatten(0, -2).sum(0)

        hooks.append(act.register_forward_pre_hook(note))
    seen = 0
    with torch.inference_mode():
        for batch in images:
            model(batch.double())
            seen += len(batch)
    for hook in hooks:
        hook.remove()
    if not seen:
        raise UsageError("units by their effect need images", "give --recipe, which names the data")
    weights = {pair.name: (matrix_of(module_at(traced, pair.last)) ** 2).sum(0) for pair in pairs}
    return {name: total / seen * weights[name] for name, total in sums.items()}
