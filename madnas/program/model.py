"""Eq. (5) of DeepMAD as a Pyomo model: the continuous relaxation of a design problem.

Page of the model
-----------------
Variables (names are those of :class:`~madnas.program.problem.Variable`):
    ``x[name]``: logarithm of channels and kernels, depth itself; bounded by the smallest and largest allowed value.
    ``imbalance``: upper bound on the variance of the depths, present when beta > 0.
Objective ``objective``: maximise the sum of alpha_i H_i minus beta exp(imbalance).
Constraints:
    ``budget[macs]`` ...: cost / limit <= 1; posynomials in the logarithms of the widths, convex for given depths (of
    latency for given kernels too, see ``latency.py``).
    ``rho``: ln L - (sum ln w) / L <= ln rho_0; linear in the logarithms for given depths.
    ``ratio[name]``: Guideline 3, growth, hidden / out; linear.
    ``uniform_depth``: Var(L_2, ..., L_M) <= imbalance; convex.
Degrees of freedom: one per variable of the problem.

``imbalance`` is capped where beta exp(imbalance) exceeds :data:`WORTH`, more than any network has, so that no optimum
is cut off and the exponential does not overflow on the solver's way.
"""

import math

from pyomo.core import ConcreteModel, Constraint, Objective, Set, Var, exp, log, maximize, minimize, value

from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.program.problem import Problem, Ratio, Variable
from madnas.theory.numerics import Number
from madnas.theory.objective import variance

WORTH = 1e12
"""Nats beyond any network's weighted entropy: a network of 500 blocks in each of 100 groups stays far below."""


def build(problem: Problem, goal: str = "objective") -> ConcreteModel:
    """The relaxation of ``problem``; needs no solver.

    Args:
        problem: what to design.
        goal: ``objective``, or the name of a limit (``macs`` ..., ``rho``) to minimise it instead while all others
            hold, or ``scale`` to minimise the factor by which all budgets would have to grow. These explain why a
            problem has no solution.

    Returns:
        a model with the components named above; ``model.problem`` is the problem itself.
    """
    model = ConcreteModel(name=f"DeepMAD Eq. (5), space {problem.space.name}")
    model.problem = problem
    model.names = Set(initialize=[variable.name for variable in problem.variables], ordered=True)
    bounds = {v.name: _bounds(v.values[0], v.values[-1], v.logarithmic) for v in problem.variables}
    model.x = Var(model.names, bounds=lambda _, name: bounds[name])
    network = problem.network([_quantity(model, variable) for variable in problem.variables])
    structure, costs = analyse(network), count(network)
    used = {name: problem.cost(name, network, costs) / limit for name, limit in problem.budgets.items()}

    if goal == "scale":
        model.scale = Var(bounds=(1e-3, 1e12))
    room = model.scale if goal == "scale" else 1.0
    model.budget = Constraint([name for name in used if name != goal], rule=lambda _, name: used[name] <= room)
    if problem.rho is not None and goal != "rho":
        model.rho = Constraint(expr=structure.log_rho <= log(problem.rho))
    ratios = {ratio.name: ratio for ratio in problem.ratios}
    model.ratio = Constraint(list(ratios), rule=lambda m, name: _ratio(m, ratios[name]))
    if goal != "objective":
        least = {"rho": structure.log_rho, "scale": room}.get(goal)
        model.objective = Objective(expr=log(used[goal]) if least is None else least, sense=minimize)
        return model
    weighted = structure.weighted_entropy(problem.weights)
    if problem.beta > 0 and len(network.groups) > 2:
        model.imbalance = Var(bounds=(0.0, _most_imbalance(problem)))
        model.uniform_depth = Constraint(expr=variance(network.depths[1:]) <= model.imbalance)
        weighted = weighted - problem.beta * exp(model.imbalance)
    elif problem.beta > 0:
        weighted = weighted - problem.beta
    model.objective = Objective(expr=weighted, sense=maximize)
    return model


def _most_imbalance(problem: Problem) -> float:
    worth = WORTH * max(problem.weights)
    return min(600.0, math.log(worth / problem.beta)) if problem.beta < worth else 1.0


def _bounds(low: float, high: float, logarithmic: bool) -> tuple[float, float]:
    return (value(log(low)), value(log(high))) if logarithmic else (float(low), float(high))


def _quantity(model: ConcreteModel, variable: Variable) -> Number:
    return exp(model.x[variable.name]) if variable.logarithmic else model.x[variable.name]


def _ratio(model: ConcreteModel, ratio: Ratio) -> tuple[float | None, Number, float | None]:
    names = list(model.names)
    difference = model.x[names[ratio.top]] - model.x[names[ratio.bottom]]
    low = None if ratio.low is None else value(log(ratio.low))
    high = None if ratio.high is None else value(log(ratio.high))
    return (low, difference, high)
