"""A document whose schema has no section of its own."""

from madnas.errors import SpecError
from madnas.network.specfile import parse_spec
from madnas.report.page.collect import Found
from madnas.report.page.draw import draw_points
from madnas.report.page.html import Section
from madnas.report.page.sections.networks import described
from madnas.report.page.sections.parts import HIDDEN, WRITE_ANEW, add_lists, evidence_of, title_of
from madnas.report.page.values import facts_table, flat


def anything_section(found: Found) -> Section:
    """A document whose schema has no section of its own: its values, and a table for every list of its results.

    Raises:
        SpecError: there is nothing in it.
    """
    tree = {key: value for key, value in found.content.items() if key != "schema"}
    made = Section(title_of(found.kind), found.source)
    if isinstance(tree.get("spec"), dict):
        spec = parse_spec(tree["spec"], f"{found.source}, spec")
        made = described(spec, found.source, f"{title_of(found.kind)}: {spec.name}")
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
    add_lists(made, facts)
    if isinstance(environment, dict):
        made.evidence = evidence_of(environment)
    if not (made.tables or made.figures or made.evidence):
        raise SpecError(found.source, [f"not a whole {found.kind}: there is nothing in it"], WRITE_ANEW)
    return made
