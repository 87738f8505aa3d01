"""Evolution beside the mathematical program, and the Zen-Score that a search reaches: the table in the search's README.

Run: make tables     (some 30 minutes on two cores; python -m benchmarks.search_table zen: a part alone)
"""

import os
import platform
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import product
from statistics import fmean
from time import process_time

import numpy as np

import madnas
from benchmarks.readme import ROOT, write_part
from benchmarks.search import AUTHORS, cifar_task, closed_rate, closed_tasks, of_task
from madnas.program.recipe import load_recipe
from madnas.scores.ranks import kendall
from madnas.search.effort import Effort
from madnas.search.fixed import Fixed
from madnas.search.goal import make_goal
from madnas.search.measure import Task, work
from madnas.search.measured import MeasuredSearch
from madnas.search.rows import Rows
from madnas.search.run import Search, processes_of, run

README = ROOT / "madnas" / "search" / "README.md"
SEEDS = (0, 1, 2)
CPU_SECONDS = 480
BATCH = 64
BATCHES = {64: 5, 16: 10, 8: 10, 4: 10, 2: 10}
"""Draws of so many images each."""


def programs() -> Iterator[str]:
    """Rows: what 200,000 candidates reach of the program's answer."""
    for recipe in ("r18-rho0.3", "29m"):
        problem = load_recipe(recipe).problem()
        family = Fixed(problem)
        for score in ("objective", "entropy"):
            goal = make_goal(score, family, problem.budgets | {"rho": problem.rho or 0.0})
            outcomes = [run(Search(family, goal, Effort(seed=seed, proposals=2048), {})) for seed in SEEDS]
            program = outcomes[0].program
            assert program is not None
            found = [outcome.best.fitness for outcome in outcomes]
            assert max(found) <= program.bound
            shares = ", ".join(f"{100 * one / program.objective:.2f} %" for one in found)
            answer = f"{program.objective:,.1f} | {program.bound:,.1f} | {100 * program.gap:.3f} %"
            yield f"| {recipe} | {score} | {answer} | {max(found):,.1f} | {shares} |"


def zen_search(workers: int = 2) -> Iterator[str]:
    """Rows: Zen-NAS's CIFAR task for 480 seconds of CPU time, with and without the closed form, in two precisions."""
    for dtype, prescreen in product(("float32", "bfloat16"), (True, False)):
        family = Rows(cifar_task().space, plain=not prescreen)
        goal = make_goal("zen", family, {"params": 1_000_000}, prescreen=prescreen)
        effort = Effort(population=64, proposals=2048, survivors=16, batch_size=BATCH, dtype=dtype, prescreen=prescreen)
        begin = process_time()
        with processes_of(workers, "cpu") as score:
            search = MeasuredSearch(family, goal, effort, score)
            for _ in search.rounds():
                if search.cpu_seconds >= CPU_SECONDS:
                    break
        seconds = process_time() - begin + search.cpu_seconds
        best = search.best()
        assert best is not None
        record = search.records[best]
        spread = record.draws.spread(goal.fitness, record.closed)
        how = ("closed form picks, mixed mutations" if prescreen else "Zen-NAS's mutations alone") + f", {dtype}"
        depth = family.depth(record.candidate[None])[0]
        yield (f"| {how} | {seconds:.0f} | {search.scored} ({search.scored / seconds:.2f}) | "
               f"{search.draws} ({search.draws / search.cpu_seconds:.2f}) | {record.fitness:.2f} ± {spread or 0:.2f} "
               f"(n {record.draws.number}) | {record.closed['params'] / 1e6:.3f} M | {depth} |")  # fmt: skip


def ranking(networks: int = 14) -> Iterator[str]:
    """Rows: how well the closed form and single draws with fewer images rank, against the mean at batch 64."""
    from madnas.network.zen import zen_closed

    specs = of_task(networks)
    work(Task(specs[0], ("zen",), 0, 1, 0, 4), lambda share: None)  # to warm up
    begin = process_time()
    closed = np.array([zen_closed(spec) for spec in specs])
    one_by_one = len(specs) / (process_time() - begin)
    whole: np.ndarray | None = None
    rows = []
    for batch, draws in BATCHES.items():
        tasks = [Task(spec, ("zen",), 0, draws, 0, batch) for spec in specs]
        results = [work(task, lambda share: None) for task in tasks]
        drawn = np.array([result.values["zen"] for result in results])
        whole = drawn.mean(axis=1) if whole is None else whole
        seconds = sum(result.seconds for result in results)
        rows.append(_ranked(f"a draw of {batch} images", networks * draws / seconds, drawn, whole))
    assert whole is not None
    yield _ranked("closed form, one by one", one_by_one, closed[:, None], whole)
    yield from rows


def _ranked(name: str, rate: float, values: np.ndarray, whole: np.ndarray) -> str:
    """A row of what ranks networks: values of single draws (networks, draws) beside the mean of the largest ones."""
    tau = fmean(float(kendall(one, whole)[0]) for one in values.T)
    spread = f"{values.std(axis=1, ddof=1).mean():.2f}" if values.shape[1] > 1 else "-"
    return f"| {name} | {rate:,.2f} | {(values.mean(axis=1) - whole).mean():+.2f} | {spread} | {tau:.3f} |"


def rates() -> Iterator[str]:
    """Rows: closed-form candidates of a CPU second, as `make bench` prints them."""
    for label, family, score, budgets in closed_tasks():
        rate, best = closed_rate(family, score, budgets)
        yield f"| {label} | {score} | {rate:,.0f} | {best:,.1f} |"


PARTS: dict[str, tuple[Callable[[], Iterator[str]], list[str]]] = {
    "programs": (
        programs,
        [
            "| recipe | score | program | bound | gap | best of evolution | seeds 0, 1, 2: share of the program's |",
            "|---|---|---|---|---|---|---|",
        ],
    ),
    "rates": (
        rates,
        [
            "Candidates of a CPU second in closed form (mutation, legality, duplicates, budgets, score, survival):",
            "",
            "| task | score | candidates a second | best of 200,000 |",
            "|---|---|---|---|",
        ],
    ),
    "zen": (
        zen_search,
        [
            f"CIFAR task of Zen-NAS (32x32, batch {BATCH}, one thread a process, 1 M params, 18 layers), true-variance "
            f"Zen-Score; the authors' search there: 164 after 480 s, {AUTHORS} scored candidates a second:",
            "",
            "| how | CPU s | networks drawn (per CPU s) | draws (per CPU s of them) | best | params | "
            "layers (Zen-NAS) |",
            "|---|---|---|---|---|---|---|",
        ],
    ),
    "ranking": (
        ranking,
        [
            "How well single draws of fewer images, and the closed form, rank networks: fourteen, evenly over the "
            f"course of a plain search, {BATCHES[BATCH]} draws of {BATCH} images each as the measure:",
            "",
            "| what ranks | networks per CPU s | off in the mean | spread of a draw | tau of one with the mean |",
            "|---|---|---|---|---|",
        ],
    ),
}
"""Parts of the table, each between marks of its own."""


def main() -> None:
    """Rewrite the parts of the table that are named, or all, in the README."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy"))
    made = f"madnas {madnas.__version__}, Python {platform.python_version()}, {packages}, {os.cpu_count()} cores."
    for name in sys.argv[1:] or PARTS:
        rows, head = PARTS[name]
        lines = [*head, *rows(), "", made]
        write_part(README, lines, name)


if __name__ == "__main__":
    main()
