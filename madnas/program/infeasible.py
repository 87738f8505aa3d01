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
from madnas.units import format_quantity

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


def diagnose(problem: Problem, effort: Effort | None = None, proven: bool = True) -> InfeasibleError:
    """The error for a problem without solution: which limit blocks it, and limits that really solve.

    A limit *blocks* if the problem has a solution once that limit alone is raised. Where no single one is enough, all
    budgets are raised together, and where that is not enough, rho as well.

    Args:
        problem: what has no solution.
        effort: how hard to search for one.
        proven: whether the whole space was excluded, or the search only ended without an answer.
    """
    effort = replace(effort or Effort(), max_nodes=60)
    limits = problem.budgets | ({} if problem.rho is None else {"rho": problem.rho})
    proposals = [found for name in limits if (found := _raise(problem, [name], name, effort))]
    for together in ([*problem.budgets], [*limits]):
        if not proposals and (found := _raise(problem, together, "scale", effort)):
            proposals.append(found)
    requested = ", ".join(f"{name} {_text(name, limit)}" for name, limit in limits.items())
    message = f"no network of space {problem.space.name} has {requested}"
    if not proven:
        message = f"found no network of space {problem.space.name} with {requested} (not proven that there is none)"
    if not proposals:
        return InfeasibleError(message, "raise the budgets or rho, or take another space (madnas design --list)")
    proposals.sort(key=lambda proposal: proposal.factor)
    names = " and ".join(proposals[0].limits)
    verb = "block" if len(proposals[0].limits) > 1 else "blocks"
    options = "; or ".join(describe(proposal) for proposal in proposals)
    return InfeasibleError(f"{message}: {names} {verb}", f"the nearest that solves: {options}")


def describe(proposal: Proposal) -> str:
    """The proposal as command-line flags."""
    flags = {"layers": "--max-layers"}
    return " ".join(f"{flags.get(name, '--' + name)} {_text(name, limit)}" for name, limit in proposal.limits.items())


def _text(name: str, limit: float) -> str:
    return f"{limit:g}" if name == "rho" else format_quantity(limit)


def _raise(problem: Problem, names: list[str], goal: str, effort: Effort) -> Proposal | None:
    """The least raise of some limits under which a network of whole numbers is found, rounded up to three digits.

    Args:
        problem: what has no solution.
        names: the limits to raise.
        goal: what the relaxation minimises to find out how far: the limit, or ``scale`` for all budgets together; then
            rho, if it is among the names, is left free, and becomes that of the network found.
        effort: how hard to search.
    """
    free = replace(problem, rho=None) if goal == "scale" and "rho" in names else problem
    least = _least(free, goal)
    for margin in MARGINS if least is not None else ():
        raised = {
            name: _round_up(_limit(problem, name) * max((least or 1.0) * margin, 1.0), name)
            for name in names
            if name != "rho" or free.rho is not None
        }
        found = search(_with(free, raised), effort)
        if found.values is None:
            continue
        _, costs, structure = problem.evaluate([int(value) for value in found.values])
        exact = {name: structure.rho if name == "rho" else float(getattr(costs, name)) for name in names}
        tight = {name: _round_up(max(value, _limit(problem, name)), name) for name, value in exact.items()}
        for limits in (tight, raised):
            if set(limits) == set(names) and search(_with(problem, limits), effort).values is not None:
                return Proposal(limits, max(limits[name] / _limit(problem, name) for name in names))
    return None


def _least(problem: Problem, goal: str) -> float | None:
    """The relaxation's least value of a limit, relative to what was asked for, or ``None`` if other limits block."""
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
        return round(value)  # the relaxation's least number of layers is whole; margins add to it once they matter
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    rounded = math.ceil(value / unit - 1e-9) * unit
    return round(rounded, 12) if name == "rho" else round(rounded) if rounded >= 100 else math.ceil(value)
