"""The papers' numbers beside ours, all of them: rewrite the tables of madnas/papers/README.md, and README's summary.

Run: python -m benchmarks.paper_table        (make tables; some five minutes on two cores, each paper in a process)
"""

import sys
from collections.abc import Callable

from benchmarks.readme import README as TOP
from benchmarks.readme import ROOT, part_of, write_part
from madnas.device import keep_freed_memory
from madnas.measure.provenance import provenance
from madnas.papers.printed import PAPERS
from madnas.papers.recompute import Result, recompute
from madnas.report.papers import papers_markdown, summary_markdown
from madnas.workers import run_tasks

README = ROOT / "madnas" / "papers" / "README.md"


def one_paper(paper: str, report: Callable[[float], None]) -> list[Result]:
    """A paper's numbers recomputed."""
    keep_freed_memory()
    return recompute([paper], lambda message: print(message, file=sys.stderr, flush=True))


def main() -> None:
    """Recompute everything and write it."""
    found: dict[int, list[Result]] = {}
    run_tasks(one_paper, PAPERS, len(PAPERS), lambda *_: None, found.__setitem__)
    results = [one for place in sorted(found) for one in found[place]]
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
