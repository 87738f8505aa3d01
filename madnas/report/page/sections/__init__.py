"""From a document to its part of the page, by its schema; one that nobody knows is shown as what it says."""

from collections.abc import Callable

from madnas.errors import MadnasError, SpecError
from madnas.report.page.collect import OURS, Found
from madnas.report.page.html import Section
from madnas.report.page.sections.designs import design_section, match_section, search_section, sweep_section
from madnas.report.page.sections.files import csv_section, picture_section, text_section
from madnas.report.page.sections.measured import (
    benchmark_section,
    latency_table_section,
    papers_section,
    scores_section,
)
from madnas.report.page.sections.networks import network_section
from madnas.report.page.sections.other import anything_section
from madnas.report.page.sections.parts import WRITE_ANEW
from madnas.report.page.sections.runs import experiment_section, training_section

VERSION = "/1"
"""Of every schema so far."""


def section(found: Found) -> Section:
    """The part of the page for something that was found.

    Raises:
        SpecError: a document of a schema that is none of ours, or that lacks what its schema has.
    """
    make = KNOWN.get(found.kind) or KNOWN.get(found.kind.removesuffix(VERSION))
    if make is None:
        if found.kind.removesuffix(VERSION) not in OTHERS:
            raise SpecError(found.source, [f"schema {found.kind[:80]!r} is none that this version of madnas writes"])
        make = anything_section
    try:
        return make(found)
    except MadnasError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        what = found.kind if found.kind.startswith(OURS) else f"log of {found.kind}"
        raise SpecError(found.source, [f"not a whole {what}: {_lack(error)}"], WRITE_ANEW) from error


def _lack(error: Exception) -> str:
    """What a document lacks, by the error that reading it ended in."""
    if isinstance(error, KeyError):
        return f"missing {error.args[0]!r}"
    if isinstance(error, IndexError):
        return "a list is shorter than it should be"
    return f"a value is not what it should be ({str(error)[:100]})"


KNOWN: dict[str, Callable[[Found], Section]] = {
    "network": network_section,
    "madnas/network": network_section,
    "madnas/design": design_section,
    "madnas/design-match": match_section,
    "madnas/design-sweep": sweep_section,
    "madnas/scale": design_section,
    "madnas/search": search_section,
    "madnas/score": scores_section,
    "madnas/benchmark": benchmark_section,
    "madnas/latency-table": latency_table_section,
    "madnas/paper-numbers": papers_section,
    "madnas/experiment": experiment_section,
    "madnas/effectiveness": experiment_section,
    "training": training_section,
    "csv": csv_section,
    "picture": picture_section,
    "text": text_section,
}
"""What makes a section, by schema without its version, or by kind of file."""

OTHERS = frozenset(
    f"madnas/{name}"
    for name in (
        *("collapse-certificate", "design-recipe", "effectiveness-recipe", "evolution-space", "experiment-list"),
        *("experiment-recipe", "experiment-run", "export", "list", "npu-estimate", "paper", "restructure-edit"),
        *("restructure-search", "restructured", "restructuring-recipe", "scale-sample", "score-list", "search-curves"),
        *("search-curves-recipe", "space", "split-certificate", "train", "train-eval", "train-list", "train-plan"),
        *("train-recipe", "train-run", "train-show"),
    )
)
"""Schemas of ours without a section of their own: their values are shown as they are."""
