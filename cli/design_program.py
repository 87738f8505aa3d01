"""``madnas design --method program``: from the flags to networks, and to what is printed and written."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from . import design_report as show
from .design_request import Request, problems, warn_beyond

if TYPE_CHECKING:
    from madnas.program.design import Design, Miss
    from madnas.program.search import Effort


def design_by_program(
    request: Request, gap: float, max_nodes: int, solver: str, output: Path | None, csv: Path | None,
    plot: Path | None, force: bool, json: bool, name: str,
) -> None:  # fmt: skip
    """Solve, print and write.

    Raises:
        typer.Exit: some points of a sweep have no network.
    """
    from madnas.program.design import point_name

    points = problems(request)
    warn_beyond(points[0][1].table, max(problem.budgets.get("macs", 0) for _, problem in points))
    swept = len(points) > 1
    names = tuple(point_name(name, values) for values, _ in points)
    files = show.OutputFiles(output, csv, plot, force, names)
    files.check()
    effort = effort_of(gap, max_nodes, solver)
    missed: list[Miss] = []
    if swept:
        designs, missed = _sweep(points, effort, name, quiet=json)
    else:
        designs = [_solve(points[0][1], effort, name, quiet=json)]
    files.write(designs)
    if json:
        show.print_json_document(designs, missed, swept)
    elif swept:
        show.print_sweep(designs)
    else:
        show.print_design(designs[0])
    if missed:
        show.print_misses(missed)
        raise typer.Exit(max(miss.error.exit_code for miss in missed))


def effort_of(gap: float, max_nodes: int, solver: str) -> "Effort":
    """How hard to try, of flags as they were typed.

    Raises:
        UsageError: a number or a solver that cannot be.
    """
    from madnas.errors import UsageError
    from madnas.program.search import Effort

    if not 0 <= gap < 100:
        raise UsageError("--gap: a percentage from 0 to 100")
    if max_nodes < 1:
        raise UsageError("--max-nodes: at least 1")
    if solver not in ("casadi", "ipopt"):
        raise UsageError(f"--solver: unknown {solver[:60]!r}; casadi or ipopt")
    return Effort(gap=gap / 100, max_nodes=max_nodes, solver=solver)


def _solve(problem: Any, effort: Any, name: str, quiet: bool) -> "Design":
    from madnas.program.design import design as solve

    from .progress import status

    with status(quiet) as watch:
        return solve(problem, replace(effort, watch=watch), name)


def _sweep(
    points: list[tuple[dict[str, Any], Any]], effort: Any, name: str, quiet: bool
) -> "tuple[list[Design], list[Miss]]":
    """Every point's network, and the points that have none; if that is all of them, the first one's error."""
    from madnas.program.design import Miss, sweep

    from .progress import track

    results = list(track(sweep(points, effort, name), len(points), "designing", quiet))
    designs = [result for result in results if not isinstance(result, Miss)]
    missed = [result for result in results if isinstance(result, Miss)]
    if not designs:
        raise missed[0].error
    return designs, missed
