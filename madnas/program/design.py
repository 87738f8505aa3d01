"""From a problem to a network that can be trusted: solve, rebuild as integers, recount, recheck, explain."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import madnas
from madnas.errors import InfeasibleError, MadnasError, SolverError
from madnas.network.analyse import Structure, analyse
from madnas.network.count import Counts, count
from madnas.network.spec import NetworkSpec
from madnas.program.evaluator import LAST_DIGIT
from madnas.program.infeasible import diagnose
from madnas.program.problem import Problem
from madnas.program.search import Effort, Solution, search
from madnas.units import format_quantity

SCHEMA = "madnas/design/1"

NEGLIGIBLE = 1e-6
"""A shadow price below this share of the objective means that a limit does not bind."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A limit that holds the objective back.

    Attributes:
        limit: ``macs``, ``params``, ``activations``, ``layers``, ``latency`` or ``rho``.
        used: value / limit at the answer.
        gain: what one percent more of it would add to the objective, nats (shadow price of the relaxation).
        gain_percent: the same as a percentage of the objective.
    """

    limit: str
    used: float
    gain: float
    gain_percent: float


@dataclass(frozen=True, slots=True)
class Design:
    """A designed network with everything that was recomputed from it.

    Attributes:
        problem: what was asked.
        spec: the network; its provenance says where it comes from.
        counts: costs in closed form, recounted from ``spec``.
        structure: structural scores, recomputed from ``spec``.
        objective: Eq. (5) at ``spec``, nats.
        solution: how it was found, with bound and evidence.
        binding: limits that bind, the most valuable first.
        seconds: time taken.
        swept: values of the swept options, by name.
    """

    problem: Problem
    spec: NetworkSpec
    counts: Counts
    structure: Structure
    objective: float
    solution: Solution
    binding: tuple[Binding, ...]
    seconds: float
    swept: dict[str, Any] = field(default_factory=dict)

    @property
    def bound(self) -> float:
        """No network of the space has a higher objective, nats."""
        return self.solution.bound

    @property
    def gap(self) -> float:
        """Relative distance of the objective from the bound (:meth:`Problem.gap`)."""
        return self.problem.gap(self.bound, self.objective)

    @property
    def bound_basis(self) -> str:
        """What the bound rests on."""
        evidence = self.solution.evidence
        return f"all {self.solution.evaluated} points enumerated" if evidence is None else evidence.describe()

    def space_limits(self) -> dict[str, int]:
        """Widths and depths that are at the space's largest value, by the variable's name: what else holds it back."""
        assert self.solution.values is not None
        return {
            variable.name: int(value)
            for variable, value in zip(self.problem.variables, self.solution.values, strict=True)
            if not variable.name.startswith("kernel") and len(variable.values) > 1 and value == variable.values[-1]
        }

    def used(self) -> dict[str, tuple[float, float]]:
        """Value and limit of every budget, in the order given."""
        problem = self.problem
        return {name: (problem.cost(name, self.spec, self.counts), limit) for name, limit in problem.budgets.items()}


def design(
    problem: Problem, effort: Effort | None = None, name: str = "design", known: np.ndarray | None = None
) -> Design:
    """Design a network.

    Args:
        problem: space, budgets, rho and weights.
        effort: how hard to search.
        name: name of the network.
        known: values of candidates (N, V) to beat.

    Raises:
        InfeasibleError: no network of the space meets the limits; names what blocks and what would solve.
        SolverError: the solver failed, or its answer did not survive the recheck.
    """
    begin = time.perf_counter()
    solution = search(problem, effort, known)
    if solution.values is None:
        raise diagnose(problem, effort, solution.proven)
    spec = problem.network([int(value) for value in solution.values], name)
    counts, structure = count(spec), analyse(spec)
    objective = structure.objective(problem.weights, problem.beta)
    recheck(problem, spec, counts, structure, objective, solution)
    finished = Design(
        problem=problem,
        spec=spec,
        counts=counts,
        structure=structure,
        objective=objective,
        solution=solution,
        binding=tuple(_binding(problem, spec, counts, structure, objective, solution.prices)),
        seconds=time.perf_counter() - begin,
    )
    return replace(finished, spec=replace(spec, provenance=provenance(finished)))


def recheck(
    problem: Problem, spec: NetworkSpec, counts: Counts, structure: Structure, objective: float, solution: Solution
) -> None:
    """Check a finished network against everything that was asked, by plain integer arithmetic.

    Raises:
        SolverError: a limit is exceeded or the objective is not what the search believed; a bug, not a user's mistake.
    """
    broken = [name for name, limit in problem.budgets.items() if problem.cost(name, spec, counts) > limit]
    if problem.table is not None and problem.table.predict_or_none(spec) is None:
        broken.append("what the latency table covers")
    if problem.rho is not None and structure.rho > problem.rho * (1 + LAST_DIGIT):
        broken.append("rho")
    values = [int(value) for value in solution.values] if solution.values is not None else []
    broken += [ratio.name for ratio in problem.ratios if not ratio.holds(values[ratio.top], values[ratio.bottom])]
    if abs(objective - solution.objective) > 1e-9 * abs(objective):
        broken.append("objective")
    if broken:
        raise SolverError(f"the answer for {spec.name} failed its recheck: {', '.join(broken)}")


def _binding(
    problem: Problem,
    spec: NetworkSpec,
    counts: Counts,
    structure: Structure,
    objective: float,
    prices: dict[str, float],
) -> Iterator[Binding]:
    used = {name: problem.cost(name, spec, counts) / limit for name, limit in problem.budgets.items()}
    worth = {name: prices.get(f"budget[{name}]", 0.0) for name in used}
    if problem.rho is not None:
        used["rho"], worth["rho"] = structure.rho / problem.rho, prices.get("rho", 0.0)
    for name in sorted(worth, key=lambda key: -worth[key]):
        if worth[name] > NEGLIGIBLE * abs(objective):
            gain = 0.01 * worth[name]
            yield Binding(name, float(used[name]), gain, 100 * gain / abs(objective))


def provenance(finished: Design) -> dict[str, Any]:
    """Where a network comes from, as it is saved with it; the same on every run."""
    problem = finished.problem
    tree = {
        "program": "DeepMAD Eq. (5)",
        "space": problem.space.name,
        "budgets": dict(problem.budgets),
        "rho": problem.rho,
        "stage_weights": [_short(weight) for weight in problem.weights],
        "depth_penalty": _short(problem.beta),
        "guidelines": sorted(problem.guidelines),
        "objective": round(finished.objective, 3),
        "bound": round(finished.bound, 3),
        "gap": round(finished.gap, 6),
        "solver": finished.solution.solver,
        "madnas": madnas.__version__,
    }
    return tree if problem.table is None else tree | {"latency_table": problem.table.describe()}


def _short(value: float) -> float:
    return int(value) if value == int(value) else value


@dataclass(frozen=True, slots=True)
class Miss:
    """A point of a sweep that has no network.

    Attributes:
        swept: values of the swept options, by name.
        error: why.
    """

    swept: dict[str, Any]
    error: MadnasError


def sweep(
    points: Iterable[tuple[dict[str, Any], Problem]], effort: Effort | None = None, name: str = "design"
) -> Iterator[Design | Miss]:
    """Design one network for each point of a sweep, each at least as good as any earlier answer that fits it.

    Args:
        points: values of the swept options by name, and the problem that they make.
        effort: how hard to search.
        name: name of the networks; the swept values are appended.
    """
    answers: list[tuple[Problem, np.ndarray]] = []
    for swept, problem in points:
        known = [values for other, values in answers if other.variables == problem.variables]
        try:
            finished = design(problem, effort, point_name(name, swept), np.array(known) if known else None)
        except (InfeasibleError, SolverError) as error:
            yield Miss(swept, error)
            continue
        if finished.solution.values is not None:
            answers.append((problem, finished.solution.values))
        yield replace(finished, swept=swept)


def point_name(name: str, swept: dict[str, Any]) -> str:
    """Name of one point of a sweep, fit for a file name: ``design-rho0.3-macs4.5G``."""
    texts = []
    for key, value in swept.items():
        if key == "stage_weights":
            texts.append("weights" + "_".join(f"{weight:g}" for weight in value))
        else:
            text = "none" if value is None else f"{value:g}" if key == "rho" else format_quantity(value)
            texts.append(f"{key}{text}")
    return "-".join([name, *texts])


def pareto(designs: list[Design]) -> list[bool]:
    """Which designs no other beats in every budget and in the objective."""

    def beats(other: Design, one: Design) -> bool:
        costs = [(other.used()[name][0], used) for name, (used, _) in one.used().items()]
        no_worse = all(mine <= theirs for mine, theirs in costs) and other.objective >= one.objective
        better = any(mine < theirs for mine, theirs in costs) or other.objective > one.objective
        return no_worse and better

    return [not any(beats(other, one) for other in designs) for one in designs]
