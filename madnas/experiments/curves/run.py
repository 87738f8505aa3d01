"""Best-so-far curves of several searches over one task (Figures 7 to 12 of Zen-NAS): a run of a recipe, its summary."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import madnas
from madnas.errors import UsageError
from madnas.experiments.curves.recipe import Curve, CurvesRecipe
from madnas.files import write_text_atomic
from madnas.network.specfile import spec_to_tree
from madnas.search.effort import Effort
from madnas.search.goal import make_goal
from madnas.search.outcome import Outcome
from madnas.search.rows import Rows
from madnas.search.run import Search, run
from madnas.search.space import load_evolution_space, space_tree
from madnas.units import parse_quantity

SUMMARY = "madnas/search-curves/1"


@dataclass(frozen=True, slots=True)
class CurvesPlan:
    """What to run and how.

    Attributes:
        name: of the experiment.
        recipe: its settings.
        seed: of all searches.
        folder: where journals and summary go.
        device: where scores are measured.
        workers: processes.
        restart: throw away what is there.
    """

    name: str
    recipe: CurvesRecipe
    seed: int
    folder: Path
    device: str = "cpu"
    workers: int = 1
    restart: bool = False

    def searches(self) -> list[Search]:
        """One search for every curve.

        Raises:
            UsageError, SpecError: a score or a space that cannot be.
        """
        recipe = self.recipe
        space = load_evolution_space(recipe.space).customised(
            input=recipe.input, classes=recipe.classes, max_depth=recipe.max_depth
        )
        family = Rows(space, plain=recipe.mutation == "zen-nas")
        found = []
        for place, curve in enumerate(recipe.curves, 1):
            goal = make_goal(curve.score, family, {"params": parse_quantity(recipe.params, "params")}, prescreen=False)
            candidates = min(recipe.candidates, curve.candidates or recipe.candidates)
            effort = Effort(
                seed=self.seed, population=recipe.population, survivors=recipe.survivors, repeats=recipe.repeats,
                batch_size=recipe.batch_size, device=self.device, random=curve.method == "random", prescreen=False,
                proposals=recipe.survivors * 8 if goal.measured else recipe.survivors, candidates=candidates,
            )  # fmt: skip
            journal = self.folder / f"{place}.jsonl"
            found.append(
                Search(
                    family,
                    goal,
                    effort,
                    space_tree(space),
                    curve.name,
                    self.workers,
                    journal,
                    self.restart,
                    False,
                    counts_scored=True,
                )
            )
        return found


def run_curves(plan: CurvesPlan, watch: Callable[[str], None] = lambda message: None) -> dict[str, Any]:
    """Run every search, and write ``summary.json``; what the journals hold is not computed again.

    Returns:
        the summary: ``schema``, ``experiment``, ``figure``, ``seed``, settings, and of every curve ``name``, ``score``,
        ``history``, ``fitness``, ``counts`` and ``spec`` of its result.
    """
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{plan.folder}: cannot be created: {error.strerror}") from error
    curves = []
    for curve, search in zip(plan.recipe.curves, plan.searches(), strict=True):
        outcome = run(search, lambda message, name=curve.name: watch(f"{name}: {message}"))  # type: ignore[misc]
        if outcome.interrupted:
            raise KeyboardInterrupt
        curves.append(_curve(curve, outcome))
    recipe = plan.recipe
    summary = {
        "schema": SUMMARY, "madnas": madnas.__version__, "experiment": plan.name, "figure": recipe.figure,
        "seed": plan.seed, "space": recipe.space, "input": list(recipe.input), "params": recipe.params,
        "max_depth": recipe.max_depth, "candidates": recipe.candidates, "batch_size": recipe.batch_size,
        "repeats": recipe.repeats, "mutation": recipe.mutation, "curves": curves,
    }  # fmt: skip
    write_text_atomic(plan.folder / "summary.json", json.dumps(summary, indent=1) + "\n", overwrite=True)
    return summary


def _curve(curve: Curve, outcome: Outcome) -> dict[str, Any]:
    best = outcome.best
    return {
        "name": curve.name, "score": outcome.goal.fitness.text, "method": outcome.method, "figure": curve.figure,
        "paper": curve.paper, "fitness": {"value": best.fitness, "std": best.std, "n": best.n},
        "counts": best.counts.tree(), "spec": spec_to_tree(best.spec), "failed": outcome.failed,
        "numbers": outcome.numbers,
        "history": [[row["scored"], row["best"]] for row in outcome.history.rows if row["best"] is not None],
    }  # fmt: skip
