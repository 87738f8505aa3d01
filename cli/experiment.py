"""``madnas experiment``: the papers' experiments, run again."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from madnas.errors import UsageError

if TYPE_CHECKING:
    from madnas.experiments.curves.recipe import CurvesRecipe
    from madnas.experiments.effectiveness.run import EffectivenessPlan
    from madnas.experiments.recipe import Recipe
    from madnas.experiments.restructuring.run import RestructuringPlan
    from madnas.experiments.run import Plan

SETTINGS, RUN, OUTPUT = "Settings", "Run", "Output"

QUICK = "--quick: few networks, hardly trained; they decide nothing. The recipe's header says what longer runs gave."

SETTLED = 10.0
"""Seconds after which an estimate of the rest is worth something."""

LONG = 300.0
"""Seconds from which on a run says then how long it will take."""


def experiment(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="An experiment (see --list), or a recipe file (.yaml).")
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="A small grid, within two minutes on two cores.", rich_help_panel=SETTINGS),
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the training samples. Default: the recipe's.", rich_help_panel=SETTINGS),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1, help="Networks at every point of the grid. Default: the recipe's.", rich_help_panel=SETTINGS
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Training samples. Default: the recipe's.", rich_help_panel=SETTINGS)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of data, links, weights and order.", rich_help_panel=SETTINGS)] = 0,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data sets. Default: data.", rich_help_panel=SETTINGS)
    ] = None,
    accuracies: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table 'network,accuracy' of its networks, instead of training them (deepmad/effectiveness).",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    training: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="RECIPE",
            help="Training recipe (deepmad/effectiveness). Default: digits/quick.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    no_train: Annotated[
        bool,
        typer.Option("--no-train", help="Draw the networks alone (deepmad/effectiveness).", rich_help_panel=SETTINGS),
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.", rich_help_panel=RUN)] = "cpu",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on the CPU. Default: one for every core.", rich_help_panel=RUN)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Folder for the results; the same command goes on where it stopped.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the result (.png, .svg or .pdf).", rich_help_panel=OUTPUT)
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace a picture that exists.", rich_help_panel=OUTPUT)] = False,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Throw results in the folder away, and begin anew.", rich_help_panel=OUTPUT),
    ] = False,
    json: Annotated[
        bool, typer.Option(help="Print one JSON document and nothing else.", rich_help_panel=OUTPUT)
    ] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List the experiments.", rich_help_panel=OUTPUT)] = False,
) -> None:
    """Run an experiment of the papers: train its networks, measure them, and see what the theory explains.

    NN-Mass: MLPs over depth and number of random skip connections. How well do accuracy and gradient propagation follow
    NN-Mass, how well the number of parameters? Many networks train in one tensor program, groups of them on every core.

    DeepMAD: random networks of one cost over the effectiveness rho, their entropy, and how accuracy follows both.

    RAN: a SuperNet searched for blocks that may be linear; what was found trained, collapsed and tested.

    Zen-NAS: evolution by every zero-cost proxy on one task, the best so far.

    Examples:
    - madnas experiment --list
    - madnas experiment deepmad/effectiveness --no-train -o effectiveness
    - madnas experiment nn-mass/circle20 --quick --plot circle20.png
    - madnas experiment nn-mass/seg20 --quick -o seg20
    """
    from madnas.experiments.curves.recipe import CurvesRecipe
    from madnas.experiments.effectiveness.recipe import EffectivenessRecipe
    from madnas.experiments.library import load_recipe
    from madnas.experiments.restructuring.recipe import RestructuringRecipe

    from .console import print_json
    from .experiment_report import print_curves, print_effectiveness, print_list, print_restructuring, print_skip_mlps

    if show_list:
        print_list(json)
        return
    if name is None:
        raise UsageError("which experiment?", "madnas experiment --list shows them")
    recipe = load_recipe(name)
    flags = {"epochs": epochs, "repeats": repeats, "samples": samples}
    _check_plot(plot, output, force)
    if isinstance(recipe, RestructuringRecipe):
        others: dict[str, Any] = {"repeats": repeats, "samples": samples, "accuracies": accuracies,
                                  "no-train": no_train or None, "workers": workers}  # fmt: skip
        _refuse(name, others, "it is for other experiments")
        from madnas.experiments.restructuring.run import RestructuringPlan

        recipe = (recipe.quickened() if quick else recipe).trained_with(training, epochs)
        with _folder(output) as folder:
            plan = RestructuringPlan(name, recipe, seed, folder, data or Path("data"), device, restart)
            summary = _run_restructuring(plan, quiet=json)
    elif isinstance(recipe, CurvesRecipe):
        idle = flags | {"data": data, "accuracies": accuracies, "recipe": training, "no-train": no_train or None}
        _refuse(name, idle, "nothing is trained")
        with _folder(output) as folder:
            summary = _run_curves(name, recipe.quickened() if quick else recipe, seed, folder, device, workers, restart,
                                  quiet=json)  # fmt: skip
    elif isinstance(recipe, EffectivenessRecipe):
        _refuse(name, {"repeats": repeats, "samples": samples}, "it is for the MLPs of nn-mass")
        trains = accuracies is None and not no_train
        if not trains:
            idle = {"epochs": epochs, "recipe": training, "data": data, "workers": workers}
            _refuse(name, idle, "nothing is trained with --accuracies or --no-train")
        from madnas.experiments.effectiveness.run import EffectivenessPlan

        recipe = recipe.quickened() if quick else recipe
        recipe = recipe.trained_with(training, epochs)
        with _folder(output) as folder:
            drawn = EffectivenessPlan(
                name, recipe, seed, folder, trains, accuracies, data or Path("data"), device, workers, restart
            )
            summary = _run_effectiveness(drawn, quiet=json)
    else:
        _refuse(name, {"accuracies": accuracies, "recipe": training, "no-train": no_train or None},
                "it is for deepmad/effectiveness")  # fmt: skip
        recipe = _changed(recipe, quick, flags)
        from madnas.experiments.run import Plan

        with _folder(output) as folder:
            summary = _run(Plan(name, recipe, seed, folder, device, data, workers, restart), quiet=json)
    if plot is not None:
        _draw(summary, plot, force)
    if json:
        print_json(summary)
    elif isinstance(recipe, RestructuringRecipe):
        print_restructuring(summary)
    elif isinstance(recipe, CurvesRecipe):
        print_curves(summary)
    elif isinstance(recipe, EffectivenessRecipe):
        print_effectiveness(summary)
    else:
        print_skip_mlps(summary)
        if quick:
            print(QUICK, file=sys.stderr)


def _refuse(name: str, flags: dict[str, Any], reason: str) -> None:
    """Refuse options that have no meaning for an experiment."""
    for flag, value in flags.items():
        if value is not None:
            raise UsageError(f"--{flag} has no meaning for {name}: {reason}")


def _changed(recipe: "Recipe", quick: bool, flags: dict[str, Any]) -> "Recipe":
    """The recipe with the flags' values in the place of its own."""
    from madnas.experiments.recipe import problems

    given = {key: value for key, value in flags.items() if value is not None}
    recipe = replace(recipe.quickened() if quick else recipe, **given)
    wrong = problems(recipe)
    if wrong:
        raise UsageError(f"--{wrong[0]}")
    return recipe


