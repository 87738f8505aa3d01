"""RAN's own procedure: draw width and depth multipliers, keep what comes near the budgets (Section 3.4, Fig. 6)."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from madnas.scaling.family import depth_choices, width_choices
from madnas.scaling.grid import Grid, score
from madnas.scaling.problem import Scaling
from madnas.scaling.scale import Scored, scored

SAMPLES = 800
"""Networks that the paper samples."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A sampled network near the budgets, with its multipliers."""

    network: Scored
    width: Fraction
    depth: Fraction


def sample(problem: Scaling, number: int = SAMPLES, seed: int = 0) -> tuple[list[Sampled], int]:
    """Draw multipliers uniformly and independently, and keep the networks near the budgets.

    Args:
        problem: base, ranges and budgets; here a network is near if every budgeted cost is within ``tolerance`` of its
            budget, below or above, and its depth within the cap.
        number: networks drawn.
        seed: of the draw.

    Returns:
        The networks near the budgets, the highest NN-Mass first, and how many different ones were drawn.
    """
    drawn = draw(problem, number, seed)
    near = np.ones(number, dtype=bool)
    for name, budget in problem.budgets.items():
        near &= np.abs(drawn.scores[name] / budget - 1) <= problem.tolerance
    if problem.max_depth is not None:
        near &= drawn.scores["blocks"] <= problem.max_depth
    different = {
        (drawn.widths[w].sizes, drawn.depths[d].sizes): row for row, (w, d) in reversed(list(enumerate(drawn.rows.T)))
    }
    kept = [row for row in sorted(different.values()) if near[row]]
    found = [Sampled(scored(drawn.network(row)), *drawn.multipliers(row)) for row in kept]
    return sorted(found, key=lambda one: -float(one.network.mass.mass)), len(different)


def draw(problem: Scaling, number: int, seed: int = 0) -> Grid:
    """The sample itself: ``number`` networks with their scores, in the order in which they are drawn."""
    base = problem.base
    generator = np.random.Generator(np.random.PCG64(seed))
    widths = [_multiplier(generator, problem.width_range) for _ in range(number)]
    depths = [_multiplier(generator, problem.depth_range) for _ in range(number)]
    wide = [choice for w in widths for choice in width_choices(base, w, w, problem.multiple)]
    deep = [choice for d in depths for choice in depth_choices(base, d, d)]
    return score(base, wide, deep, np.stack([np.arange(number), np.arange(number)]))


def _multiplier(generator: np.random.Generator, bounds: tuple[Fraction, Fraction]) -> Fraction:
    """A multiplier in four digits, so that it can be typed again."""
    low, high = bounds
    return Fraction(round(10_000 * (float(low) + generator.random() * float(high - low))), 10_000)
