"""The plain evaluator: objective and limits of many candidates at once, in closed form.

No module is built and no expression is kept: the block catalogue runs on numpy columns, a million candidates a second.
"""

from dataclasses import dataclass

import numpy as np

from madnas.program.problem import Problem

LAST_DIGIT = 1e-12
"""Relative excess of rho that is the rounding of floats: the same network may differ by it as number and as array.
Latency keeps as much below its limit, which so holds for the number too."""

SLACK = {"rho": LAST_DIGIT, "budget[latency]": -LAST_DIGIT}
"""Usage up to which a limit counts as met; of the others 0."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of N candidates.

    Attributes:
        objective: Eq. (5), in nats (N,).
        usage: value / limit - 1 of each limit: negative where there is room, positive where it is exceeded (C, N); rows
            in the order of :attr:`Evaluator.limits`.
        ratios: whether the ratios hold: Guideline 3, growth, hidden / out; and whether the latency table, where there
            is one, covers the candidate (N,).
        slack: usage up to which a limit counts as met, of :data:`SLACK` (C, 1).
    """

    objective: np.ndarray
    usage: np.ndarray
    ratios: np.ndarray
    slack: np.ndarray

    @property
    def feasible(self) -> np.ndarray:
        """Whether every limit and ratio is met (N,)."""
        return (self.usage <= self.slack).all(axis=0) & self.ratios


class Evaluator:
    """Evaluates candidates of one problem.

    Attributes:
        limits: names of the limits, as in the program: ``budget[macs]`` ..., ``rho``.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.limits = [f"budget[{name}]" for name in problem.budgets] + ["rho"] * (problem.rho is not None)
        self._slack = np.array([[SLACK.get(name, 0.0)] for name in self.limits])

    def __call__(self, candidates: np.ndarray) -> Evaluation:
        """Score candidates.

        Args:
            candidates: values of the problem's variables, one row each (N, V); whole numbers, except that the
                rounding asks for the value of a candidate whose other widths are still continuous.
        """
        problem = self.problem
        columns = list(np.ascontiguousarray(candidates.T))
        objective, costs, structure = problem.evaluate(columns)
        usage = np.empty((len(self.limits), len(candidates)))
        ratios = np.ones(len(candidates), dtype=bool)
        for row, (name, limit) in enumerate(problem.budgets.items()):
            if name == "latency":
                assert problem.table is not None
                seconds, covered = problem.table.extrapolate(problem.network(columns))
                usage[row], ratios = seconds / limit - 1, ratios & covered
            else:
                usage[row] = getattr(costs, name) / limit - 1
        if problem.rho is not None:
            usage[-1] = structure.rho / problem.rho - 1
        for ratio in problem.ratios:
            ratios &= ratio.holds(columns[ratio.top], columns[ratio.bottom])
        return Evaluation(np.broadcast_to(objective, len(candidates)), usage, ratios, self._slack)
