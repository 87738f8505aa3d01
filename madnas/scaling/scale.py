"""Scale a base network: the exact optimum over its family, what limits it, and its front against depth."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

import madnas
from madnas.errors import InfeasibleError, UsageError
from madnas.network.analyse import Structure, analyse
from madnas.network.count import Counts, count
from madnas.network.mass import Mass, nn_mass
from madnas.network.spec import NetworkSpec
from madnas.scaling.family import multiplier_text
from madnas.scaling.grid import Grid, feasible, grid, silent
from madnas.scaling.problem import MOST_MULTIPLIER, Scaling
from madnas.units import format_quantity

WIDER = Fraction(5, 4)
"""Factor by which a range is extended to see whether it, and not a budget, limits the answer."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A network with everything that is recomputed from it."""

    spec: NetworkSpec
    counts: Counts
    mass: Mass
    structure: Structure

    @property
    def blocks(self) -> int:
        """Blocks in all groups."""
        return sum(self.spec.depths)

    def value(self, objective: str) -> float:
        """The network's value by one of :data:`~madnas.scaling.problem.OBJECTIVES`."""
        values = {"nn-mass": self.mass.mass, "units": self.mass.units, "params": self.counts.params}
        return float(self.structure.weighted_entropy() if objective == "entropy" else values[objective])


@dataclass(frozen=True, slots=True)
class Binding:
    """A limit without which a better network would exist.

    Attributes:
        limit: ``macs`` ..., ``max_depth``, ``depth_range``, ``width_range`` or ``mass``.
        gain: share by which the objective would improve if this limit alone were lifted (infinite from an objective of
            0); of a range: if it reached a quarter further.
    """

    limit: str
    gain: float


def binding(limit: str, here: float, there: float) -> Iterator[Binding]:
    """A limit with its gain, if there is one, from one value of the objective to another."""
    if there > here:
        yield Binding(limit, (there - here) / abs(here) if here else math.inf)


@dataclass(frozen=True, slots=True)
class Scaled:
    """A scaled network and what is known about it.

    Attributes:
        problem: what was asked.
        network: the optimum.
        width, depth: its multipliers.
        front: the best network of every depth that has one within the limits, shallowest first; the depth cap aside.
        binding: limits that hold it back, the one that matters most first.
        candidates: networks in the ranges, of which it is the best; all scored, or for links all covered.
        seconds: time taken.
    """

    problem: Scaling
    network: Scored
    width: Fraction
    depth: Fraction
    front: tuple[Scored, ...]
    binding: tuple[Binding, ...]
    candidates: int
    seconds: float


def scored(spec: NetworkSpec) -> Scored:
    """Everything about a network, recomputed from its description."""
    return Scored(spec, count(spec), nn_mass(spec), analyse(spec))


def scale(problem: Scaling, name: str | None = None, watch: Callable[[str], None] = silent) -> Scaled:
    """The best network of a family: exact, because every one is scored.

    Of equals the one with fewer params, then fewer MACs, is taken.

    Args:
        problem: base, budgets and ranges.
        name: of the network; by default the base's with the multipliers.
        watch: told now and then how far it is.

    Raises:
        InfeasibleError: no network of the ranges meets the limits; says which limit blocks, and the nearest that does.
        UsageError: ranges that hold too many networks.
    """
    begin = time.perf_counter()
    family = grid(problem, watch)
    fits = feasible(problem, family.scores)
    row = best(problem, family, fits)
    if row is None:
        raise infeasible(problem, family)
    width, depth = family.multipliers(row)
    answer = scored(family.network(row, name))
    limits = tuple(sorted(_binding(problem, family, row), key=lambda limit: -limit.gain))
    front = tuple(scored(family.network(place)) for place in _front(problem, family))
    answer = replace(answer, spec=replace(answer.spec, provenance=provenance(problem, answer, width, depth)))
    seconds = time.perf_counter() - begin
    return Scaled(problem, answer, width, depth, front, limits, len(fits), seconds)


def best(problem: Scaling, family: Grid, fits: np.ndarray) -> int | None:
    """Row of the best network among those that fit, or ``None``."""
    rows = np.flatnonzero(fits)
    if not len(rows):
        return None
    scores = family.scores
    value = -_worth(problem, scores)[rows]
    order = np.lexsort((scores["macs"][rows], scores["params"][rows], value))
    return int(rows[order[0]])


