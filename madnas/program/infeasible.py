"""Why a problem has no solution, and the nearest one that has."""

import math
from dataclasses import dataclass, replace

import numpy as np

from madnas.errors import InfeasibleError
from madnas.program.branch import middle
from madnas.program.model import build
from madnas.program.nlp import make_solver
from madnas.program.problem import Problem
from madnas.program.search import Effort, search

MARGINS = (1.002, 1.01, 1.03, 1.08, 1.2, 1.5, 2.0, 4.0)
"""Room given beyond the relaxation's least value, in turn, until a network of whole numbers fits."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Limits under which the problem has a solution.

    Attributes:
        limits: new value of each changed limit (``macs`` ..., ``rho``).
        factor: the largest factor by which one of them grew.
    """

    limits: dict[str, float]
    factor: float


def diagnose(problem: Problem, effort: Effort | None = None) -> InfeasibleError:
    """The error for a problem without solution: which limit blocks it, and limits that really solve.

    A limit *blocks* if the problem has a solution once that limit alone is raised. Where no single one is enough, all
    budgets are raised together.
    """
    effort = replace(effort or Effort(), max_nodes=60)
    goals = [*problem.budgets, *(["rho"] if problem.rho is not None else [])]
    proposals = [found for goal in goals if (found := _raise(problem, [goal], goal, effort))]
    together = [] if proposals or len(problem.budgets) < 2 else [_raise(problem, list(problem.budgets), "scale", effort)]
    proposals += [found for found in together if found]
    requested = ", ".join([f"{name} {limit:g}" for name, limit in problem.budgets.items()])
    requested += "" if problem.rho is None else f", rho {problem.rho:g}"
    message = f"no network of space {problem.space.name} has {requested}"
    if not proposals:
        return InfeasibleError(message, "raise the budgets or rho, or take another space (madnas design --list)")
    proposals.sort(key=lambda proposal: proposal.factor)
    names = " and ".join(proposals[0].limits)
    verb = "block" if len(proposals[0].limits) > 1 else "blocks"
    options = "; or ".join(describe(proposal) for proposal in proposals)
    return InfeasibleError(f"{message}: {names} {verb}", f"the nearest that solves: {options}")


def describe(proposal: Proposal) -> str:
    """The proposal as command-line flags."""
    from madnas.units import format_quantity

    flags = {"layers": "--max-layers"}
    return " ".join(
        f"{flags.get(name, '--' + name)} {format_quantity(limit) if name != 'rho' else f'{limit:g}'}"
        for name, limit in proposal.limits.items()
    )


def _raise(problem: Problem, names: list[str], goal: str, effort: Effort) -> Proposal | None:
    """The least raise of some limits under which a network of whole numbers is found, rounded up to three digits."""
    least = _least(problem, goal)
    if least is None:
        return None
    for margin in MARGINS:
        limits = {name: _round_up(_limit(problem, name) * max(least * margin, 1.0), name) for name in names}
        found = search(_with(problem, limits), effort)
        if found.values is None:
            continue
        _, costs, structure = problem.evaluate([int(v) for v in found.values])
        tight = {
            name: _round_up(structure.rho if name == "rho" else float(getattr(costs, name)), name) for name in names
        }
        if search(_with(problem, tight), effort).values is not None:
            limits = tight
        return Proposal(limits, max(limits[name] / _limit(problem, name) for name in names))
    return None


def _least(problem: Problem, goal: str) -> float | None:
    """The relaxation's least value of a limit, relative to what was asked for, or ``None`` if nothing else allows it."""
    solver = make_solver(build(problem, goal))
    low = np.array([v.values[0] for v in problem.variables], dtype=float)
    high = np.array([v.values[-1] for v in problem.variables], dtype=float)
    logarithmic = np.array([v.logarithmic for v in problem.variables])
    low, high = np.where(logarithmic, np.log(low), low), np.where(logarithmic, np.log(high), high)
    points = [solver.solve(low, high, start) for start in (middle(low, high, logarithmic), 0.9 * low + 0.1 * high)]
    least = min((point.objective for point in points if point.status == "optimal"), default=None)
    if least is None or goal == "scale":
        return least
    return math.exp(least) / (problem.rho or 1.0) if goal == "rho" else math.exp(least)


def _limit(problem: Problem, name: str) -> float:
    return float(problem.rho or 0.0) if name == "rho" else float(problem.budgets[name])


def _with(problem: Problem, limits: dict[str, float]) -> Problem:
    budgets = {name: int(limits.get(name, limit)) for name, limit in problem.budgets.items()}
    return replace(problem, budgets=budgets, rho=limits.get("rho", problem.rho))


def _round_up(value: float, name: str) -> float:
    """Up to three significant digits, so that a person can type it."""
    if name == "layers":
        return math.ceil(value)
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    rounded = math.ceil(value / unit - 1e-9) * unit
    return round(rounded, 12) if name == "rho" else int(round(rounded)) if rounded >= 100 else math.ceil(value)
