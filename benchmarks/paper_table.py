"""The papers' numbers beside ours, all of them: rewrite the tables of madnas/papers/README.md, and README's summary.

Run: python -m benchmarks.paper_table        (make tables; some ten minutes on two cores)
"""

import sys

from benchmarks.scaling_table import BEGIN, END, ROOT
from madnas.files import write_text_atomic
from madnas.measure.memory import keep_freed_memory
from madnas.measure.provenance import provenance
from madnas.papers.printed import PAPERS
from madnas.papers.recompute import recompute
from madnas.report.papers import papers_markdown, summary_markdown

README = ROOT / "madnas" / "papers" / "README.md"
TOP = ROOT / "README.md"


def main() -> None:
    """Recompute everything and write it."""
    keep_freed_memory()
    results = recompute(PAPERS, lambda message: print(message, file=sys.stderr))
    about = provenance("cpu", ("casadi", "ethos-u-vela"))
    text = "\n".join([BEGIN, summary_markdown(results, about), papers_markdown(results, about).rstrip(), END])
    old = README.read_text(encoding="utf-8")
    before, after = old[: old.index(BEGIN)], old[old.index(END) + len(END) :]
    write_text_atomic(README, before + text + after, overwrite=True)
    copy_summary()


def summary_of(text: str) -> str:
    """The first table of a generated part of a Markdown text, up to its first empty line."""
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip().split("\n\n")[0]


def copy_summary() -> None:
    """Put the summary into README."""
    text = TOP.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    summary = summary_of(README.read_text(encoding="utf-8"))
    write_text_atomic(TOP, f"{before}\n{summary}\n{after}", overwrite=True)


if __name__ == "__main__":
    main()
