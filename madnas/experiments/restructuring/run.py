"""Running the restructuring experiment: search, derive, train, collapse, test; a row for every strength.

The SuperNet itself is trained as well, for whoever asks what linear blocks cost.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import madnas
from madnas.experiments.folder import REPORT, SLOPES, ResultsFolder, open_folder
from madnas.experiments.restructuring.recipe import RestructuringRecipe
from madnas.files import write_bytes_atomic

if TYPE_CHECKING:
    from madnas.network.spec import NetworkSpec
    from madnas.targets import Target
    from madnas.train.job import Job
    from madnas.train.supernet import Found

SUMMARY = "madnas/restructuring/2"
SUPERNET = "supernet"
"""Row of the network that is not restructured."""
RUNS, SEARCH = "runs", "search"

Progress = Callable[[str], None]
"""Takes what is going on."""


@dataclass(frozen=True, slots=True)
class RestructuringPlan:
    """What to run and how.

    Attributes:
        name: of the experiment.
        recipe: its settings.
        seed: of the training.
        folder: where results and runs go.
        data: folder of the data sets.
        device: where to train.
        restart: throw away what is in the folder.
    """

    name: str
    recipe: RestructuringRecipe
    seed: int
    folder: Path
    data: Path = Path("data")
    device: str = "cpu"
    restart: bool = False


def run_restructuring(plan: RestructuringPlan, progress: Progress) -> dict[str, Any]:
    """Do what is not done yet; write everything.

    Returns:
        the summary: settings and a row for the SuperNet and for every strength.

    Raises:
        UsageError: a network without blocks to search, a folder that cannot be used; what a training raises.
    """
    from madnas.figures import render
    from madnas.report.restructure_search import draw_search
    from madnas.report.restructuring import draw_restructuring, restructuring_report
    from madnas.train.signals import wishes
    from madnas.train.supernet import searchable

    job = _job(plan)
    searchable(job.target)
    identity = {"schema": SUMMARY, "experiment": plan.name, "settings": plan.recipe.settings(), "seed": plan.seed,
                "device": plan.device}  # fmt: skip
    with wishes(until_exit=True), open_folder(plan.folder, identity, plan.restart) as folder:
        (plan.folder / RUNS).mkdir(exist_ok=True)
        if SUPERNET not in folder.finished:
            folder.add(SUPERNET, [_supernet(job, progress)])
        found = _searched(plan, job, progress)
        for one in found:
            name = one.folder.name
            if name not in folder.finished:
                folder.add(name, [_followed(job, one, progress)])
        summary = _summary(plan, folder)
        folder.write(REPORT, restructuring_report(summary))
        slopes = render(draw_search(plan.recipe.network, found), "png")
        write_bytes_atomic(plan.folder / SLOPES, slopes, overwrite=True)
        folder.finish(summary, render(draw_restructuring(summary), "png"))
    return summary


def _job(plan: RestructuringPlan) -> "Job":
    from madnas.targets import find
    from madnas.train.job import Job
    from madnas.train.recipe import load_recipe

    changes = [] if plan.recipe.epochs is None else [f"epochs={plan.recipe.epochs}"]
    recipe = load_recipe(plan.recipe.train, changes)
    target = find(plan.recipe.network)
    return Job(target, plan.recipe.train, recipe, plan.seed, plan.folder / RUNS, plan.data, plan.device)


def _trained(job: "Job", name: str, target: "Target", progress: Progress) -> tuple[Path, dict[str, Any]]:
    """Train a network, or go on with it: its run's folder and result."""
    from madnas.train.run import train

    one = replace(job, target=target, folder=job.folder / name)
    result = train(one, lambda state: progress(f"{name}: {state.step} of {state.steps} steps"), lambda text: None)
    return one.folder, result


def _supernet(job: "Job", progress: Progress) -> dict[str, Any]:
    from madnas.network.count import count
    from madnas.network.specfile import load_spec
    from madnas.train.results import NETWORK

    folder, result = _trained(job, SUPERNET, job.target, progress)
    spec = load_spec(folder / NETWORK)
    costs = {"params": int(count(spec).params), "macs": int(count(spec).macs), "units": _units(spec)}
    return {"lambda": None, "linear": [], "slopes": {}, "top1": result["last"]["top1"], **costs}


