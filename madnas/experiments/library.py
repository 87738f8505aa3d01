"""The experiments that come with madnas, by name, and users' own recipe files, by path."""

from pathlib import Path

from madnas.errors import SpecError
from madnas.experiments import recipe
from madnas.experiments.curves import recipe as curves
from madnas.experiments.curves.recipe import CurvesRecipe
from madnas.experiments.effectiveness import recipe as effectiveness
from madnas.experiments.effectiveness.recipe import EffectivenessRecipe
from madnas.experiments.recipe import Recipe
from madnas.experiments.restructuring import recipe as restructuring
from madnas.experiments.restructuring.recipe import RestructuringRecipe
from madnas.network.library import load, shipped

PAPERS = ("deepmad", "nn-mass", "ran", "zen-nas")

AnyRecipe = Recipe | EffectivenessRecipe | RestructuringRecipe | CurvesRecipe


def recipe_files() -> dict[str, Path]:
    """The experiments that come with madnas, by name: ``nn-mass/circle20``."""
    return {f"{paper}/{name}": path for paper in PAPERS for name, path in shipped(f"experiments/{paper}").items()}


def load_recipe(name_or_path: str) -> AnyRecipe:
    """An experiment by name, or from a user's own YAML file; its ``schema`` says of which kind it is.

    Raises:
        UsageError: neither a known name nor a readable file.
        SpecError: the file is not such a recipe; every problem with its key.
    """
    kinds: dict[str, type[AnyRecipe]] = {
        recipe.SCHEMA: Recipe,
        curves.SCHEMA: CurvesRecipe,
        effectiveness.SCHEMA: EffectivenessRecipe,
        restructuring.SCHEMA: RestructuringRecipe,
    }
    found, source = load(name_or_path, "experiment", recipe_files(), kinds)
    if isinstance(found, Recipe):
        wrong = recipe.all_problems(found)
    elif isinstance(found, EffectivenessRecipe):
        wrong = effectiveness.problems(found)
    elif isinstance(found, RestructuringRecipe):
        wrong = restructuring.problems(found)
    else:
        wrong = curves.problems(found)
    if wrong:
        raise SpecError(source, wrong)
    return found
