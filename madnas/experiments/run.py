"""Running an experiment: its grid in groups, the groups over processes, the results into a folder."""

import operator
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import madnas
from madnas.data.datasets import load_dataset
from madnas.device import check_device
from madnas.errors import UsageError
from madnas.experiments.folder import ResultsFolder, open_folder
from madnas.experiments.recipe import Recipe
from madnas.experiments.summary import summarise
from madnas.experiments.training import Group, train_group
from madnas.workers import run_tasks

GROUP_SIZE = 16
"""Networks that a core trains together at most: more are no faster, fewer can be shared among more cores, and a killed
run loses less. A GPU takes all networks of one depth together."""

Progress = Callable[[float, float | None], None]
"""Takes the share that is done and the seconds that are left, None as long as nobody knows."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run and how.

    Attributes:
        name: of the experiment.
        recipe: its settings.
        seed: of data, links, weights and order.
        device: ``cpu`` or ``cuda``.
        data: folder of MNIST; nothing else has one.
        workers: processes on the CPU; absent means a process for every core.
        folder: where the results go.
        restart: throw away what is there.
    """

    name: str
    recipe: Recipe
    seed: int
    folder: Path
    device: str = "cpu"
    data: Path | None = None
    workers: int | None = None
    restart: bool = False

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the results: a folder holds results of one such identity."""
        return {
            "experiment": self.name,
            "settings": self.recipe.settings(),
            "seed": self.seed,
            "device": self.device,
            "repeats_together": self.repeats_together,
        }

    @property
    def repeats_together(self) -> int:
        """Repeats of a group, each with all links."""
        most = GROUP_SIZE // len(self.recipe.links) if self.device == "cpu" else self.recipe.repeats
        return max(1, min(self.recipe.repeats, most))

    def groups(self) -> list[Group]:
        """The grid in groups, the longest first, so that no core is left with a long one at the end."""
        repeats = range(self.recipe.repeats)
        groups = [
            Group(
                self.recipe, depth, tuple(repeats[start : start + self.repeats_together]),
                self.seed, self.device, self.data, self.folder,
            )
            for depth in self.recipe.depths
            for start in repeats[:: self.repeats_together]
        ]  # fmt: skip
        return sorted(groups, key=lambda group: -group.cost)


def run_experiment(plan: Plan, progress: Progress) -> dict[str, Any]:
    """Run what is left of an experiment, and sum up.

    Returns:
        the summary (:func:`madnas.experiments.summary.summarise`) with ``environment`` and ``run`` (this run's seconds,
        workers, groups trained, groups that were there).

    Raises:
        DataError: real data that is missing or broken.
        UsageError: no such device, a setting that would have no effect, or a folder that cannot be used.
    """
    from madnas.figures import render
    from madnas.report.experiment_plot import draw_summary

    begin = time.monotonic()
    check_plan(plan)
    recipe = plan.recipe
    load_dataset(recipe.dataset, recipe.samples, recipe.test_samples, plan.seed, plan.data)  # or fail now
    with open_folder(plan.folder, plan.identity, plan.restart) as folder:
        groups = plan.groups()
        finished = folder.finished
        left = [group for group in groups if group.name not in finished]
        workers = 1 if plan.device != "cpu" else max(1, min(plan.workers or cores(), len(left)))
        _train_all(left, workers, folder, progress)
        summary = summarise(plan.name, recipe, plan.seed, folder.rows) | {"environment": environment(plan.device)}
        folder.finish(summary, render(draw_summary(summary), "png"))
    seconds = round(time.monotonic() - begin, 1)
    run = {"seconds": seconds, "workers": workers, "groups": len(left), "groups_found": len(groups) - len(left)}
    return summary | {"run": run}


def _train_all(groups: list[Group], workers: int, folder: ResultsFolder, progress: Progress) -> None:
    costs = [group.cost for group in groups]
    shares = [0.0] * len(groups)
    start: list[float] = []  # when the first report came, and what was done then: groups may go on from their states

    def advance(index: int, share: float) -> None:
        shares[index] = share
        now, done = time.monotonic(), sum(map(operator.mul, shares, costs)) / sum(costs)
        start[:] = start or [now, done]
        gained = done - start[1]
        progress(done, (now - start[0]) * (1 - done) / gained if gained > 0 else None)

    def keep(index: int, rows: list[dict[str, Any]]) -> None:
        folder.add(groups[index].name, rows)
        advance(index, 1.0)

    run_tasks(train_group, groups, workers, advance, keep)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_plan(plan: Plan) -> None:
    """Refuse a device that is not there, and settings that would have no effect.

    Raises:
        UsageError: an unknown device, or no GPU; a folder for data that comes from none; workers on a GPU.
    """
    dataset = plan.recipe.dataset
    if plan.data is not None and dataset != "mnist":
        raise UsageError(f"--data is the folder of MNIST, and {dataset} is not read from a folder", "leave --data out")
    if plan.device == "cuda" and plan.workers is not None:
        raise UsageError("--workers are processes on the CPU; a GPU trains in a single one", "leave --workers out")
    check_device(plan.device)


def environment(device: str) -> dict[str, Any]:
    """Versions and hardware, for whoever wants to know where a number comes from."""
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    return {
        "madnas": madnas.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "device": name,
        "cores": cores(),
    }
