"""Recipes of the restructuring experiment: which SuperNet is searched, how strongly, and how all is trained."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

SCHEMA = "madnas/restructuring-recipe/1"

LIMITS: dict[str, tuple[float, float]] = {"strengths": (1e-9, 1000), "epochs": (1, 100_000)}
"""Smallest and largest value of every number."""


@dataclass(frozen=True, slots=True)
class Quick:
    """What ``--quick`` changes; absent means no change."""

    strengths: tuple[float, ...] | None = None
    epochs: int | None = None


@dataclass(frozen=True, slots=True)
class RestructuringRecipe:
    """What is searched and trained.

    Attributes:
        figure: what of the paper it follows.
        network: name or file of the SuperNet.
        strengths: lambda of Eq. (3), one search each.
        macs_aware: weigh every block's penalty by what its collapse saves.
        train: the training recipe of all networks, in the search and after it.
        epochs: its epochs; absent: its own.
        quick: what ``--quick`` changes.
    """

    figure: str
    network: str
    strengths: tuple[float, ...]
    macs_aware: bool = False
    train: str = "digits/quick"
    epochs: int | None = None
    quick: Quick = field(default_factory=Quick)

    def quickened(self) -> "RestructuringRecipe":
        """The recipe with the settings of ``--quick``."""
        return replace(self, **{name: value for name, value in asdict(self.quick).items() if value is not None})

    def trained_with(self, train: str | None, epochs: int | None) -> "RestructuringRecipe":
        """The recipe with another training recipe, whose epochs hold unless others are given."""
        if train is not None:
            return replace(self, train=train, epochs=epochs)
        return self if epochs is None else replace(self, epochs=epochs)

    def settings(self) -> dict[str, Any]:
        """What decides the results, as plain data."""
        found = {name: value for name, value in asdict(self).items() if name not in ("figure", "quick")}
        return found | {"strengths": list(self.strengths)}


def problems(recipe: RestructuringRecipe) -> list[str]:
    """What is out of range, each with its key."""
    found = []
    for place, values in (("", recipe), ("quick.", recipe.quick)):
        for name, (least, most) in LIMITS.items():
            value = getattr(values, name)
            numbers = value if isinstance(value, tuple) else () if value is None else (value,)
            key = f"{place}{name}"
            found += [f"{key}: expected {least:g} to {most:g}, found {n}" for n in numbers if not least <= n <= most]
            if isinstance(value, tuple) and (not value or len({f"{one:g}" for one in value}) < len(value)):
                found.append(f"{key}: expected at least one value, each once")
    return found
