"""``madnas experiment``: the papers' experiments, run again."""

import math
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
    from madnas.experiments.recipe import Recipe
    from madnas.experiments.run import Plan

SETTINGS, RUN, OUTPUT = "Settings", "Run", "Output"

QUICK = "--quick: few networks, hardly trained; they decide nothing. The recipe's header says what longer runs gave."

SETTLED = 10.0
"""Seconds after which an estimate of the rest is worth something."""

LONG = 300.0
"""Seconds from which on a run says then how long it will take."""

MEASURES = {"accuracy": "test accuracy", "isometry": "mean singular value (LDI)"}


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
        Path | None, typer.Option(help="Folder of MNIST (nn-mass/mnist). Default: data.", rich_help_panel=SETTINGS)
    ] = None,
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

    Examples:
    - madnas experiment --list
    - madnas experiment nn-mass/circle20 --quick --plot circle20.png
    - madnas experiment nn-mass/seg20 --quick -o seg20
    """
    if show_list:
        _print_list(json)
        return
    if name is None:
        raise UsageError("which experiment?", "madnas experiment --list shows them")
    recipe = _recipe(name, quick, {"epochs": epochs, "repeats": repeats, "samples": samples})
    _check_plot(plot, output, force)
    from madnas.experiments.run import Plan

    with _folder(output) as folder:
        summary = _run(Plan(name, recipe, seed, folder, device, data, workers, restart), quiet=json)
    if plot is not None:
        _draw(summary, plot, force)
    if json:
        from .console import print_json

        print_json(summary)
    else:
        _print_summary(summary)
        if quick:
            print(QUICK, file=sys.stderr)


def _recipe(name: str, quick: bool, flags: dict[str, Any]) -> "Recipe":
    """The recipe with the flags' values in the place of its own."""
    from madnas.experiments.recipe import load_recipe, problems

    recipe = load_recipe(name)
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
        from madnas.files import check_writable
        from madnas.report.figures import picture_format

        picture_format(plot)
        if output is None or plot.parent != output or output.exists():  # the run makes its folder
            check_writable(plot, force)


def _draw(summary: dict[str, Any], plot: Path, force: bool) -> None:
    from madnas.files import write_bytes_atomic
    from madnas.report.experiment_plot import draw_summary
    from madnas.report.figures import picture_format, render

    write_bytes_atomic(plot, render(draw_summary(summary), picture_format(plot)), force)


def _print_list(json: bool) -> None:
    from madnas.experiments.recipe import load_recipe, recipe_files

    from .console import print_json, stdout
    from .tables import new_table

    rows = []
    for name, path in recipe_files().items():
        recipe = load_recipe(name)
        networks = len(recipe.depths) * len(recipe.links) * recipe.repeats
        rows.append(
            {
                "name": name,
                "figure": recipe.figure,
                "dataset": recipe.dataset,
                "networks": networks,
                "epochs": recipe.epochs,
                "file": str(path),
            }
        )
    if json:
        print_json({"schema": "madnas/experiment-list/1", "experiments": rows})
        return
    table = new_table("name", "figure", "dataset", "networks", "epochs")
    for row in rows:
        table.add_row(*(str(value) for key, value in row.items() if key != "file"))
    stdout().print(table)


def _print_summary(summary: dict[str, Any]) -> None:
    """The ranges at every depth, then how well straight lines fit."""
    from .console import stdout
    from .tables import new_table

    console = stdout()
    ranges = new_table("depth", "networks", "params", "NN-Mass", "test accuracy (%)", "mean singular value")
    for depth in summary["settings"]["depths"]:
        points = [one for one in summary["points"] if one["depth"] == depth]
        ranges.add_row(
            str(depth), str(sum(one["isometry"]["n"] for one in points)),
            _range([one["params"] for one in points], "{:,.0f}"),
            _range([one["mass"] for one in points], "{:.2f}"),
            _range([one["accuracy"]["mean"] for one in points], "{:.2f}", 100),
            _range([one["isometry"]["mean"] for one in points], "{:.3f}"),
        )  # fmt: skip
    console.print(ranges)
    fits = new_table(
        "R² of", "against ln NN-Mass", "against ln params", "points", "with mass 0, ln params", "the paper's"
    )
    for measure, label in MEASURES.items():
        fit, paper = summary["fits"][measure], summary["paper"]
        printed = [paper[f"{measure}_{size}"] for size in ("mass", "params")]
        fits.add_row(
            label, _r2(fit["mass"]["r2"]), _r2(fit["params"]["r2"]), str(fit["mass"]["points"]),
            f"{_r2(fit['params_all']['r2'])} ({fit['params_all']['points']})",
            "not printed" if None in printed else f"{printed[0]:.2f}, {printed[1]:.2f}",
        )  # fmt: skip
    console.print(fits)
    left_out, run = summary["left_out"], summary["run"]
    console.print(
        f"{left_out['massless_points']} points without skip connections have mass 0 and are not in the first two fits; "
        f"{left_out['diverged_networks']} of {summary['networks']} networks diverged"
    )
    console.print(
        f"{run['seconds']:.0f} s with {run['workers']} worker{'s' if run['workers'] > 1 else ''}, "
        f"{run['groups_found']} of {run['groups_found'] + run['groups']} groups were there already"
    )


def _range(values: list[float | None], form: str, scale: float = 1) -> str:
    known = [scale * value for value in values if value is not None]
    return f"{form.format(min(known))} to {form.format(max(known))}" if known else "-"


def _r2(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.2f}"
