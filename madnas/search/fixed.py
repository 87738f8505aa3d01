"""DeepMAD's spaces for a search: the problem that ``--method program`` solves, with the same counting.

A candidate is the values of the problem's variables, in their order.
"""

from collections.abc import Sequence
from math import log

import numpy as np

from madnas.network.spec import NetworkSpec
from madnas.network.zen import zen_closed
from madnas.program.problem import Problem
from madnas.search.family import Values
from madnas.search.seen import keys
from madnas.search.space import FACTORS

SHARES = {"redraw": 0.2, "step": 0.3, "scale": 0.15, "differ": 0.35}
"""How often each mutation is used: Zen-NAS's, small steps, all widths or depths together, differences of others."""

STEPS = (1, 1, 1, 2, 3, 5, 8)
"""Sizes of small steps along a variable's values, each as likely."""

SPREAD = (0.01, 0.3)
"""Least and largest standard deviation of the logarithm by which all widths change together."""

PARTS = 2
"""Groups that one of Zen-NAS's mutations changes; the stem and a head of free width count as one each."""

LAYERS = 2
"""Most blocks that it adds to a group or takes away."""


class Fixed:
    """A problem as a search sees it (:class:`~madnas.search.family.Family`).

    Args:
        problem: what ``--method program`` would solve.
        plain: use Zen-NAS's mutations alone.
    """

    known: tuple[str, ...] = (
        "params", "macs", "activations", "layers", "width", "rho", "entropy", "objective", "zen-closed",
    )  # fmt: skip
    together = frozenset(known) - {"zen-closed"}

    def __init__(self, problem: Problem, plain: bool = False) -> None:
        self.problem, self.plain = problem, plain
        self.name = problem.space.name
        variables = problem.variables
        self.columns = len(variables)
        self.sizes: np.ndarray = np.array([len(variable.values) for variable in variables])
        self.table = np.zeros((self.columns, self.sizes.max()), np.int64)
        for row, variable in enumerate(variables):
            self.table[row, : len(variable.values)] = variable.values
        self.low = self.table[:, 0]
        self.step = np.array([variable.values[1] - variable.values[0] if len(variable.values) > 1 else 1
                              for variable in variables])  # fmt: skip
        names = [variable.name for variable in variables]
        self.width = np.array([name.startswith(("out", "hidden", "stem", "head")) for name in names])
        self.depth = np.array([name.startswith("depth") for name in names])
        self.kernel = np.array([name.startswith("kernel") for name in names])
        groups = [name[len(name.rstrip("0123456789")) :] or name for name in names]  # its number, or stem or head
        self.parts = [np.array([group == one for group in groups]) for one in dict.fromkeys(groups)]

    def start(self, generator: np.random.Generator, number: int) -> np.ndarray:
        """Random networks, widths even in their logarithms; the narrowest first."""
        share = generator.random((number, self.columns))
        share[0] = 0
        top = self.table[np.arange(self.columns), self.sizes - 1]
        spread = np.exp(np.log(self.low) + share * (np.log(top) - np.log(self.low)))
        return self._snap(spread)

    def _snap(self, values: np.ndarray) -> np.ndarray:
        """The nearest allowed values."""
        places = np.rint((values - self.low) / self.step).astype(np.int64)
        places = np.clip(places, 0, self.sizes - 1)
        if self.kernel.any():  # not evenly spaced for sure
            for column in np.flatnonzero(self.kernel):
                allowed = self.table[column, : self.sizes[column]]
                places[:, column] = np.abs(values[:, column, None] - allowed).argmin(axis=1)
        return self.table[np.arange(self.columns), places]

    def mutate(self, generator: np.random.Generator, parents: np.ndarray) -> np.ndarray:
        """Changed copies: Zen-NAS's mutation of two groups, or one of three that move along the budgets.

        Where several budgets bind, hardly any change of one or two groups stays within them; small steps, all widths
        against all depths, and differences of two other parents, which lie along the budgets as the parents do, can.
        """
        number = len(parents)
        if self.plain:
            return self._redraw(generator, parents)
        shares = np.cumsum(list(SHARES.values()))
        kind = np.searchsorted(shares / shares[-1], generator.random(number), side="right")
        changed = np.empty_like(parents)
        for place, change in enumerate((self._redraw, self._step, self._scale)):
            here = np.flatnonzero(kind == place)
            changed[here] = change(generator, parents[here])
        here = np.flatnonzero(kind == len(shares) - 1)
        changed[here] = self._differ(generator, parents, here)
        return changed

    def _redraw(self, generator: np.random.Generator, parents: np.ndarray) -> np.ndarray:
        """Widths times a factor, kernels anew, a few blocks more or fewer, in some groups."""
        shape = parents.shape
        by = np.asarray(FACTORS)[generator.integers(0, len(FACTORS), shape)]
        moved = np.where(self.width, parents * by, parents)
        moved = np.where(self.depth, parents + generator.integers(-LAYERS, LAYERS + 1, shape), moved)
        drawn = self.table[np.arange(self.columns), generator.integers(0, self.sizes, shape)]
        moved = self._snap(np.where(self.kernel, drawn, moved))
        chosen = generator.random((shape[0], len(self.parts))).argsort(axis=1)[:, :PARTS]
        masks = np.array(self.parts)[chosen].any(axis=1)
        return np.where(masks, moved, parents)

    def _step(self, generator: np.random.Generator, parents: np.ndarray) -> np.ndarray:
        """One to three variables by a few of their values each."""
        shape = parents.shape
        places = self._places(parents)
        sizes = np.asarray(STEPS)[generator.integers(0, len(STEPS), shape)] * generator.choice([-1, 1], shape)
        sizes = np.where(self.width, sizes, np.sign(sizes))
        order = generator.random(shape).argsort(axis=1).argsort(axis=1)
        chosen = order < generator.integers(1, 4, (shape[0], 1))
        places = np.clip(places + np.where(chosen, sizes, 0), 0, self.sizes - 1)
        return self.table[np.arange(self.columns), places]

    def _scale(self, generator: np.random.Generator, parents: np.ndarray) -> np.ndarray:
        """All widths by about one factor, and one block more or fewer in all groups, or one moved between two."""
        number, shape = len(parents), parents.shape
        spread = np.exp(generator.uniform(log(SPREAD[0]), log(SPREAD[1]), (number, 1)))
        by = np.exp(spread * (generator.standard_normal((number, 1)) + 0.3 * generator.standard_normal(shape)))
        everywhere = generator.integers(-1, 2, (number, 1))
        order = np.where(self.depth, generator.random(shape), 2.0).argsort(axis=1).argsort(axis=1)
        moved = np.where(order == 0, 1, np.where(order == 1, -1, 0))
        blocks = np.where(generator.random((number, 1)) < 0.5, everywhere, moved)
        return self._snap(np.where(self.width, parents * by, parents + np.where(self.depth, blocks, 0)))

    def _differ(self, generator: np.random.Generator, everybody: np.ndarray, here: np.ndarray) -> np.ndarray:
        """What two other parents differ by, added to some: of widths in their logarithms [Storn and Price 1997]."""
        parents = everybody[here]
        number, shape = len(parents), parents.shape
        one, other = (everybody[generator.integers(0, len(everybody), number)] for _ in range(2))
        factor = generator.uniform(0.2, 1.0, (number, 1))
        taken = generator.random(shape) < generator.uniform(0.3, 1.0, (number, 1))
        wider = parents * np.exp(np.where(taken, factor * np.log(one / other), 0.0))
        deeper = parents + np.rint(np.where(taken, factor * (one - other), 0.0))
        kernels = np.where(taken & (generator.random(shape) < factor), one, parents)
        return self._snap(np.where(self.width, wider, np.where(self.depth, deeper, kernels)))

    def _places(self, candidates: np.ndarray) -> np.ndarray:
        places = (candidates - self.low) // self.step
        for column in np.flatnonzero(self.kernel):
            places[:, column] = np.searchsorted(self.table[column, : self.sizes[column]], candidates[:, column])
        return places

    def niche(self, candidates: np.ndarray) -> np.ndarray:
        """A key of depths and kernels (N,)."""
        return keys(candidates[:, ~self.width])

    def breach(self, candidates: np.ndarray) -> np.ndarray:
        """How far ratios (Guideline 3, growth, hidden / out) are from their bounds, relative, summed (N,)."""
        total = np.zeros(len(candidates))
        for ratio in self.problem.ratios:
            top, bottom = candidates[:, ratio.top], candidates[:, ratio.bottom]
            found = top / bottom
            short = 0.0 if ratio.low is None else np.maximum(0.0, 1 - found / ratio.low)
            over = 0.0 if ratio.high is None else np.maximum(0.0, found / ratio.high - 1)
            total += np.where(ratio.holds(top, bottom), 0.0, short + over)
        return total

    def closed(self, candidates: np.ndarray, names: Sequence[str]) -> Values:
        """Closed-form scores and costs by name; entropy and objective with the problem's weights."""
        columns = list(np.ascontiguousarray(candidates.T))
        objective, costs, structure = self.problem.evaluate(columns)
        found = {"objective": objective, "rho": structure.rho, "width": structure.width}
        found |= {name: getattr(costs, name) for name in ("params", "macs", "activations", "layers")}
        if "entropy" in names:
            found["entropy"] = structure.weighted_entropy(self.problem.weights)
        if "zen-closed" in names:
            found["zen-closed"] = zen_closed(self.problem.network(columns))
        return {name: np.broadcast_to(found[name], len(candidates)) for name in names}

    def network(self, candidate: np.ndarray, name: str) -> NetworkSpec:
        """The network that a candidate stands for."""
        return self.problem.network([int(value) for value in candidate], name)
