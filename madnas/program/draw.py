"""Random networks of a space within a range of multiply-adds, to be measured and predicted.

What spaces of free length need for the same (:mod:`madnas.search.draw`) is here once.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from madnas.errors import InfeasibleError
from madnas.network.spec import NetworkSpec
from madnas.program.problem import Problem, Variable
from madnas.program.space import Space

DRAWS = 4096
"""Candidates of a round; all are counted at once."""

ROUNDS = 8
"""Rounds after which a range counts as empty."""

CORRECTIONS = 8
"""Times that widths are scaled towards the multiply-adds wanted, ..."""

LARGEST_STEP = 3.0
"""... by at most this factor."""

Candidate = TypeVar("Candidate")


def first_of(
    candidates: Iterable[Candidate], network: Callable[[Candidate, str], NetworkSpec], number: int, name: str,
    space: str, macs: tuple[float, float],
) -> list[NetworkSpec]:  # fmt: skip
    """So many networks out of candidates, of which no more are asked for than that takes.

    Args:
        candidates: those within the range.
        network: what makes a candidate a network of a name.
        number: of networks.
        name: of the networks, before their number.
        space: its name, for the error.
        macs: the range, for the error.

    Raises:
        InfeasibleError: there are too few candidates.
    """
    found: list[NetworkSpec] = []
    for candidate in candidates:
        found.append(network(candidate, f"{name}-{len(found) + 1}"))
        if len(found) == number:
            return found
    raise InfeasibleError(
        f"space {space}: {number} networks of {macs[0]:.4g} to {macs[1]:.4g} MACs are needed, and {len(found)} "
        "were found",
        "give more --macs",
    )


def step_towards(target: np.ndarray, macs: np.ndarray) -> np.ndarray:
    """By how much to scale all widths, which multiply-adds follow squared."""
    return np.clip(np.sqrt(target / macs), 1 / LARGEST_STEP, LARGEST_STEP)


def uniform(random: np.random.Generator, low: float, high: float, shape: int | tuple[int, ...]) -> np.ndarray:
    """Values that are uniform in their logarithm."""
    return np.exp(random.uniform(np.log(low), np.log(high), shape))


def draw(
    space: Space, number: int, macs: tuple[float, float], depth: tuple[int, int], seed: int, name: str
) -> list[NetworkSpec]:
    """Networks of one of DeepMAD's spaces; see :meth:`~madnas.measure.latency_table.request.Drawable.draw`.

    Widths are drawn in ascending order where channels do not decrease, and scaled alike until the multiply-adds fit.
    """
    problem = Problem(space, {"macs": int(macs[1])})
    random = np.random.default_rng(seed)
    candidates = (values for _ in range(ROUNDS) for values in _round(problem, macs, depth, random))
    return first_of(candidates, lambda values, own: problem.network([int(value) for value in values], own),
                    number, name, space.name, macs)  # fmt: skip


def _round(
    problem: Problem, macs: tuple[float, float], depth: tuple[int, int], random: np.random.Generator
) -> Iterator[np.ndarray]:
    columns = _columns(problem, depth, random)
    wide = [place for place, one in enumerate(problem.variables) if one.name.startswith(("out", "hidden"))]
    target = uniform(random, *macs, DRAWS)
    for _ in range(CORRECTIONS):
        _, cost, _ = problem.evaluate(columns)
        step = step_towards(target, cost.macs)
        for place in wide:
            columns[place] = columns[place] * step
    multiple = problem.space.multiple
    for place in wide:
        columns[place] = np.maximum(np.round(columns[place] / multiple) * multiple, problem.variables[place].values[0])
    _, cost, _ = problem.evaluate(columns)
    fits = (cost.macs >= macs[0]) & (cost.macs <= macs[1])
    for variable, column in zip(problem.variables, columns, strict=True):
        fits &= column <= variable.values[-1]
    for ratio in problem.ratios:
        fits &= ratio.holds(columns[ratio.top], columns[ratio.bottom])
    for index in np.flatnonzero(fits):
        yield np.array([column[index] for column in columns])


def _columns(problem: Problem, depth: tuple[int, int], random: np.random.Generator) -> list[np.ndarray]:
    """A column for each variable, widths not rounded yet."""
    space = problem.space
    outs = np.array([uniform(random, *space.out, DRAWS) for _ in space.strides])
    if space.non_decreasing:
        outs = np.sort(outs, axis=0)
    columns = []
    for variable in problem.variables:
        if variable.name.startswith("out"):
            column = outs[_group(variable)]
        elif variable.name.startswith("hidden"):
            assert space.hidden_ratio is not None
            column = outs[_group(variable)] * uniform(random, *space.hidden_ratio, DRAWS)
        elif variable.name.startswith("depth"):
            low, high = (min(max(bound, variable.values[0]), variable.values[-1]) for bound in depth)
            column = np.floor(uniform(random, low, high + 1, DRAWS))
        else:
            column = _choice(variable, random)
        columns.append(column.astype(np.float64))
    return columns


def _group(variable: Variable) -> int:
    """Place of the group that a variable belongs to."""
    return int(variable.name.lstrip("abcdefghijklmnopqrstuvwxyz")) - 1


def _choice(variable: Variable, random: np.random.Generator) -> np.ndarray:
    return random.choice(np.array(variable.values), DRAWS)
