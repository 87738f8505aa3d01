"""What differs from task to task: data, module, loss and test. Everything else of a run is the same for all.

A task is one object, ``TASK`` of the module that :data:`madnas.train.kinds.KINDS` names; it is loaded when a recipe
asks for it. :class:`Task` makes what a run needs, and a :class:`Learner` is the task's part of an update and of a test.
Order, schedule, moving average, processes, checkpoints, log and signals never ask which task it is.
"""

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from madnas.data.source import Batch, Facts, Process, Source
from madnas.targets import Target
from madnas.train.kinds import KINDS
from madnas.train.model import Network
from madnas.train.objective import Teacher
from madnas.train.recipe import TrainRecipe


class Scores(Protocol):
    """A test that is going on in one process."""

    def add(self, outputs: Any, targets: Any) -> None:
        """Take in what the model gave out for a batch, and what the source says of it; without mixed precision."""

    def result(self, process: Process) -> dict[str, float | int | None]:
        """The task's metrics, ``loss`` where the test has one, and the size ``n``; a collective call."""


class Learner(Protocol):
    """A task's part of an update and of a test.

    Attributes:
        student: what is trained, with its loss or outputs as ``forward``; DDP wraps it, and :meth:`loss` calls it.
        beside: what is trained beside the model and is no part of the result; saved in checkpoints.
    """

    student: nn.Module
    beside: nn.Module | None

    def prepare(self, batch: Batch, epoch: int, step: int, seed: int) -> tuple[Any, Any]:
        """Images as the student takes them, and their targets; tensors or lists, an element for each sample.

        Everything random comes from the arguments: a function of them alone.
        """

    def loss(self, runner: Any, images: Any, targets: Any) -> Tensor:
        """The mean loss of some samples, as :meth:`prepare` gives them; ``runner`` is the student, or DDP's of it."""

    def blank(self, samples: int) -> tuple[Any, Any]:
        """Samples in the form of :meth:`prepare` that reach every parameter which training reaches."""

    def normalised(self, images: Any) -> Any:
        """Images of the source's test as the model takes them."""

    def scores(self, source: Source) -> Scores:
        """A new test."""


class Task(Protocol):
    """A task.

    Attributes:
        test_batch: samples at once in a test, in each process.
    """

    test_batch: int

    def open_data(
        self, recipe: TrainRecipe, folder: Path, seed: int, target: Target, workers: int, device: torch.device
    ) -> Source:
        """The recipe's data; see :func:`madnas.train.data.open_data`."""

    def fitted(self, target: Target, facts: Facts) -> Network:
        """The target with what its description has to know of the data; it becomes a run's ``network.yaml``."""

    def build_model(self, network: Network, facts: Facts, recipe: TrainRecipe, seed: int) -> nn.Module:
        """The whole module with fresh weights, which the seed decides."""

    def load_initial(self, model: nn.Module, path: Path) -> str | None:
        """Start from a file's weights: this task's, or a classifier's for the backbone; what there is to tell."""

    def learner(
        self, model: nn.Module, recipe: TrainRecipe, facts: Facts, process: Process, seed: int, teacher: Teacher | None
    ) -> Learner:
        """What trains and tests the model, which is on the process' device."""

    def check_start(self, recipe: TrainRecipe, has_weights: bool) -> None:
        """Refuse a recipe that makes no sense without weights to start from; asked of new runs only."""


def task_of(recipe: TrainRecipe) -> Task:
    """The task of a recipe."""
    task: Task = import_module(KINDS[recipe.task].module).TASK
    return task
