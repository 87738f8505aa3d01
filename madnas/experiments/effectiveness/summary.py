"""What the effectiveness experiment shows: structure of its networks over rho, accuracy, Kendall's tau by group."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from madnas.csvtext import csv_text
from madnas.errors import DataError
from madnas.experiments.effectiveness.recipe import EffectivenessRecipe, RhoGroup
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.spec import NetworkSpec
from madnas.scores.ranks import FEWEST, kendall, read_accuracies, with_interval

SUMMARY = "madnas/effectiveness/1"


@dataclass(frozen=True, slots=True)
class Measured:
    """A network and what is known of it; accuracy as the user's table or training gives it."""

    name: str
    params: int
    macs: int
    layers: int
    width: float
    rho: float
    entropy: float
    objective: float
    accuracy: float | None = None


def measured(spec: NetworkSpec, accuracy: float | None = None) -> Measured:
    """A network's structure; entropy is the weighted sum over the stages (Eq. 4), objective Eq. (5), both in nats."""
    costs, structure = count(spec), analyse(spec)
    return Measured(
        spec.name, int(costs.params), int(costs.macs), int(costs.layers), float(structure.width), float(structure.rho),
        float(structure.weighted_entropy()), float(structure.objective()), accuracy,
    )  # fmt: skip


def table_of(networks: Iterable[Measured]) -> str:
    """Networks in CSV, a row each."""
    return csv_text((asdict(one) for one in networks), [one.name for one in fields(Measured)])


def accuracies_of(path: Path, names: Sequence[str]) -> dict[str, float]:
    """Accuracies from a table ``network,accuracy``; a network is a name or the path of its spec file.

    Raises:
        UsageError: the file cannot be read.
        DataError: it is not such a table, or names a network that is not one of these.
    """
    rows = [(word.rpartition("/")[2].removesuffix(".yaml"), accuracy) for word, accuracy in read_accuracies(path)]
    found = dict(rows)
    if len(found) < len(rows):
        twice = next(name for name, count in Counter(name for name, _ in rows).items() if count > 1)
        raise DataError(f"{path}: {twice[:60]} is there twice")
    unknown = [name for name in found if name not in names]
    if unknown:
        raise DataError(
            f"{path}: {unknown[0][:60]} is none of the {len(names)} networks of this experiment",
            f"their names are {names[0]} to {names[-1]}; another --seed gives other networks of the same names",
        )
    return found


def summarise(name: str, recipe: EffectivenessRecipe, seed: int, networks: Sequence[Measured]) -> dict[str, Any]:
    """What the figures show, as JSON-able data.

    Returns:
        ``schema``, ``experiment``, ``figure``, ``seed``, ``settings``; ``networks``; ``tau``: Kendall's tau-b of
        ``entropy``, ``layers``, ``width`` and ``accuracy`` with rho; ``groups``: of each group ``rho``, ``low`` and
        ``high`` (what its networks span), ``networks`` (names), ``tau`` of entropy and accuracy with interval, and the
        paper's; ``best``: the network of highest accuracy. What needs accuracies is None without any.
    """
    known = [one for one in networks if one.accuracy is not None]
    best = max(known, key=lambda one: one.accuracy if one.accuracy is not None else -np.inf, default=None)
    return {
        "schema": SUMMARY,
        "experiment": name,
        "figure": recipe.figure,
        "seed": seed,
        "settings": recipe.settings(),
        "networks": [asdict(one) for one in networks],
        "accuracies": len(known),
        "tau": {
            "entropy": _tau(networks, "rho", "entropy"),
            "layers": _tau(networks, "rho", "layers"),
            "width": _tau(networks, "rho", "width"),
            "accuracy": _tau(known, "rho", "accuracy"),
        },
        "groups": [_group(one, recipe.group_size, networks) for one in recipe.groups],
        "best": None if best is None else {"network": best.name, "rho": best.rho, "accuracy": best.accuracy},
    }


def _group(group: RhoGroup, size: int, networks: Sequence[Measured]) -> dict[str, Any]:
    """The networks nearest to a rho; those without accuracy belong to the group but not to its tau."""
    near = sorted(networks, key=lambda one: abs(one.rho - group.rho))[:size]
    near = sorted(near, key=lambda one: one.rho)
    known = [one for one in near if one.accuracy is not None]
    return {
        "rho": group.rho,
        "low": near[0].rho,
        "high": near[-1].rho,
        "networks": [one.name for one in near],
        "accuracies": len(known),
        "tau": _tau(known, "entropy", "accuracy"),
        "paper_tau": group.paper_tau,
    }


def _tau(networks: Sequence[Measured], one: str, other: str) -> Mapping[str, float | None] | None:
    """Kendall's tau-b of two values, with its interval; None for fewer than three networks."""
    if len(networks) < FEWEST:
        return None
    x, y = (np.array([getattr(network, name) for network in networks], dtype=np.float64) for name in (one, other))
    return with_interval(kendall, x, y, seed=0)
