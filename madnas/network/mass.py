"""NN-Mass, density and non-linear units of a whole network: which blocks count, by a policy for every kind.

The formulas of one cell or block are those of :mod:`madnas.theory.nn_mass` and :mod:`madnas.theory.expressivity`. What
they are summed over differs between the families of the papers, so each kind of block names its policy:

``resnet``: every block counts, also one that opens a group with a projection, with W1 its input channels.
``mobilenet``: only blocks with an identity shortcut count; W1 = c, W2 = e c.
``convnext``, ``densenet``, ``random-skip``: every block, or the cell as a whole.
``none``: no shortcuts, no mass (VGG, MLPs).

Stem, head and projections have no mass.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from madnas.network.blocks import shortcut_of
from madnas.network.cells import MIN_CELL, skip_chs
from madnas.network.mobile import mobile_pair_layers
from madnas.network.restructurable import waist
from madnas.network.shapes import hidden_chs
from madnas.network.spec import Group, NetworkSpec
from madnas.theory.expressivity import bottleneck_units
from madnas.theory.nn_mass import (
    addition_density,
    basic_block_mass,
    bottleneck_mass,
    cell_density,
    cell_mass,
    convnext_mass,
    dense_cell_mass,
    network_density,
    possible_additions,
)
from madnas.theory.numerics import Number


@dataclass(frozen=True, slots=True)
class Cell:
    """A block or cell, and how often it repeats.

    Attributes:
        mass: NN-Mass, in channels.
        density: share of the possible skip connections that it has.
        units: non-linear units, in channels.
        repeat: how many such cells follow each other.
        counts: 1 if it is a cell of the network's density, which one without any shortcut is not.
    """

    mass: Number
    density: Number
    units: Number
    repeat: Number = 1
    counts: Number = 1


@dataclass(frozen=True, slots=True)
class Mass:
    """Topology of a network, or of a batch of candidates as arrays.

    Attributes:
        mass: NN-Mass, in channels (Eq. 2 and 3 of NN-Mass, Eq. 4 of RAN).
        density: mean density of the cells that have shortcuts (Appendix H.2 of NN-Mass); 0 without any.
        units: non-linear units inside blocks, in channels (Prop. 3 of RAN).
        policies: policy of each kind of block that it has.
    """

    mass: Number
    density: Number
    units: Number
    policies: dict[str, str]


def nn_mass(spec: NetworkSpec) -> Mass:
    """NN-Mass, density and non-linear units of a network; numbers or, for uniform blocks, arrays of candidates.

    >>> from madnas.network.named import get
    >>> nn_mass(get("convnext-t")).mass, int(nn_mass(get("mobilenetv2-1.4")).mass)
    (13248.0, 1807)
    """
    found = list(cells(spec))
    mass: Number = sum(cell.repeat * cell.mass for cell in found)
    units: Number = sum(cell.repeat * cell.units for cell in found)
    density = network_density([cell.density for cell in found], [cell.counts * cell.repeat for cell in found])
    policies = {group.block: POLICIES[group.block][0] for group in spec.groups}
    return Mass(mass, density, units, policies)


def cells(spec: NetworkSpec) -> Iterator[Cell]:
    """The cells of a network, group by group."""
    chs: Number = spec.input[0] if spec.stem is None else spec.stem.out
    for group in spec.groups:
        yield from POLICIES[group.block][1](group, chs)
        chs = group.out


def _runs(group: Group, in_chs: Number) -> Iterator[tuple[int, Number, Number]]:
    """The first block of a group and those that follow: index, input channels, repeat."""
    yield 0, in_chs, 1
    yield 1, group.out, group.depth - 1


def _basic(group: Group, in_chs: Number) -> Iterator[Cell]:
    planes = group.out if group.hidden is None else group.hidden
    for _, chs, repeat in _runs(group, in_chs):
        yield Cell(basic_block_mass(chs, planes), 1.0, planes, repeat)


def _preact(group: Group, in_chs: Number) -> Iterator[Cell]:
    for _, chs, repeat in _runs(group, in_chs):
        yield Cell(basic_block_mass(chs, group.out), 1.0, chs + group.out, repeat)


def _bottleneck(group: Group, in_chs: Number) -> Iterator[Cell]:
    for _, chs, repeat in _runs(group, in_chs):
        yield _bottleneck_cell(chs, group.hidden, repeat)


def _bottleneck_cell(outer: Number, inner: Number, repeat: Number) -> Cell:
    density = addition_density(outer, possible_additions((outer, inner, inner)))
    return Cell(bottleneck_mass(outer, inner), density, bottleneck_units(inner), repeat)


def _inverted(group: Group, in_chs: Number) -> Iterator[Cell]:
    """Blocks without expansion are those of e = 1: W1 = W2 = c."""
    separable = group.block == "separable"
    for index, chs, repeat in _runs(group, in_chs):
        inner = chs if separable else hidden_chs(group, chs)
        linked = 1 if index > 0 else chs == group.out
        if index == 0 and group.stride != 1 and shortcut_of(group) != "pool":
            linked = 0
        cell = _bottleneck_cell(chs, inner, repeat)
        yield Cell(linked * cell.mass, linked * cell.density, (1 if separable else 2) * inner, repeat, linked)


def _mobile_pair(group: Group, in_chs: Number) -> Iterator[Cell]:
    """Every block of the pairs counts, since all have a link."""
    for index, chs, repeat in _runs(group, in_chs):
        inside = {layer.name: layer for layer in mobile_pair_layers(group, chs, (1, 1), index)}
        for expansion in (inside["expand1"], inside["expand2"]):
            cell = _bottleneck_cell(expansion.in_chs, expansion.out_chs, repeat)
            yield replace(cell, units=2 * expansion.out_chs)


def _convnext(group: Group, in_chs: Number) -> Iterator[Cell]:
    hidden = hidden_chs(group, group.out)
    density = addition_density(group.out, 3 * group.out)
    units = hidden if group.branch in (None, "none") else hidden + group.out
    yield Cell(convnext_mass(group.out, hidden / group.out), density, units, group.depth)


def _dense(group: Group, in_chs: Number) -> Iterator[Cell]:
    """A layer is a cell's layer whether or not it has a 1x1 convolution; its channels are the growth rate."""
    opened = in_chs if group.stride == 1 else in_chs // 2
    hidden = 0 if group.hidden is None else group.hidden
    growth: Number = group.growth
    units = sum(opened + index * growth + hidden for index in range(group.depth))
    if group.depth < MIN_CELL:  # too few layers for a density
        yield Cell(0.0, 0.0, units, counts=0)
    else:
        yield Cell(dense_cell_mass(growth, group.depth), 1.0, units)


