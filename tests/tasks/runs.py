"""What the tests of segmentation and video share: small sets and small runs over the tiny backbone of detection's."""

from pathlib import Path
from typing import Any

from madnas.data.shapes.write import write_shapes
from madnas.targets import find
from madnas.train.job import Job
from madnas.train.recipe import load_recipe
from tests.tasks.shell import network

SGD = ("epochs=2", "batch_size=4", "opt=momentum", "momentum=0.9", "weight_decay=5e-4", "lr=0.02")

SMALL = {
    "segmentation": (*SGD, "image_size=32", "short_side=[28, 48]", "decoder_chs=8"),
    "video": (*SGD, "image_size=32", "short_side=[32, 36]", "crop=resized", "test_segments=4"),
}
"""The shapes' recipes in two epochs of three updates."""

TRAIN, TEST, UPDATES = 12, 5, 6


def written(folder: Path) -> dict[str, Path]:
    """A small set of each task."""
    for task in SMALL:
        write_shapes(task, folder / task, TRAIN, TEST)
    return {task: folder / task for task in SMALL}


def task_job(task: str, folder: Path, data: Path, *changes: str, name: str = "run", **settings: Any) -> Job:
    given: dict[str, Any] = {"log_interval": 1, "recovery_interval": 2, "workers": 0, **settings}
    recipe = load_recipe(f"shapes/{task}", [*SMALL[task], *changes])
    return Job(find(network(folder)), f"shapes/{task}", recipe, 0, folder / name, data, **given)


def words(task: str, folder: Path, data: Path, *more: str) -> list[str]:
    """Arguments of ``madnas train`` for the same small run."""
    changes = [part for change in SMALL[task] for part in ("--set", change)]
    given = [network(folder), "--task", task, "--data", str(data), "--log-interval", "1", "--recovery-interval", "2"]
    return [*given, "-j", "0", *changes, *more]
