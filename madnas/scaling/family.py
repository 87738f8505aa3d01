"""A base network's family: every network that width and depth multipliers make of it, each once.

A multiplier scales all widths (or all depths) and rounds them, so that only finitely many networks lie in a range. They
are found exactly, as fractions, from the multipliers at which some width or depth changes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import lcm

from madnas.errors import UsageError
from madnas.network.blocks import CATALOGUE
from madnas.network.cells import MIN_CELL, dense_out
from madnas.network.mass import POLICIES, cells, nn_mass
from madnas.network.spec import NetworkSpec
from madnas.theory.numerics import Number

LONGEST_NAME = 60
"""Characters of a base's name that go into the names of its networks."""

MOST_WIDTHS = 100_000
"""Most widths that a range may hold; the paper's holds two thousand."""


NARROWER = "narrow --width-range or --depth-range, or give a --multiple of 8"
"""What to do about too many."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Sizes that a multiplier makes.

    Attributes:
        multiplier: one that makes them.
        sizes: the rounded sizes, in the order of the base's.
    """

    multiplier: Fraction
    sizes: tuple[int, ...]

    @property
    def text(self) -> str:
        """The multiplier as it can be typed to get these sizes again: a decimal, or a fraction where none will do."""
        return multiplier_text(self.multiplier)


def multiplier_text(multiplier: Fraction) -> str:
    """A multiplier exactly, as a decimal if it is a short one.

    >>> multiplier_text(Fraction("0.666")), multiplier_text(Fraction(77, 144))
    ('0.666', '77/144')
    """
    decimal = f"{float(multiplier):.{DIGITS}f}".rstrip("0").rstrip(".")
    return decimal if Fraction(decimal) == multiplier else str(multiplier)


DIGITS = 9
"""Most digits of a multiplier after the point: enough for any between two sizes' steps."""


def check_base(base: NetworkSpec) -> None:
    """Refuse a base that NN-Mass does not scale.

    Raises:
        UsageError: no shortcuts, or blocks of several families.
    """
    policies = {POLICIES[group.block][0] for group in base.groups}
    linked = all(group.links is not None for group in base.groups)  # then links are what is scaled, also from none
    shallow = [f"groups[{place}]" for place, group in enumerate(base.groups) if group.depth < MIN_CELL]
    if policies == {"densenet"} and shallow:
        raise UsageError(
            f"{base.name}: {', '.join(shallow)}: a dense cell needs {MIN_CELL} layers to have an NN-Mass (d > 2, Eq. 1)"
        )
    if "none" in policies or (nn_mass(base).mass == 0 and not linked):
        raise UsageError(
            f"{base.name}: has stages without shortcuts, and so no NN-Mass to scale by",
            hint="scaling needs stages of uniform residual or dense blocks: convnext-t, resnet50, mobilenetv2 ...",
        )
    if len(policies) > 1:
        raise UsageError(
            f"{base.name}: mixes blocks of several families ({', '.join(sorted(policies))})",
            hint="scaling needs one uniform kind of block in all stages",
        )


def is_uniform(base: NetworkSpec) -> bool:
    """Whether every block has the same non-linear units per NN-Mass, which Prop. 3 and Fig. 6(b) of RAN assume."""
    found = list(cells(base))
    if any(cell.mass == 0 for cell in found):
        return False
    ratios = [cell.units / cell.mass for cell in found if cell.repeat > 0]
    return max(ratios) - min(ratios) < 1e-9 * max(ratios)


def width_sites(base: NetworkSpec) -> dict[str, int]:
    """The widths of a base that scale, by name: ``stem1`` ..., ``stem``, ``out1``, ``hidden1``, ``growth1``, ``head``.

    ``expand`` follows from the widths, and so does ``out`` of dense groups.
    """
    found: dict[str, int] = {}
    if base.stem is not None:
        found |= {f"stem{number}": chs for number, chs in enumerate(base.stem.hidden, 1)}
        found["stem"] = base.stem.out
    for number, group in enumerate(base.groups, 1):
        for key in ("out", "hidden", "growth"):
            value = getattr(group, key)
            if value is not None and not (key == "out" and group.growth is not None):
                found[f"{key}{number}"] = value
    if base.head.conv is not None:
        found["head"] = base.head.conv
    return found


def site_multiples(base: NetworkSpec, multiple: int) -> list[int]:
    """What each width of :func:`width_sites` is a multiple of, besides ``multiple``: of group convolutions a group.

    Outputs as wide as such a convolution (RegNet) stay so.
    """
    found = dict.fromkeys(width_sites(base), multiple)
    for number, group in enumerate(base.groups, 1):
        if group.group_width is not None:
            found[f"hidden{number}"] = lcm(multiple, group.group_width)
            if group.out == group.hidden:
                found[f"out{number}"] = found[f"hidden{number}"]
    return list(found.values())


