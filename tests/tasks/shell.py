"""What the tests of training for tasks share: a tiny backbone, small sets and small runs."""

from pathlib import Path
from typing import Any

import torch

from madnas.data.source import Process
from madnas.files import write_text_atomic
from madnas.targets import find
from madnas.tasks.detection import TASK
from madnas.train.engine import Engine
from madnas.train.job import Job
from madnas.train.recipe import load_recipe, recipe_files

TINY = """schema: madnas/network/1
name: tiny
input: [3, 32, 32]
stem: {out: 16, kernel: 3, stride: 2}
groups:
  - {block: basic, out: 16, depth: 1, kernel: 3, stride: 2}
  - {block: basic, out: 24, depth: 1, kernel: 3, stride: 2}
  - {block: basic, out: 16, depth: 1, kernel: 3, stride: 2}
  - {block: basic, out: 16, depth: 1, kernel: 3, stride: 2}
head: {classes: 10}
"""
"""Maps of reduction 2 to 32."""

SMALL = ("epochs=2", "batch_size=4", "short_side=[40, 56]", "image_size=64", "head_chs=64", "warmup_epochs=0")
"""shapes/detection in two epochs of five updates."""

TRAIN, TEST = 20, 6
"""Images of the set."""

RECIPES = [name for name in recipe_files() if load_recipe(name).task == "detection"]


def network(folder: Path) -> str:
    path = folder / "tiny.yaml"
    write_text_atomic(path, TINY, overwrite=True)  # another process may be reading it
    return str(path)


def detection_job(folder: Path, data: Path, *changes: str, name: str = "run", **settings: Any) -> Job:
    given: dict[str, Any] = {"log_interval": 1, "recovery_interval": 2, "workers": 0, **settings}
    recipe = load_recipe("shapes/detection", [*SMALL, *changes])
    return Job(find(network(folder)), "shapes/detection", recipe, 0, folder / name, data, **given)


def arguments(folder: Path, data: Path, *more: str) -> list[str]:
    """Of ``madnas train``, for the same small run."""
    changes = [part for change in SMALL for part in ("--set", change)]
    words = [network(folder), "--task", "detection", "--data", str(data), "--log-interval", "1"]
    return [*words, "--recovery-interval", "2", "-j", "0", *changes, *more]


def engine_of(recipe, target, shapes):
    source = TASK.open_data(recipe, shapes, 0, target, 0, torch.device("cpu"))
    model = TASK.build_model(TASK.fitted(target, source.facts), source.facts, recipe, 0)
    return Engine(model, recipe, source.facts, Process(), 0, steps_per_epoch=5), source
