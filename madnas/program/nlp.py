"""Solving the relaxation: a Pyomo model handed to IPOPT, inside CasADi's wheel or as an executable.

The model is translated once; after that only bounds and starting points change, so that a node of the branch and bound
costs a few milliseconds.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from subprocess import SubprocessError
from types import FrameType
from typing import Any, Protocol

import numpy as np
from pyomo.common.log import LoggingIntercept
from pyomo.common.tempfiles import TempfileManager
from pyomo.core import ConcreteModel, Constraint, Objective, Var, value
from pyomo.core.expr import (
    DivisionExpression,
    NegationExpression,
    PowExpression,
    ProductExpression,
    SumExpression,
    UnaryFunctionExpression,
)

from madnas.errors import SolverError

IPOPT_OPTIONS: dict[str, Any] = {
    "tol": 1e-7,  # nodes are compared at 1e-5 relative; tighter only costs iterations
    "max_iter": 150,  # solves take 10-40; more means that the node is infeasible or hopeless
    "expect_infeasible_problem": "yes",  # many nodes are; gives up on them several times sooner
    "mu_strategy": "monotone",  # with a small first mu, faster than 'adaptive' from warm starts
    "mu_init": 1e-4,
    "print_level": 0,
}
"""IPOPT's options, each with its reason."""

WARM_OPTIONS: dict[str, Any] = {
    "warm_start_init_point": "yes",
    "mu_init": 1e-6,  # the multipliers are nearly right already
    "warm_start_bound_push": 1e-4,
    "warm_start_bound_frac": 1e-4,
    "warm_start_slack_bound_push": 1e-4,
    "warm_start_slack_bound_frac": 1e-4,
    "warm_start_mult_bound_push": 1e-4,
}
"""Besides, when a node starts from its parent's optimum, which saves iterations."""

EQUALITY_SLACK = 1e-9
"""Half the width that CasADi's IPOPT is given where a constraint is an equality, a tenth of what it relaxes bounds by.

A ratio of two fixed widths is an equality without a variable: CasADi then warns that there are more equalities than
variables, and IPOPT fails to restore feasibility where it should say that there is none. Inequalities have neither.
"""


@dataclass(frozen=True, slots=True)
class Point:
    """What one solve ended with.

    Attributes:
        status: ``optimal``, ``infeasible`` or ``failed`` (with ``reason``).
        reason: the solver's own words.
        objective: value at the point, in nats.
        x: values of ``model.x``, in order (logarithms where the variable is logarithmic).
        prices: what each constraint is worth: change of the optimum, in nats, per unit of its right-hand side.
        iterations: of the solver.
        state: the solver's own full primal and dual point, to start a neighbouring problem from.
    """

    status: str
    reason: str
    objective: float
    x: np.ndarray
    prices: dict[str, float]
    iterations: int
    state: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None


class Solver(Protocol):
    """Solves one relaxation again and again under changing bounds."""

    name: str

    def solve(
        self,
        lower: np.ndarray,
        upper: np.ndarray,
        start: "np.ndarray | Point",
        reserve: Mapping[str, float] | None = None,
    ) -> Point:
        """Maximise over a box.

        Args:
            lower: least values of the variables (V,).
            upper: largest values of the variables (V,).
            start: where to begin (V,), or the optimum of a neighbouring box, which takes fewer iterations.
            reserve: room to leave in constraints, by name.
        """


def casadi_expression(expression: Any, symbols: dict[int, Any], seen: dict[int, Any]) -> Any:
    """Translate a Pyomo expression into CasADi's symbols.

    Args:
        expression: of sums, products, quotients, powers and elementary functions.
        symbols: CasADi symbol of each Pyomo variable, by ``id``.
        seen: translations so far, by ``id``; shared parts of the expression are translated once.

    Raises:
        SolverError: a kind of node that the program never builds.
    """
    if isinstance(expression, (int, float)):
        return float(expression)
    if expression.is_variable_type():
        return symbols[id(expression)]
    if not expression.is_expression_type():
        return float(value(expression))
    if id(expression) not in seen:
        arguments = [casadi_expression(argument, symbols, seen) for argument in expression.args]
        seen[id(expression)] = _apply(expression, arguments)
    return seen[id(expression)]


def _apply(node: Any, arguments: list[Any]) -> Any:
    import casadi

    if isinstance(node, SumExpression):
        return sum(arguments[1:], arguments[0])
    if isinstance(node, ProductExpression):
        return arguments[0] * arguments[1]
    if isinstance(node, DivisionExpression):
        return arguments[0] / arguments[1]
    if isinstance(node, PowExpression):
        return arguments[0] ** arguments[1]
    if isinstance(node, NegationExpression):
        return -arguments[0]
    if isinstance(node, UnaryFunctionExpression):
        return getattr(casadi, node.getname())(arguments[0])
    raise SolverError(f"cannot translate a {type(node).__name__} for CasADi")


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Hold an interrupt (Ctrl-C) back for some milliseconds of work in CasADi, which may drop it or fail of it."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: arrived.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if arrived:
            handler(*arrived[0])


