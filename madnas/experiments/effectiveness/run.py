"""Running the experiment of Figures 2, 3 and 5 of DeepMAD: its networks, their training, a folder and a picture.

The folder is of use to whoever trains the networks elsewhere as well: it has a spec file for each, and a table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import madnas
from madnas.experiments.effectiveness.networks import random_networks
from madnas.experiments.effectiveness.recipe import EffectivenessRecipe
from madnas.experiments.effectiveness.summary import accuracies_of, measured, summarise, table_of
from madnas.experiments.folder import NETWORKS, TABLE, ResultsFolder, open_folder
from madnas.network.spec import NetworkSpec
from madnas.network.specfile import dump_spec

Progress = Callable[[int, int, float], None]
"""Takes how many networks are trained, of how many, and the share of the one that reported last."""


@dataclass(frozen=True, slots=True)
class EffectivenessPlan:
    """What to run and how.

    Attributes:
        name: of the experiment.
        recipe: its settings.
        seed: of the networks and their training.
        folder: where they and the results go.
        trains: whether to train them.
        accuracies: a table of networks and accuracies.
        data: folder of the data sets.
        device: where to train.
        workers: processes; absent: one for every core, or one for a GPU.
        restart: throw away what is in the folder.
    """

    name: str
    recipe: EffectivenessRecipe
    seed: int
    folder: Path
    trains: bool = True
    accuracies: Path | None = None
    data: Path = Path("data")
    device: str = "cpu"
    workers: int | None = None
    restart: bool = False


def run_effectiveness(plan: EffectivenessPlan, progress: Progress) -> dict[str, Any]:
    """Draw the networks, train what is not trained yet, or take accuracies from a table; write everything.

    Returns:
        the summary (:func:`madnas.experiments.effectiveness.summary.summarise`) with ``madnas``, the version.

    Raises:
        InfeasibleError: no such networks.
        DataError: a table of other networks; data that is missing or broken.
        UsageError: a folder or table that cannot be used.
    """
    from madnas.figures import render
    from madnas.report.effectiveness_plot import draw_effectiveness

    specs = random_networks(plan.recipe, plan.seed)
    table = {} if plan.accuracies is None else accuracies_of(plan.accuracies, [spec.name for spec in specs])
    identity = {"experiment": plan.name, "settings": plan.recipe.settings(), "seed": plan.seed, "device": plan.device}
    with open_folder(plan.folder, identity, plan.restart) as folder:
        for spec in specs:
            folder.write(f"{NETWORKS}/{spec.name}.yaml", dump_spec(spec))
        if plan.trains:
            _train(plan, specs, folder, progress)
        known = {row["network"]: row["accuracy"] for row in folder.rows} | table
        networks = [measured(spec, known.get(spec.name)) for spec in specs]
        summary = summarise(plan.name, plan.recipe, plan.seed, networks) | {"madnas": madnas.__version__}
        folder.write(TABLE, table_of(networks))
        folder.finish(summary, render(draw_effectiveness(summary), "png"))
    return summary


def _train(plan: EffectivenessPlan, specs: list[NetworkSpec], folder: ResultsFolder, progress: Progress) -> None:
    """Train the networks that have no result yet, the deepest first, so that no core is left with one at the end."""
    from madnas.experiments.effectiveness.training import Task, train_network
    from madnas.experiments.run import cores
    from madnas.network.count import count
    from madnas.train.recipe import load_recipe
    from madnas.workers import run_tasks

    changes = [] if plan.recipe.epochs is None else [f"epochs={plan.recipe.epochs}"]
    recipe = load_recipe(plan.recipe.train, changes)
    left = sorted((spec for spec in specs if spec.name not in folder.finished), key=lambda spec: -count(spec).layers)
    workers = max(1, min(plan.workers or (cores() if plan.device == "cpu" else 1), len(left)))
    tasks = [
        Task(spec, plan.recipe.train, recipe, plan.seed, plan.folder, plan.data, plan.device, plan.device == "cpu")
        for spec in left
    ]

    def done(index: int, row: dict[str, Any]) -> None:
        folder.add(tasks[index].spec.name, [row])
        progress(len(folder.finished), len(specs), 0.0)

    run_tasks(train_network, tasks, workers, lambda _, share: progress(len(folder.finished), len(specs), share), done)
