"""The page itself: one file, no scripts, nothing loaded from anywhere; for screens of any width, and for paper."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from madnas.figures import render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #ffffff; --tint: #f6f8fa;
  --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4af; --line: #3d444d; --paper: #14181d;
  --tint: #1c2128; --accent: #6cb8ea; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .4rem; padding-top: .8rem; border-top: 1px solid var(--line);
  overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .4rem 0; }
a { color: var(--accent); }
.soft { color: var(--soft); font-size: .9em; overflow-wrap: anywhere; }
nav ol { columns: 2 20rem; padding-left: 1.4rem; margin: .6rem 0 0; }
.wide { overflow-x: auto; margin: .6rem 0 1rem; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .2rem 0; }
th, td { padding: .25rem .45rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top;
  white-space: nowrap; }
th { color: var(--soft); font-weight: 600; background: var(--tint); }
.text, .long { text-align: left; }
.long { white-space: normal; min-width: 12rem; max-width: 34rem; overflow-wrap: anywhere; }
figure { margin: .8rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: 4px; }
details { margin: .6rem 0; }
summary { cursor: pointer; color: var(--soft); }
pre { overflow-x: auto; background: var(--tint); padding: .8rem; border-radius: 4px; font-size: .8rem; }
@page { margin: 15mm; }
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --tint: #f2f2f2;
    --accent: #000; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  h2, h3, caption, h2 + .soft { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  thead { display: table-header-group; }
  .wide { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: .15rem .35rem; white-space: normal; }
  .long { min-width: 0; }
  pre { white-space: pre-wrap; }
}
"""

LONG = 40
"""Letters of a cell beyond which its column may be broken into lines."""

NUMBER = re.compile(
    r"[-+]?[\d.,]+(e[-+]?\d+)?( ?[A-Za-z%]{1,2})?( (to|±) [-+]?[\d.,]+(e[-+]?\d+)?)?( \([-\d., to]+\))?"
)


@dataclass(slots=True)
class Table:
    """A table of the page.

    Attributes:
        columns: heads.
        rows: cells; as many in each row as there are columns.
        caption: what stands above.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(slots=True)
class Section:
    """A part of the page.

    Attributes:
        title: its head.
        source: the file that it is about.
        words: paragraphs.
        figures: pictures with what they show: drawn here, or bytes and media type of a file.
        tables: tables.
        evidence: where the numbers come from: a small table of names and values.
        text: plain text, such as a file in Markdown.
    """

    title: str
    source: str
    words: list[str] = field(default_factory=list)
    figures: list[tuple["Figure | tuple[bytes, str]", str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    evidence: dict[str, str] = field(default_factory=dict)
    text: str = ""


def page(title: str, sections: Sequence[Section], about: str) -> str:
    """The whole file.

    Args:
        title: of the page.
        sections: in their order.
        about: when and by what it was made.
    """
    links = "".join(f'<li><a href="#s{place}">{escape(one.title)}</a></li>' for place, one in enumerate(sections, 1))
    parts = "".join(_section(one, place) for place, one in enumerate(sections, 1))
    contents = f"<nav><ol>{links}</ol></nav>" if len(sections) > 1 else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<header><h1>{escape(title)}</h1><p class="soft">{escape(about)}</p>{contents}</header>\n'
        f"<main>{parts}</main>\n</body>\n</html>\n"
    )


def _section(section: Section, place: int) -> str:
    parts = [
        f'<section id="s{place}"><h2>{escape(section.title)}</h2>',
        f'<p class="soft">{escape(section.source)}</p>',
    ]
    parts += [f"<p>{escape(word)}</p>" for word in section.words]
    parts += [_figure(picture, told) for picture, told in section.figures]
    parts += [_table(one) for one in section.tables]
    if section.text:
        parts.append(f"<pre>{escape(section.text)}</pre>")
    if section.evidence:
        rows = [[name, value] for name, value in section.evidence.items()]
        inner = _table(Table(("where the numbers come from", ""), rows), words={0, 1})
        parts.append(f"<details open><summary>Evidence</summary>{inner}</details>")
    return "\n".join([*parts, "</section>\n"])


def _figure(picture: "Figure | tuple[bytes, str]", told: str) -> str:
    data, media = picture if isinstance(picture, tuple) else (render(picture, "svg"), "image/svg+xml")
    code = base64.b64encode(data).decode("ascii")
    return f'<figure><img src="data:{media};base64,{code}" alt="{escape(told, quote=True)}"></figure>'


def _table(table: Table, words: set[int] | None = None) -> str:
    """A table; columns that are not of numbers stand to the left."""
    left = words if words is not None else {
        place for place in range(len(table.columns)) if not all(_is_number(row[place]) for row in table.rows)
    }  # fmt: skip

    places = range(len(table.columns))
    kinds = [_kind([row[place] for row in table.rows]) if place in left else "" for place in places]

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for cell, kind in zip(row, kinds, strict=True))

    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in table.rows)
    head = f"<thead><tr>{cells(table.columns, 'th')}</tr></thead>" if any(table.columns) else ""
    return f'<div class="wide"><table>{caption}{head}<tbody>{body}</tbody></table></div>'


def _kind(cells: Sequence[str]) -> str:
    """Attribute of a column of words: long ones are broken into lines."""
    return ' class="long"' if any(len(cell) > LONG for cell in cells) else ' class="text"'


def _is_number(text: str) -> bool:
    """Whether a cell is a number, with a unit or a spread perhaps, or empty."""
    return text in ("", "-") or NUMBER.fullmatch(text) is not None
