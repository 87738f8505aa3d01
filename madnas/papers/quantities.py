"""What the papers' columns mean, each as a function of the row's network; a paper's way of counting has a name here.

A column's quantity is words: a name of :data:`QUANTITIES`, then perhaps ``M`` or ``G`` (the unit), ``cut off`` (digits
are not rounded) or, before it, ``bare`` (without squeeze-excitation), ``twice`` or ``below`` (a bound).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property

import torch
from torch import nn

from madnas.errors import UsageError
from madnas.measure.module_count import ModuleCounts, count_module
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.mass import nn_mass
from madnas.network.spec import NetworkSpec
from madnas.program.design import Design, design
from madnas.program.recipe import load_recipe
from madnas.scores.targets import subject
from madnas.targets import find, module_of

UNITS = {"M": 1e6, "G": 1e9, "hours": 3600.0}
ZEN_REPEATS = 4
"""Draws of a Zen-Score."""

NPU_BASE = "efficientnet-lite0"
"""Whose frames per second RAN divides by."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column's quantity, read.

    Attributes:
        name: of :data:`QUANTITIES`.
        unit: what the value is divided by.
        cut: whether digits are cut off and not rounded.
        bare: whether squeeze-excitation is left out.
        twice: whether two are counted for each one.
        below: whether the printed number is a bound.
    """

    name: str
    unit: float
    cut: bool
    bare: bool
    twice: bool
    below: bool


def column(text: str) -> Column:
    """Read a column's quantity.

    >>> column("bare macs+norms G").unit, column("mass cut off").cut
    (1000000000.0, True)
    """
    cut = text.endswith(" cut off")
    words = text.removesuffix(" cut off").split()
    unit = UNITS[words.pop()] if words[-1] in UNITS else 1.0
    flags = {flag: words[0] == flag and bool(words.pop(0)) for flag in ("bare", "twice", "below")}
    return Column(" ".join(words), unit, cut, **flags)


class Network:
    """A row's network, with whatever is computed of it kept.

    Args:
        kind: of :data:`madnas.papers.printed.SUBJECTS`.
        name: of the network or recipe.
        bare: without squeeze-excitation.
    """

    def __init__(self, kind: str, name: str, bare: bool = False) -> None:
        self.kind, self.name, self.bare = kind, name, bare

    @cached_property
    def design(self) -> Design:
        """The solved recipe."""
        return design(load_recipe(self.name).problem())

    @cached_property
    def spec(self) -> NetworkSpec | None:
        """The description, where there is one."""
        spec = self.design.spec if self.kind == "design" else subject(find(self.name)).spec
        if spec is not None and self.bare:
            return replace(spec, groups=tuple(replace(group, se="none") for group in spec.groups))
        return spec

    @cached_property
    def input(self) -> tuple[int, ...]:
        """Shape of an image."""
        return self.spec.input if self.spec is not None else subject(find(self.name)).input

    @cached_property
    def module(self) -> nn.Module:
        """The network built, collapsed if the row is of its collapsed form."""
        from madnas.models import build

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = build(self.spec) if self.spec is not None else module_of(find(self.name))
        module.eval()
        if self.kind == "collapsed":
            from madnas.models.norms import unsettle
            from madnas.restructure.collapse import collapse

            unsettle(module, 0)
            return collapse(module, self.input).model
        return module

    @cached_property
    def counts(self) -> ModuleCounts:
        """Counted on the module by fvcore."""
        return count_module(self.module, self.input)

    @property
    def described(self) -> NetworkSpec:
        """The description of a network that has to have one."""
        assert self.spec is not None, self.name
        return self.spec

    @property
    def closed(self) -> bool:
        """Whether costs come from closed form."""
        return self.spec is not None and self.kind != "collapsed"


def params(network: Network) -> float:
    """Trainable parameters."""
    return float(count(network.described).params if network.closed else network.counts.params)


def params_and_statistics(network: Network) -> float:
    """The same with the running means and variances of batch norms."""
    norms = (part for part in network.module.modules() if isinstance(part, nn.BatchNorm2d))
    return params(network) + sum(2 * part.num_features for part in norms)


def macs(network: Network) -> float:
    """Multiply-adds of convolutions and linear layers."""
    return float(count(network.described).macs if network.closed else network.counts.macs)


def macs_before_classifier(network: Network) -> float:
    """The same without the classifier."""
    spec = network.described
    chs = spec.head.conv or spec.groups[-1].out
    return macs(network) - chs * spec.head.classes


def norm_outputs(network: Network) -> int:
    """Elements that the batch norms give out for one image."""
    seen: list[int] = []
    norms = [part for part in network.module.modules() if isinstance(part, nn.BatchNorm2d)]
    handles = [part.register_forward_hook(lambda *found: seen.append(found[-1].numel())) for part in norms]
    with torch.inference_mode():
        network.module(torch.zeros(1, *network.input))
    for handle in handles:
        handle.remove()
    return sum(seen)


def macs_and_norms(network: Network) -> float:
    """Multiply-adds and 2 for each element of a batch norm (Zen-NAS; NN-Mass, Table 2)."""
    return macs(network) + 2 * norm_outputs(network)


def macs_and_norm_outputs(network: Network) -> float:
    """Multiply-adds and 1 for each element of a batch norm; twice that are the FLOPs of NN-Mass, Table 1."""
    return macs(network) + norm_outputs(network)


def fvcore(network: Network) -> float:
    """Everything that fvcore counts, norms and pooling included (RAN's ConvNeXts)."""
    return float(network.counts.macs + sum(network.counts.other.values()))


def rho(network: Network) -> float:
    """Effectiveness (DeepMAD, Eq. 2)."""
    return float(analyse(network.described).rho)


def mass(network: Network) -> float:
    """NN-Mass."""
    return float(nn_mass(network.described).mass)


def layers(network: Network) -> float:
    """Layers as NN-Mass counts them: those of the cells, and four more."""
    return float(sum(network.described.depths) + 4)


def zen(network: Network) -> float:
    """Zen-Score, the mean of :data:`ZEN_REPEATS` draws."""
    from madnas.scores.registry import measure
    from madnas.scores.subject import subject_of

    return float(measure(subject_of(network.described), "zen", ZEN_REPEATS).value)


def search_seconds(network: Network) -> float:
    """Seconds that the design took."""
    return network.design.seconds


def npu_speed(npu: str) -> Callable[[Network], float]:
    """Inferences per second with ReLU6, over those of :data:`NPU_BASE`."""

    def speed(network: Network) -> float:
        return _inferences(network, npu) / _base_inferences(npu)

    return speed


@cache
def _base_inferences(npu: str) -> float:
    return _inferences(Network("network", NPU_BASE), npu)


def _inferences(network: Network, npu: str) -> float:
    from madnas.measure.npu.estimate import estimate

    return estimate(network.module, network.input, npu, "relu6", name=network.name).inferences_per_second


QUANTITIES: dict[str, Callable[[Network], float]] = {
    "params": params,
    "params+statistics": params_and_statistics,
    "macs": macs,
    "macs before classifier": macs_before_classifier,
    "macs+norms": macs_and_norms,
    "macs+norm outputs": macs_and_norm_outputs,
    "fvcore": fvcore,
    "rho": rho,
    "mass": mass,
    "layers": layers,
    "zen": zen,
    "search": search_seconds,
    "ethos-u55-256": npu_speed("ethos-u55-256"),
    "ethos-u65-512": npu_speed("ethos-u65-512"),
}
"""Every quantity by its name in the papers' files."""


def value(network: Network, what: Column) -> float:
    """A column's value of a network, in its unit.

    Raises:
        UsageError: what it needs is not installed.
    """
    if what.name not in QUANTITIES:
        raise UsageError(f"unknown quantity {what.name!r}", f"one of {', '.join(QUANTITIES)}")
    return (2 if what.twice else 1) * QUANTITIES[what.name](network) / what.unit