@contextmanager
def _folder(output: Path | None) -> Iterator[Path]:
    """The folder for the results, or one that goes away afterwards."""
    if output is not None:
        yield output
        return
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="madnas-") as folder:
        yield Path(folder)


# Running


def _run(plan: "Plan", quiet: bool) -> dict[str, Any]:
    from madnas.experiments.run import run_experiment

    from .progress import status

    with status(quiet) as show:
        return run_experiment(plan, _progress(plan.name, show, quiet))


def _run_effectiveness(plan: "EffectivenessPlan", quiet: bool) -> dict[str, Any]:
    from madnas.experiments.effectiveness.run import run_effectiveness

    from .progress import status

    with status(quiet) as show:

        def progress(done: int, networks: int, share: float) -> None:
            show(f"{plan.name}: {done} of {networks} networks trained; {share:.0%} of another")

        return run_effectiveness(plan, progress)


def _run_restructuring(plan: "RestructuringPlan", quiet: bool) -> dict[str, Any]:
    from madnas.device import check_device
    from madnas.experiments.restructuring.run import run_restructuring

    from .progress import status

    check_device(plan.device)
    with status(quiet) as show:
        return run_restructuring(plan, show)


def _run_curves(
    name: str, recipe: "CurvesRecipe", seed: int, folder: Path, device: str, workers: int | None, restart: bool,
    quiet: bool,
) -> dict[str, Any]:  # fmt: skip
    from madnas.experiments.curves.run import CurvesPlan, run_curves
    from madnas.scores.batch import process_count

    from .progress import status

    plan = CurvesPlan(name, recipe, seed, folder, device, process_count(workers, device), restart)
    with status(quiet) as show:
        return run_curves(plan, show)


def _progress(name: str, show: Callable[[str], None], quiet: bool) -> Callable[[float, float | None], None]:
    """What shows how far a run is: always on a terminal, else at every hundredth; and early if it will be long."""
    begin = time.monotonic()
    shown = -1.0
    warned = quiet

    def progress(done: float, left: float | None) -> None:
        nonlocal shown, warned
        if left is not None and not warned and time.monotonic() - begin > SETTLED:
            warned = True
            if left > LONG:
                hint = "--quick takes two minutes; with -o, the same command goes on after an interrupt"
                print(f"{name}: this will take about {_duration(left)} ({hint})", file=sys.stderr)
        if sys.stderr.isatty() or done >= shown + 0.01:
            shown = done
            rest = "" if left is None else f", about {_duration(left)} left"
            show(f"{name}: {100 * done:.0f} % trained{rest}")

    return progress


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


# Showing


def _check_plot(plot: Path | None, output: Path | None, force: bool) -> None:
    if plot is not None:
        from madnas.figures import picture_format
        from madnas.files import check_writable

        picture_format(plot)
        if output is None or plot.parent != output or output.exists():  # the run makes its folder
            check_writable(plot, force)


def _draw(summary: dict[str, Any], plot: Path, force: bool) -> None:
    from madnas.experiments.curves.run import SUMMARY as CURVES
    from madnas.experiments.effectiveness.summary import SUMMARY
    from madnas.experiments.restructuring.run import SUMMARY as RESTRUCTURED
    from madnas.figures import picture_format, render
    from madnas.files import write_bytes_atomic
    from madnas.report.curves_plot import draw_curves
    from madnas.report.effectiveness_plot import draw_effectiveness
    from madnas.report.experiment_plot import draw_summary
    from madnas.report.restructuring import draw_restructuring

    kinds = {SUMMARY: draw_effectiveness, RESTRUCTURED: draw_restructuring, CURVES: draw_curves}
    figure = kinds.get(summary["schema"], draw_summary)(summary)
    write_bytes_atomic(plot, render(figure, picture_format(plot)), force)
