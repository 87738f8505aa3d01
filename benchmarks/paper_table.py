"""The papers' numbers beside ours, all of them: rewrite the tables of madnas/papers/README.md, and README's summary.

Run: python -m benchmarks.paper_table        (make tables; some ten minutes on two cores)
"""

import sys

from benchmarks.readme import README as TOP
from benchmarks.readme import ROOT, part_of, write_part
from madnas.device import keep_freed_memory
from madnas.measure.provenance import provenance
from madnas.papers.printed import PAPERS
from madnas.papers.recompute import recompute
from madnas.report.papers import papers_markdown, summary_markdown

README = ROOT / "madnas" / "papers" / "README.md"


def main() -> None:
    """Recompute everything and write it."""
    keep_freed_memory()
    results = recompute(PAPERS, lambda message: print(message, file=sys.stderr))
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
