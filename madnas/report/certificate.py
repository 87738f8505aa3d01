"""What certificates of both kinds say, a collapse's and a split's: costs, errors, doubts, latencies, and where from."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from madnas.measure.latency import Latency
from madnas.restructure.certificate import PRECISIONS, Certified
from madnas.restructure.collapse import Collapsed
from madnas.restructure.split import Split
from madnas.units import counted


def certificate_document(schema: str, name: str, result: Collapsed | Split, weights: str | None) -> dict[str, Any]:
    """What both documents begin with, as JSON-able data.

    Args:
        schema: of the document.
        name: of the network.
        result: what was done.
        weights: file of the weights before; None for random ones.
    """
    return {
        "schema": schema,
        "network": name,
        "weights": weights,
        "before": asdict(result.before),
        "after": asdict(result.after),
        "errors": {dtype: asdict(errors) for dtype, errors in result.errors.items()},
        "doubts": doubts(result.errors),
        "latency": {when: asdict(one) for when, one in result.latency.items()},
    }


def cost_lines(result: Collapsed | Split) -> list[str]:
    """The table of costs, as a part of a page."""
    return [
        "| | before | after |",
        "|---|---|---|",
        f"| params | {result.before.params:,} | {result.after.params:,} |",
        f"| MACs | {result.before.macs:,} | {result.after.macs:,} |",
        *_latency_row(result.latency),
    ]


def doubts(errors: Certified) -> list[str]:
    """What a certificate of a whole network does not say; empty where it is what it should be."""
    found = []
    if any(not one.tells(PRECISIONS[name]) for name, one in errors.items()):
        found.append(
            f"outputs for two random images differ by {errors['float64'].spread:.1g} of the largest: they hardly "
            "depend on what was merged, so that the network's errors say little, and those of each merge more; trained "
            "weights help"
        )
    shapes = errors["float64"]
    if shapes.refused:
        sizes = ", ".join("x".join(map(str, one[-2:])) for one in shapes.shapes)
        found.append(f"the network written works at {sizes} only; before, it took other sizes too")
    return found


def doubt_lines(errors: Certified) -> list[str]:
    """The same as a part of a page."""
    return [line for one in doubts(errors) for line in ("", f"**Warning**: {one}.")]


def _latency_row(latency: Mapping[str, Latency]) -> list[str]:
    """A row of the table of costs; none where nothing was measured."""
    if not latency:
        return []
    before, after = latency["before"], latency["after"]
    return [f"| ms, one image | {1e3 * before.median:.2f} | {1e3 * after.median:.2f}, {times(after)} |"]


def measured_on(about: Mapping[str, Any]) -> str:
    """Where latencies come from."""
    return f"Measured on {about['device']} with {counted(about['threads'], 'thread')}, torch {about['torch']}."


def times(latency: Latency) -> str:
    """A speed in words."""
    return f"{latency.ratio:.2f} ({latency.low:.2f} to {latency.high:.2f}) times as fast"
