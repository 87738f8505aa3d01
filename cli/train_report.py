"""What ``madnas train`` prints."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from madnas.units import short_quantity

from .console import print_json, stdout
from .tables import new_table

if TYPE_CHECKING:
    from madnas.train.memory import Progress

SHOWN = ("best.safetensors", "last.safetensors", "report.md", "curves.png", "metrics.jsonl")
"""Files of a run that a user looks for first."""

INTERVAL = 10.0
"""Seconds between two lines where stderr is no terminal."""

OFTEN = 0.1
"""Seconds between two updates of a terminal."""


def is_first_process() -> bool:
    """Whether this is the process that talks, of torchrun's or SLURM's."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) == 0


def talk(text: str) -> None:
    """News and warnings."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[["Progress"], None]]:
    """Show how far a run is: a line that changes on a terminal, else one now and then."""
    last = time.monotonic()
    if not sys.stderr.isatty() or quiet or not is_first_process():

        def line(found: "Progress") -> None:
            nonlocal last
            if not quiet and is_first_process() and time.monotonic() - last > INTERVAL:
                last = time.monotonic()
                talk(_text(found))

        yield line
        return
    from .console import stderr

    with stderr().status("") as spinner:

        def change(found: "Progress") -> None:
            nonlocal last
            if time.monotonic() - last > OFTEN:
                last = time.monotonic()
                spinner.update(_text(found))

        yield change


def _text(found: "Progress") -> str:
    loss = "" if found.loss is None else f", loss {found.loss:.4f}"
    score = "" if found.score is None else f", {found.metric.title} {found.metric.shown(found.score)}"
    return (
        f"epoch {found.epoch + 1} of {found.epochs}, update {found.step:,} of {found.steps:,}{loss}{score}, "
        f"lr {found.rate:.3g}, {found.images:,.0f} images/s, {_duration(found.left)} left"
    )


def print_recipes(json: bool, task: str | None = None) -> None:
    """The training recipes that come with madnas, by task.

    Args:
        json: as one document.
        task: of this one alone.
    """
    from madnas.train.kinds import KINDS
    from madnas.train.recipe import load_recipe, recipe_files

    loaded = {name: load_recipe(name) for name in recipe_files()}
    order = [one for one in KINDS if task in (None, one)]
    recipes = {name: one for kind in order for name, one in loaded.items() if one.task == kind}
    if json:
        rows = [
            {
                "name": name,
                "task": one.task,
                "row": one.row,
                "dataset": one.dataset,
                "epochs": one.epochs,
                "batch_size": one.batch_size,
                "lr": one.lr,
                "opt": one.opt,
            }
            for name, one in recipes.items()
        ]
        print_json({"schema": "madnas/train-list/1", "recipes": rows})
        return
    table = new_table("recipe", "task", "dataset", "epochs", "batch", "lr", "opt", "summary")
    before = None
    for name, one in recipes.items():
        if before not in (None, one.task):
            table.add_section()
        before = one.task
        table.add_row(
            name, one.task, one.dataset, str(one.epochs), str(one.batch_size), f"{one.lr:g}", one.opt, one.row
        )
    stdout().print(table)


def print_recipe(name: str, json: bool) -> None:
    """A recipe's file, or its settings."""
    from madnas.files import read_text
    from madnas.train.recipe import load_recipe, recipe_files

    settings = load_recipe(name).settings()
    if json:
        print_json({"schema": "madnas/train-show/1", "recipe": settings})
        return
    print(read_text(recipe_files().get(name, name)), end="")


def print_plan(plan: dict[str, Any], json: bool) -> None:
    """What a run would take."""
    if json:
        print_json(plan)
        return
    batch, data, estimate = plan["batch"], plan["data"], plan["estimate"]
    shape = " x ".join(map(str, data["shape"]))
    rates = ", ".join(f"{one['lr']:.3g} in epoch {one['epoch'] + 1}" for one in plan["rates"])
    rows = {
        "network": f"{plan['network']}, {plan['params']:,} params",
        "data": f"{data['train']:,} training and {data['test']:,} test samples of {shape}, {data['classes']} classes",
        "batch": f"{batch['size']:,} = {batch['processes']} (processes) x {batch['accumulation']} (accumulation) x "
        f"{batch['at_once']:,} at once",
        "updates": f"{plan['epochs']:,} epochs x {plan['updates_per_epoch']:,} = {plan['updates']:,}",
        "learning rate": f"{rates}; at its peak {batch['lr_per_256']:.3g} for 256 images",
        "time": f"{_duration(estimate['seconds'])} at {estimate['images_per_second']:,.0f} images/s, tests included",
        "memory": f"{short_quantity(estimate['memory_bytes'])}B",
        "disk": f"{short_quantity(estimate['disk_bytes'])}B",
    }
    for name, text in rows.items():
        stdout().print(f"{name:14}{text}", markup=False)
    stdout().print("time and memory: from a few updates on this machine")


def print_test(found: dict[str, Any], json: bool) -> None:
    """A test of weights."""
    if json:
        print_json(found)
        return
    from madnas.train.kinds import KINDS

    values = [f"{one.title} {one.shown(found[one.name])}" for one in KINDS[found["task"]].metrics]
    values += [f"loss {found['loss']:.4f}"] if found.get("loss") is not None else []
    stdout().print(
        f"{found['network']}: {', '.join(values)} on {found['n']:,} test samples of {found['dataset']}", markup=False
    )


def print_result(result: dict[str, Any]) -> None:
    """What a run came to."""
    from madnas.train.kinds import CLASSIFICATION, KINDS

    best, last = result["best"], result["last"]
    metric = KINDS[result.get("task", CLASSIFICATION)].metrics[0]
    if result["was_finished"]:
        stdout().print(f"was finished before; --restart trains anew: {result['folder']}")
    if best is not None and last is not None:
        stdout().print(
            f"{result['network']}: best {metric.title} {metric.shown(best[metric.name])} after epoch "
            f"{best['epoch'] + 1}, last {metric.shown(last[metric.name])} of {last['n']:,} test samples"
        )
    if not result["was_finished"]:
        speed = result["images_per_second"]
        rate = "" if speed is None else f", {speed:,.0f} images/s with tests"
        stdout().print(f"{result['epochs']} epochs, {_duration(result['seconds'])}{rate}")
    if result["skipped_updates"] or result["unreadable_samples"]:
        stdout().print(
            f"{len(result['skipped_updates'])} updates left out, {result['unreadable_samples']} samples unreadable"
        )
    there = [name for name in SHOWN if (Path(result["folder"]) / name).exists()]
    stdout().print(f"{result['folder']}: {', '.join(there)}")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86400:.1f} days"
