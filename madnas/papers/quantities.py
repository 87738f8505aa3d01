"""What the papers' columns mean, each as a function of the row's network; a paper's way of counting has a name here.

A column's quantity is words: a name of :data:`QUANTITIES`, then perhaps ``K``, ``M`` or ``G`` (the unit), ``cut off``
(digits are not rounded) or, before it, ``bare`` (without squeeze-excitation), ``twice`` or ``below`` (a bound).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from math import log
from statistics import correlation

from torch import nn

from madnas.errors import UsageError
from madnas.measure.by_module import count_elements
from madnas.models.blocks import BottleneckBlock
from madnas.network.analyse import analyse
from madnas.network.mass import nn_mass
from madnas.papers.networks import Designed, Network, Scaled, Several

UNITS = {"K": 1e3, "M": 1e6, "G": 1e9, "hours": 3600.0}
ZEN_REPEATS = 4
"""Draws of a Zen-Score."""

NPU_BASE = "efficientnet-lite0"
"""Whose frames per second RAN divides by."""

WIDE_BOTTLENECK, ITS_BASE = "wrn-imagenet-50-2", "resnet50"
"""The Wide-ResNet that is not wide everywhere, for which Figure 6(b) of NN-Mass doubles every width of its base."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column's quantity, read.

    Attributes:
        name: of :data:`QUANTITIES`.
        unit: of :data:`UNITS`, in which the value is printed; empty: 1.
        cut: whether digits are cut off and not rounded.
        bare: whether squeeze-excitation is left out.
        twice: whether two are counted for each one.
        below: whether the printed number is a bound.
    """

    name: str
    unit: str
    cut: bool
    bare: bool
    twice: bool
    below: bool


def column(text: str) -> Column:
    """Read a column's quantity.

    >>> column("bare macs+norms G").unit, column("mass cut off").cut
    ('G', True)
    """
    cut = text.endswith(" cut off")
    words = text.removesuffix(" cut off").split()
    unit = words.pop() if words[-1] in UNITS else ""
    flags = {flag: words[0] == flag and bool(words.pop(0)) for flag in ("bare", "twice", "below")}
    return Column(" ".join(words), unit, cut, **flags)


def params(network: Network) -> float:
    """Trainable parameters."""
    return float(network.params)


def params_and_statistics(network: Network) -> float:
    """The same with the running means and variances of batch norms."""
    norms = (part for part in network.shapes.modules() if isinstance(part, nn.BatchNorm2d))
    return params(network) + sum(2 * part.num_features for part in norms)


def macs(network: Network) -> float:
    """Multiply-adds of convolutions and linear layers."""
    return float(network.macs)


def macs_before_classifier(network: Network) -> float:
    """The same without the classifier."""
    spec = network.described
    chs = spec.head.conv or spec.groups[-1].out
    return macs(network) - chs * spec.head.classes


def norm_outputs(network: Network) -> int:
    """Elements that the batch norms give out for one image."""
    return network.elements.norms


def macs_and_norms(network: Network) -> float:
    """Multiply-adds and 2 for each element of a batch norm (NN-Mass, Table 2)."""
    return macs(network) + 2 * norm_outputs(network)


def macs_norms_and_biases(network: Network) -> float:
    """The same and 1 for each element that a convolution adds a bias to (Zen-NAS, its own networks)."""
    return macs_and_norms(network) + network.elements.biases


def macs_and_norm_outputs(network: Network) -> float:
    """Multiply-adds and 1 for each element of a batch norm; twice that are the FLOPs of NN-Mass, Table 1."""
    return macs(network) + norm_outputs(network)


def openmmlab(network: Network) -> float:
    """The FLOPs of OpenMMLab's programs: norms, biases, activations and poolings too, module by module."""
    return float(network.elements.openmmlab)


def openmmlab_inner(network: Network) -> float:
    """The same without the activations behind the sums of bottlenecks: functions, which no count of modules sees."""
    behind = tuple(part.act for part in network.shapes.modules() if isinstance(part, BottleneckBlock))
    return float(count_elements(network.shapes, network.input, behind).openmmlab)


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


def scaled_width(group: int, network: Network) -> float:
    """Channels of a group behind the multiplier of widths; the first group is 0."""
    assert isinstance(network, Scaled)
    return float(network.sizes[0][group])


def scaled_depth(group: int, network: Network) -> float:
    """Blocks of a group behind the multiplier of depths."""
    assert isinstance(network, Scaled)
    return float(network.sizes[1][group])


def fit_of_params(network: Network) -> float:
    """R2 of top-1 accuracy against the logarithm of the parameters."""
    assert isinstance(network, Several)
    return _r2((params(Network(name)) for name in network.errors), network.errors.values())


def fit_of_mass(network: Network) -> float:
    """R2 of top-1 accuracy against the logarithm of NN-Mass."""
    assert isinstance(network, Several)
    masses = (
        2 * mass(Network(ITS_BASE)) if name == WIDE_BOTTLENECK else mass(Network(name)) for name in network.errors
    )
    return _r2(masses, network.errors.values())


def _r2(values: Iterable[float], errors: Iterable[float]) -> float:
    return correlation([log(one) for one in values], [100 - error for error in errors]) ** 2


def zen(network: Network) -> float:
    """Zen-Score, the mean of :data:`ZEN_REPEATS` draws."""
    from madnas.scores.registry import measure
    from madnas.scores.subject import subject_of

    return float(measure(subject_of(network.described), "zen", ZEN_REPEATS).value)


def search_seconds(network: Network) -> float:
    """Seconds that the design took."""
    assert isinstance(network, Designed)
    return network.design.seconds


def npu_speed(npu: str) -> Callable[[Network], float]:
    """Inferences per second with ReLU6, over those of :data:`NPU_BASE`."""

    def speed(network: Network) -> float:
        return _inferences(network, npu) / _base_inferences(npu)

    return speed


@cache
def _base_inferences(npu: str) -> float:
    return _inferences(Network(NPU_BASE), npu)


def _inferences(network: Network, npu: str) -> float:
    from madnas.measure.npu.estimate import estimate

    return estimate(network.module, network.input, npu, "relu6", name=network.word).inferences_per_second


QUANTITIES: dict[str, Callable[[Network], float]] = {
    "params": params,
    "params+statistics": params_and_statistics,
    "macs": macs,
    "macs before classifier": macs_before_classifier,
    "macs+norms": macs_and_norms,
    "macs+norms+biases": macs_norms_and_biases,
    "macs+norm outputs": macs_and_norm_outputs,
    "openmmlab": openmmlab,
    "openmmlab inner": openmmlab_inner,
    "fvcore": fvcore,
    "rho": rho,
    "mass": mass,
    "layers": layers,
    **{f"width {group}": partial(scaled_width, group - 1) for group in range(1, 5)},
    **{f"depth {group}": partial(scaled_depth, group - 1) for group in range(1, 5)},
    "r2 of params": fit_of_params,
    "r2 of mass": fit_of_mass,
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
    return (2 if what.twice else 1) * QUANTITIES[what.name](network) / UNITS.get(what.unit, 1.0)
