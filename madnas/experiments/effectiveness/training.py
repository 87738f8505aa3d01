"""Training the experiment's networks: one run of ``madnas train`` for each, in a folder of its own, that goes on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madnas.network.spec import NetworkSpec
from madnas.train.job import Job
from madnas.train.recipe import TrainRecipe

RUNS = "runs"
"""Folder of the runs in that of the experiment."""


@dataclass(frozen=True, slots=True)
class Task:
    """A network to train.

    Attributes:
        spec: the network.
        recipe_name: of the training recipe, as the user wrote it.
        recipe: its settings.
        seed: of the training.
        folder: of the experiment.
        data: folder of the data sets.
        device: where.
        single_thread: whether other processes use the other cores.
    """

    spec: NetworkSpec
    recipe_name: str
    recipe: TrainRecipe
    seed: int
    folder: Path
    data: Path
    device: str
    single_thread: bool


def train_network(task: Task, on_progress: Callable[[float], None]) -> dict[str, Any]:
    """Train a network, or go on with it.

    Returns:
        ``accuracy``: top-1 on the test set after the last epoch, in percent; a row of the experiment's results.
    """
    import torch

    from madnas.targets import Target
    from madnas.train.memory import Progress
    from madnas.train.run import train

    if task.single_thread:
        torch.set_num_threads(1)

    def show(progress: Progress) -> None:
        on_progress(progress.step / progress.steps)

    (task.folder / RUNS).mkdir(exist_ok=True)
    folder = task.folder / RUNS / task.spec.name
    job = Job(
        Target(task.spec.name, task.spec), task.recipe_name, task.recipe, task.seed, folder, task.data, task.device
    )
    result = train(job, show, lambda text: None)
    return {"network": task.spec.name, "accuracy": 100 * result["last"]["top1"]}
