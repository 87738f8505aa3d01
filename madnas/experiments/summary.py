"""What a run found: means over repeats, and straight lines against ln NN-Mass and ln parameters.

A network without skip connections has mass 0, whose logarithm does not exist: such points are left out of the fit
against mass, and for a fair comparison of the fit against parameters too (``params``). ``params_all`` has them.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from madnas.experiments.fit import Fit, linear_fit
from madnas.experiments.recipe import Recipe

SCHEMA = "madnas/experiment/1"
MEASURES = ("accuracy", "isometry")


@dataclass(frozen=True, slots=True)
class Measured:
    """Mean and standard deviation over repeats; None where every repeat diverged, or there is but one."""

    mean: float | None
    std: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Point:
    """All repeats of one depth and t.

    Attributes:
        depth, links, params, mass: of its networks.
        accuracy: on the test set.
        isometry: mean singular value of the layerwise Jacobians at initialisation.
    """

    depth: int
    links: int
    params: int
    mass: float
    accuracy: Measured
    isometry: Measured


def points_of(rows: Iterable[dict[str, Any]]) -> list[Point]:
    """Points from rows of results, by depth and links."""
    groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["depth"], row["links"]), []).append(row)
    return [
        Point(
            depth, links, same[0]["params"], same[0]["mass"],
            _measured([row["accuracy"] for row in same]), _measured([row["isometry"] for row in same]),
        )
        for (depth, links), same in sorted(groups.items())
    ]  # fmt: skip


def _measured(values: Sequence[float | None]) -> Measured:
    known = sorted(value for value in values if value is not None)  # sorted: the order of repeats must not matter
    if not known:
        return Measured(None, None, 0)
    return Measured(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))


def fits_of(points: Sequence[Point], measure: str) -> dict[str, Fit]:
    """Fits of ``accuracy`` or ``isometry`` against ln ``mass`` and ln ``params``; ``params_all``: also without mass."""
    known = [point for point in points if getattr(point, measure).mean is not None]
    massive = [point for point in known if point.mass > 0]

    def fit(some: Sequence[Point], size: Callable[[Point], float]) -> Fit:
        return linear_fit([math.log(size(point)) for point in some], [getattr(point, measure).mean for point in some])

    return {
        "mass": fit(massive, lambda point: point.mass),
        "params": fit(massive, lambda point: point.params),
        "params_all": fit(known, lambda point: point.params),
    }


def summarise(name: str, recipe: Recipe, seed: int, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The summary of a run as JSON-able data; the same for the same rows, in whatever order and time they came.

    Returns:
        ``schema``, ``experiment``, ``figure``, ``seed``, ``settings``; ``networks``, ``left_out`` (networks that
        diverged, points without mass); ``fits`` (of ``accuracy`` and ``isometry``, each against ``mass``, ``params``,
        ``params_all``), ``fits_by_depth``; ``paper``, its R2; ``points``.
    """
    points = points_of(rows)
    return {
        "schema": SCHEMA,
        "experiment": name,
        "figure": recipe.figure,
        "seed": seed,
        "settings": recipe.settings(),
        "networks": len(rows),
        "left_out": {
            "diverged_networks": sum(row["diverged"] for row in rows),
            "massless_points": sum(point.mass == 0 for point in points),
        },
        "fits": {measure: _plain(fits_of(points, measure)) for measure in MEASURES},
        "fits_by_depth": [_depth_fits(depth, points) for depth in sorted({point.depth for point in points})],
        "paper": asdict(recipe.paper),
        "points": [asdict(point) for point in points],
    }


def _depth_fits(depth: int, points: Sequence[Point]) -> dict[str, Any]:
    same = [point for point in points if point.depth == depth]
    return {"depth": depth, **{measure: _plain(fits_of(same, measure)) for measure in MEASURES}}


def _plain(fits: dict[str, Fit]) -> dict[str, Any]:
    return {name: asdict(fit) for name, fit in fits.items()}
