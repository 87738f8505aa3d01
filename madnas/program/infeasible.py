"""Why a problem has no solution, and the nearest one that has."""

import math
from dataclasses import dataclass, replace

import numpy as np

from madnas.errors import InfeasibleError
from madnas.program.branch import middle
from madnas.program.model import build
from madnas.program.nlp import make_solver
from madnas.program.problem import Problem
from madnas.program.search import Effort, search, silent
from madnas.units import format_quantity

MARGINS = (1.002, 1.01, 1.03, 1.08, 1.2, 1.5, 2.0, 4.0)
"""Room given beyond the relaxation's least value, in turn, until a network of whole numbers fits; ..."""

CLOSE = 1.005
"""... then the least room is bisected to this factor."""

SLACKS = (1.0, 1.005, 1.02, 1.05)
"""Room added to a proposal, in turn, until the problem as a user would type it is solved."""

NODES = 60
"""Nodes of each search for a network that fits; any does, so that most need fewer."""

ANY_GAP = 1e9
"""A gap that every network meets."""


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
    effort = replace(effort or Effort(), max_nodes=NODES, gap=ANY_GAP)
    effort.watch("no network found; looking for the nearest limits that have one")
    effort = replace(effort, watch=silent)
    limits: dict[str, float] = problem.budgets | ({} if problem.rho is None else {"rho": problem.rho})
    proposals = [found for name in limits if (found := _raise(problem, [name], name, effort))]
    for together in ([*problem.budgets], [*limits]):
        if not proposals and (found := _raise(problem, together, "scale", effort)):
            proposals.append(found)
    if not proposals and (found := _smallest(problem, effort)):
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
    ends = {"latency": "@TABLE"}
    return " ".join(
        f"{flags.get(name, '--' + name)} {_text(name, limit)}{ends.get(name, '')}"
        for name, limit in proposal.limits.items()
    )


def _text(name: str, limit: float) -> str:
    if name == "latency":
        return f"{1e3 * limit:.4g}ms"
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
    least = _least(free, goal, effort)
    if least is None:
        return None
    scaled = [name for name in names if name != "rho" or free.rho is not None]

    def needed(factor: float) -> dict[str, float] | None:
        """Limits that a network needs which is found when the limits are scaled, none below what was asked for."""
        raised = {name: _round_up(_limit(problem, name) * max(factor, 1.0), name) for name in scaled}
        found = search(_with(free, raised), effort)
        return None if found.values is None else _used(problem, names, found.values)

    low = least
    for margin in MARGINS:
        limits = needed(least * margin)
        if limits is not None:
            break
        low = least * margin
    else:
        return None
    high = max(limits[name] / _limit(problem, name) for name in scaled)
    while "layers" not in names and high > max(low, 1.0) * CLOSE:
        tried = math.sqrt(max(low, 1.0) * high)
        less = needed(tried)
        if less is None:
            low = tried
        else:
            high, limits = min(tried, max(less[name] / _limit(problem, name) for name in scaled)), less
    return _confirmed(problem, limits, effort)


def _confirmed(problem: Problem, limits: dict[str, float], effort: Effort) -> Proposal | None:
    """A proposal under which the same search finds a network, which may need a little more than that network uses."""
    for slack in SLACKS:
        raised = {
            name: limit if slack == 1 else _round_up(limit * slack, name)
            for name, limit in limits.items()
            if limit > _limit(problem, name)
        }
        if search(_with(problem, raised), effort).values is not None:
            return Proposal(raised, max(limit / _limit(problem, name) for name, limit in raised.items()))
    return None


def _smallest(problem: Problem, effort: Effort) -> Proposal | None:
    """For limits far below any network: a raise that starts from the costs of the narrowest, shallowest one."""
    names = [*problem.budgets] + ["rho"] * (problem.rho is not None)
    least = _used(problem, names, np.array([variable.values[0] for variable in problem.variables]))
    nearer = _with(problem, least)
    solved = search(nearer, effort).values is not None
    found = None if solved else _raise(nearer, [*problem.budgets], "scale", effort)
    if not solved and found is None:
        return None
    limits = least | (found.limits if found is not None else {})
    raised = {name: limit for name, limit in limits.items() if limit > _limit(problem, name)}
    return Proposal(raised, max(limit / _limit(problem, name) for name, limit in raised.items()))


def _used(problem: Problem, names: list[str], values: np.ndarray) -> dict[str, float]:
    """What a network uses of some limits, rounded up; the limits themselves where it uses less."""
    whole = [int(value) for value in values]
    _, costs, structure = problem.evaluate(whole)
    spec = problem.network(whole)
    exact = {name: structure.rho if name == "rho" else float(problem.cost(name, spec, costs)) for name in names}
    return {name: max(_limit(problem, name), _round_up(value, name)) for name, value in exact.items()}


def _least(problem: Problem, goal: str, effort: Effort) -> float | None:
    """The relaxation's least value of a limit, relative to what was asked for, or ``None`` if other limits block."""
    model = build(problem, goal)
    solver = make_solver(model, effort.solver)
    low, high = (np.array([bound(model.x[name]) for name in model.names]) for bound in (lambda x: x.lb, lambda x: x.ub))
    logarithmic = np.array([variable.logarithmic for variable in problem.variables])
    points = [solver.solve(low, high, start) for start in (middle(low, high, logarithmic), 0.9 * low + 0.1 * high)]
    least = min((point.objective for point in points if point.status == "optimal"), default=None)
    if least is None or goal == "scale":
        return least
    return math.exp(least) / (problem.rho or 1.0) if goal == "rho" else math.exp(least)


def _limit(problem: Problem, name: str) -> float:
    return float(problem.rho or 0.0) if name == "rho" else float(problem.budgets[name])


def _with(problem: Problem, limits: dict[str, float]) -> Problem:
    budgets = {name: _whole(name, limits.get(name, limit)) for name, limit in problem.budgets.items()}
    return replace(problem, budgets=budgets, rho=limits.get("rho", problem.rho))


def _whole(name: str, limit: float) -> float:
    return limit if name == "latency" else int(limit)


def _round_up(value: float, name: str) -> float:
    """Up to three significant digits, so that a person can type it."""
    if name == "layers":
        return round(value)  # the relaxation's least number of layers is whole; margins add to it once they matter
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    rounded = math.ceil(value / unit - 1e-9) * unit
    return round(rounded, 12) if name in ("rho", "latency") else round(rounded) if rounded >= 100 else math.ceil(value)
