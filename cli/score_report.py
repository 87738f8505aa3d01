"""What ``madnas score`` shows."""

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from madnas.errors import MadnasError, UsageError
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.expand import at_resolution
from madnas.network.target import resolve
from madnas.report.scores import Scored
from madnas.units import short_quantity

from .console import stdout


class MismatchError(MadnasError):
    """The closed form and the built module disagree: a bug in madnas, worth a report."""

    exit_code = 1


def score_target(target: str, resolution: int | None, verify: bool) -> Scored:
    """Score one target; with ``verify`` recount it on the built module."""
    spec = resolve(target)
    if resolution is not None:
        if spec.stem is None:
            raise UsageError(f"--resolution: {target} is an MLP, whose input has no resolution")
        spec = at_resolution(spec, resolution)
    verification = None
    if verify:
        from madnas.measure.verify import verify as recount

        verification = recount(spec)
    return Scored(target, spec, count(spec), analyse(spec), verification)


def print_scores(scored: list[Scored]) -> None:
    """The scores for people: a row a target, then the stages of each."""
    console = stdout()
    verified = any(one.verification is not None for one in scored)
    columns = ["target", "params", "MACs", "layers", "width", "rho", "entropy", "objective"]
    table = _table(*columns, *(["recount"] if verified else []))
    for one in scored:
        row = [
            escape(one.target), short_quantity(one.counts.params), short_quantity(one.counts.macs),
            str(one.counts.layers),
            f"{one.structure.width:.1f}", f"{one.structure.rho:.4f}", f"{one.structure.weighted_entropy():,.1f}",
            f"{one.structure.objective():,.1f}",
        ]  # fmt: skip
        if one.verification is not None:
            row.append("equal" if not one.verification.mismatches else "DIFFERS")
        table.add_row(*row)
    console.print(table)
    for one in scored:
        stages = _table("stage", "map", "out", "layers", "rho", "entropy (nats)")
        for number, stage in enumerate(one.structure.stages, 1):
            stages.add_row(
                str(number), f"{stage.resolution:g}", str(int(stage.out_chs)), str(int(stage.depth)),
                f"{stage.rho:.4f}", f"{stage.entropy:,.2f}",
            )  # fmt: skip
        console.print(Text.assemble((one.target, "bold"), "  stages"))
        console.print(stages)
    alone = ", nothing for a single stage" if any(len(one.structure.stages) == 1 for one in scored) else ""
    console.print(
        "entropy: stage entropies weighted 1, ..., 1, 8; "
        f"objective: minus 10 exp(variance of depths){alone}  (DeepMAD Eq. 5)"
    )


def fail_on_mismatch(scored: list[Scored]) -> None:
    """Raise if a recount differed.

    Raises:
        MismatchError: names every difference.
    """
    wrong = [f"{one.target}: {m}" for one in scored if one.verification for m in one.verification.mismatches]
    if wrong:
        raise MismatchError(
            "closed form and built module disagree: " + "; ".join(wrong), "this is a bug, please report it"
        )


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in ("target", "stage") else "right", no_wrap=True)
    return table
