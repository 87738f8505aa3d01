"""Random networks of one cost: other depths and widths, the same params and MACs, effectiveness spread over a range."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from madnas.errors import InfeasibleError
from madnas.experiments.effectiveness.recipe import EffectivenessRecipe
from madnas.network.count import count
from madnas.network.named import get
from madnas.network.spec import NetworkSpec
from madnas.program.problem import Problem, Variable
from madnas.program.space import customise, load_space

DRAWS = 100_000
"""Candidates of a round; all are evaluated at once."""

ROUNDS = 50
"""Rounds after which a slice of the range that is still empty counts as impossible."""

CORRECTIONS = 6
"""Times that widths are scaled towards the params wanted; they grow nearly with the square of the widths."""


def random_networks(recipe: EffectivenessRecipe, seed: int) -> list[NetworkSpec]:
    """Networks by ascending rho; the same for the same seed.

    Depths and widths are drawn uniformly in their logarithm; then all widths are scaled alike until the params fit,
    rounded, and what is off in params or MACs is dropped. Of the first round in which a slice of rho has any, one is
    taken at random.

    Raises:
        InfeasibleError: a slice of rho has no such network.
        UsageError: an unknown space or network.
    """
    problem = _problem(recipe)
    random = np.random.default_rng(seed)
    chosen: dict[int, np.ndarray] = {}
    for _ in range(ROUNDS):
        for number, values in _round(problem, recipe, random):
            chosen.setdefault(number, values)
        if len(chosen) == recipe.networks:
            break
    else:
        low, high = recipe.rho
        raise InfeasibleError(
            f"no network of space {recipe.space} with this cost for {recipe.networks - len(chosen)} of the "
            f"{recipe.networks} slices of rho from {low:g} to {high:g}",
            "ask for a larger tolerance, or for fewer networks",
        )
    digits = len(str(recipe.networks))
    return [
        problem.network([int(value) for value in chosen[number]], f"random-{seed}-{number + 1:0{digits}}")
        for number in range(recipe.networks)
    ]


def _problem(recipe: EffectivenessRecipe) -> Problem:
    """The space with the recipe's changes; its budgets are the params and MACs that all networks have."""
    like = get(recipe.like)
    cost = count(replace(like, head=replace(like.head, classes=recipe.classes)))
    space = customise(load_space(recipe.space), classes=recipe.classes, multiple=recipe.multiple, input=like.input)
    return Problem(replace(space, growth=recipe.growth), {"params": int(cost.params), "macs": int(cost.macs)})


def _round(
    problem: Problem, recipe: EffectivenessRecipe, random: np.random.Generator
) -> Iterator[tuple[int, np.ndarray]]:
    """The slices of rho that a round of draws has networks for, each with one of them."""
    columns = _draw(problem, random)
    _, cost, structure = problem.evaluate(columns)
    off = np.maximum(*(abs(getattr(cost, name) / limit - 1) for name, limit in problem.budgets.items()))
    low, high = recipe.rho
    place = np.floor((structure.rho - low) / (high - low) * recipe.networks)
    fits = (off <= recipe.tolerance) & (place >= 0) & (place < recipe.networks) & _allowed(problem, columns)
    found = np.flatnonzero(fits)  # in the order of the draws, so that the first of a slice is a random one
    numbers, first = np.unique(place[found].astype(int), return_index=True)
    for number, index in zip(numbers, found[first], strict=True):
        yield int(number), np.array([column[index] for column in columns])


def _draw(problem: Problem, random: np.random.Generator) -> list[np.ndarray]:
    """Candidates that have the params of the problem's budget, one column for each variable."""
    variables = problem.variables
    columns = [_values(variable, random) for variable in variables]
    wide = [place for place, one in enumerate(variables) if _is_width(one)]
    for _ in range(CORRECTIONS):
        _, cost, _ = problem.evaluate(columns)
        scale = np.sqrt(problem.budgets["params"] / cost.params)
        for place in wide:
            columns[place] = columns[place] * scale
    multiple = problem.space.multiple
    for place in wide:
        columns[place] = np.maximum(np.round(columns[place] / multiple) * multiple, variables[place].values[0])
    return columns


def _values(variable: Variable, random: np.random.Generator) -> np.ndarray:
    """Values of a variable, uniform in the logarithm; widths are not rounded yet."""
    values = np.array(variable.values, dtype=np.float64)
    if variable.name.startswith("kernel"):
        return random.choice(values, DRAWS)
    drawn = np.exp(random.uniform(np.log(values[0]), np.log(values[-1] + 1), DRAWS))
    return drawn if _is_width(variable) else np.floor(drawn)


def _is_width(variable: Variable) -> bool:
    return not variable.name.startswith(("kernel", "depth"))


def _allowed(problem: Problem, columns: list[np.ndarray]) -> np.ndarray:
    """Whether candidates are in the space (N,)."""
    allowed = np.ones(len(columns[0]), dtype=bool)
    for variable, column in zip(problem.variables, columns, strict=True):
        allowed &= column <= variable.values[-1]
    for ratio in problem.ratios:
        allowed &= ratio.holds(columns[ratio.top], columns[ratio.bottom])
    return allowed