class CasadiIpopt:
    """IPOPT as it comes inside the ``casadi`` wheel."""

    @_interrupts_later()
    def __init__(self, model: ConcreteModel) -> None:
        import casadi

        self.name = f"IPOPT (CasADi {casadi.__version__})"
        self._free = list(model.x.values()) + [
            v for v in model.component_data_objects(Var) if v.parent_component() is not model.x
        ]
        self._visible = len(model.x)
        variables = casadi.SX.sym("x", len(self._free))
        symbols = {id(variable): variables[i] for i, variable in enumerate(self._free)}
        seen: dict[int, Any] = {}
        objective = next(model.component_data_objects(Objective, active=True))
        constraints = list(model.component_data_objects(Constraint, active=True))
        self._names = [c.name for c in constraints]  # a constraint knows its name no longer than the model lives
        bodies = [casadi_expression(c.body, symbols, seen) for c in constraints]
        lower = np.array([-np.inf if c.lower is None else value(c.lower) for c in constraints])
        upper = np.array([np.inf if c.upper is None else value(c.upper) for c in constraints])
        slack = np.where(lower == upper, EQUALITY_SLACK, 0.0)
        self._lower_g, self._upper_g = lower - slack, upper + slack
        self._sign = -1.0 if objective.sense == -1 else 1.0
        expression = casadi_expression(objective.expr, symbols, seen)
        # The tolerance is relative to this: the size of the objective without what uneven depths cost.
        middle = [(v.lb + v.ub) / 2 for v in self._free[: self._visible]] + [v.lb for v in self._free[self._visible :]]
        self._scale = max(1.0, abs(float(casadi.Function("f", [variables], [expression])(middle))))
        problem = casadi_cse({"x": variables, "f": self._sign * expression / self._scale, "g": casadi.vertcat(*bodies)})
        self._cold = casadi.nlpsol("relaxation", "ipopt", problem, _casadi_options(IPOPT_OPTIONS))
        self._warm = casadi.nlpsol("neighbour", "ipopt", problem, _casadi_options(IPOPT_OPTIONS | WARM_OPTIONS))

    @_interrupts_later()
    def solve(
        self,
        lower: np.ndarray,
        upper: np.ndarray,
        start: np.ndarray | Point,
        reserve: Mapping[str, float] | None = None,
    ) -> Point:
        """See :class:`Solver`."""
        hidden = self._free[self._visible :]
        lower = np.concatenate([lower, [v.lb for v in hidden]])
        upper = np.concatenate([upper, [v.ub for v in hidden]])
        limits = self._upper_g - np.array([(reserve or {}).get(name, 0.0) for name in self._names])
        solver, multipliers = self._cold, {}
        if isinstance(start, Point) and start.state is not None:
            first, lam_x0, lam_g0 = start.state
            solver, multipliers = self._warm, {"lam_x0": lam_x0, "lam_g0": lam_g0}
        else:
            first = np.concatenate([start.x if isinstance(start, Point) else start, [1.0 for _ in hidden]])
        found = solver(
            x0=np.clip(first, lower, upper), lbx=lower, ubx=upper, lbg=self._lower_g, ubg=limits, **multipliers
        )
        stats = solver.stats()
        x, lam_x, lam_g = (np.asarray(found[key]).ravel() for key in ("x", "lam_x", "lam_g"))
        return Point(
            status=_status(bool(stats["success"]), stats["return_status"]),
            reason=stats["return_status"],
            objective=self._sign * float(found["f"]) * self._scale,
            x=x[: self._visible],
            prices={name: float(m) for name, m in zip(self._names, lam_g * self._scale, strict=True)},
            iterations=int(stats["iter_count"]),
            state=(x, lam_x, lam_g),
        )


def _casadi_options(options: dict[str, Any]) -> dict[str, Any]:
    quiet = {"print_time": False, "error_on_fail": False, "ipopt.sb": "yes"}
    return quiet | {f"ipopt.{key}": option for key, option in options.items()}


def casadi_cse(problem: dict[str, Any]) -> dict[str, Any]:
    """Share common subexpressions between objective and constraints."""
    import casadi

    shared = casadi.cse(casadi.vertcat(problem["f"], problem["g"]))
    return {"x": problem["x"], "f": shared[0], "g": shared[1:]}


def _status(success: bool, reason: str) -> str:
    if success:
        return "optimal"
    return "infeasible" if "nfeasible" in reason else "failed"


