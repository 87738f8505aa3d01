"""What ``madnas experiment`` prints."""

import math
from typing import Any

from .console import print_json, stdout
from .tables import new_table

MEASURES = {"accuracy": "test accuracy", "isometry": "mean singular value (LDI)"}


def print_list(json: bool) -> None:
    """The experiments that come with madnas."""
    from madnas.experiments.curves.recipe import CurvesRecipe
    from madnas.experiments.library import load_recipe, recipe_files
    from madnas.experiments.recipe import Recipe
    from madnas.experiments.restructuring.recipe import RestructuringRecipe

    rows = []
    for name, path in recipe_files().items():
        recipe = load_recipe(name)
        row: dict[str, Any] = {"name": name, "figure": recipe.figure, "dataset": None, "epochs": None}
        if isinstance(recipe, Recipe):
            networks = len(recipe.depths) * len(recipe.links) * recipe.repeats
            row |= {"dataset": recipe.dataset, "epochs": recipe.epochs}
        elif isinstance(recipe, CurvesRecipe):
            networks = recipe.candidates * len(recipe.curves)
        else:
            networks = 2 * len(recipe.strengths) + 1 if isinstance(recipe, RestructuringRecipe) else recipe.networks
            row |= {"dataset": recipe.train.partition("/")[0], "epochs": recipe.epochs}
        rows.append(row | {"networks": networks, "file": str(path)})
    if json:
        print_json({"schema": "madnas/experiment-list/1", "experiments": rows})
        return
    table = new_table("name", "figure", "dataset", "networks", "epochs")
    for row in rows:
        cells = (row[key] for key in ("name", "figure", "dataset", "networks", "epochs"))
        table.add_row(*("-" if cell is None else str(cell) for cell in cells))
    stdout().print(table)


def print_curves(summary: dict[str, Any]) -> None:
    """What every search ended with, beside the paper's."""
    from madnas.units import short_quantity

    table = new_table("name", "score", "value", "params", "MACs", "layers", "scored", "failed", "the paper's")
    for curve in summary["curves"]:
        counts, fitness = curve["counts"], curve["fitness"]
        spread = "" if not fitness["std"] else f" ± {fitness['std']:.2g}"
        table.add_row(
            curve["name"], curve["score"], f"{fitness['value']:,.5g}{spread}", short_quantity(counts["params"]),
            short_quantity(counts["macs"]), str(counts["layers"]), str(curve["numbers"]["scored"]),
            str(sum(curve["failed"].values())), curve["paper"] or "-",
        )  # fmt: skip
    stdout().print(table)


def print_skip_mlps(summary: dict[str, Any]) -> None:
    """The ranges at every depth, then how well straight lines fit."""
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


def print_effectiveness(summary: dict[str, Any]) -> None:
    """The networks, how their structure follows rho, and the groups."""
    _print_networks(summary)
    _print_tau(summary)
    if summary["accuracies"]:
        _print_groups(summary)
        best = summary["best"]
        stdout().print(f"best: {best['network']} at rho {best['rho']:.3f}, accuracy {best['accuracy']:g}")
    known, networks = summary["accuracies"], len(summary["networks"])
    if known < networks:
        stdout().print(f"accuracies of {known} of {networks} networks; a table for --accuracies may have more")


def print_restructuring(summary: dict[str, Any]) -> None:
    """A row for the SuperNet and for every strength."""
    from madnas.report.restructuring import cells_of

    table = new_table("lambda", "linear blocks", "units", "params", "MACs", "top-1 %", "collapsed", "other", "float64",
                      "float32", "speed")  # fmt: skip
    for row in summary["networks"]:
        table.add_row(*cells_of(row))
    stdout().print(table)
    samples = next(row["samples"] for row in summary["networks"] if "samples" in row)
    stdout().print(f"other: test samples, of {samples}, that the collapsed network puts into another class")


def _print_networks(summary: dict[str, Any]) -> None:
    known = summary["accuracies"] > 0
    table = new_table("name", "params", "MACs", "layers", "width", "rho", "entropy", *(["accuracy"] if known else []))
    for one in summary["networks"]:
        cells = [one["name"], f"{one['params']:,}", f"{one['macs']:,}", str(one["layers"]), f"{one['width']:.1f}",
                 f"{one['rho']:.4f}", f"{one['entropy']:,.0f}"]  # fmt: skip
        if known:
            cells.append("" if one["accuracy"] is None else f"{one['accuracy']:g}")
        table.add_row(*cells)
    stdout().print(table)


def _print_tau(summary: dict[str, Any]) -> None:
    table = new_table("", "Kendall's tau with rho", "95 % interval")
    for name, tau in summary["tau"].items():
        if tau is not None:
            table.add_row(name, *_tau(tau))
    stdout().print(table)


def _print_groups(summary: dict[str, Any]) -> None:
    table = new_table("rho around", "from", "to", "accuracies", "tau of entropy and accuracy", "95 % interval",
                      "the paper's")  # fmt: skip
    for group in summary["groups"]:
        paper = "not printed" if group["paper_tau"] is None else f"{group['paper_tau']:.2f}"
        table.add_row(f"{group['rho']:g}", f"{group['low']:.3f}", f"{group['high']:.3f}", str(group["accuracies"]),
                      *_tau(group["tau"]), paper)  # fmt: skip
    stdout().print(table)


def _tau(tau: dict[str, float | None] | None) -> tuple[str, str]:
    if tau is None or tau["value"] is None:
        return "-", "-"
    interval = "-" if tau["low"] is None else f"{tau['low']:.2f} to {tau['high']:.2f}"
    return f"{tau['value']:.2f}", interval
