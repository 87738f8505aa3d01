"""Files without a schema: tables, pictures, texts."""

from madnas.report.page.collect import Found
from madnas.report.page.html import Section, Table
from madnas.report.page.sections.parts import EVIDENCE
from madnas.units import counted


def csv_section(found: Found) -> Section:
    """A table; columns that say where numbers come from stand below it, once."""
    head, *rows = found.content
    alike = {place: head[place] for place in range(len(head)) if rows and _is_evidence(head[place], rows, place)}
    shown_places = [place for place in range(len(head)) if place not in alike]
    cells = [[_short(row[place]) for place in shown_places] for row in rows]
    made = Section(f"Table of {counted(len(rows), 'row')}", found.source)
    made.tables.append(Table([head[place] for place in shown_places], cells))
    made.evidence = {name: rows[0][place] for place, name in alike.items()}
    return made


def picture_section(found: Found) -> Section:
    """A picture as it is."""
    return Section("Picture", found.source, figures=[(found.content, found.source)])


def text_section(found: Found) -> Section:
    """A text as it is."""
    return Section("Text", found.source, text=found.content)


def _is_evidence(name: str, rows: list[list[str]], place: int) -> bool:
    """Whether a column says where numbers come from, the same of all rows: it stands below the table, once."""
    return name in EVIDENCE and all(row[place] == rows[0][place] for row in rows)


def _short(cell: str) -> str:
    """A cell of a table, a long decimal fraction to six digits."""
    try:
        return f"{float(cell):.6g}" if "." in cell and len(cell) > 10 else cell
    except ValueError:
        return cell