class ExecutableIpopt:
    """An ``ipopt`` executable on PATH, through Pyomo's own interface: slower, for those who have their own build."""

    def __init__(self, model: ConcreteModel) -> None:
        import pyomo.environ
        from pyomo.common import Executable
        from pyomo.core import Suffix

        Executable("ipopt").rehash()  # PATH may have changed since Pyomo looked
        self._solver = pyomo.environ.SolverFactory("ipopt")
        if not self._solver.available(exception_flag=False):
            raise SolverError("no 'ipopt' executable on PATH", "use --solver casadi, which needs none")
        self.name = f"IPOPT{_version(self._solver)} (executable)"
        self._worked = False
        self._model = model
        self._constraints = list(model.component_data_objects(Constraint, active=True))
        model.dual = Suffix(direction=Suffix.IMPORT)
        self._solver.options.update(IPOPT_OPTIONS)

    def solve(
        self,
        lower: np.ndarray,
        upper: np.ndarray,
        start: np.ndarray | Point,
        reserve: Mapping[str, float] | None = None,
    ) -> Point:
        """See :class:`Solver`; ``reserve`` is taken off the constraints for this solve.

        Raises:
            SolverError: the executable does not work. Once it has, a crash is a solve that failed.
        """
        start = start.x if isinstance(start, Point) else start
        free: Sequence[Any] = list(self._model.x.values())
        for variable, low, high, first in zip(free, lower, upper, start, strict=True):
            variable.setlb(float(low))
            variable.setub(float(high))
            variable.set_value(float(min(max(first, low), high)))
        try:
            with _less_room(self._constraints, reserve or {}):
                reason = self._run()
        except SolverError as error:
            if not self._worked:
                raise
            return Point("failed", str(error), float("-inf"), np.asarray(start), {}, 0)
        self._worked = True
        if reason != "optimal":
            return Point(_status(False, reason), reason, float("-inf"), np.asarray(start), {}, 0)
        objective = next(self._model.component_data_objects(Objective, active=True))
        prices = {c.name: _signed(c, abs(self._model.dual.get(c, 0.0))) for c in self._constraints}
        x = np.array([variable.value for variable in free])
        return Point("optimal", reason, float(value(objective)), x, prices, 0)

    def _run(self) -> str:
        """Run the executable, load the optimum if it found one, and give the reason why it ended.

        Raises:
            SolverError: it cannot be started, crashed, or wrote nothing that can be read.
        """
        said = StringIO()  # what the executable printed before it crashed, which Pyomo logs; then it raises anything
        try:
            with LoggingIntercept(module="pyomo"), TempfileManager, LoggingIntercept(said, "pyomo.opt"):
                result = self._solver.solve(self._model, load_solutions=False)
                reason = str(result.solver.termination_condition)
                if reason == "optimal":
                    self._model.solutions.load_from(result)
        except Exception as error:
            cause = error.__context__ if isinstance(error.__context__, OSError) else error
            lines = said.getvalue().strip().splitlines() or str(cause).splitlines()[:1]
            raise self._broken(lines[-1] if lines else type(error).__name__) from error
        if reason == "other":  # Pyomo's word for no solution file
            raise self._broken("it wrote no solution")
        return reason

    def _broken(self, reason: str) -> SolverError:
        message = f"the executable {self._solver.executable()} does not work: {reason}"
        return SolverError(message, "use --solver casadi, which needs no executable")


def _version(solver: Any) -> str:
    """Version of an executable, after a space, or nothing: whether it works is for the first solve to tell."""
    try:
        found = solver.version()
    except (OSError, ValueError, SubprocessError):  # another machine's program, bytes that are no text, no answer
        found = None
    return " " + ".".join(map(str, found[:3])) if found else ""


def _signed(constraint: Any, price: float) -> float:
    """A price with the sign of the active side: solvers disagree on the sign of multipliers, not on their size."""
    if constraint.lower is None:
        return price
    if constraint.upper is None:
        return -price
    return price if value(constraint.upper - constraint.body) < value(constraint.body - constraint.lower) else -price


@contextmanager
def _less_room(constraints: Sequence[Any], reserve: Mapping[str, float]) -> Iterator[None]:
    """Lower the upper limits of some constraints for a while."""
    limits = {c: value(c.upper) for c in constraints if reserve.get(c.name)}
    try:
        for constraint, limit in limits.items():
            constraint.set_value((constraint.lower, constraint.body, limit - reserve[constraint.name]))
        yield
    finally:
        for constraint, limit in limits.items():
            constraint.set_value((constraint.lower, constraint.body, limit))


SOLVERS: dict[str, Callable[[ConcreteModel], Solver]] = {"casadi": CasadiIpopt, "ipopt": ExecutableIpopt}
"""Ways to IPOPT by name; CasADi's is the default because its wheel brings the solver along."""


def make_solver(model: ConcreteModel, name: str = "casadi") -> Solver:
    """A solver for a model, by name.

    Raises:
        SolverError: unknown name, or no such executable.
    """
    if name not in SOLVERS:
        raise SolverError(f"unknown solver {name!r}; one of {', '.join(SOLVERS)}")
    return SOLVERS[name](model)
