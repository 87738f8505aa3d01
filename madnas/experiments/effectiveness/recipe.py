"""Recipes of the effectiveness experiment: which random networks, and how they are grouped."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

SCHEMA = "madnas/effectiveness-recipe/1"

LIMITS: dict[str, tuple[float, float]] = {
    "classes": (1, 100_000),
    "networks": (3, 1000),
    "rho": (1e-3, 100),
    "tolerance": (1e-4, 1),
    "multiple": (1, 64),
    "growth": (1, 1000),
    "group_size": (3, 1000),
}
"""Smallest and largest value of every number."""


@dataclass(frozen=True, slots=True)
class RhoGroup:
    """Networks around a value of rho (Figure 3), and the paper's tau of entropy and accuracy, if it prints one."""

    rho: float
    paper_tau: float | None = None


@dataclass(frozen=True, slots=True)
class Quick:
    """What ``--quick`` changes; absent means no change."""

    networks: int | None = None
    group_size: int | None = None
    epochs: int | None = None


@dataclass(frozen=True, slots=True)
class EffectivenessRecipe:
    """Which random networks, and how they are grouped.

    Attributes:
        figure: what of the paper it reproduces.
        space: name or path of the space that they come from.
        like: named network whose params and MACs they have.
        classes: of the classifier.
        networks: how many.
        rho: range of the effectiveness.
        tolerance: largest relative distance from the params and MACs wanted.
        multiple: of channels.
        growth: largest ratio of output channels of neighbouring groups.
        groups: where along rho networks are grouped.
        group_size: networks nearest to each such place.
        train: the training recipe that they are trained with.
        epochs: its epochs; absent: its own.
        quick: what ``--quick`` changes.
    """

    figure: str
    space: str
    like: str
    classes: int
    networks: int
    rho: tuple[float, float]
    tolerance: float
    multiple: int
    growth: float
    groups: tuple[RhoGroup, ...]
    group_size: int
    train: str = "digits/quick"
    epochs: int | None = None
    quick: Quick = field(default_factory=Quick)

    def quickened(self) -> "EffectivenessRecipe":
        """The recipe with the settings of ``--quick``."""
        changes = {name: value for name, value in asdict(self.quick).items() if value is not None}
        return replace(self, **changes)

    def trained_with(self, train: str | None, epochs: int | None) -> "EffectivenessRecipe":
        """The recipe with another training recipe, whose epochs hold unless others are given."""
        if train is not None:
            return replace(self, train=train, epochs=epochs)
        return self if epochs is None else replace(self, epochs=epochs)

    def settings(self) -> dict[str, Any]:
        """What decides the networks, as plain data."""
        skipped = ("figure", "groups", "group_size", "rho", "quick")
        return {name: value for name, value in asdict(self).items() if name not in skipped} | {"rho": list(self.rho)}


def problems(recipe: EffectivenessRecipe) -> list[str]:
    """What is out of range, each with its key."""
    found = []
    for name, (least, most) in LIMITS.items():
        value = getattr(recipe, name)
        numbers = value if isinstance(value, tuple) else (value,)
        found += [f"{name}: expected {least:g} to {most:g}, found {n}" for n in numbers if not least <= n <= most]
    if recipe.rho[0] >= recipe.rho[1]:
        found.append(f"rho: expected a range, found {list(recipe.rho)}")
    if recipe.group_size > recipe.networks:
        found.append(f"group_size: {recipe.group_size} of {recipe.networks} networks")
    if not recipe.groups:
        found.append("groups: expected at least one")
    found += [f"groups[{i}].rho: expected a number above 0" for i, one in enumerate(recipe.groups) if not one.rho > 0]
    return found