def assemble(base: NetworkSpec, widths: Mapping[str, Number], depths: Iterable[Number], name: str) -> NetworkSpec:
    """A network of the family.

    Args:
        base: the base.
        widths: a value (or an array of candidates) for every site of :func:`width_sites`.
        depths: blocks of each group.
        name: its name.
    """
    groups = []
    chs: Number = widths.get("stem", base.input[0])
    for number, (group, depth) in enumerate(zip(base.groups, depths, strict=True), 1):
        scaled = {key: widths[f"{key}{number}"] for key in ("out", "hidden", "growth") if f"{key}{number}" in widths}
        group = replace(group, depth=depth, **scaled)
        if group.growth is not None:
            group = replace(group, out=dense_out(group, chs))
        groups.append(group)
        chs = group.out
    stem = base.stem
    if stem is not None:
        inner = tuple(widths[f"stem{number}"] for number in range(1, len(stem.hidden) + 1))
        stem = replace(stem, out=widths["stem"], hidden=inner)
    head = base.head if "head" not in widths else replace(base.head, conv=widths["head"])
    return NetworkSpec(name, base.input, tuple(groups), head, stem)


def rounded(size: int, multiplier: Fraction, multiple: int = 1) -> int:
    """A size times a multiplier as the nearest multiple of ``multiple``, ties to even, at least ``multiple``.

    With a multiple of 1 that is Python's ``round``, which gives RAN's Table 7.

    >>> rounded(96, Fraction("0.666")), rounded(768, Fraction("0.666"))
    (64, 511)
    """
    # round(size * multiplier / multiple) in whole numbers: a range holds hundreds of thousands of these.
    number, per = size * multiplier.numerator, multiplier.denominator * multiple
    nearest, rest = divmod(2 * number + per, 2 * per)
    return multiple * max(1, nearest - (rest == 0 and nearest % 2))


def width_choices(base: NetworkSpec, low: Fraction, high: Fraction, multiple: int = 1) -> list[Choice]:
    """Every set of widths (in the order of :func:`width_sites`) that a multiplier from ``low`` to ``high`` makes.

    A head convolution never gets narrower than the base's, as in MobileNetV2.

    Raises:
        UsageError: the range holds too many.
    """
    sites = width_sites(base)

    multiples = site_multiples(base, multiple)

    def sizes(multiplier: Fraction) -> tuple[int, ...]:
        return tuple(
            rounded(size, max(multiplier, Fraction(1)) if site == "head" else multiplier, step)
            for (site, size), step in zip(sites.items(), multiples, strict=True)
        )

    return _choices(list(zip(sites.values(), multiples, strict=True)), sizes, low, high)


def depth_choices(base: NetworkSpec, low: Fraction, high: Fraction) -> list[Choice]:
    """Every set of depths that a multiplier from ``low`` to ``high`` makes; a group keeps its fewest blocks."""
    fewest = [1 if CATALOGUE[group.block].uniform else MIN_CELL for group in base.groups]

    def sizes(multiplier: Fraction) -> tuple[int, ...]:
        return tuple(max(few, rounded(d, multiplier)) for d, few in zip(base.depths, fewest, strict=True))

    return _choices([(depth, 1) for depth in base.depths], sizes, low, high)


def _choices(
    sizes: list[tuple[int, int]], scale: Callable[[Fraction], tuple[int, ...]], low: Fraction, high: Fraction
) -> list[Choice]:
    """The sizes at every multiplier where one of them changes, and between these.

    Args:
        sizes: the base's, each with what it is rounded to a multiple of.
        scale: from a multiplier to the sizes.
        low: smallest multiplier.
        high: largest multiplier.

    Raises:
        UsageError: more than :data:`MOST_WIDTHS`.
    """
    steps = sum(int((high - low) * size / multiple) + 1 for size, multiple in sizes)
    if steps > MOST_WIDTHS:
        raise UsageError(
            f"{multiplier_text(low)} to {multiplier_text(high)} holds {steps:,} sizes; at most {MOST_WIDTHS:,}",
            NARROWER,
        )
    edges = {low, high}
    for size, multiple in set(sizes):
        first = int(low * size / multiple - Fraction(1, 2)) - 1
        last = int(high * size / multiple + Fraction(1, 2)) + 1
        edges |= {Fraction((2 * k + 1) * multiple, 2 * size) for k in range(max(0, first), last)}
    ordered = sorted(edge for edge in edges if low <= edge <= high)
    found: dict[tuple[int, ...], Fraction] = {}
    for one, other in pairwise(ordered):
        multiplier = _between(one, other)
        found.setdefault(scale(multiplier), multiplier)
    for edge in ordered:  # where sizes tie there may be a set of them that no other multiplier makes
        found.setdefault(scale(edge), edge)
    return [Choice(multiplier, made) for made, multiplier in sorted(found.items(), key=lambda item: item[1])]


def _between(one: Fraction, other: Fraction) -> Fraction:
    """A multiplier between two, as a decimal with as few digits as possible."""
    for digits in range(1, DIGITS + 1):
        decimal = Fraction((one * 10**digits).__floor__() + 1, 10**digits)
        if decimal < other:
            return decimal
    return (one + other) / 2
