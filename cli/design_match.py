"""``madnas design --match-throughput``: from the flags to a search over budgets, and to what it prints and writes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from madnas.errors import UsageError
from madnas.files import check_writable

from . import design_match_report as report
from . import design_request as asked
from .benchmark_report import request as benchmark_request
from .console import print_json
from .design_flags import SearchFlags, check_apart
from .outputs import check_places
from .progress import status

if TYPE_CHECKING:
    from madnas.measure.benchmark.duel import Duel
    from madnas.measure.benchmark.request import Request
    from madnas.program.problem import Problem
    from madnas.program.search import Effort
    from madnas.search.throughput import Matched, Measure

SPACE = "bottleneck"
"""Space of Appendix D: ResNet's blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags(SearchFlags):
    """Those of ``--match-throughput`` as well."""

    reference: str
    effort: "Effort"
    tilts: str | None
    measurements: int
    seconds: float
    precision: str
    batch_size: str
    layout: str
    compile: bool
    threads: int | None
    clock: str | None


def match(flags: Flags) -> None:
    """Search, print and write.

    Raises:
        KeyboardInterrupt: after what was found until then has been printed and written.
    """
    from madnas.measure.benchmark.duel import duel
    from madnas.search.throughput import Matching, check_task

    journal = flags.journal_place
    replaces = flags.replaces  # by what is there before the search makes a journal
    _check_files(flags, journal, replaces)
    measuring = _benchmark_request(flags)
    with status(quiet=flags.json) as say, duel(measuring, say) as measure:
        problem = _problem(flags, measure)
        task = _task(flags, problem, say)
        check_task(task)
        about = _about(flags, measure, problem)
        remembered = _remembered(flags, measure, problem, journal)
        found = Matching(task, remembered, say).run()
    found = _named(found, flags.name, about)
    report.write(report.Files(flags.output, flags.csv, flags.plot, replaces), found, about)
    if flags.json:
        from madnas.report.throughput import match_document

        print_json(match_document(found, about))
    else:
        report.print_match(found, about, journal)
    if found.interrupted:
        raise KeyboardInterrupt


def _benchmark_request(flags: Flags) -> "Request":
    if flags.precision == "int8":
        raise UsageError(
            "--precision int8: --match-throughput measures with torch, which computes no network in 8-bit integers",
            "--precision fp32, bf16 or fp16",
        )
    size = None if flags.request.resolution is None else (flags.request.resolution, flags.request.resolution)
    return benchmark_request(
        [flags.reference], flags.device, flags.precision, flags.batch_size, flags.layout, flags.threads, flags.clock,
        "infer", "torch", flags.compile, size, None, flags.seconds, False,
    )  # fmt: skip


def _problem(flags: Flags, measure: "Duel") -> "Problem":
    """The problem at scale 1: the given budgets and space, else the reference's costs, input and ResNet's blocks."""
    request, reference = flags.request, measure.reference
    given = (request.macs, request.params, request.activations, request.like, request.recipe)
    if all(one is None for one in given):
        costs = reference.costs
        request = replace(request, macs=str(costs.macs), params=str(costs.params))
    if request.recipe is None:
        request = replace(request, space=request.space or SPACE)
        if request.input_shape is None and request.resolution is None:
            request = replace(request, input_shape="x".join(map(str, reference.input)))
    points = asked.problems(request)
    if len(points) > 1:
        raise UsageError("--match-throughput searches for one network, and a flag holds a list", "give one value")
    return points[0][1]


def _task(flags: Flags, problem: "Problem", say: Callable[[str], None]) -> Any:
    from madnas.program.design import design
    from madnas.search.throughput import Task

    tilts = (1.0,) if flags.tilts is None else tuple(_number(part) for part in flags.tilts.split(","))

    def solve(scaled: "Problem", name: str, known: Any) -> Any:
        return design(scaled, flags.effort, name, known)

    return Task(problem, solve, tilts, flags.measurements, flags.name)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--params-per-mac: {text[:60]!r} is not a number", "write 0.7,1,1.4") from None


def _about(flags: Flags, measure: "Duel", problem: "Problem") -> dict[str, Any]:
    """Reference, setting and environment, as every row needs them."""
    from madnas.network.analyse import analyse
    from madnas.targets import find

    reference = measure.reference
    spec = find(flags.reference).spec
    structure = None if spec is None else analyse(spec)
    weights = problem.weights if structure is not None and len(structure.stages) == len(problem.weights) else None
    entropy = None if structure is None else float(structure.weighted_entropy(weights))
    tree = {
        "target": flags.reference, "params": reference.costs.params, "macs": reference.costs.macs,
        "input": list(reference.input), "batch_size": reference.batch, "entropy": entropy,
    }  # fmt: skip
    return {"reference": tree, "setting": measure.setting, "environment": measure.about}


def _remembered(flags: Flags, measure: "Duel", problem: "Problem", journal: Path | None) -> "Measure":
    """The measure, with the journal if there is one; another search, or another machine, is another journal."""
    from madnas.search.journal import Journal
    from madnas.search.throughput import Remembered

    if journal is None:
        return measure
    asked_for = {
        "method": "match-throughput", "reference": flags.reference, "space": problem.space.name,
        "input": list(problem.space.input), "budgets": problem.budgets, "rho": problem.rho,
        "stage_weights": list(problem.weights), "depth_penalty": problem.beta, "params_per_mac": flags.tilts,
        "gap": flags.effort.gap, "setting": measure.setting, "hardware": measure.about["hardware"],
        "driver": measure.about["driver"], "versions": measure.about["versions"],
    }  # fmt: skip
    return Remembered(measure, Journal(journal, asked_for, flags.restart))


def _named(found: "Matched", name: str, about: dict[str, Any]) -> "Matched":
    """The answer under its name, with what it was measured to be in its provenance."""
    best = found.best
    assert best.design is not None and best.bout is not None
    last, setting = best.confirmed or best.bout, about["setting"]
    matched = {
        "reference": about["reference"]["target"], "times_as_fast": round(last.ratio.value, 4),
        "interval": [round(last.ratio.low, 4), round(last.ratio.high, 4)], "rounds": last.rounds,
        "batch_size": last.batch, "hardware": about["environment"]["hardware"], "device": setting["device"],
        "threads": setting["threads"], "clock": setting["clock"], "precision": setting["precision"],
        "layout": setting["layout"], "compiled": setting["compiled"],
    }  # fmt: skip
    spec = best.design.spec
    spec = replace(spec, name=name, provenance=spec.provenance | {"match_throughput": matched})
    best = replace(best, design=replace(best.design, spec=spec))
    steps = tuple(best if step.number == best.number else step for step in found.steps)
    return replace(found, best=best, steps=steps)


def _check_files(flags: Flags, journal: Path | None, replaces: bool) -> None:
    flags.check()
    places = [path for path in (flags.output, flags.csv, flags.plot) if path is not None]
    check_places(places, flags.plot, replaces)
    if journal is not None:
        check_writable(journal, overwrite=True)
    check_apart(places, journal)