def _worth(problem: Scaling, scores: dict[str, np.ndarray]) -> np.ndarray:
    """The objective as something to maximise (N,)."""
    return -scores["params"] if problem.objective == "params" else scores[problem.objective]


def _front(problem: Scaling, family: Grid) -> Iterator[int]:
    """Row of the best network of every depth, without the depth cap."""
    fits = feasible(problem, family.scores, without=("max_depth",))
    blocks = family.scores["blocks"]
    for depth in np.unique(blocks[fits]):
        row = best(problem, family, fits & (blocks == depth))
        assert row is not None
        yield row


def _binding(problem: Scaling, family: Grid, row: int) -> Iterator[Binding]:
    """Limits without which there would be a better network."""
    here = float(_worth(problem, family.scores)[row])
    for limit in (*problem.budgets, "max_depth", "mass"):
        other = best(problem, family, feasible(problem, family.scores, without=(limit,)))
        assert other is not None
        yield from binding(limit, here, float(_worth(problem, family.scores)[other]))
    wider_ones = {
        "width_range": replace(problem, width_range=widened(problem.width_range)),
        "depth_range": replace(problem, depth_range=widened(problem.depth_range)),
    }
    for key, wider in wider_ones.items():
        try:
            larger = grid(wider)
        except UsageError:  # too many networks to find out
            continue
        found = best(wider, larger, feasible(wider, larger.scores))
        assert found is not None
        yield from binding(key, here, float(_worth(problem, larger.scores)[found]))


def widened(bounds: tuple[Fraction, Fraction]) -> tuple[Fraction, Fraction]:
    """A range that reaches a quarter further on both sides."""
    return bounds[0] / WIDER, min(bounds[1] * WIDER, Fraction(MOST_MULTIPLIER))


def infeasible(problem: Scaling, family: Grid) -> InfeasibleError:
    """The error for limits that no network of the ranges meets."""
    limits = {name: format_quantity(limit) for name, limit in problem.budgets.items()}
    if problem.max_depth is not None:
        limits["max-depth"] = str(problem.max_depth)
    if problem.least_mass is not None:
        limits["NN-Mass of at least"] = f"{problem.least_mass:,.1f}"
    asked = ", ".join(f"{name} {limit}" for name, limit in limits.items())
    message = f"no network of {problem.base.name}'s family in these ranges has {asked}"
    scores = family.scores
    reaches = scores["nn-mass"] >= (problem.least_mass or 0.0)
    if not reaches.any():
        most = scores["nn-mass"].max()
        return InfeasibleError(
            message, f"the highest NN-Mass in these ranges is {most:,.1f}: widen --width-range or --depth-range"
        )
    costs = [scores[name] / problem.limit(name) for name in problem.budgets]
    if problem.max_depth is not None:
        costs.append(scores["blocks"] / problem.max_depth)
    nearest = int(np.argmin(np.where(reaches, np.max(costs, axis=0), np.inf)))
    needs = {name: round_up(scores[name][nearest] / (1 + problem.tolerance)) for name in problem.budgets}
    parts = [f"--{name} {format_quantity(max(budget, needs[name]))}" for name, budget in problem.budgets.items()]
    if problem.max_depth is not None:
        parts.append(f"--max-depth {max(problem.max_depth, int(scores['blocks'][nearest]))}")
    return InfeasibleError(
        message, f"the nearest network needs {' '.join(parts)}; or widen --width-range, --depth-range"
    )


def round_up(value: float) -> int:
    """Up to three significant digits, so that a person can type it."""
    unit = 10 ** max(0, math.floor(math.log10(max(value, 1))) - 2)
    return math.ceil(value / unit) * unit


def provenance(problem: Scaling, answer: Scored, width: Fraction, depth: Fraction) -> dict[str, Any]:
    """Where a scaled network comes from, as it is saved with it; the same on every run."""
    return {
        "program": "NN-Mass scaling, RAN Section 3.3",
        "base": problem.base.name,
        "width_multiplier": multiplier_text(width),
        "depth_multiplier": multiplier_text(depth),
        "width_range": [multiplier_text(bound) for bound in problem.width_range],
        "depth_range": [multiplier_text(bound) for bound in problem.depth_range],
        "multiple": problem.multiple,
        "budgets": dict(problem.budgets),
        "tolerance": problem.tolerance,
        "max_depth": problem.max_depth,
        "least_mass": problem.least_mass,
        "objective": problem.objective,
        "nn_mass": round(float(answer.mass.mass), 3),
        "madnas": madnas.__version__,
    }
