"""Running the experiment of Figures 2, 3 and 5 of DeepMAD: its networks, what is known of them, a folder and a picture.

The folder is of any use to whoever trains the networks: a spec file for each, and a table.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import madnas
from madnas.experiments.effectiveness.networks import random_networks
from madnas.experiments.effectiveness.recipe import EffectivenessRecipe
from madnas.experiments.effectiveness.summary import accuracies_of, measured, summarise, table_of
from madnas.network.specfile import dump_spec


@dataclass(frozen=True, slots=True)
class EffectivenessPlan:
    """What to run and how.

    Attributes:
        name: of the experiment.
        recipe: its settings.
        seed: of the networks.
        folder: where they and the results go; absent: nowhere.
        accuracies: a table of networks and accuracies.
        restart: throw away what is in the folder.
    """

    name: str
    recipe: EffectivenessRecipe
    seed: int
    folder: Path | None = None
    accuracies: Path | None = None
    restart: bool = False


def run_effectiveness(plan: EffectivenessPlan) -> dict[str, Any]:
    """Draw the networks, join them with their accuracies, write everything.

    Returns:
        the summary (:func:`madnas.experiments.effectiveness.summary.summarise`) with ``madnas``, the version.

    Raises:
        InfeasibleError: no such networks.
        DataError: a table of other networks.
        UsageError: a folder or table that cannot be used.
    """
    specs = random_networks(plan.recipe, plan.seed)
    names = [spec.name for spec in specs]
    known = {} if plan.accuracies is None else accuracies_of(plan.accuracies, names)
    networks = [measured(spec, known.get(spec.name)) for spec in specs]
    summary = summarise(plan.name, plan.recipe, plan.seed, networks) | {"madnas": madnas.__version__}
    if plan.folder is not None:
        from madnas.experiments.folder import NETWORKS, TABLE, open_folder
        from madnas.report.effectiveness_plot import draw_effectiveness
        from madnas.report.figures import render

        identity = {"experiment": plan.name, "settings": plan.recipe.settings(), "seed": plan.seed}
        with open_folder(plan.folder, identity, plan.restart) as folder:
            for spec in specs:
                folder.write(f"{NETWORKS}/{spec.name}.yaml", dump_spec(spec))
            folder.write(TABLE, table_of(networks))
            folder.finish(summary, render(draw_effectiveness(summary), "png"))
    return summary
