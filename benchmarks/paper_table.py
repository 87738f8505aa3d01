"""The papers' numbers beside ours, all of them: rewrite the tables of madnas/papers/README.md, and README's summary.

Run: python -m benchmarks.paper_table [PROCESSES]        (make tables; some five minutes on two cores)
"""

import os
import sys
from collections.abc import Callable

from benchmarks.readme import README as TOP
from benchmarks.readme import ROOT, part_of, write_part
from madnas.device import keep_freed_memory
from madnas.measure.provenance import provenance
from madnas.papers.printed import PAPERS, Cell, cells
from madnas.papers.recompute import Result, recompute_cells
from madnas.report.papers import papers_markdown, summary_markdown
from madnas.workers import run_tasks

README = ROOT / "madnas" / "papers" / "README.md"


def one_network(wanted: list[Cell], report: Callable[[float], None]) -> list[Result]:
    """The numbers of one network recomputed."""
    keep_freed_memory()
    return recompute_cells(wanted, lambda message: print(message, file=sys.stderr, flush=True))


def main() -> None:
    """Recompute everything and write it."""
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else os.cpu_count() or 1
    wanted = [cell for paper in PAPERS for cell in cells(paper)]
    tasks: dict[str, list[Cell]] = {}
    for cell in wanted:
        tasks.setdefault(cell.subject[1], []).append(cell)
    found: dict[Cell, Result] = {}
    run_tasks(
        one_network, list(tasks.values()), workers, lambda *_: None,
        lambda _, results: found.update((one.cell, one) for one in results),
    )  # fmt: skip
    results = [found[cell] for cell in wanted]
    about = provenance("cpu", ("casadi", "ethos-u-vela"))
    write_part(README, [summary_markdown(results, about), papers_markdown(results, about).rstrip()])
    copy_summary()


def summary_of(text: str) -> str:
    """The first table of a generated part of a Markdown text, up to its first empty line."""
    return part_of(text)[1].strip().split("\n\n")[0]


def copy_summary() -> None:
    """Put the summary into README."""
    write_part(TOP, summary_of(README.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
