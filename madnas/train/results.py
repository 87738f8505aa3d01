"""The files that say what a run is, and those that it leaves: weights, tables, pictures, and last ``result.json``."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import nn

from madnas.files import write_bytes_atomic, write_text_atomic
from madnas.models.weights import weights
from madnas.network.spec import NetworkSpec
from madnas.network.specfile import dump_spec
from madnas.train.best import BEST
from madnas.train.best import FOLDER as WEIGHTS
from madnas.train.checkpoint import FOLDER as CHECKPOINTS
from madnas.train.evidence import NONFINITE
from madnas.train.job import Job
from madnas.train.kinds import KINDS
from madnas.train.log import EVENTS, LEDGER, METRICS, SUMMARY, TIMING, write_summary
from madnas.train.memory import Memory
from madnas.train.recipe import dump_recipe
from madnas.train.report import write_report

FINAL, RESULT, NETWORK, ENVIRONMENT = "last.safetensors", "result.json", "network.yaml", "environment.json"
RECIPE = "recipe.yaml"
REPORT, CURVES = "report.md", "curves.png"
BELONGINGS = (
    *(METRICS, LEDGER, TIMING, SUMMARY, BEST, FINAL, RESULT, NETWORK, RECIPE, ENVIRONMENT, REPORT, CURVES),
    *(CHECKPOINTS, WEIGHTS, NONFINITE, EVENTS),
)
"""All that a run writes into its folder."""


def finished(run: Path) -> dict[str, Any] | None:
    """What ``result.json`` says; None while a run is not done, and where the file is broken."""
    with suppress(OSError, ValueError):
        found = json.loads((run / RESULT).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) and "best" in found else None
    return None


def result_of(job: Job, memory: Memory, model: nn.Module, epochs: int, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """What ``result.json`` says."""
    tests = [line for line in metrics if line["event"] == "eval"]
    return {
        "schema": "madnas/train/1",
        "network": job.target.word,
        "recipe": job.recipe_name,
        "task": job.recipe.task,
        "seed": job.seed,
        "epochs": epochs,
        "updates": memory.step,
        "best": memory.best,
        "last": _test(tests[-1]) if tests else None,
        "skipped_updates": memory.skipped,
        "overflowed_updates": memory.overflows,
        "unreadable_samples": memory.broken_total,
        "params": sum(one.numel() for one in model.parameters()),
        "folder": str(job.folder),
    }


def _test(line: dict[str, Any]) -> dict[str, Any]:
    """Epoch and metrics of a test's line in the log."""
    return {name: value for name, value in line.items() if name not in ("event", "step", "train_loss", "lr")}


def write_description(job: Job, spec: NetworkSpec | None, environment: dict[str, Any]) -> None:
    """Write what a run is, when it begins: network, recipe, versions and hardware.

    Args:
        job: what is trained.
        spec: the network as the data have it; None for those without a description.
        environment: versions and hardware.
    """
    if spec is not None:
        write_text_atomic(job.folder / NETWORK, dump_spec(spec), overwrite=True)
    write_text_atomic(job.folder / RECIPE, dump_recipe(job.recipe), overwrite=True)
    write_text_atomic(job.folder / ENVIRONMENT, json.dumps(environment, indent=2) + "\n", overwrite=True)


def write_results(
    job: Job,
    result: dict[str, Any],
    model: nn.Module,
    metrics: list[dict[str, Any]],
    environment: dict[str, Any],
) -> None:
    """Write everything.

    Args:
        job: what was trained.
        result: see :func:`result_of`.
        model: whose weights the run is about.
        metrics: lines of the log.
        environment: versions and hardware.
    """
    write_bytes_atomic(job.folder / FINAL, weights(model), overwrite=True)
    write_summary(job.folder, metrics, job.recipe.task)
    idle = KINDS[job.recipe.task].idle
    settings = {name: value for name, value in job.recipe.settings().items() if name not in idle}
    write_report(job.folder, result, metrics, settings, environment)
    write_text_atomic(job.folder / RESULT, json.dumps(result, indent=2) + "\n", overwrite=True)
