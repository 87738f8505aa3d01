"""A design problem: a space, budgets and weights, and its variables in a fixed order.

``Problem.network`` turns values of the variables into a :class:`NetworkSpec`; because the spec's counting works on
numbers, numpy arrays and Pyomo expressions, this one mapping scores a network, a batch of candidates and the program.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from madnas.errors import UsageError
from madnas.network.analyse import Structure, analyse
from madnas.network.count import Counts, count
from madnas.network.spec import NetworkSpec
from madnas.program.space import MOST, RATIO_SLACK, Space
from madnas.theory.numerics import Number, is_symbolic
from madnas.theory.objective import default_depth_penalty, default_stage_weights

if TYPE_CHECKING:
    from madnas.measure.latency_table import LatencyTable

BUDGETS = ("macs", "params", "activations", "layers")
"""Costs that can be bounded, by their name in :class:`Counts`; ..."""

LATENCY = "latency"
"""... and the latency in seconds, as a table predicts it."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One choice of the designer.

    Attributes:
        name: ``stem``, ``out3``, ``hidden3``, ``kernel3``, ``depth3`` or ``head``.
        values: every allowed value, ascending.
        logarithmic: whether the program optimises its logarithm (channels and kernels) or itself (depths).
    """

    name: str
    values: tuple[int, ...]
    logarithmic: bool = True


@dataclass(frozen=True, slots=True)
class Ratio:
    """A bound on the ratio of two variables: ``low <= variables[top] / variables[bottom] <= high``."""

    name: str
    top: int
    bottom: int
    low: float | None = None
    high: float | None = None

    def holds(self, top: Number, bottom: Number) -> Number:
        """Whether values (numbers or arrays) keep the ratio, up to the rounding of a ratio such as 0.1."""
        found = top / bottom
        above = True if self.low is None else found >= self.low * (1 - RATIO_SLACK)
        return above & (True if self.high is None else found <= self.high * (1 + RATIO_SLACK))


@dataclass(frozen=True)
class Problem:
    """Maximise Eq. (5) of DeepMAD over a space, under budgets and an effectiveness limit.

    Attributes:
        space: the family of networks.
        budgets: upper limits by name (``macs``, ``params``, ``activations``, ``layers``, ``latency``), whole model.
        rho: upper limit of the effectiveness, or none.
        stage_weights: alpha, one per stage; the space's by default.
        depth_penalty: beta; the space's by default; 0 switches Guideline 2 off.
        guidelines: which of DeepMAD's three guidelines hold. Without 1 only the last stage's entropy counts (weight 1);
            without 2 there is no depth penalty; without 3 channels may decrease.
        table: what predicts latency, where that is a budget; a network that it does not cover meets none.
    """

    space: Space
    budgets: dict[str, float]
    rho: float | None = None
    stage_weights: tuple[float, ...] | None = None
    depth_penalty: float | None = None
    guidelines: frozenset[int] = field(default=frozenset({1, 2, 3}))
    table: "LatencyTable | None" = None

    def __post_init__(self) -> None:
        """Reject what can be seen to be wrong before anything is built."""
        if not self.budgets:
            raise UsageError("a design needs at least one budget", "give --macs (or --flops), --params or --max-layers")
        for name, limit in self.budgets.items():
            if name not in (*BUDGETS, LATENCY):
                raise UsageError(f"unknown budget {name!r}; one of {', '.join((*BUDGETS, LATENCY))}")
            if not limit > 0:
                raise UsageError(f"budget {name} must be above 0, got {limit}")
        if (LATENCY in self.budgets) != (self.table is not None):
            raise UsageError("a budget of latency needs a latency table, and a table a budget")
        if self.rho is not None and not (0 < self.rho < float("inf")):
            raise UsageError(f"rho must be above 0, got {self.rho}", "DeepMAD uses 0.1 to 2")
        if len(self.weights) != self.space.stages:
            raise UsageError(
                f"{len(self.weights)} stage weights for the {self.space.stages} stages of space {self.space.name}"
            )
        if any(not 0 <= weight <= MOST for weight in self.weights) or not any(self.weights):
            raise UsageError(f"stage weights must be from 0 to {MOST:g}, and not all 0")
        if not 0 <= self.beta <= MOST:
            raise UsageError(f"the depth penalty must be from 0 to {MOST:g}")

    @property
    def weights(self) -> tuple[float, ...]:
        """alpha in force."""
        stages = self.space.stages
        if 1 not in self.guidelines:
            return (0.0,) * (stages - 1) + (1.0,)
        return self.stage_weights or self.space.stage_weights or default_stage_weights(stages)

    @property
    def beta(self) -> float:
        """Weight of the depth penalty in force."""
        if 2 not in self.guidelines:
            return 0.0
        given = self.space.depth_penalty if self.depth_penalty is None else self.depth_penalty
        return default_depth_penalty(self.space.stages) if given is None else given

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """Every variable, in the order of the space's choices, with the values that a latency table, if any, covers.

        Raises:
            UsageError: it covers none.
        """
        choices = self.space.choices()
        if self.table is not None:
            from madnas.program.latency import covered_choices

            choices = covered_choices(self.table, self.space)
        return tuple(Variable(name, tuple(values), not name.startswith("depth")) for name, values in choices.items())

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each variable by name."""
        return {variable.name: position for position, variable in enumerate(self.variables)}

    @cached_property
    def ratios(self) -> tuple[Ratio, ...]:
        """Guideline 3 and growth, from the stem on, and the range of hidden / out."""
        space, index = self.space, self.index
        found: list[Ratio] = []
        floor = 1.0 if 3 in self.guidelines and space.non_decreasing else None
        before = index.get("stem")
        for number in range(1, len(space.strides) + 1):
            out = index[f"out{number}"]
            if before is not None and (floor is not None or space.growth is not None):
                found.append(Ratio(f"channels{number}", out, before, floor, space.growth))
            if space.hidden_ratio is not None:
                found.append(Ratio(f"hidden_ratio{number}", index[f"hidden{number}"], out, *space.hidden_ratio))
            before = out
        return tuple(found)

    def network(self, values: Sequence[Number], name: str = "design") -> NetworkSpec:
        """The network that values of the variables stand for (integers, arrays or expressions, in variable order)."""
        return self.space.network(dict(zip(self.index, values, strict=True)), name)

    def evaluate(self, values: Sequence[Number]) -> tuple[Number, Counts, Structure]:
        """Objective in nats, costs and structural scores at values of the variables."""
        spec = self.network(values)
        structure = analyse(spec)
        return structure.objective(self.weights, self.beta), count(spec), structure

    def cost(self, name: str, spec: NetworkSpec, counts: Counts) -> Number:
        """What a network uses of a budget: a number, an array, or of expressions a lower bound.

        Args:
            name: of the budget.
            spec: the network.
            counts: its costs.
        """
        if name != LATENCY:
            return getattr(counts, name)
        assert self.table is not None
        if is_symbolic(spec.groups[0].out):
            from madnas.program.latency import least_seconds

            kernels = [self._kernels(number) for number in range(1, len(spec.groups) + 1)]
            return least_seconds(self.table, spec, kernels)
        seconds, _ = self.table.extrapolate(spec)
        return seconds if len(seconds) > 1 else float(seconds[0])

    def _kernels(self, group: int) -> tuple[int, ...]:
        """Kernels that a group (from 1) may have; none of blocks without one."""
        place = self.index.get(f"kernel{group}")
        return () if place is None else self.variables[place].values

    def gap(self, bound: float, objective: float) -> float:
        """How far an answer is from a bound, as a share of the bound.

        Where beta is larger than the bound, the share is of the bound without beta, the least penalty that any network
        has: a large beta would otherwise make every distance look small beside it.
        """
        if objective == float("-inf"):
            return float("inf")
        size = bound if bound > self.beta else abs(bound + self.beta)
        return max(0.0, bound - objective) / max(size, 1e-9)

    def grid_size(self) -> int:
        """Number of points of the integer grid, feasible or not."""
        size = 1
        for variable in self.variables:
            size *= len(variable.values)
        return size
