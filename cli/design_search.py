"""``madnas design --method evolution`` and ``random``: from the flags to a search, and to what it prints and writes."""

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from madnas.errors import UsageError
from madnas.files import write_bytes_atomic, write_text_atomic
from madnas.network.specfile import dump_spec
from madnas.units import parse_quantity

from . import design_request as asked
from .design_flags import SearchFlags, check_apart
from .outputs import check_new_folder, check_places
from .progress import status

if TYPE_CHECKING:
    from madnas.search.family import Family
    from madnas.search.measured import Scorer
    from madnas.search.outcome import Outcome
    from madnas.search.run import Search

FREE_LENGTH = "zen-residual"
"""Default space of scores that are none of DeepMAD's."""

MOST = 10**9
"""Largest number of candidates, seconds and seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags(SearchFlags):
    """Those of ``--method evolution`` and ``random`` as well."""

    method: str
    score: str | None
    pareto: str | None
    latency: str | None
    max_depth: int | None
    candidates: int | None
    max_seconds: float | None
    seed: int
    population: int | None
    proposals: int
    survivors: int
    prescreen: bool
    mutation: str
    repeats: int
    batch_size: int
    dtype: str
    workers: int | None


def search(flags: Flags) -> None:
    """Search, print and write.

    Raises:
        KeyboardInterrupt: after what was found until then has been printed and written.
    """
    if _started_together():
        _search_together(flags)
    else:
        _search(flags)


def _started_together() -> bool:
    """Whether this is one of several processes, of torchrun or, where a script named their meeting point, of srun."""
    environment = os.environ
    by_srun = environment.get("SLURM_NTASKS", "1") != "1" and {"SLURM_PROCID", "MASTER_ADDR"} <= environment.keys()
    return environment.get("WORLD_SIZE", "1") != "1" or by_srun


def _search_together(flags: Flags) -> None:
    """Search in the first of several processes, with the help of the others (torchrun, srun)."""
    from madnas.search.shared import serve, shared
    from madnas.train.distributed import processes

    with processes(flags.device) as process:
        if process.rank > 0:
            serve(process)
            return
        with shared(process) as scorer:
            if flags.workers is not None:
                raise UsageError("--workers does nothing under torchrun, which starts the processes", "leave it out")
            _search(flags, scorer)


def _search(flags: Flags, scorer: "Scorer | None" = None) -> None:
    from madnas.search.run import run

    from . import search_report as show

    _check(flags)
    task = make_search(flags)
    files = Files(flags, front=bool(task.goal.front), journal=task.journal)
    files.check()
    with status(quiet=flags.json) as watch:
        outcome = run(task, watch, scorer)
    files.write(outcome)
    if flags.json:
        show.print_document(outcome)
    else:
        show.print_outcome(outcome, task.journal)
    if outcome.interrupted:
        raise KeyboardInterrupt


def make_search(flags: Flags) -> "Search":
    """The search that the flags ask for.

    Raises:
        UsageError: a flag that cannot be, or that does nothing.
        SpecError: a space that cannot be.
    """
    from madnas.scores.batch import process_count
    from madnas.search.effort import Effort
    from madnas.search.goal import make_goal
    from madnas.search.run import Search
    from madnas.search.timed import Timed

    family, described, budgets = _family(flags)
    if flags.latency is not None:
        family, described, budgets = _timed(flags.latency, family, described, budgets)
    asked.warn_beyond(family.table if isinstance(family, Timed) else None, budgets.get("macs"))
    score = flags.score
    if score is None:
        score = "objective" if "objective" in family.known else "zen"
    front = [part.strip() for part in flags.pareto.split(",")] if flags.pareto else []
    prescreen = flags.prescreen and flags.method == "evolution"
    goal = make_goal(score, family, budgets, front, prescreen)
    _refuse_idle(flags, measured=bool(goal.measured))
    effort = Effort(
        seed=flags.seed,
        population=flags.population or (64 if goal.measured else 256),
        proposals=flags.proposals,
        survivors=flags.survivors,
        repeats=flags.repeats,
        batch_size=flags.batch_size,
        dtype=flags.dtype,
        device=flags.device,
        random=flags.method == "random",
        prescreen=prescreen,
        candidates=flags.candidates or (96_000 if goal.measured else 200_000),
        seconds=flags.max_seconds,
    )
    workers = process_count(flags.workers, flags.device) if goal.measured else 1
    return Search(family, goal, effort, described, flags.name, workers, flags.journal_place, flags.restart)


def _family(flags: Flags) -> "tuple[Family, dict[str, Any], dict[str, float]]":
    """The space as a search sees it, as plain data, and the budgets."""
    from madnas.network.named import unknown_name
    from madnas.program.space import space_files
    from madnas.search.space import evolution_spaces, is_evolution_space

    space = flags.request.space
    named = space is not None and is_evolution_space(space)
    known = [*evolution_spaces(), *space_files()]
    if space is not None and space not in known and not Path(space).exists():
        raise unknown_name("space", space, known, "or give the path of a space file (.yaml)")
    wanted = space is None and flags.request.recipe is None and not _is_deepmads(flags.score)
    if named or wanted:
        return _free_length(flags, space or FREE_LENGTH)
    return _fixed(flags)


def _timed(
    text: str, family: "Family", described: dict[str, Any], budgets: dict[str, float]
) -> "tuple[Family, dict[str, Any], dict[str, float]]":
    """The space with the latencies of a table, which is part of what is searched, and perhaps a limit of them."""
    from madnas.measure.latency_table.table import load_limit
    from madnas.search.timed import Timed

    limit, table, path = load_limit(text, "--latency")
    if limit is not None:
        budgets = budgets | {"latency": limit}
    return Timed(family, table), described | {"latency_table": table.document()["setting"] | _digest(path)}, budgets


def _digest(path: str) -> dict[str, str]:
    from hashlib import sha256

    return {"sha256": sha256(Path(path).read_bytes()).hexdigest()}


def _is_deepmads(score: str | None) -> bool:
    """Whether a score is one that DeepMAD's spaces are for; of no score their objective is meant."""
    return score is None or ("zen" not in score and any(name in score for name in ("entropy", "objective")))


