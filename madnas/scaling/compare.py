"""Other ways to scale the same base to the same budgets: width alone, depth alone, EfficientNet's compound scaling."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from madnas.network.expand import vanishes
from madnas.network.spec import NetworkSpec
from madnas.scaling.family import assemble, depth_choices, width_choices, width_sites
from madnas.scaling.grid import feasible, grid
from madnas.scaling.problem import Scaling
from madnas.scaling.scale import Scored, scored

COMPOUND = (1.2, 1.1, 1.15)
"""Factors of depth, width and resolution per unit of phi [Tan and Le 2019, Section 3.3]."""

PHI = np.round(np.arange(-6.0, 10.0005, 0.01), 2)
"""Compound coefficients that are tried."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A network made by another rule.

    Attributes:
        rule: ``base``, ``width``, ``depth`` or ``compound``.
        network: the largest by this rule within the budgets; ``None`` where it has none. The base as it is.
        how: its multipliers.
    """

    rule: str
    network: Scored | None
    how: str


def rivals(problem: Scaling) -> list[Rival]:
    """The base, and the largest network within the budgets by each rule; the depth cap holds for all but the base."""
    one = (Fraction(1), Fraction(1))
    return [
        Rival("base", scored(problem.base), ""),
        _along(replace(problem, depth_range=one), "width"),
        _along(replace(problem, width_range=one, multiple=1), "depth"),
        _compound(problem),
    ]


def _along(problem: Scaling, rule: str) -> Rival:
    """The network of highest cost within the budgets when only one multiplier varies."""
    family = grid(problem)
    rows = np.flatnonzero(feasible(problem, family.scores))
    if not len(rows):
        return Rival(rule, None, f"none within the limits in --{rule}-range")
    row = int(rows[np.lexsort((family.scores["macs"][rows], family.scores["params"][rows]))[-1]])
    width, depth = family.multipliers(row)
    how = f"width {float(width):.4g}" if rule == "width" else f"depth {float(depth):.4g}"
    return Rival(rule, scored(family.network(row)), how)


def _compound(problem: Scaling) -> Rival:
    """The largest phi whose depth, width and resolution keep the budgets."""
    for phi in PHI[::-1]:
        spec = compound(problem.base, float(phi), problem.multiple)
        if vanishes(spec):
            continue
        network = scored(spec)
        costs = {name: float(getattr(network.counts, name)) for name in problem.budgets}
        if all(costs[name] <= problem.limit(name) for name in costs) and (
            problem.max_depth is None or network.blocks <= problem.max_depth
        ):
            return Rival("compound", network, f"phi {phi:g}, {network.spec.input[-1]} px")
    return Rival("compound", None, f"none from phi {PHI[0]:g} to {PHI[-1]:g}")


def compound(base: NetworkSpec, phi: float, multiple: int = 1) -> NetworkSpec:
    """A base scaled by EfficientNet's rule: depth 1.2^phi, width 1.1^phi, resolution 1.15^phi, each rounded."""
    depth, width, resolution = (Fraction(factor**phi).limit_denominator(10**6) for factor in COMPOUND)
    (wide,) = width_choices(base, width, width, multiple)
    (deep,) = depth_choices(base, depth, depth)
    widths = dict(zip(width_sites(base), wide.sizes, strict=True))
    spec = assemble(base, widths, deep.sizes, f"{base.name}-phi{phi:g}")
    channels, height, side = base.input
    return replace(spec, input=(channels, round(height * resolution), round(side * resolution)))
