"""What a search is to maximise and to keep within: the score, what it is made of, and the budgets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from madnas.errors import UsageError
from madnas.network.yamlfile import did_you_mean, shorten
from madnas.program.evaluator import LAST_DIGIT
from madnas.scores.catalogue import CLOSED_FORM, ON_REQUEST
from madnas.search.expression import Expression, parse
from madnas.search.family import Family, Values

SURROGATES = {"zen": "zen-closed", "zen-running": "zen-closed"}
"""Closed forms that rank networks nearly as a measured score does."""

BUDGETS = ("params", "macs", "activations", "layers", "rho", "latency")
"""Costs that may be bounded; latency where there is a table of it."""

COSTS = ("params", "macs", "activations", "layers", "latency")
"""Costs that a front may be kept against."""


@dataclass(frozen=True)
class Goal:
    """Score, budgets and, for a front, costs.

    Attributes:
        fitness: what is maximised.
        budgets: upper limits by name, of :data:`BUDGETS`.
        front: costs that are minimised beside it; empty: there is one winner.
        closed: names in closed form: params, MACs, layers, and what fitness, budgets and front need.
        measured: names in the fitness that need a network, each a mean over draws or one value.
        surrogate: the fitness in closed form that picks candidates for the measured one, if there is such a form.
    """

    fitness: Expression
    budgets: Mapping[str, float]
    front: tuple[str, ...]
    closed: tuple[str, ...]
    measured: tuple[str, ...]
    surrogate: Expression | None

    @property
    def objectives(self) -> int:
        """How many values a candidate is judged by."""
        return 1 + len(self.front)

    def breach(self, values: Values, number: int) -> np.ndarray:
        """How far so many candidates exceed the budgets, relative, summed over them; 0 where they do not (N,).

        A cost of the front that is not finite, as the latency of what a table does not cover, is exceeded by far.
        """
        over = [
            np.maximum(0.0, values[name] / limit - 1 - (LAST_DIGIT if name == "rho" else 0.0))
            for name, limit in self.budgets.items()
        ]
        over += [np.where(np.isfinite(values[name]), 0.0, np.inf) for name in self.front]
        return np.sum(over, axis=0) if over else np.zeros(number)

    def judged(self, fitness: np.ndarray, values: Values) -> np.ndarray:
        """What candidates are judged by, each the more the better (N, 1 + costs)."""
        return np.stack([fitness, *(-np.asarray(values[name], float) for name in self.front)], axis=1)


def make_goal(
    score: str, family: Family, budgets: Mapping[str, float], front: Sequence[str] = (), prescreen: bool = True
) -> Goal:
    """A goal from what the user wrote.

    Args:
        score: an expression; a name alone whose values are the better the lower is negated.
        family: the space, which says what it has in closed form.
        budgets: upper limits by name.
        front: costs for a front.
        prescreen: whether a closed form may pick candidates for a measured score.

    Raises:
        UsageError: an unknown score or cost, or one that the space does not have.
    """
    known = dict.fromkeys([*family.known, *CLOSED_FORM, *ON_REQUEST, "latency"])
    fitness = parse(score, list(known))
    absent = [name for name in fitness.names if name == "objective" and name not in family.known]
    if absent:
        raise UsageError(f"--score: space {family.name} has no {absent[0]}: the groups of its networks vary in number")
    if fitness.single and fitness.names[0] in ON_REQUEST and ON_REQUEST[fitness.names[0]].lower_is_better:
        fitness = parse(f"-{fitness.text}", list(known))
    for name in front:
        if list(front).count(name) > 1:
            raise UsageError(f"--pareto: {name} is there twice", "give every cost once")
        if name not in COSTS:
            raise UsageError(f"--pareto: unknown cost {shorten(name)!r}{did_you_mean(name, COSTS)}",
                             f"one of {', '.join(COSTS)}")  # fmt: skip
    missing = [name for name in (*fitness.names, *budgets, *front) if name == "latency" and name not in family.known]
    if missing:
        raise UsageError("latency needs a table", "--latency 0.3ms@table.json (madnas benchmark latency-table)")
    measured = tuple(name for name in fitness.names if name not in family.known)
    surrogate = None
    if prescreen and measured and all(SURROGATES.get(name) in family.known for name in measured):
        surrogate = fitness.renamed(SURROGATES)
    needed = {"params", "macs", "layers", *fitness.names, *budgets, *front, *(surrogate.names if surrogate else ())}
    closed = tuple(name for name in family.known if name in needed)
    return Goal(fitness, dict(budgets), tuple(front), closed, measured, surrogate)
