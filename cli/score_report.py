"""What ``madnas score`` runs and shows."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from madnas.errors import MadnasError, UsageError
from madnas.network.named import unknown_name
from madnas.scores.batch import NOT_SCORED
from madnas.scores.catalogue import CLOSED_FORM, DTYPES, ON_REQUEST
from madnas.scores.evaluate import Request
from madnas.units import short_quantity

from .console import print_json, stdout
from .tables import new_table

FEW = 8
"""Targets whose stages are shown."""

LONG = 1e9
"""Values from which on a few digits are shown: penalties of deep networks have up to a hundred."""

BACKBONE = ("backbone-params", "backbone-macs")
"""Costs without head."""

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
    if not 0 <= seed < 2**32:
        raise UsageError(f"--seed: a whole number from 0 to below 2^32, got {seed}")
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
    console.print(f"input: {_inputs(results)}", markup=False, highlight=False)
    if any(name in result["scores"] for result in results for name in BACKBONE):
        console.print(_backbone_table(results))
    if metrics:
        console.print(_metric_table(results, metrics))
        most = max(
            (result["scores"][name]["n"] for result in results for name in metrics if name in result["scores"]),
            default=1,
        )
        if most > 1:
            console.print(f"mean ± standard deviation of {most} draws of weights and inputs")
    _print_failed(results)
    for result in results if len(results) <= FEW and not metrics else []:
        if not result["stages"]:
            continue
        stages = new_table("stage", "map", "out", "layers", "rho", "entropy (nats)")
        for number, stage in enumerate(result["stages"], 1):
            stages.add_row(
                str(number), f"{stage['resolution']:.4g}", str(stage["out"]), str(stage["layers"]),
                f"{stage['rho']:.4f}", f"{stage['entropy']:,.2f}",
            )  # fmt: skip
        console.print(Text.assemble((result["target"], "bold"), "  stages"))
        console.print(stages)
    if len(results) > FEW or metrics:
        console.print("stages: without --metrics and for few targets, or in --json and in the file of -o")
    console.print(
        "entropy: stage entropies weighted 1, ..., 1, 8, a single stage 1; objective: minus 10 exp(variance of "
        "depths), nothing for a single stage (DeepMAD Eq. 5)",
    )


def _print_failed(results: list[dict[str, Any]]) -> None:
    """What there is not, a line for each reason."""
    for result in results:
        names: dict[str, list[str]] = {}
        for name, reason in result["failed"].items():
            names.setdefault(reason, []).append(name)
        for reason, which in names.items():
            stdout().print(f"{escape(result['target'])}: no {', '.join(which)}: {escape(reason)}", highlight=False)


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
        elif verified:
            cells.append("-")
        table.add_row(*cells)
    return table


def _backbone_table(results: list[dict[str, Any]]) -> Table:
    table = new_table("backbone", "params", "MACs", "of all MACs")
    for result in results:
        scores = result["scores"]
        if all(name in scores for name in BACKBONE):
            params, macs = (scores[name]["value"] for name in BACKBONE)
            share = f"{macs / scores['macs']['value']:.1%}"
            table.add_row(escape(result["target"]), short_quantity(params), short_quantity(macs), share)
    return table


def _inputs(results: list[dict[str, Any]]) -> str:
    """The size of the inputs, once if it is the same of all."""
    sizes = {result["target"]: " x ".join(map(str, result["input"])) for result in results if result["input"]}
    if len(set(sizes.values())) == 1:
        return next(iter(sizes.values()))
    if len(sizes) > FEW:
        return "of several sizes, see --csv or --json"
    return ", ".join(f"{target} {size}" for target, size in sizes.items())


def _metric_table(results: list[dict[str, Any]], metrics: Sequence[str]) -> Table:
    """What was measured, beside the baselines that a proxy has to beat."""
    baselines = {"params": "params", "macs": "MACs"}
    cell = {
        (result["target"], name): short_quantity(result["scores"][name]["value"]) if name in result["scores"] else "-"
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
    from madnas.scores.ranks import BASELINES, FEWEST_FOR_INTERVAL

    console = stdout()
    table = new_table("name", "networks", "Kendall tau", "95 % interval", "params there", "MACs there", "Spearman rho",
                      "95 % interval")  # fmt: skip
    for name, row in ranks["scores"].items():
        cells = []
        for kind in ("kendall", "spearman"):
            found = row[kind]
            known = found["value"] is not None
            cells.append(f"{found['value']:.3f}" if known else "all alike")
            cells.append("-" if found["low"] is None else f"{found['low']:.3f} to {found['high']:.3f}")
            if kind == "kendall":
                there = (row["baselines"].get(one) for one in BASELINES)
                cells += ["-" if tau is None else f"{tau:.3f}" for tau in there]
        table.add_row(name, str(row["n"]), *cells)
    console.print(table)
    _print_failed(results)
    for name, number in ranks["left_out"].items():
        console.print(f"{name}: only {number} networks have it, too few to rank")
    lower = [name for name, entry in ON_REQUEST.items() if entry.lower_is_better and name in ranks["scores"]]
    told = f"; a good {', '.join(lower)} is low, so its correlation should be negative" if lower else ""
    console.print(
        f"intervals: {ranks['resamples']} bootstrap resamples, from {FEWEST_FOR_INTERVAL} networks on; params and MACs "
        f"there: tau of the baselines that a score has to beat, on the networks that have the score{told}"
    )


def fail_on_unscored(results: list[dict[str, Any]]) -> None:
    """Raise if a target could not be scored at all.

    Raises:
        UsageError: says how many.
    """
    wrong = [one["target"] for one in results if NOT_SCORED in one["failed"]]
    if wrong:
        raise UsageError(f"{len(wrong)} of {len(results)} targets could not be scored: {', '.join(wrong[:5])}")


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
