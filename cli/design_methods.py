"""Which options of ``madnas design`` belong to which method; one that the chosen method has no use for is refused."""

import typer

METHODS = ("program", "evolution", "random")

PROGRAM_ALONE = ("gap", "max_nodes", "solver")

SEARCH_ALONE = (
    "score", "pareto", "max_depth", "candidates", "max_seconds", "seed", "population", "proposals",
    "survivors",
    "prescreen", "mutation", "repeats", "batch_size", "device", "dtype", "workers", "journal", "restart",
)  # fmt: skip
"""Options that only one of the methods has."""

MATCH_ALONE = (
    "params_per_mac", "measurements", "seconds", "precision", "layout", "compile", "threads", "clock",
)  # fmt: skip
"""Options of ``--match-throughput``, ..."""

MATCH_TOO = ("device", "batch_size", "journal", "restart")
"""... and those that it shares with searches."""


def refuse_idle(context: typer.Context, method: str, matching: bool) -> None:
    """Refuse an unknown method, and options that the chosen one has no use for."""
    from madnas.errors import UsageError
    from madnas.network.named import unknown_name

    if method not in METHODS:
        raise unknown_name("--method", method, METHODS)
    if matching and method != "program":
        raise UsageError(
            "--match-throughput scales the budgets of the mathematical program", f"leave --method {method} out"
        )

    def given_of(names: tuple[str, ...]) -> list[str]:
        return [name for name in names if context.get_parameter_source(name).name == "COMMANDLINE"]  # type: ignore[union-attr]

    alone = given_of(() if matching else MATCH_ALONE)
    if alone:
        raise UsageError(f"--{alone[0].replace('_', '-')} does nothing without --match-throughput", "leave it out")
    others = PROGRAM_ALONE if method != "program" else SEARCH_ALONE
    given = [name for name in given_of(others) if not (matching and name in MATCH_TOO)]
    if given:
        flag = f"--{given[0].replace('_', '-')}"
        raise UsageError(
            f"{flag} does nothing with --method {method}",
            "leave it out, or give --method " + ("evolution" if method == "program" else "program"),
        )
