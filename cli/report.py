"""``madnas report``: what other commands wrote, on one page."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN_OR_FILES...",
            show_default=False,
            help="Folders of runs (training, experiments, restructuring, searches), JSON documents (--json), tables "
            "(.csv), networks (.yaml), score files (.jsonl), pictures (.png, .svg) and texts (.md).",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The page.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Head of the page.")] = "madnas report",
    force: Annotated[bool, typer.Option("--force", help="Replace the page.")] = False,
) -> None:
    """Put designs, sweeps, scores, searches, benchmarks and runs on one HTML page that needs no network to be read.

    Tables and plots are made from what the files say; nothing is computed anew but what a description decides.

    Examples:
    - madnas report net.yaml scores.csv -o page.html
    - madnas report runs/resnet20-digits-quick-0 --title "Digits" -o run.html
    """
    from datetime import datetime

    from rich.markup import escape

    import madnas
    from madnas.files import check_writable, write_text_atomic

    from .console import stdout

    check_writable(output, force)
    from madnas.report.page.collect import collect
    from madnas.report.page.html import page
    from madnas.report.page.sections import section

    sections = [section(found) for found in collect(sources)]
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    text = page(title, sections, f"Made by madnas {madnas.__version__}, {now}")
    write_text_atomic(output, text, force)
    for one in sections:
        stdout().print(f"{escape(one.title)}  ({escape(one.source)})")
    stdout().print(f"{len(sections)} sections, {len(text) / 1e6:.2f} MB, wrote {escape(str(output))}")
