"""Solve every design recipe and write the table into ``recipes/README.md``.

Run: make tables
"""

import os
import platform
import sys
import time
from importlib.metadata import version

import madnas
from benchmarks.readme import ROOT, write_part
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.named import get
from madnas.program.design import Design, design
from madnas.program.recipe import DesignRecipe, load_recipe, recipe_files
from madnas.units import format_quantity

README = ROOT / "recipes" / "README.md"

HEADER = (
    "| recipe | row | MACs: value / budget | % | params: value / budget | % | rho / limit | layers | entropy "
    "| objective | bound | gap % | s | published objective | ours / published |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
)


def row(name: str, recipe: DesignRecipe, found: Design) -> str:
    """One line of the table."""
    cells = [name, recipe.row]
    for budget in ("macs", "params"):
        value, limit = found.used()[budget]
        cells += [f"{value:,} / {format_quantity(limit)}", f"{int(10000 * value / limit) / 100:.2f}"]
    cells += [f"{found.structure.rho:.4f} / {found.problem.rho:g}", str(found.counts.layers)]
    cells.append(f"{found.structure.weighted_entropy(found.problem.weights):,.1f}")
    cells += [f"{found.objective:,.1f}", f"{found.bound:,.1f}", f"{100 * found.gap:.3f}", f"{found.seconds:.1f}"]
    return "| " + " | ".join([*cells, *published(recipe, found)]) + " |\n"


def published(recipe: DesignRecipe, found: Design) -> list[str]:
    """The published network's objective under the same weights, and how ours compares."""
    if recipe.published is None:
        return ["not published", ""]
    network = get(recipe.published)
    theirs = analyse(network).objective(found.problem.weights, found.problem.beta)
    counts, rho = count(network), analyse(network).rho
    over = [name for name, limit in found.problem.budgets.items() if getattr(counts, name) > limit]
    over += ["rho"] if found.problem.rho is not None and rho > found.problem.rho else []
    note = f" (exceeds {', '.join(over)})" if over else ""
    ratio = f"{found.objective / theirs:.3f}" if theirs > 0 else "theirs is below 0 (depth penalty)"
    return [f"{theirs:,.1f}{note}", ratio]


def main() -> None:
    """Solve all and write the table."""
    begin = time.perf_counter()
    lines = []
    for name in recipe_files():
        recipe = load_recipe(name)
        found = design(recipe.problem())
        lines.append(row(name, recipe, found))
        print(f"{name}: gap {100 * found.gap:.3f} %, {found.seconds:.1f} s", file=sys.stderr)
    versions = ", ".join(f"{package} {version(package)}" for package in ("casadi", "pyomo", "numpy"))
    stamp = (
        f"\nmadnas {madnas.__version__}, Python {platform.python_version()}, {versions}; {os.cpu_count()} cores "
        f"({platform.machine()}); {time.perf_counter() - begin:.0f} s in all, one recipe after the other. "
        "Seconds depend on the machine and on what else it does; everything else is the same on every run.\n"
    )
    write_part(README, f"{HEADER}{''.join(lines)}{stamp}")


if __name__ == "__main__":
    main()
