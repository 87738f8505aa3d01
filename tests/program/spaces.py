"""Spaces small enough to list, an independent reading of what a design must meet, and random points of any space."""

import itertools
import json
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.spec import NetworkSpec
from madnas.network.yamlfile import read_yaml
from madnas.program.problem import BUDGETS, Problem
from madnas.program.space import Space, customise, load_space, space_files

SHIPPED = ("basic", "basic-cifar", "bottleneck", "mlp", "mobilenet", "mobilenet-se")

TINY = {
    "tiny-bottleneck": """
        block: bottleneck
        shortcut: pool
        input: [3, 32, 32]
        classes: 10
        stem: {out: [16, 16]}
        strides: [2, 2]
        out: [16, 48]
        hidden_ratio: [0.25, 1.0]
        kernels: [3, 5]
        first_depth: [1, 2]
        depth: [1, 3]
        multiple: 16
    """,
    "tiny-basic": """
        block: basic
        shortcut: pool
        input: [3, 16, 16]
        classes: 10
        stem: {out: [8, 16], stride: 1}
        strides: [1, 2, 2]
        out: [8, 24]
        kernels: [3]
        depth: [1, 4]
        multiple: 8
    """,
    "tiny-mobile-se": """
        block: inverted-residual
        shortcut: pool
        se: deepmad
        input: [3, 32, 32]
        classes: 10
        stem: {out: [8, 8]}
        strides: [2, 2]
        out: [8, 24]
        hidden_ratio: [2, 4]
        kernels: [3]
        depth: [1, 4]
        multiple: 8
        head: {conv: 64}
    """,
    "tiny-mlp": """
        block: linear
        input: [1, 4, 4]
        classes: 4
        strides: [1, 1]
        out: [8, 64]
        depth: [1, 8]
        multiple: 8
        stage_weights: [1]
        depth_penalty: 0
        non_decreasing: false
    """,
}
"""Spaces of a few thousand points, one for each way that a block is counted."""


def tiny_space(name: str, folder: Path) -> Space:
    """One of :data:`TINY`, through a file as a user would write it."""
    lines = [line.strip() for line in TINY[name].strip().splitlines()]
    path = folder / f"{name}.yaml"
    path.write_text("\n".join(["schema: madnas/space/1", f"name: {name}", *lines]) + "\n")
    return load_space(str(path))


def edited(base: str, folder: Path, changes: dict[str, Any]) -> str:
    """Path of a shipped space's copy with some keys (``stem.out`` for a nested one) changed, or removed by ``...``."""
    tree = read_yaml(space_files()[base])
    for key, value in changes.items():
        *parents, last = key.split(".")
        part = tree
        for parent in parents:
            part = part[parent]
        part.pop(last, None)
        if value is not ...:
            part[last] = value
    path = folder / "edited.yaml"
    path.write_text(json.dumps(tree))  # YAML's flow style
    return str(path)


def random_points(problem: Problem, number: int, seed: int = 0) -> np.ndarray:
    """Points of the grid (N, V), feasible or not, channels spread evenly over their logarithms."""
    generator = np.random.default_rng(seed)
    columns = []
    for variable in problem.variables:
        values = np.asarray(variable.values)
        if variable.logarithmic:
            spread = np.exp(generator.uniform(np.log(values[0]), np.log(values[-1]), number))
            columns.append(values[np.abs(values[None] - spread[:, None]).argmin(axis=1)])
        else:
            columns.append(generator.choice(values, number))
    return np.stack(columns, axis=1)


def network_of(problem: Problem, row: Sequence[Any]) -> NetworkSpec:
    """The network of one row of plain integers."""
    return problem.network([int(value) for value in row])


def meets(problem: Problem, spec: NetworkSpec) -> bool:
    """Whether a network meets all that was asked, read off the network alone and in exact arithmetic."""
    if not keeps_ratios(problem, spec):
        return False
    costs = count(spec)
    if any(getattr(costs, name) > limit for name, limit in problem.budgets.items()):
        return False
    return problem.rho is None or analyse(spec).rho <= problem.rho


def keeps_ratios(problem: Problem, spec: NetworkSpec) -> bool:
    """Whether a network keeps Guideline 3 (where it holds), growth and hidden / out, as the space's file says them."""
    space = problem.space
    outs = ([spec.stem.out] if spec.stem else []) + [group.out for group in spec.groups]
    for before, after in itertools.pairwise(outs):
        if 3 in problem.guidelines and space.non_decreasing and after < before:
            return False
        if space.growth is not None and Fraction(after, before) > Fraction(str(space.growth)):
            return False
    if space.hidden_ratio is not None:
        low, high = (Fraction(str(bound)) for bound in space.hidden_ratio)
        return all(low <= Fraction(group.hidden, group.out) <= high for group in spec.groups)
    return True


def objective_of(problem: Problem, spec: NetworkSpec) -> float:
    """Eq. (5) of a network, with the problem's weights."""
    return analyse(spec).objective(problem.weights, problem.beta)


def brute_force(problem: Problem) -> tuple[float, list[tuple[int, ...]]]:
    """The highest objective of all networks of a space (-inf if none is feasible), and every feasible point."""
    best, feasible = float("-inf"), []
    for values in itertools.product(*(variable.values for variable in problem.variables)):
        spec = problem.network(values)
        if meets(problem, spec):
            feasible.append(values)
            best = max(best, objective_of(problem, spec))
    return best, feasible


def random_problem(name: str, folder: Path, seed: int) -> Problem:
    """A problem over a tiny space, with limits taken from its networks so that some, often few, of them meet all."""
    choose = random.Random(seed)
    space = tiny_space(name, folder)
    if name != "tiny-mlp":
        space = customise(space, resolution=choose.choice([16, 32, 64]), classes=choose.choice([2, 10, 100]))
    free = Problem(space, {"params": 1})
    networks = [network_of(free, row) for row in random_points(free, 100, seed)]

    def limit(measure: Callable[[NetworkSpec], float]) -> float:
        return float(np.quantile([measure(network) for network in networks], choose.uniform(0.05, 0.9)))

    def budget_limit(name: str) -> int:
        return int(limit(lambda spec: float(getattr(count(spec), name))))

    budgets = {budget: budget_limit(budget) for budget in choose.sample(BUDGETS, choose.randint(1, 3))}
    weights = None
    if name != "tiny-mlp" and choose.random() < 0.4:
        weights = (*(choose.choice([0.0, 0.5, 1.0, 8.0]) for _ in range(space.stages - 1)), 8.0)
    return Problem(
        space,
        budgets,
        rho=None if choose.random() < 0.3 else limit(lambda spec: analyse(spec).rho),
        stage_weights=weights,
        depth_penalty=choose.choice([None, 0.0, 0.1, 1.0, 100.0]),
        guidelines=frozenset(guideline for guideline in (1, 2, 3) if choose.random() < 0.8),
    )
