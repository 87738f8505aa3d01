"""From a document to its part of the page, by its schema; one that nobody knows is shown as what it says."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from madnas.errors import MadnasError, SpecError
from madnas.measure.latency_table.table import table_from
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.spec import NetworkSpec
from madnas.network.specfile import parse_spec
from madnas.report.page.collect import OURS, Found
from madnas.report.page.draw import draw_course, draw_network, draw_points, draw_prediction
from madnas.report.page.html import Section, Table
from madnas.report.page.values import facts_table, flat, rows_table, shown
from madnas.units import counted, megabytes, short_quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = tuple["Figure | tuple[bytes, str]", str]

HIDDEN = frozenset({"rounds_seconds", "environment", "stages", "spec", "provenance", "history", "points"})
"""Keys that a row of a table does not show: long, or shown elsewhere."""

VERSION = "/1"
"""Of every schema so far."""

WRITE_ANEW = "give what the command printed with --json, as it is"

EVIDENCE = ("hardware", "driver", "cores", "threads", "load", "versions", "command", "commit", "time")
"""What is shown of where numbers come from, in this order."""


def section(found: Found) -> Section:
    """The part of the page for something that was found.

    Raises:
        SpecError: a document of a schema that is none of ours, or that lacks what its schema has.
    """
    make = KNOWN.get(found.kind) or KNOWN.get(found.kind.removesuffix(VERSION))
    if make is None:
        if found.kind.removesuffix(VERSION) not in OTHERS:
            raise SpecError(found.source, [f"schema {found.kind[:80]!r} is none that this version of madnas writes"])
        make = _anything
    try:
        return make(found)
    except MadnasError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        what = found.kind if found.kind.startswith(OURS) else f"log of {found.kind}"
        raise SpecError(found.source, [f"not a whole {what}: {_lack(error)}"], WRITE_ANEW) from error


def _lack(error: Exception) -> str:
    """What a document lacks, by the error that reading it ended in."""
    if isinstance(error, KeyError):
        return f"missing {error.args[0]!r}"
    if isinstance(error, IndexError):
        return "a list is shorter than it should be"
    return f"a value is not what it should be ({str(error)[:100]})"


def _results(found: Found) -> list[dict[str, Any]]:
    """The rows of a document.

    Raises:
        SpecError: they are no list of trees, or none.
    """
    rows = found.content["results"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SpecError(found.source, [f"not a whole {found.kind}: 'results' is no list of results"], WRITE_ANEW)
    if not rows and not found.content.get("failed"):
        raise SpecError(found.source, [f"nothing to show: 'results' of this {found.kind} is empty"])
    return rows


def _network(found: Found) -> Section:
    spec = found.content
    if not isinstance(spec, NetworkSpec):
        spec = parse_spec(spec, found.source)
    return _described(spec, found.source, f"Network {spec.name}")


def _described(spec: NetworkSpec, source: str, title: str) -> Section:
    costs, structure = count(spec), analyse(spec)
    words = [
        f"{short_quantity(costs.params)} params, {short_quantity(costs.macs)} MACs, {int(costs.layers)} layers on the "
        f"main path, average width {float(structure.width):.1f}, ρ {float(structure.rho):.4f}, weighted entropy "
        f"{float(structure.weighted_entropy()):,.1f} nats, input {'x'.join(map(str, spec.input))}."
    ]
    return Section(
        title, source, words, [(draw_network(spec), f"widths and entropies of {spec.name}")], [_groups(spec)]
    )


def _groups(spec: NetworkSpec) -> Table:
    columns = ("part", "block", "stride", "kernel", "hidden", "out", "blocks")
    rows = []
    if spec.stem is not None:
        rows.append(["stem", "conv", str(spec.stem.stride), str(spec.stem.kernel), "", str(spec.stem.out), "1"])
    for number, group in enumerate(spec.groups, 1):
        hidden = f"x {group.expand:g}" if group.expand is not None else shown(group.hidden)
        block = group.block + (f" + SE ({group.se})" if group.se != "none" else "")
        kernel = shown(group.kernel)
        rows.append([f"group {number}", block, str(group.stride), kernel, hidden, str(group.out), str(group.depth)])
    if spec.head.conv is not None:
        rows.append(["head", "conv", "1", "1", "", str(spec.head.conv), "1"])
    rows.append(["head", "linear", "", "", "", str(spec.head.classes), ""])
    return Table(columns, rows)


def _design(found: Found) -> Section:
    tree = found.content
    spec = parse_spec(tree["spec"], f"{found.source}, spec")
    made = _described(spec, found.source, f"{_what(found.kind)}: {spec.name}")
    _budgets(made, tree)
    rest = {key: value for key, value in tree.items() if key not in ("schema", "spec", "budgets", "counts", "stages")}
    made.tables.append(facts_table(rest))
    _lists(made, rest)
    return made


def _budgets(made: Section, tree: dict[str, Any]) -> None:
    """A table of the budgets, first."""
    budgets = [
        [name, _cost(name, one["value"]), _cost(name, one["limit"]), f"{100 * one['value'] / one['limit']:.2f} %"]
        for name, one in tree.get("budgets", {}).items()
        if one.get("limit")
    ]
    if budgets:
        made.tables.insert(0, Table(("budget", "used", "limit", "share"), budgets))


def _cost(name: str, value: float) -> str:
    if name == "latency":
        return f"{1e3 * value:.4g} ms"
    return f"{value:.4g}" if name == "rho" else short_quantity(value)


def _search(found: Found) -> Section:
    tree = found.content
    spec = parse_spec(tree["spec"], f"{found.source}, spec")
    made = _described(spec, found.source, f"{_what(found.kind)}: {spec.name}")
    fitness, did, program = tree["fitness"], tree["search"], tree["program"]
    value = f"{fitness['value']:,.6g}"
    value += f" ± {fitness['std']:.2g} over {fitness['n']} draws" if fitness["std"] else ""
    made.words.append(
        f"{tree['method'].capitalize()} in space {did['space']} found {tree['score']} = {value}: "
        f"{did['proposed']:,} candidates proposed, {did['scored']:,} scored, seed {did['seed']}, "
        f"{tree['rates']['seconds']:,.0f} s." + (" It was stopped early." if tree["interrupted"] else "")
    )
    if program is not None:
        made.words.append(
            f"The mathematical program: {program['objective']:,.1f} nats, bound {program['bound']:,.1f}, gap "
            f"{100 * program['gap']:.3f} %."
        )
    if tree["history"]:
        made.figures.append((draw_course(tree["history"], tree["score"], program), "the course of the search"))
    _budgets(made, tree)
    if len(tree["scores"]) > 1:
        made.tables.append(rows_table([{"score": name} | score for name, score in tree["scores"].items()]))
    if tree["front"]:
        front = [
            {"name": one["spec"]["name"], tree["score"]: one["fitness"]["value"]} | one["counts"] | {"rho": one["rho"]}
            for one in tree["front"]
        ]  # fmt: skip
        made.tables.append(rows_table(front, "The front"))
    if tree["failed"]:
        failed = [[str(number), reason] for reason, number in tree["failed"].items()]
        made.tables.append(Table(("candidates", "why they have no score"), failed))
    return made


def _sweep(found: Found) -> Section:
    rows = [] if found.content["results"] == [] else _results(found)
    made = Section(f"Sweep, {len(rows)} designs", found.source)
    points = [
        {"name": row["spec"]["name"]} | {f"{key}": value for key, value in row.get("swept", {}).items()}
        | {name: used["value"] for name, used in row["budgets"].items()}
        | {key: row[key] for key in ("rho", "entropy", "objective", "bound", "gap", "pareto") if key in row}
        for row in rows
    ]  # fmt: skip
    swept = next((key for row in rows for key in row.get("swept", {})), None)
    if swept is not None:
        made.figures.append(
            (draw_points(points, swept, ["entropy", "objective"]), f"entropy and objective over {swept}")
        )
    made.tables.append(rows_table(points))
    missed = found.content.get("missed", [])
    if missed:
        made.tables.append(rows_table(missed, "Without a network"))
    return made


def _scores(found: Found) -> Section:
    from madnas.report.score_plot import draw_scores

    results = _results(found)
    names = list(dict.fromkeys(name for row in results for name in row["scores"]))
    rows = []
    for row in results:
        cells = [row["target"]]
        for name in names:
            score = row["scores"].get(name)
            spread = "" if score is None or score.get("n", 1) == 1 else f" ± {score['std']:.2g}"
            cells.append("" if score is None else shown(score["value"], name) + spread)
        rows.append(cells)
    metrics = [name for name in names if any(row["scores"].get(name, {}).get("n", 1) > 1 for row in results)]
    made = Section(f"Scores of {len(results)} networks", found.source, tables=[Table(["target", *names], rows)])
    made.figures.append((draw_scores(results, metrics), "scores of all networks"))
    failed = [[row["target"], name, reason] for row in results for name, reason in row["failed"].items()]
    if failed:
        made.tables.append(Table(("target", "score", "why there is none"), failed))
    return made


def _benchmark(found: Found) -> Section:
    from madnas.report.benchmark_plot import draw_benchmark

    tree, results = found.content, _results(found)
    made = Section(f"Benchmark of {len(results)} networks", found.source)
    setting = ", ".join(
        f"{name} {shown(value)}" for name, value in tree["setting"].items() if value not in (None, False)
    )
    made.words.append(f"Setting: {setting}. Times as fast: images per second over those of the first, 95 % interval.")
    rows = []
    for row in results:
        latency, ratio = row["latency_seconds"], row["ratio_to_first"]
        memory, share = row["peak_memory_bytes"], row["flops_share_of_peak"]
        interval = "" if ratio["low"] == ratio["high"] else f" ({ratio['low']:.3g} to {ratio['high']:.3g})"
        rows.append([
            row["name"], short_quantity(row["params"]), short_quantity(row["macs"]), str(row["batch_size"]),
            f"{1e3 * latency['p50']:.4g}", f"{1e3 * latency['p95']:.4g}", f"{100 * latency['spread']:.0f} %",
            str(latency["n"]), f"{row['images_per_second']:,.4g}", "-" if memory is None else megabytes(memory),
            f"{row['flops_per_second'] / 1e9:,.3g}", "-" if share is None else f"{100 * share:.0f} %",
            f"{ratio['value']:.3g}" + interval,
        ])  # fmt: skip
    columns = ("target", "params", "MACs", "batch", "p50 ms", "p95 ms", "spread", "n", "images/s", "peak MB", "GFLOP/s",
               "of peak", "times as fast")  # fmt: skip
    made.tables.append(Table(columns, rows))
    if results:
        made.figures.append((draw_benchmark(tree), "latencies and ratios"))
        made.evidence = _evidence(results[0]["environment"])
    if tree["failed"]:
        made.tables.append(
            Table(("target", "why it was not measured"), [list(pair) for pair in tree["failed"].items()])
        )
    return made


def _match(found: Found) -> Section:
    from madnas.report.throughput import draw_match

    tree = found.content
    design, reference, ratio = tree["design"], tree["reference"], tree["ratio"]
    spec = parse_spec(design["spec"], f"{found.source}, design.spec")
    made = _described(spec, found.source, f"{spec.name}: as fast as {reference['target']}")
    theirs = reference["entropy"]
    made.words += [
        f"{tree['images_per_second']:,.4g} images/s, {ratio['value']:.3f} times as fast as {reference['target']} "
        f"({ratio['low']:.3f} to {ratio['high']:.3f}), which has {short_quantity(reference['params'])} params, "
        f"{short_quantity(reference['macs'])} MACs" + ("" if theirs is None else f", entropy {theirs:,.1f} nats") + ".",
        f"{tree['measurements']} measurements in {tree['seconds']:.0f} s; the answer was "
        + ("measured once more at the end." if tree["confirmed"] else "not measured once more."),
    ]
    made.figures.append((draw_match(tree), "ratios and objectives of all steps"))
    rows = []
    for step in tree["steps"]:
        bout = step.get("confirmed", step.get("measured"))
        of_bout = ["-"] * 3
        if bout is not None:
            low, high = bout["ratio"]["low"], bout["ratio"]["high"]
            of_bout = [f"{bout['images_per_second']:,.4g}", f"{bout['ratio']['value']:.3f}", f"{low:.3f} to {high:.3f}"]
        costs = [shown(step.get(key), key) for key in ("macs", "params", "layers", "entropy", "objective")]
        same = "" if step["same_as"] is None else f" (step {step['same_as']})"
        rows.append([str(step["step"]), f"{step['scale']:.3f}", *costs, *of_bout, step["verdict"] + same])
    columns = ("step", "scale", "MACs", "params", "layers", "entropy", "objective", "images/s", "times as fast",
               "95 % interval", "verdict")  # fmt: skip
    made.tables.append(Table(columns, rows))
    made.evidence = _evidence(tree["environment"])
    return made


def _latency_table(found: Found) -> Section:
    table = table_from(found.content, found.source)
    error = table.error
    words = [
        f"Space {table.space}, up to {short_quantity(table.macs)} MACs, on {table.device}: {table.precision}, batches "
        f"of {table.batch_size}, {counted(table.setting['threads'], 'thread')}, {table.setting['clock']} clock. "
        f"{len(table.rates)} shapes of blocks from {len(table.probes)} networks.",
        f"Predictions of {error.n} networks that were held out are off by {100 * error.median:.1f} % (median) and "
        f"{100 * error.p95:.1f} % (95th percentile), bias {100 * error.bias:+.1f} %.",
    ]
    rows = [
        [str(shape), "first" if shape.opens else "following", str(rates.pieces), f"{100 * rates.error:.1f} %"]
        for shape, rates in table.rates.items()
    ]
    figures: list[Picture] = [(draw_prediction(table), "predicted over measured latency")]
    return Section("Latency table", found.source, words, figures,
                   [Table(("shape", "place", "measured", "typical error of a piece"), rows)],
                   _evidence(table.environment))  # fmt: skip


def _papers(found: Found) -> Section:
    tree = found.content
    made = Section("The papers' numbers", found.source, tables=[rows_table(tree["summary"])])
    rows = [
        [f"{row['paper']}, table {row['table']}", row["row"], row["column"], row["printed"], row["shown"] or "-",
         row["difference"] or "-", row["why"] or ""]
        for row in tree["results"] if row["verdict"] != "not here"
    ]  # fmt: skip
    made.tables.append(Table(("source", "row", "column", "printed", "ours", "difference", "why"), rows))
    reasons = [row["why"] for row in tree["results"] if row["verdict"] == "not here"]
    counted = [[str(reasons.count(reason)), reason] for reason in dict.fromkeys(reasons)]
    made.tables.append(Table(("numbers", "not computed here: they need"), counted))
    made.evidence = _evidence(tree["environment"])
    return made


def _training(found: Found) -> Section:
    from madnas.train.report import draw_curves

    tree = found.content
    result, metrics = tree["result"] or {}, tree["metrics"]
    tests = [line for line in metrics if line.get("event") == "eval"]
    name = result.get("network") or (tree["run"] or {}).get("network") or found.source
    made = Section(f"Training of {shown(name)}", found.source)
    made.words.append("Finished." if result else "Not finished: this is how far it is.")
    if any(line.get("event") in ("eval", "train") for line in metrics):
        made.figures.append((draw_curves(metrics, shown(name)), "loss, accuracy and learning rate"))
    if result:
        made.tables.append(
            facts_table({key: value for key, value in result.items() if key not in ("schema", "folder")})
        )
    if tests:
        made.tables.append(rows_table([{key: value for key, value in line.items() if key != "event"} for line in tests],
                                      "Tests"))  # fmt: skip
    made.evidence = _evidence(tree["environment"] or {})
    return made


def _experiment(found: Found) -> Section:
    from madnas.report.effectiveness_plot import draw_effectiveness
    from madnas.report.experiment_plot import draw_summary

    tree = found.content
    made = Section(f"Experiment {tree['experiment']}", found.source)
    draw = draw_effectiveness if "tau" in tree else draw_summary
    made.figures.append((draw(tree), f"the experiment's figure {tree['figure']}"))
    made.tables.append(
        facts_table({key: tree[key] for key in ("figure", "seed", "settings", "fits", "tau") if key in tree})
    )
    _lists(made, {key: tree[key] for key in ("groups", "fits_by_depth") if key in tree})
    return made


def _csv(found: Found) -> Section:
    head, *rows = found.content
    alike = {place: head[place] for place in range(len(head)) if rows and _is_evidence(head[place], rows, place)}
    shown_places = [place for place in range(len(head)) if place not in alike]
    cells = [[_short(row[place]) for place in shown_places] for row in rows]
    made = Section(f"Table of {counted(len(rows), 'row')}", found.source)
    made.tables.append(Table([head[place] for place in shown_places], cells))
    made.evidence = {name: rows[0][place] for place, name in alike.items()}
    return made


def _is_evidence(name: str, rows: list[list[str]], place: int) -> bool:
    """Whether a column says where numbers come from, the same of all rows: it stands below the table, once."""
    return name in EVIDENCE and all(row[place] == rows[0][place] for row in rows)


def _short(cell: str) -> str:
    """A cell of a table, a long decimal fraction to six digits."""
    try:
        return f"{float(cell):.6g}" if "." in cell and len(cell) > 10 else cell
    except ValueError:
        return cell


def _picture(found: Found) -> Section:
    return Section("Picture", found.source, figures=[(found.content, found.source)])


def _text(found: Found) -> Section:
    return Section("Text", found.source, text=found.content)


def _anything(found: Found) -> Section:
    """A document whose schema has no section of its own: its values, and a table for every list of its results.

    Raises:
        SpecError: there is nothing in it.
    """
    tree = {key: value for key, value in found.content.items() if key != "schema"}
    made = Section(_what(found.kind), found.source)
    if isinstance(tree.get("spec"), dict):
        spec = parse_spec(tree["spec"], f"{found.source}, spec")
        made = _described(spec, found.source, f"{_what(found.kind)}: {spec.name}")
    history = tree.get("history")
    if isinstance(history, list) and history and all(isinstance(row, dict) for row in history):
        keys = list(flat(history[0]))
        numbers = [key for key in keys if all(isinstance(row.get(key), (int, float)) for row in history)]
        if len(numbers) > 1:
            made.figures.append((draw_points(history, numbers[0], numbers[1:3]), "the course of the search"))
    environment = tree.get("environment")
    facts = {key: value for key, value in tree.items() if key not in HIDDEN}
    if flat(facts):
        made.tables.append(facts_table(facts))
    _lists(made, facts)
    if isinstance(environment, dict):
        made.evidence = _evidence(environment)
    if not (made.tables or made.figures or made.evidence):
        raise SpecError(found.source, [f"not a whole {found.kind}: there is nothing in it"], WRITE_ANEW)
    return made


def _lists(made: Section, tree: dict[str, Any]) -> None:
    """A table for every list of trees."""
    for key, value in tree.items():
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            rows = [{name: one for name, one in row.items() if name not in HIDDEN} for row in value]
            made.tables.append(rows_table(rows, key.replace("_", " ")))


def _evidence(environment: dict[str, Any]) -> dict[str, str]:
    known = [name for name in EVIDENCE if environment.get(name) is not None]
    rest = [name for name in environment if name not in EVIDENCE and environment[name] is not None]
    return {name: _joined(environment[name]) for name in (*known, *rest)}


def _joined(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return shown(value)


def _what(kind: str) -> str:
    """A schema in words: ``madnas/restructure-search/1``: Restructure search."""
    return kind.split("/")[1].replace("-", " ").capitalize().replace("Npu", "NPU")


KNOWN: dict[str, Callable[[Found], Section]] = {
    "network": _network,
    "madnas/network": _network,
    "madnas/design": _design,
    "madnas/design-match": _match,
    "madnas/design-sweep": _sweep,
    "madnas/scale": _design,
    "madnas/search": _search,
    "madnas/score": _scores,
    "madnas/benchmark": _benchmark,
    "madnas/latency-table": _latency_table,
    "madnas/paper-numbers": _papers,
    "madnas/experiment": _experiment,
    "madnas/effectiveness": _experiment,
    "training": _training,
    "csv": _csv,
    "picture": _picture,
    "text": _text,
}
"""What makes a section, by schema without its version, or by kind of file."""

OTHERS = frozenset(
    f"madnas/{name}"
    for name in (
        *("collapse-certificate", "design-recipe", "effectiveness-recipe", "evolution-space", "experiment-list"),
        *("experiment-recipe", "experiment-run", "export", "list", "npu-estimate", "paper", "restructure-edit"),
        *("restructure-search", "restructured", "restructuring-recipe", "scale-sample", "score-list", "search-curves"),
        *("search-curves-recipe", "space", "split-certificate", "train", "train-eval", "train-list", "train-plan"),
        *("train-recipe", "train-run", "train-show"),
    )
)
"""Schemas of ours without a section of their own: their values are shown as they are."""
