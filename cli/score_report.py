"""What ``madnas score`` shows."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from madnas.errors import MadnasError, UsageError
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.expand import at_resolution
from madnas.network.mass import nn_mass
from madnas.network.named import unknown_name
from madnas.network.spec import NetworkSpec
from madnas.network.target import resolve
from madnas.network.timm_names import PREFIX, timm_spec
from madnas.report.scores import Scored, Traced
from madnas.units import short_quantity

from .console import stdout
from .tables import new_table

if TYPE_CHECKING:
    from madnas.scores.registry import Measured


class MismatchError(MadnasError):
    """The closed form and the built module disagree: a bug in madnas, worth a report."""

    exit_code = 1


METRICS = ("ldi",)
"""Scores of a module, as :mod:`madnas.scores.registry` has them; told here so that help and errors need no torch."""


CLOSED_FORM = ("params", "macs", "activations", "layers", "width", "rho", "entropy", "objective", "nn-mass", "density",
               "units")  # fmt: skip
"""Scores that are always there, and may be asked for as well."""


def metric_names(text: str | None, repeats: int, seed: int) -> list[str]:
    """The metrics of a comma-separated list.

    Raises:
        UsageError: an unknown one, or an impossible number of draws.
    """
    names = [] if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in (*METRICS, *CLOSED_FORM):
            raise unknown_name("metric", name, (*METRICS, *CLOSED_FORM))
    if not 1 <= repeats <= 100_000:
        raise UsageError(f"--repeats: from 1 to 100000, got {repeats}")
    if not 0 <= seed < 2**62:
        raise UsageError(f"--seed: a whole number from 0, got {seed}")
    return [name for name in dict.fromkeys(names) if name in METRICS]


def score_target(
    target: str,
    resolution: int | None,
    verify: bool,
    metrics: Sequence[str] = (),
    repeats: int = 8,
    seed: int = 0,
    device: str = "cpu",
) -> Scored | Traced:
    """Score one target; with ``verify`` recount it on the built module; timm's others from their trace."""
    if target.startswith(PREFIX) and timm_spec(target) is None:
        if verify or metrics:
            raise UsageError(f"{target}: no spec describes it, so --verify and --metrics have nothing to work on")
        return _trace(target, resolution)
    spec = resolve(target)
    if resolution is not None:
        if spec.is_mlp:
            raise UsageError(f"--resolution: {target} is an MLP, whose input has no resolution")
        spec = at_resolution(spec, resolution)
    verification = None
    if verify:
        from madnas.measure.verify import verify as recount

        verification = recount(spec)
    measured, failed = _measure(spec, metrics, repeats, seed, device) if metrics else ({}, {})
    return Scored(target, spec, count(spec), analyse(spec), nn_mass(spec), measured, failed, verification)


def _trace(target: str, resolution: int | None) -> Traced:
    """Costs and topology of a timm model, from its module.

    Raises:
        UsageError: timm has no such model, or it cannot be traced or take this input.
    """
    import timm

    from madnas.measure.module_count import count_module
    from madnas.measure.topology import topology

    name = target.removeprefix(PREFIX)
    if not timm.is_model(name.partition(".")[0]):
        raise unknown_name("timm model", name, timm.list_models())
    model: Any = timm.create_model(name)
    channels, height, width = model.default_cfg["input_size"]
    shape = (channels, height, width) if resolution is None else (channels, resolution, resolution)
    found = topology(model, shape)
    return Traced(target, shape, count_module(model, shape), found)


def _measure(
    spec: NetworkSpec, metrics: Sequence[str], repeats: int, seed: int, device: str
) -> "tuple[dict[str, Measured], dict[str, str]]":
    """Scores of the built module, and why there is none where it is not defined."""
    from madnas.scores.device import check_device
    from madnas.scores.registry import measure

    check_device(device)
    measured, failed = {}, {}
    for name in metrics:
        try:
            measured[name] = measure(spec, name, repeats, seed, device)
        except UsageError as error:
            failed[name] = str(error)
    return measured, failed


def print_scores(results: list[Scored | Traced]) -> None:
    """The scores for people: a row a target, then the stages of each."""
    console = stdout()
    traced = [one for one in results if isinstance(one, Traced)]
    if traced:
        console.print(_traced_table(traced))
        for other in traced:
            for name, reason in other.failed.items():
                console.print(f"{escape(other.target)}: {name} {reason}")
    scored = [one for one in results if isinstance(one, Scored)]
    if not scored:
        return
    verified = any(one.verification is not None for one in scored)
    columns = ["target", "params", "MACs", "layers", "width", "rho", "entropy", "objective"]
    table = new_table(*columns, *(["recount"] if verified else []))
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
    console.print(_topology(scored))
    for one in scored:
        for name, reason in one.failed.items():
            console.print(f"{escape(one.target)}: no {name}: {reason}")
    for one in scored:
        stages = new_table("stage", "map", "out", "layers", "rho", "entropy (nats)")
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


def _traced_table(traced: list[Traced]) -> Table:
    """Networks that only their module is known of."""
    table = new_table("target", "params", "MACs", "NN-Mass", "density", "blocks")
    for one in traced:
        mass = [f"{one.topology.mass:,.1f}", f"{one.topology.density:.4f}"] if one.topology.blocks else ["-", "-"]
        kinds = Counter(block.kind for block in one.topology.blocks)
        blocks = ", ".join(f"{number} {kind}" for kind, number in kinds.items()) or "none known"
        counts = [short_quantity(one.counts.params), short_quantity(one.counts.macs)]
        table.add_row(escape(one.target), *counts, *mass, blocks)
    return table


def _topology(scored: list[Scored]) -> Table:
    """NN-Mass and what was measured on the module."""
    metrics = list(dict.fromkeys(name for one in scored for name in (*one.measured, *one.failed)))
    table = new_table("target", "NN-Mass", "density", "non-linear units", *metrics)
    for one in scored:
        cells = [escape(one.target), f"{one.mass.mass:,.1f}", f"{one.mass.density:.4f}", f"{int(one.mass.units):,}"]
        table.add_row(*cells, *[_cell(one, name) for name in metrics])
    return table


def _cell(one: Scored, name: str) -> str:
    if name not in one.measured:
        return "-"
    found = one.measured[name]
    return f"{found.value:.4f} ± {found.std:.4f} (n {found.n})"


def fail_on_mismatch(results: list[Scored | Traced]) -> None:
    """Raise if a recount differed.

    Raises:
        MismatchError: names every difference.
    """
    scored = [one for one in results if isinstance(one, Scored)]
    wrong = [f"{one.target}: {m}" for one in scored if one.verification for m in one.verification.mismatches]
    if wrong:
        raise MismatchError(
            "closed form and built module disagree: " + "; ".join(wrong), "this is a bug, please report it"
        )