def _free_length(flags: Flags, space: str) -> "tuple[Family, dict[str, Any], dict[str, float]]":
    from madnas.search.rows import Rows
    from madnas.search.space import load_evolution_space, space_tree

    request = flags.request
    idle = {
        "--head": request.head, "--stage-weights": request.stage_weights, "--depth-penalty": request.depth_penalty,
        "--without-guideline": request.without_guideline, "--recipe": request.recipe,
    }  # fmt: skip
    for flag, value in idle.items():
        if value not in (None, ()):
            raise UsageError(f"{flag} is for DeepMAD's spaces; {space} is none of them", "leave it out")
    asked.check_numbers(request)
    made = load_evolution_space(space).customised(
        input=None if request.input_shape is None else asked.shape(request.input_shape),
        resolution=request.resolution,
        classes=request.classes,
        kernels=None if request.kernel is None else asked.kernels(request.kernel),
        multiple=request.channel_multiple,
        max_depth=flags.max_depth,
    )
    budgets: dict[str, float] = dict(asked.budgets_of(request.like)) if request.like is not None else {}
    for name in ("macs", "params", "activations"):
        text = getattr(request, name)
        if text is not None:
            budgets[name] = parse_quantity(text, f"--{name}")
    if request.max_layers is not None:
        budgets["layers"] = request.max_layers
    if request.rho is not None and request.rho.lower() != "none":
        budgets["rho"] = float(asked.rho(request.rho))
    if not budgets:
        hint = "give --params, --macs (or --flops), --max-layers or --rho"
        raise UsageError("a design needs at least one budget", hint)
    return Rows(made, plain=flags.mutation == "zen-nas"), space_tree(made), budgets


def _fixed(flags: Flags) -> "tuple[Family, dict[str, Any], dict[str, float]]":
    from madnas.search.fixed import Fixed
    from madnas.search.timed import Timed

    if flags.max_depth is not None:
        raise UsageError("--max-depth is for spaces of free length; DeepMAD's have --max-layers", "leave it out")
    points = asked.problems(flags.request)
    if len(points) > 1:
        raise UsageError(f"--method {flags.method} searches for one network, and a flag holds a list", "give one value")
    problem = points[0][1]
    budgets: dict[str, float] = dict(problem.budgets)
    if problem.rho is not None:
        budgets["rho"] = problem.rho
    names = [one.name for one in fields(problem) if one.name not in ("space", "table")]
    described: dict[str, Any] = {"space": asdict(problem.space)} | {name: getattr(problem, name) for name in names}
    described["guidelines"] = sorted(problem.guidelines)
    family = Fixed(problem, plain=flags.mutation == "zen-nas")
    if problem.table is None or flags.latency is not None:  # a flag replaces the recipe's
        return family, described, budgets
    return Timed(family, problem.table), described | {"latency_table": problem.table.document()["setting"]}, budgets