def _random_skip(group: Group, in_chs: Number) -> Iterator[Cell]:
    mass = cell_mass(group.out, group.depth, group.links)
    density = cell_density(group.out, group.depth, group.links)
    yield Cell(mass, density, sum(_layer_units(group, in_chs, index) for index in range(group.depth)))


def _layer_units(group: Group, in_chs: Number, index: int) -> Number:
    chs = skip_chs(group, in_chs, index)
    if group.block == "random-skip":  # the activation comes before the convolution
        return 0 if group.bare and index == 0 else chs
    return group.out if group.block == "random-skip-linear" else 2 * hidden_chs(group, chs)


def _afrb(group: Group, in_chs: Number) -> Iterator[Cell]:
    """Of an AFRB's two PReLUs one is linear, whichever it becomes; here that after the depthwise convolution counts."""
    for cell in _inverted(group, in_chs):
        yield replace(cell, units=cell.units / 2)


def _pair(group: Group, in_chs: Number) -> Iterator[Cell]:
    """Two blocks behind one link are no cell that the papers have a mass for; their activations count."""
    hidden = hidden_chs(group, in_chs)
    yield Cell(0.0, 0.0, (2 if group.block == "afrb-pair" else 4) * hidden, group.depth, counts=0)


def _act_conv(group: Group, in_chs: Number) -> Iterator[Cell]:
    """The activation comes before the convolution (RAN, Section 2.1)."""
    pair = group.block == "act-conv-pair"
    for _, chs, repeat in _runs(group, in_chs):
        yield Cell(0.0, 0.0, chs + waist(group) if pair else chs, repeat, counts=0)


def _plain(group: Group, in_chs: Number) -> Iterator[Cell]:
    yield Cell(0.0, 0.0, group.out, group.depth, counts=0)


POLICIES: dict[str, tuple[str, Callable[[Group, Number], Iterator[Cell]]]] = {
    "basic": ("resnet", _basic),
    "preact": ("resnet", _preact),
    "bottleneck": ("resnet", _bottleneck),
    "inverted-residual": ("mobilenet", _inverted),
    "separable": ("mobilenet", _inverted),
    "mobile-pair": ("resnet", _mobile_pair),
    "convnext": ("convnext", _convnext),
    "dense": ("densenet", _dense),
    "random-skip": ("random-skip", _random_skip),
    "random-skip-mobile": ("random-skip", _random_skip),
    "random-skip-linear": ("random-skip", _random_skip),
    "afrb": ("mobilenet", _afrb),
    "afrb-pair": ("none", _pair),
    "inverted-pair": ("none", _pair),
    "act-conv": ("none", _act_conv),
    "act-conv-pair": ("none", _act_conv),
    "act-expand": ("none", _act_conv),
    "repvgg": ("none", _plain),
    "depthwise": ("none", _plain),
    "conv": ("none", _plain),
    "linear": ("none", _plain),
}
"""Policy of every kind of block, by name, and the cells that it makes of a group."""
