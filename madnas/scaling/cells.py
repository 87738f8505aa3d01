"""Scale DenseNet-type cells: the number of links in every cell, and their depth, at fixed widths (NN-Mass, H.10).

Costs and mass of a cell grow with its links, whatever the others do. So for every depth and every choice of links in
all cells but the last, the best number of links in the last one is found by bisection: the smallest that reaches a
mass, or the largest that keeps the budgets. That is exact, and needs no module.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from madnas.errors import InfeasibleError, UsageError
from madnas.network.count import count
from madnas.network.mass import nn_mass
from madnas.network.spec import NetworkSpec
from madnas.scaling.family import LONGEST_NAME, depth_choices
from madnas.scaling.grid import silent
from madnas.scaling.problem import Scaling
from madnas.scaling.scale import Binding, Scaled, binding, provenance, round_up, scored, widened
from madnas.units import format_quantity

MOST_CELLS = 3
"""Cells that are searched exactly; the paper's CIFAR networks have three."""

ROWS = 1 << 20
"""Choices that are looked at together."""

BOUNDLESS = 10**18
"""A budget that nothing exceeds."""

COSTS = ("macs", "params", "activations", "mass")


@dataclass(frozen=True, slots=True)
class Choice:
    """The best links for one depth.

    Attributes:
        depths: layers of every cell.
        links: of every cell.
        rank: the objective, to be maximised, then params and MACs, negative.
        covered: choices of links that it is the best of.
    """

    depths: tuple[int, ...]
    links: tuple[int, ...]
    rank: tuple[float, float, float]
    covered: int

    @property
    def value(self) -> float:
        """The objective."""
        return self.rank[0]


def has_links(base: NetworkSpec) -> bool:
    """Whether a base is made of random-skip cells."""
    return all(group.links is not None for group in base.groups)


def scale_cells(problem: Scaling, name: str | None = None, watch: Callable[[str], None] = silent) -> Scaled:
    """The best network of a random-skip family: depth of the cells and links of each.

    Raises:
        UsageError: more than three cells, or another objective than mass or params.
        InfeasibleError: no network of the depths meets the limits.
    """
    begin = time.perf_counter()
    if len(problem.base.groups) > MOST_CELLS or problem.objective not in ("nn-mass", "params"):
        raise UsageError(
            f"{problem.base.name}: only NN-Mass is scaled by, and at most {MOST_CELLS} random-skip cells",
            hint="leave out --objective, or take a base of fewer cells",
        )
    choices = list(_choices(replace(problem, max_depth=None), watch))
    allowed = [choice for choice in choices if problem.max_depth is None or sum(choice.depths) <= problem.max_depth]
    if not allowed:
        raise _infeasible(problem)
    top = max(allowed, key=lambda choice: choice.rank)
    answer = scored(_network(problem.base, top.depths, top.links, name))
    limits = tuple(sorted(_binding(problem, top, choices), key=lambda limit: -limit.gain))
    front = tuple(scored(_network(problem.base, choice.depths, choice.links)) for choice in choices)
    depth = _multiplier(problem, top.depths)
    history = provenance(problem, answer, Fraction(1), depth)
    history = {key: value for key, value in history.items() if key not in ("width_range", "multiple")}  # not applied
    answer = replace(answer, spec=replace(answer.spec, provenance=history))
    covered = sum(choice.covered for choice in choices)
    return Scaled(problem, answer, Fraction(1), depth, front, limits, covered, time.perf_counter() - begin)


def _multiplier(problem: Scaling, depths: tuple[int, ...]) -> Fraction:
    """The depth multiplier that makes these depths."""
    return next(c.multiplier for c in depth_choices(problem.base, *problem.depth_range) if c.sizes == depths)


def _network(
    base: NetworkSpec, depths: tuple[int, ...], links: tuple[int, ...], name: str | None = None
) -> NetworkSpec:
    groups = tuple(
        replace(group, depth=depth, links=most) for group, depth, most in zip(base.groups, depths, links, strict=True)
    )
    return replace(
        base, name=name or f"{base.name[:LONGEST_NAME]}-d{depths[0]}-t{'.'.join(map(str, links))}", groups=groups
    )


