"""How fast is a search? Candidates per CPU second in closed form, and per CPU second of a measured Zen-Score.

Run: make bench

In closed form a candidate is what a round proposes: mutation, legality, removal of duplicates, budgets, score and
survival are all in its time; that is how TinyNAS and Zen-NAS count too, whose candidates include rejected ones. A
Zen-scored candidate is a network that was built and had its weights drawn and both passes made, on one thread: the
true-variance score, one draw.
"""

import os
import platform
import statistics
import time
from collections.abc import Iterator
from importlib.metadata import version
from itertools import product

import numpy as np

from madnas.network.named import get
from madnas.network.spec import NetworkSpec
from madnas.program.recipe import load_recipe
from madnas.search.closed import ClosedSearch
from madnas.search.effort import Effort
from madnas.search.family import Family
from madnas.search.fixed import Fixed
from madnas.search.goal import make_goal
from madnas.search.measure import Task, work
from madnas.search.rows import Rows
from madnas.search.space import load_evolution_space

CANDIDATES = 200_000
AUTHORS = 3.5
"""Zen-scored candidates per CPU second of the authors' search on the CIFAR task at batch 64."""


def cifar_task() -> Rows:
    """Zen-NAS's task: Search Space I, 32x32, 18 layers."""
    return Rows(load_evolution_space("zen-residual").customised(input=(3, 32, 32), classes=10, max_depth=18))


def closed_tasks() -> Iterator[tuple[str, Family, str, dict[str, float]]]:
    """Searches in closed form: what is searched, for which score, within which budgets."""
    for name in ("29m", "r18-rho0.3"):
        problem = load_recipe(name).problem()
        yield name, Fixed(problem), "objective", problem.budgets | {"rho": problem.rho or 0}
    for score in ("entropy", "zen-closed"):
        yield "CIFAR task of Zen-NAS", cifar_task(), score, {"params": 1_000_000}


def closed_rate(family: Family, score: str, budgets: dict[str, float]) -> tuple[float, float]:
    """Candidates per CPU second, and the best fitness, of a search of so many candidates after one round to warm up."""
    search = ClosedSearch(family, make_goal(score, family, budgets), Effort(proposals=2048))
    rounds = search.rounds()
    next(rounds)
    begin, before = time.process_time(), search.proposed
    for _ in rounds:
        if search.proposed - before >= CANDIDATES:
            break
    rate = (search.proposed - before) / (time.process_time() - begin)
    return rate, float(search.best.judged[0, 0])


def of_task(number: int, score: str = "zen-closed") -> list[NetworkSpec]:
    """Networks of the CIFAR task: the first survivors of a search of Zen-NAS's mutations, evenly over its course."""
    family = Rows(cifar_task().space, plain=True)
    search = ClosedSearch(family, make_goal(score, family, {"params": 1e6}), Effort(proposals=256, population=64))
    found = []
    for _ in search.rounds():
        if len(search.best):
            found.append(search.population.within().candidates[-1])
        if search.round >= 120:
            break
    places = np.linspace(0, len(found) - 1, number).astype(int)
    return [family.network(found[place], "candidate") for place in places]


def zen_rates(specs: list[NetworkSpec], batch_size: int, dtype: str = "float32") -> Iterator[float]:
    """CPU seconds of a draw of the Zen-Score, network by network, building included."""
    for spec in specs:
        yield work(Task(spec, ("zen",), 0, 1, 0, batch_size, dtype=dtype), lambda share: None).seconds


def main() -> None:
    """Print the table."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy"))
    print(
        f"Python {platform.python_version()}, {packages}; one thread of {os.cpu_count()} cores, {platform.machine()}\n"
    )
    for label, family, score, budgets in closed_tasks():
        rate, best = closed_rate(family, score, budgets)
        print(f"{label + ', ' + score:24} {rate:10,.0f} candidates per CPU second   goal > 100,000   best {best:,.1f}")
    list(zen_rates([get("zennet-cifar-1m")], 16))  # to warm up
    specs = of_task(12)
    for batch_size, dtype in product((64, 16), ("float32", "bfloat16")):
        seconds = list(zen_rates(specs, batch_size, dtype))
        own = statistics.fmean(zen_rates([get("zennet-cifar-1m")], batch_size, dtype))
        print(
            f"Zen-Score, {dtype}, batch {batch_size:2}  {len(seconds) / sum(seconds):10.2f} candidates per CPU second "
            f"over the course of a search ({min(seconds):.2f} to {max(seconds):.2f} s each); ZenNet-1.0M {own:.2f} s   "
            f"goal > {3 * AUTHORS}"
        )


if __name__ == "__main__":
    main()