def _searched(plan: RestructuringPlan, job: "Job", progress: Progress) -> "list[Found]":
    from madnas.train.supernet import search

    return search(
        replace(job, folder=job.folder / SEARCH),
        plan.recipe.strengths,
        plan.recipe.macs_aware,
        lambda strength, state: progress(f"search, lambda {strength:g}: {state.step} of {state.steps} steps"),
    )


def _followed(job: "Job", found: "Found", progress: Progress) -> dict[str, Any]:
    """Train what a search found, collapse it, and test both.

    Costs are those of the collapsed network, which is tested; `subnetwork.yaml`, which has a convolution for every
    linear block, is not trained, and differs where a collapse would cost multiply-adds.
    """
    from madnas.network.count import count
    from madnas.restructure.collapse import collapse
    from madnas.targets import find
    from madnas.train.opened import open_network
    from madnas.train.supernet import EXPANDED

    name = found.folder.name
    folder, _ = _trained(job, name, find(str(found.folder / EXPANDED)), progress)
    opened = open_network(str(folder), None)
    collapsed = collapse(opened.model, opened.input, device=job.device, watch=progress)
    latency, subnetwork, spec = collapsed.latency["after"], count(found.spec), opened.target.spec
    assert spec is not None
    return {
        "lambda": found.strength,
        "linear": list(found.linear),
        "slopes": {str(number): values[-1] for number, values in found.trajectories.items()},
        **asdict(collapsed.after),
        "units": _units(spec),
        "left": len(collapsed.left),
        "trained_params": collapsed.before.params,
        "trained_macs": collapsed.before.macs,
        "subnetwork_params": int(subnetwork.params),
        "subnetwork_macs": int(subnetwork.macs),
        "search_top1": found.top1,
        **_tested(job, opened.target, [opened.model, collapsed.model]),
        "errors": {name: errors.relative for name, errors in collapsed.errors.items()},
        "speed": {"ratio": latency.ratio, "low": latency.low, "high": latency.high},
    }


def _units(spec: "NetworkSpec") -> int:
    """Non-linear units of a network."""
    from madnas.network.mass import nn_mass

    return int(nn_mass(spec).units)


def _tested(job: "Job", target: "Target", models: list[Any]) -> dict[str, Any]:
    """Accuracy of a network and of its collapsed form, and for how many test samples they say different things."""
    import torch

    from madnas.data.source import Process
    from madnas.train.classification import TEST_BATCH
    from madnas.train.data import open_data
    from madnas.train.normalise import normaliser

    process = Process()
    source = open_data(job.recipe, job.data, job.seed, target, job.workers, process.device)
    normalise = normaliser(source.facts, process.device)
    samples = different = 0
    right = [0, 0]
    apart = 0.0
    with torch.inference_mode():
        for images, labels in source.test(TEST_BATCH, process):
            before, after = (model(normalise(images)) for model in models)
            for place, outputs in enumerate((before, after)):
                right[place] += int((outputs.argmax(1) == labels).sum())
            samples += len(labels)
            different += int((before.argmax(1) != after.argmax(1)).sum())
            apart = max(apart, float((before - after).abs().max()))
    accuracies = [one / samples for one in right]
    return {"samples": samples, "top1": accuracies[0], "collapsed_top1": accuracies[1], "different": different,
            "largest_difference": apart}  # fmt: skip


def _summary(plan: RestructuringPlan, folder: ResultsFolder) -> dict[str, Any]:
    order = [SUPERNET, *(f"lambda-{strength:g}" for strength in plan.recipe.strengths)]
    rows = {row["group"]: row for row in folder.rows}
    return {
        "schema": SUMMARY,
        "experiment": plan.name,
        "settings": plan.recipe.settings(),
        "seed": plan.seed,
        "device": plan.device,
        "networks": [{"name": name, **{key: one for key, one in rows[name].items() if key != "group"}}
                     for name in order],
        "madnas": madnas.__version__,
    }  # fmt: skip
