"""What ``madnas score`` runs and shows."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from madnas.errors import MadnasError, UsageError
from madnas.network.named import unknown_name
from madnas.scores.catalogue import CLOSED_FORM, DTYPES, ON_REQUEST
from madnas.scores.evaluate import Request, evaluate
from madnas.scores.journal import Journal, key_of
from madnas.scores.targets import find
from madnas.units import short_quantity

from .console import print_json, stdout
from .progress import status
from .tables import new_table

FEW = 8
"""Targets whose stages are shown."""

LONG = 1e9
"""Values from which on a few digits are shown: penalties of deep networks have up to a hundred."""

MANY = 4
"""Metrics beyond which they are rows and the targets columns."""


class MismatchError(MadnasError):
    """The closed form and the built module disagree: a bug in madnas, worth a report."""

    exit_code = 1


def metric_names(text: str | None) -> list[str]:
    """The metrics of a comma-separated list that have to be computed.

    Raises:
        UsageError: an unknown one.
    """
    names = [] if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in CLOSED_FORM and name not in ON_REQUEST:
            raise unknown_name("metric", name, (*CLOSED_FORM, *ON_REQUEST))
    return [name for name in dict.fromkeys(names) if name in ON_REQUEST]


def check_numbers(repeats: int, seed: int, batch_size: int, workers: int | None, dtype: str) -> None:
    """Refuse impossible settings.

    Raises:
        UsageError: names the option.
    """
    if not 1 <= repeats <= 100_000:
        raise UsageError(f"--repeats: from 1 to 100000, got {repeats}")
    if not 0 <= seed < 2**62:
        raise UsageError(f"--seed: a whole number from 0 to below 2^62, got {seed}")
    if not 2 <= batch_size <= 100_000:
        raise UsageError(f"--batch-size: from 2 to 100000, got {batch_size}", "batch norms need two images")
    if workers is not None and not 1 <= workers <= 1024:
        raise UsageError(f"--workers: from 1 to 1024, got {workers}")
    if dtype not in DTYPES:
        raise UsageError(f"--dtype: unknown {dtype[:60]!r}", f"known: {', '.join(DTYPES)}")


def refuse_unused(repeats: int, batch_size: int, seed: int, device: str, dtype: str) -> None:
    """Refuse settings of random scores where none is computed.

    Raises:
        UsageError: names them.
    """
    defaults = Request("")
    given = {"--repeats": repeats != defaults.repeats, "--batch-size": batch_size != defaults.batch_size,
             "--seed": seed != defaults.seed, "--device": device != defaults.device,
             "--dtype": dtype != defaults.dtype}  # fmt: skip
    unused = [flag for flag, is_given in given.items() if is_given]
    if unused:
        raise UsageError(f"{', '.join(unused)}: for scores at initialisation only", "give --metrics zen, say")


def score_all(
    requests: Sequence[Request], workers: int | None, output: Path | None, restart: bool, quiet: bool
) -> list[dict[str, Any]]:
    """Score every target, in as many processes as there are cores or GPUs; what the file has is not computed again.

    Raises:
        UsageError: a target that names nothing, before any work; a file that is none of ours.
    """
    targets = [find(request.word) for request in requests]
    measures = any(request.metrics for request in requests)
    if measures:
        from madnas.device import check_device

        check_device(requests[0].device)
    journal = Journal(output, restart) if output is not None else None
    keys = [key_of(*pair) if journal else "" for pair in zip(requests, targets, strict=True)]
    found = {place: journal.lines[key] for place, key in enumerate(keys) if journal and key in journal.lines}
    first = {request: place for place, request in reversed(list(enumerate(requests)))}  # a word given twice is one
    todo = [place for place in range(len(requests)) if place not in found and first[requests[place]] == place]
    heavy = measures or any(target.spec is None for target in targets)
    processes = min(_processes(workers, requests[0].device), len(requests)) if heavy else 1
    # Of all requests, so that what an interrupt left over is computed as it would have been.
    placed = _placed(requests, processes)
    with status(quiet) as say:

        def progress(index: int, share: float) -> None:
            say(f"{len(found)} of {len(requests)} targets scored; {requests[todo[index]].word} {share:.0%}")

        def done(index: int, result: dict[str, Any]) -> None:
            place = todo[index]
            found[place] = result
            if journal is not None and not any("out of memory" in reason for reason in result["failed"].values()):
                journal.add(keys[place], result)  # what may succeed another time is tried again
            say(f"{len(found)} of {len(requests)} targets scored")

        from madnas.workers import run_tasks

        run_tasks(evaluate, [placed[place] for place in todo], processes, progress, done)
    return [found[place if place in found else first[request]] for place, request in enumerate(requests)]


def _processes(workers: int | None, device: str) -> int:
    """Processes: as many as asked for, else one for every core, or for every GPU of ``cuda``."""
    if workers is not None:
        return workers
    if device == "cpu":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if device == "cuda":
        import torch

        return max(1, torch.cuda.device_count())
    return 1


def _placed(requests: Sequence[Request], processes: int) -> list[Request]:
    """Requests with the device and threads that each will have: GPUs in turn; one thread beside other processes."""
    if processes <= 1:
        return list(requests)
    if requests[0].device == "cuda":
        import torch

        gpus = torch.cuda.device_count()
        return [replace(request, device=f"cuda:{place % gpus}") for place, request in enumerate(requests)]
    return [replace(request, single_thread=True) for request in requests]


def print_list(json: bool) -> None:
    """Every score with a line on what it is."""
    rows = {name: (summary, "closed form") for name, summary in CLOSED_FORM.items()}
    rows |= {name: (entry.summary, "on request") for name, entry in ON_REQUEST.items()}
    if json:
        scores = [{"name": name, "summary": summary, "kind": kind} for name, (summary, kind) in rows.items()]
        print_json({"schema": "madnas/score-list/1", "scores": scores})
        return
    table = new_table("name", "summary")
    for name, (summary, kind) in rows.items():
        table.add_row(name, summary + ("" if kind == "on request" else "; always there"))
    stdout().print(table)
    stdout().print("Those that are not always there are computed with --metrics NAME,NAME.")


def print_scores(results: list[dict[str, Any]], metrics: Sequence[str]) -> None:
    """The scores for people: what is in closed form, what was measured, then the stages of each."""
    console = stdout()
    console.print(_structure_table(results))
    if metrics:
        console.print(_metric_table(results, metrics))
        most = max(
            (result["scores"][name]["n"] for result in results for name in metrics if name in result["scores"]),
            default=1,
        )
        if most > 1:
            console.print(f"mean ± standard deviation of {most} draws of weights and inputs")
    for result in results:
        for name, reason in result["failed"].items():
            console.print(f"{escape(result['target'])}: no {name}: {escape(reason)}", highlight=False)
    for result in results if len(results) <= FEW and not metrics else []:
        if not result["stages"]:
            continue
        stages = new_table("stage", "map", "out", "layers", "rho", "entropy (nats)")
        for number, stage in enumerate(result["stages"], 1):
            stages.add_row(
                str(number), f"{stage['resolution']:g}", str(stage["out"]), str(stage["layers"]),
                f"{stage['rho']:.4f}", f"{stage['entropy']:,.2f}",
            )  # fmt: skip
        console.print(Text.assemble((result["target"], "bold"), "  stages"))
        console.print(stages)
    if len(results) > FEW or metrics:
        console.print("stages: without --metrics and for few targets, or in --json and in the file of -o")
    console.print(
        "entropy: stage entropies weighted 1, ..., 1, 8; objective: minus 10 exp(variance of depths), nothing for a "
        "single stage (DeepMAD Eq. 5)",
    )


FORMATS = {
    "layers": "{:d}", "width": "{:.1f}", "rho": "{:.4f}", "entropy": "{:,.1f}", "objective": "{:,.1f}",
    "nn-mass": "{:,.1f}", "density": "{:.4f}", "units": "{:,d}",
}  # fmt: skip
"""How scores in closed form are written, params and MACs aside."""


def _structure_table(results: list[dict[str, Any]]) -> Table:
    columns = {"params": "params", "macs": "MACs"} | {name: name for name in FORMATS} | {"nn-mass": "NN-Mass"}
    verified = any("verified" in result for result in results)
    table = new_table("target", *columns.values(), *(["recount"] if verified else []))
    for result in results:
        cells = [escape(result["target"])]
        for name in columns:
            score = result["scores"].get(name)
            if score is None:
                cells.append("-")
            elif name in FORMATS:
                form = FORMATS[name] if abs(score["value"]) < LONG else "{:.3e}"
                cells.append(form.format(score["value"]))
            else:
                cells.append(short_quantity(score["value"]))
        if "verified" in result:
            cells.append("equal" if result["verified"]["matches"] else "DIFFERS")
        table.add_row(*cells)
    return table


def _metric_table(results: list[dict[str, Any]], metrics: Sequence[str]) -> Table:
    """What was measured, beside the baselines that a proxy has to beat."""
    baselines = {"params": "params", "macs": "MACs"}
    cell = {
        (result["target"], name): short_quantity(result["scores"][name]["value"])
        for result in results
        for name in baselines
    }
    cell |= {(result["target"], name): _measured(result, name) for result in results for name in metrics}
    if len(metrics) <= MANY:
        table = new_table("target", *baselines.values(), *metrics)
        for result in results:
            table.add_row(escape(result["target"]), *(cell[result["target"], name] for name in (*baselines, *metrics)))
        return table
    table = new_table("name", *(escape(result["target"]) for result in results))
    for name in (*baselines, *metrics):
        table.add_row(baselines.get(name, name), *(cell[result["target"], name] for result in results))
    return table


def _measured(result: dict[str, Any], name: str) -> str:
    score = result["scores"].get(name)
    if score is None:
        return "-"
    value, std, n = score["value"], score["std"], score["n"]
    return f"{value:.6g}" if n == 1 else f"{value:.6g} ± {std:.2g}"


def print_ranks(results: list[dict[str, Any]], ranks: dict[str, Any]) -> None:
    """How every score ranks the networks beside their accuracies."""
    console = stdout()
    table = new_table("name", "networks", "Kendall tau", "95 % interval", "Spearman rho", "95 % interval")
    for name, row in ranks["scores"].items():
        cells = []
        for kind in ("kendall", "spearman"):
            found = row[kind]
            known = found["value"] is not None
            cells.append(f"{found['value']:.3f}" if known else "-")
            cells.append(f"{found['low']:.3f} to {found['high']:.3f}" if known else "all alike")
        table.add_row(name, str(row["n"]), *cells)
    console.print(table)
    for result in results:
        for name, reason in result["failed"].items():
            console.print(f"{escape(result['target'])}: no {name}: {escape(reason)}", highlight=False)
    for name, number in ranks["left_out"].items():
        console.print(f"{name}: only {number} networks have it, too few to rank")
    lower = [name for name, entry in ON_REQUEST.items() if entry.lower_is_better and name in ranks["scores"]]
    told = f"; a good {', '.join(lower)} is low, so its correlation should be negative" if lower else ""
    console.print(
        f"intervals: {ranks['resamples']} bootstrap resamples of the {ranks['n']} networks; params and MACs are the "
        f"baselines that a score has to beat{told}"
    )


def fail_on_mismatch(results: list[dict[str, Any]]) -> None:
    """Raise if a recount differed.

    Raises:
        MismatchError: names every difference.
    """
    wrong = [f"{one['target']}: {m}" for one in results if "verified" in one for m in one["verified"]["mismatches"]]
    if wrong:
        raise MismatchError(
            "closed form and built module disagree: " + "; ".join(wrong), "this is a bug, please report it"
        )