def _choices(problem: Scaling, watch: Callable[[str], None]) -> Iterator[Choice]:
    """The best links of every depth that has a network within the limits, shallowest first."""
    for depths in (choice.sizes for choice in depth_choices(problem.base, *problem.depth_range)):
        watch(f"cells of {depths[0]} layers")
        found = _best_links(problem, depths)
        if found is not None:
            yield found


def _best_links(problem: Scaling, depths: tuple[int, ...], best: float = -math.inf) -> Choice | None:
    """The best links of cells of given depths, or ``None`` if none meets the limits and is better than ``best``."""
    fixed, tables = _tables(problem.base, depths)
    covered = math.prod(len(table["mass"]) for table in tables)
    *before, last = [_affordable(problem, fixed, table, best) for table in tables]
    sizes = [len(table["mass"]) for table in before]
    total = int(np.prod(sizes, dtype=np.int64))
    key = "params" if problem.objective == "params" else "mass"
    top: tuple[float, float, float] = (best, -math.inf, -math.inf)  # value, then fewest params, then fewest MACs
    links = None
    for begin in range(0, total, ROWS):
        picks = np.unravel_index(np.arange(begin, min(begin + ROWS, total)), sizes) if sizes else ()
        sums = {name: np.atleast_1d(fixed[name] + _at(before, picks, name)) for name in COSTS}
        hope = -sums[key] if key == "params" else sums[key] + last[key][-1]
        rows = np.flatnonzero(hope >= top[0])
        place = _last_links(problem, {name: sums[name][rows] for name in COSTS}, last)
        rows, place = rows[place >= 0], place[place >= 0]
        if not len(rows):
            continue
        costs = {name: sums[name][rows] + last[name][place] for name in ("params", "macs", key)}
        value = -costs[key] if key == "params" else costs[key]
        first = int(np.lexsort((costs["macs"], costs["params"], -value))[0])
        rank = (float(value[first]), -float(costs["params"][first]), -float(costs["macs"][first]))
        if rank > top:
            top, links = rank, (*(int(at[rows[first]]) for at in picks), int(place[first]))
    return None if links is None else Choice(depths, links, top, covered)


def _affordable(
    problem: Scaling, fixed: dict[str, float], table: dict[str, np.ndarray], best: float
) -> dict[str, np.ndarray]:
    """A cell's table as far as it keeps the budgets, and does not cost more than the best, with no links elsewhere."""
    limits = {name: problem.limit(name) for name in problem.budgets}
    if problem.objective == "params":
        limits["params"] = min(limits.get("params", math.inf), -best)
    most = min((int(np.searchsorted(table[k], m - fixed[k], side="right")) for k, m in limits.items()), default=None)
    return {name: values[: None if most is None else max(1, most)] for name, values in table.items()}


def _at(tables: list[dict[str, np.ndarray]], picks: tuple[np.ndarray, ...], name: str) -> np.ndarray | float:
    """What chosen numbers of links add to a cost, over some cells."""
    return sum((table[name][at] for table, at in zip(tables, picks, strict=True)), 0.0)


def _last_links(problem: Scaling, sums: dict[str, np.ndarray], last: dict[str, np.ndarray]) -> np.ndarray:
    """Best links of the last cell given what the others use (N,); -1 where none meets the limits."""
    most = np.full(len(sums["mass"]), len(last["mass"]) - 1)
    for name in problem.budgets:
        room = problem.limit(name) - sums[name]
        most = np.minimum(most, np.searchsorted(last[name], room * (1 + 1e-15), side="right") - 1)
    if problem.least_mass is None:
        return most
    # A mass that is reached exactly may fall short by a float's last digit.
    least = np.searchsorted(last["mass"], (problem.least_mass - sums["mass"]) - 1e-9 * problem.least_mass)
    return np.where(least <= most, least, -1)


