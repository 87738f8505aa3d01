"""What was trained: a run by its log, an experiment by its summary."""

from madnas.report.page.collect import Found
from madnas.report.page.html import Section
from madnas.report.page.sections.parts import add_lists, evidence_of
from madnas.report.page.values import facts_table, rows_table, shown


def training_section(found: Found) -> Section:
    """A run of training, finished or not: its result, curves and tests."""
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
    made.evidence = evidence_of(tree["environment"] or {})
    return made


def experiment_section(found: Found) -> Section:
    """An experiment's summary and its figure."""
    from madnas.report.effectiveness_plot import draw_effectiveness
    from madnas.report.experiment_plot import draw_summary

    tree = found.content
    made = Section(f"Experiment {tree['experiment']}", found.source)
    draw = draw_effectiveness if "tau" in tree else draw_summary
    made.figures.append((draw(tree), f"the experiment's figure {tree['figure']}"))
    made.tables.append(
        facts_table({key: tree[key] for key in ("figure", "seed", "settings", "fits", "tau") if key in tree})
    )
    add_lists(made, {key: tree[key] for key in ("groups", "fits_by_depth") if key in tree})
    return made
