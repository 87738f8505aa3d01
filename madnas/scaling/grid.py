"""Every network of a family at once: costs and scores as arrays, in closed form, without building a module."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from madnas.errors import UsageError
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.mass import nn_mass
from madnas.network.spec import NetworkSpec
from madnas.scaling.family import LONGEST_NAME, NARROWER, Choice, assemble, depth_choices, width_choices, width_sites
from madnas.scaling.problem import BUDGETS, Scaling
from madnas.theory.numerics import Number

MOST_CANDIDATES = 5_000_000
"""Most networks that are scored; the paper's ranges hold some fifty thousand."""

SCORES = (*BUDGETS, "nn-mass", "units", "entropy", "blocks")


@dataclass(frozen=True, slots=True)
class Grid:
    """N networks of a family.

    Attributes:
        base: the base.
        widths: sets of widths, with their multipliers.
        depths: sets of depths, with their multipliers.
        rows: for each network the place of its widths and of its depths (2, N).
        scores: costs and scores by name (:data:`SCORES`, the entropy where it is the objective), each (N,).
    """

    base: NetworkSpec
    widths: list[Choice]
    depths: list[Choice]
    rows: np.ndarray
    scores: dict[str, np.ndarray]

    def multipliers(self, row: int) -> tuple[Fraction, Fraction]:
        """Width and depth multiplier of a network."""
        width, depth = self.rows[:, row]
        return self.widths[width].multiplier, self.depths[depth].multiplier

    def network(self, row: int, name: str | None = None) -> NetworkSpec:
        """A network of the grid, by default named after its multipliers."""
        width, depth = self.rows[:, row]
        w, d = map(float, self.multipliers(row))
        sites = dict(zip(width_sites(self.base), self.widths[width].sizes, strict=True))
        return assemble(
            self.base, sites, self.depths[depth].sizes, name or f"{self.base.name[:LONGEST_NAME]}-w{w:.4g}-d{d:.4g}"
        )


def silent(message: str) -> None:
    """Say nothing of how far the scoring is."""


def grid(problem: Scaling, watch: Callable[[str], None] = silent) -> Grid:
    """Every network in the ranges of a problem, whatever its costs.

    Raises:
        UsageError: too many.
    """
    widths = width_choices(problem.base, *problem.width_range, problem.multiple)
    depths = depth_choices(problem.base, *problem.depth_range)
    if len(widths) * len(depths) > MOST_CANDIDATES:
        raise UsageError(
            f"the ranges hold {len(widths) * len(depths):,} networks; at most {MOST_CANDIDATES:,}", NARROWER
        )
    rows = np.stack(np.meshgrid(np.arange(len(widths)), np.arange(len(depths)), indexing="ij")).reshape(2, -1)
    return score(problem.base, widths, depths, rows, watch, entropy=problem.objective == "entropy")


def score(
    base: NetworkSpec,
    widths: list[Choice],
    depths: list[Choice],
    rows: np.ndarray,
    watch: Callable[[str], None] = silent,
    entropy: bool = False,
) -> Grid:
    """Score networks of a family.

    Args:
        base: the base.
        widths: sets of widths.
        depths: sets of depths.
        rows: places of the widths and of the depths of each network (2, N).
        watch: told now and then how far it is.
        entropy: whether to score it too; it takes as long as all else.
    """
    table = np.array([choice.sizes for choice in widths], dtype=np.int64)
    scores = {name: np.empty(rows.shape[1]) for name in SCORES if entropy or name != "entropy"}
    places = {depth.sizes: place for place, depth in enumerate(depths)}
    depth_of = np.array([places[depth.sizes] for depth in depths])[rows[1]]
    layout_of = _layouts(base, table)[rows[0]]
    for place in np.unique(depth_of):
        watch(f"scored {place} of {len(depths)} depths, {rows.shape[1]:,} networks in all")
        for layout in np.unique(layout_of[depth_of == place]):
            chosen = np.flatnonzero((depth_of == place) & (layout_of == layout))
            columns = dict(zip(width_sites(base), table[rows[0, chosen]].T, strict=True))
            for name, values in _scores(assemble(base, columns, depths[place].sizes, base.name), entropy).items():
                scores[name][chosen] = values
    return Grid(base, widths, depths, rows, scores)


def _layouts(base: NetworkSpec, table: np.ndarray) -> np.ndarray:
    """A number for every set of widths (N, sites), the same for those whose networks have the same layers (N,).

    A ConvNeXt group of stride 1 downsamples only if its width is another than its input's; a pair of MobileNetV2 blocks
    projects its links only if its two widths differ.
    """
    column = {site: table[:, place] for place, site in enumerate(width_sites(base))}
    changes = np.zeros(len(table), dtype=np.int64)
    chs = column.get("stem")
    for number, group in enumerate(base.groups, 1):
        out = column.get(f"out{number}")
        if group.block == "convnext" and group.stride == 1 and chs is not None:
            changes = 2 * changes + (chs != out)
        if group.block == "mobile-pair":
            changes = 2 * changes + (column[f"hidden{number}"] != out)
        chs = out
    return np.unique(changes, return_inverse=True)[1]


def _scores(spec: NetworkSpec, entropy: bool) -> dict[str, Number]:
    costs, mass = count(spec), nn_mass(spec)
    return {
        **{name: getattr(costs, name) for name in BUDGETS},
        "nn-mass": mass.mass,
        "units": mass.units,
        "blocks": sum(spec.depths),
        **({"entropy": analyse(spec).weighted_entropy()} if entropy else {}),
    }


def feasible(problem: Scaling, scores: dict[str, np.ndarray], without: Sequence[str] = ()) -> np.ndarray:
    """Which networks meet every limit of a problem but those named: ``macs`` ..., ``max_depth``, ``mass`` (N,)."""
    fits = np.ones(len(scores["macs"]), dtype=bool)
    for name in problem.budgets:
        if name not in without:
            fits &= scores[name] <= problem.limit(name)
    if problem.max_depth is not None and "max_depth" not in without:
        fits &= scores["blocks"] <= problem.max_depth
    if problem.least_mass is not None and "mass" not in without:
        fits &= scores["nn-mass"] >= problem.least_mass
    return fits
