"""Networks that were designed: by the program and its sweeps, by scaling, by a search, to be as fast as another."""

from typing import Any

from madnas.network.specfile import parse_spec
from madnas.report.page.collect import Found
from madnas.report.page.draw import draw_course, draw_points
from madnas.report.page.html import Section, Table
from madnas.report.page.sections.networks import described
from madnas.report.page.sections.parts import add_lists, evidence_of, results_of, title_of
from madnas.report.page.values import facts_table, rows_table, shown
from madnas.units import short_quantity


def design_section(found: Found) -> Section:
    """A network of the program or of scaling: budgets, network, what the solver says."""
    tree = found.content
    spec = parse_spec(tree["spec"], f"{found.source}, spec")
    made = described(spec, found.source, f"{title_of(found.kind)}: {spec.name}")
    _budgets(made, tree)
    rest = {key: value for key, value in tree.items() if key not in ("schema", "spec", "budgets", "counts", "stages")}
    made.tables.append(facts_table(rest))
    add_lists(made, rest)
    return made


def sweep_section(found: Found) -> Section:
    """Many designs: how entropy and objective follow what was swept, and which failed."""
    rows = [] if found.content["results"] == [] else results_of(found)
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


def search_section(found: Found) -> Section:
    """What an evolutionary search found, its course and its front."""
    tree = found.content
    spec = parse_spec(tree["spec"], f"{found.source}, spec")
    made = described(spec, found.source, f"{title_of(found.kind)}: {spec.name}")
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


def match_section(found: Found) -> Section:
    """A design as fast as another network, and the steps to it."""
    from madnas.report.throughput import draw_match

    tree = found.content
    design, reference, ratio = tree["design"], tree["reference"], tree["ratio"]
    spec = parse_spec(design["spec"], f"{found.source}, design.spec")
    made = described(spec, found.source, f"{spec.name}: as fast as {reference['target']}")
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
    made.evidence = evidence_of(tree["environment"])
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