def _check(flags: Flags) -> None:
    """Refuse numbers that cannot be."""
    from madnas.scores.catalogue import DTYPES

    ranges = {
        "candidates": (1, MOST), "max_seconds": (0, MOST), "seed": (0, MOST), "population": (2, 100_000),
        "proposals": (1, 1_000_000), "survivors": (1, 100_000), "repeats": (1, 10_000), "batch_size": (1, 100_000),
        "workers": (1, 1024),
    }  # fmt: skip
    for name, (low, high) in ranges.items():
        value = getattr(flags, name)
        if value is not None and not low <= value <= high:
            raise UsageError(f"--{name.replace('_', '-')}: from {low} to {high:,}, got {value}")
    if flags.dtype not in DTYPES:
        raise UsageError(f"--dtype: unknown {flags.dtype[:60]!r}; one of {', '.join(DTYPES)}")
    if flags.mutation not in ("mixed", "zen-nas"):
        raise UsageError(f"--mutation: unknown {flags.mutation[:60]!r}; mixed or zen-nas")
    flags.check()


def _refuse_idle(flags: Flags, measured: bool) -> None:
    """Refuse settings of measured scores for a score in closed form."""
    idle = {
        "--survivors": (flags.survivors, 32),
        "--repeats": (flags.repeats, 8),
        "--batch-size": (flags.batch_size, 16),
        "--device": (flags.device, "cpu"),
        "--dtype": (flags.dtype, "float32"),
        "--workers": (flags.workers, None),
        "--no-prescreen": (flags.prescreen, True),
    }
    for flag, (value, default) in idle.items():
        if not measured and value != default:
            raise UsageError(f"{flag} does nothing: the score is in closed form", "leave it out")


@dataclass(frozen=True, slots=True)
class Files:
    """Where results go; checked before the search, written whole or not at all.

    Attributes:
        flags: the flags.
        front: whether there are several networks, and so a folder.
        journal: the search's; where it is there, files that this search has written before may be replaced.
    """

    flags: Flags
    front: bool
    journal: Path | None

    @property
    def replaces(self) -> bool:
        """See :attr:`SearchFlags.replaces`."""
        return self.flags.replaces

    def check(self) -> None:
        """Raise what would go wrong at the end.

        Raises:
            UsageError: a place that cannot be written, or two results in one.
        """
        output, csv, plot = self.flags.output, self.flags.csv, self.flags.plot
        places = [path for path in (csv, plot) if path is not None]
        if output is not None and self.front:
            check_new_folder(output, self.replaces)
        elif output is not None:
            places.append(output)
        check_places(places, plot, self.replaces)
        check_apart(places, self.journal)

    def write(self, outcome: "Outcome") -> None:
        """Write every file that was asked for."""
        from madnas.figures import picture_format, render
        from madnas.report.search import search_csv
        from madnas.report.search_plot import draw_search

        output, csv, plot = self.flags.output, self.flags.csv, self.flags.plot
        if output is not None and self.front:
            self._write_front(output, outcome)
        elif output is not None:
            write_text_atomic(output, dump_spec(outcome.best.spec), self.replaces)
        if csv is not None:
            write_text_atomic(csv, search_csv(outcome), self.replaces)
        if plot is not None:
            write_bytes_atomic(plot, render(draw_search(outcome), picture_format(plot)), self.replaces)

    def _write_front(self, output: Path, outcome: "Outcome") -> None:
        """A file for each network, and none left of those that a longer front of the same name had before."""
        from madnas.report.search import search_csv

        try:
            output.mkdir(exist_ok=True)
            for found in outcome.front:
                write_text_atomic(output / f"{found.spec.name}.yaml", dump_spec(found.spec), overwrite=True)
            for old in output.glob(f"{self.flags.name}-*.yaml"):
                number = old.stem.removeprefix(f"{self.flags.name}-")
                if number.isascii() and number.isdigit() and int(number) > len(outcome.front):
                    old.unlink()
        except OSError as error:
            raise UsageError(f"{output}: cannot be written: {error.strerror}") from error
        write_text_atomic(output / "front.csv", search_csv(outcome), overwrite=True)