def _tables(base: NetworkSpec, depths: tuple[int, ...]) -> tuple[dict[str, float], list[dict[str, np.ndarray]]]:
    """What the network without links costs, and what every number of links adds in each cell (T_c,).

    A cell's last layer has w (d - 2) candidates; more links change nothing.
    """
    bare = _network(base, depths, (0,) * len(depths), base.name)
    fixed = _costs(bare)
    tables = []
    for place, (group, depth) in enumerate(zip(base.groups, depths, strict=True)):
        links = np.arange(group.out * (depth - 2) + 1)
        groups = tuple(replace(g, links=links) if i == place else g for i, g in enumerate(bare.groups))
        costs = _costs(replace(bare, groups=groups))
        tables.append({name: np.broadcast_to(costs[name] - fixed[name], links.shape) for name in COSTS})
    return fixed, tables


def _costs(spec: NetworkSpec) -> dict:
    counts = count(spec)
    return {name: getattr(counts, name) for name in COSTS[:-1]} | {"mass": nn_mass(spec).mass}


def _binding(problem: Scaling, top: Choice, choices: list[Choice]) -> Iterator[Binding]:
    """Limits without which there would be a better network."""
    yield from binding("max_depth", top.value, max(choices, key=lambda choice: choice.value).value)
    easier = {"depth_range": replace(problem, depth_range=widened(problem.depth_range))}
    for name in problem.budgets:
        easier[name] = replace(problem, budgets=problem.budgets | {name: BOUNDLESS})
    for limit, lifted in easier.items():
        depths = [choice.sizes for choice in depth_choices(lifted.base, *lifted.depth_range)]
        kept = [sizes for sizes in depths if problem.max_depth is None or sum(sizes) <= problem.max_depth]
        best = top.value
        for sizes in kept:
            choice = _best_links(lifted, sizes, best)
            best = best if choice is None else choice.value
        yield from binding(limit, top.value, best)


def _infeasible(problem: Scaling) -> InfeasibleError:
    asked = [f"{name} {format_quantity(limit)}" for name, limit in problem.budgets.items()]
    if problem.max_depth is not None:
        asked.append(f"max-depth {problem.max_depth}")
    if problem.least_mass is not None:
        asked.append(f"an NN-Mass of at least {problem.least_mass:,.1f}")
    message = f"no network of {problem.base.name}'s family in this depth range has {', '.join(asked)}"
    return InfeasibleError(message, _proposal(problem))


def _proposal(problem: Scaling) -> str:
    """What would have to be given instead."""
    depths = [choice.sizes for choice in depth_choices(problem.base, *problem.depth_range)]
    cap = min(map(sum, depths)) if problem.max_depth is None else max(problem.max_depth, min(map(sum, depths)))
    allowed = [sizes for sizes in depths if problem.max_depth is None or sum(sizes) <= cap]
    boundless = replace(problem, budgets=dict.fromkeys(problem.budgets, BOUNDLESS))
    if problem.least_mass is None:
        smallest = _network(problem.base, min(allowed), (0,) * len(problem.base.groups))
    else:
        most = max(_most_mass(problem.base, sizes) for sizes in depths)
        if most < problem.least_mass:
            return f"the highest NN-Mass in this range is {most:,.1f}: widen --depth-range, or take another reference"
        if max(_most_mass(problem.base, sizes) for sizes in allowed) < problem.least_mass:
            enough = min(sum(sizes) for sizes in depths if _most_mass(problem.base, sizes) >= problem.least_mass)
            return f"that mass needs --max-depth {enough}; or widen --depth-range"
        found = [choice for sizes in allowed if (choice := _best_links(boundless, sizes)) is not None]
        top = max(found, key=lambda choice: choice.rank)
        smallest = _network(problem.base, top.depths, top.links)
    counts = count(smallest)
    needs = [
        f"--{name} {format_quantity(max(budget, round_up(getattr(counts, name) / (1 + problem.tolerance))))}"
        for name, budget in problem.budgets.items()
    ]
    needs += [] if problem.max_depth is None else [f"--max-depth {cap}"]
    return f"its smallest network needs {' '.join(needs)}; or widen --depth-range"


def _most_mass(base: NetworkSpec, depths: tuple[int, ...]) -> float:
    """NN-Mass of cells that have every link."""
    links = tuple(group.out * (depth - 2) for group, depth in zip(base.groups, depths, strict=True))
    return float(nn_mass(_network(base, depths, links)).mass)
