"""What there is to design with, as plain data. Loads no solver."""

from typing import Any

import madnas
from madnas.program.recipe import load_recipe, recipe_files
from madnas.program.space import load_space, space_files
from madnas.search.space import evolution_spaces, load_evolution_space

SCHEMA = "madnas/list/1"


def list_document() -> dict[str, Any]:
    """The spaces and recipes that come with madnas as JSON-able data.

    Returns:
        ``schema``, ``madnas``, ``spaces`` (what each is, its defaults, and the file to copy), ``evolution_spaces``
        (those of free length) and ``recipes`` (the row of the paper, the problem, the published network or ``None``,
        and the file).
    """
    return {
        "schema": SCHEMA,
        "madnas": madnas.__version__,
        "spaces": [_space(name) for name in space_files()],
        "evolution_spaces": [_evolution_space(name) for name in evolution_spaces()],
        "recipes": [_recipe(name) for name in recipe_files()],
    }


def _space(name: str) -> dict[str, Any]:
    space = load_space(name)
    kernels = {kernel for key, values in space.choices().items() if key.startswith("kernel") for kernel in values}
    return {
        "name": name,
        "summary": space.summary,
        "block": space.block,
        "groups": len(space.strides),
        "stages": space.stages,
        "kernels": sorted(kernels),
        "input": list(space.input),
        "classes": space.classes,
        "rho": space.rho,
        "file": str(space_files()[name]),
    }


def _evolution_space(name: str) -> dict[str, Any]:
    space = load_evolution_space(name)
    return {
        "name": name,
        "summary": space.summary,
        "blocks": [kind.block for kind in space.kinds],
        "kernels": sorted({int(choice.kernel) for choice in space.choices}),
        "input": list(space.input),
        "classes": space.classes,
        "max_depth": space.max_depth,
        "file": str(evolution_spaces()[name]),
    }


def _recipe(name: str) -> dict[str, Any]:
    recipe = load_recipe(name)
    problem = recipe.problem()
    return {
        "name": name,
        "row": recipe.row,
        "space": recipe.space,
        "input": list(problem.space.input),
        "budgets": problem.budgets,
        "rho": problem.rho,
        "stage_weights": list(problem.weights),
        "depth_penalty": problem.beta,
        "guidelines": sorted(problem.guidelines),
        "published": recipe.published,
        "file": str(recipe_files()[name]),
    }
