"""Recipe of best-so-far curves of several searches over one task (Figures 7 to 12 of Zen-NAS)."""

from dataclasses import dataclass, fields, replace
from typing import Literal

SCHEMA = "madnas/search-curves-recipe/1"


@dataclass(frozen=True, slots=True)
class Curve:
    """One search.

    Attributes:
        name: what it is called.
        score: what it maximises.
        figure: where the paper shows it.
        method: ``evolution`` or ``random``.
        paper: params and MACs of the paper's result.
        candidates: scored ones, if fewer than of the others.
    """

    name: str
    score: str
    figure: str = ""
    method: Literal["evolution", "random"] = "evolution"
    paper: str = ""
    candidates: int | None = None


@dataclass(frozen=True, slots=True)
class Quick:
    """Settings of a quick run."""

    candidates: int
    survivors: int
    repeats: int
    batch_size: int


@dataclass(frozen=True, slots=True)
class CurvesRecipe:
    """Several searches over one task.

    Attributes:
        figure: what of the paper it is.
        space: of free length.
        input, classes, max_depth: changes to it.
        params: budget.
        curves: the searches.
        candidates: scored ones, of each search at most.
        survivors, population, repeats, batch_size: as in ``madnas design --method evolution``.
        mutation: ``zen-nas`` or ``mixed``.
        quick: what ``--quick`` changes.
    """

    figure: str
    space: str
    input: tuple[int, int, int]
    classes: int
    max_depth: int
    params: str
    curves: tuple[Curve, ...]
    candidates: int
    survivors: int
    population: int
    repeats: int
    batch_size: int
    quick: Quick
    mutation: Literal["zen-nas", "mixed"] = "zen-nas"

    def quickened(self) -> "CurvesRecipe":
        """The quick variant."""
        quick = self.quick
        return replace(self, candidates=quick.candidates, survivors=quick.survivors, repeats=quick.repeats,
                       batch_size=quick.batch_size)  # fmt: skip


def problems(recipe: CurvesRecipe) -> list[str]:
    """What is wrong with a recipe beyond types, with its key."""
    found = [] if recipe.curves else ["curves: at least one"]
    names = [curve.name for curve in recipe.curves]
    found += [f"curves: {name!r} is there twice" for name in sorted(set(names)) if names.count(name) > 1]
    sizes = ("candidates", "survivors", "population", "repeats", "batch_size")
    found += [f"{key}: at least 1" for key in sizes if getattr(recipe, key) < 1]
    found += [f"quick.{one.name}: at least 1" for one in fields(recipe.quick) if getattr(recipe.quick, one.name) < 1]
    found += [
        f"curves[{place}].candidates: at least 1"
        for place, curve in enumerate(recipe.curves)
        if curve.candidates is not None and curve.candidates < 1
    ]
    return found
