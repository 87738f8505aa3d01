"""Testing weights: a run's, a checkpoint's, or any file that fits the network."""

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from madnas.data.categories import differences
from madnas.data.order import Order
from madnas.data.source import Facts
from madnas.device import explained
from madnas.errors import DataError, UsageError
from madnas.files import read_text
from madnas.models.weights import load_initial
from madnas.runfolder import RUN
from madnas.targets import Target, as_library, find
from madnas.train.best import BEST
from madnas.train.build import new_engine
from madnas.train.checkpoint import AVERAGE, LAST, MANIFEST, MODEL, open_checkpoint
from madnas.train.checkpoint import FOLDER as CHECKPOINTS
from madnas.train.distributed import processes
from madnas.train.job import SCHEMA, Job
from madnas.train.kinds import KINDS
from madnas.train.results import NETWORK, RECIPE
from madnas.train.task import task_of


@dataclass(frozen=True, slots=True)
class Past:
    """What a run's folder says of it.

    Attributes:
        target: the network.
        recipe: the file of its recipe.
        seed: of the run.
    """

    target: Target
    recipe: Path
    seed: int


def run_of(path: Path) -> Path | None:
    """The folder of the run that a folder, or one of its checkpoints, belongs to; None for a file of weights."""
    if path.is_dir():
        return path.parent.parent if (path / MANIFEST).exists() else path
    return path.parent.parent if _is_last(path) else None


def begun(path: Path) -> Path | None:
    """The folder of the run that its folder or ``checkpoints/last`` means; None for everything else."""
    folder = None if (path / MANIFEST).exists() else run_of(path)
    return folder if folder is not None and (folder / RUN).is_file() else None


def _is_last(path: Path) -> bool:
    """Whether this is the file that names the last checkpoint."""
    return path.name == LAST and path.parent.name == CHECKPOINTS and path.is_file()


def weights_of(path: Path) -> Path:
    """The weights that a path means; a checkpoint's are looked at first, whether they are whole."""
    if _is_last(path):
        path = path.parent / path.read_text(encoding="utf-8").strip()
    if (path / MANIFEST).exists():
        open_checkpoint(path)
        return path / AVERAGE if (path / AVERAGE).exists() else path / MODEL
    if path.is_dir() and not (path / BEST).exists():
        raise UsageError(f"{path / BEST}: no such file; the run has no test yet", "--eval FILE tests other weights")
    return path / BEST if path.is_dir() else path


def past(folder: Path) -> Past:
    """The run of a folder.

    Raises:
        UsageError: not a folder of a run, or files of it are missing.
    """
    found = _identity(folder)
    if found is None:
        raise UsageError(f"{folder}: not the folder of a run of madnas train", "--eval takes such a folder, or a file")
    word = str(found["network"])
    target = as_library(word) if found["spec"] is None else replace(find(str(folder / NETWORK)), word=word)
    return Past(target, folder / RECIPE, int(found["seed"]))


def _identity(folder: Path) -> dict[str, Any] | None:
    """What decides the results of a folder's run; None where there is none."""
    with suppress(UsageError, ValueError, RecursionError):
        found = json.loads(read_text(folder / RUN))
        if isinstance(found, dict) and found.get("schema") == SCHEMA:
            return found
    return None


def _check_categories(path: Path, facts: Facts) -> None:
    """Refuse data whose classes mean something else than those of the run that the weights are of."""
    folder = run_of(path) or path.parent  # a run's best.safetensors lies beside what it is
    known = (_identity(folder) or {}).get("categories")
    if known is None:
        return
    different = differences(tuple((one, name) for one, name in known), facts.categories)
    if different:
        raise DataError(
            f"{folder}: the run knows other categories than the data: ids {different}",
            "--data names a set with the run's categories",
        )


def evaluate(job: Job, path: Path) -> dict[str, Any]:
    """Test weights on the recipe's test set.

    Args:
        job: network, recipe, data and device.
        path: a file of weights, a checkpoint, or the folder of a run, whose best are taken.

    Raises:
        UsageError: no weights there, not those of this network, or some that are not finite.
        DataError: data that is missing or broken, or has other categories than the run's.
    """
    file = weights_of(path)
    recipe = job.recipe
    if KINDS[recipe.task].tests_alone:  # the training split need not be there
        recipe = replace(recipe, train_split=recipe.val_split)
    with explained(), processes(job.device) as process:
        task = task_of(job.recipe)
        source = task.open_data(recipe, job.data, job.seed, job.target, job.workers, process.device)
        _check_categories(path, source.facts)
        network = task.fitted(job.target, source.facts)
        order = Order(source.facts.train, min(job.recipe.batch_size, source.facts.train), job.seed)
        engine = new_engine(
            replace(job, initial_checkpoint=None), source, network, order, process, lambda text: None, teaches=False
        )
        missing = load_initial(engine.result, file)
        if missing:
            raise UsageError(
                f"{file}: not the weights of {job.target.word} for {source.facts.classes} classes: "
                f"{len(missing)} tensors are missing or of another shape, such as {missing[0]}",
                "--recipe (and --set) name the data they were trained on",
            )
        found = engine.test(source, task.test_batch)
        return {
            "schema": "madnas/train-eval/1",
            "network": job.target.word,
            "weights": str(file),
            "recipe": job.recipe_name,
            "task": job.recipe.task,
            "dataset": job.recipe.dataset,
            **found,
        }
