"""What a split says: a document for machines, and a page for people."""

from dataclasses import asdict
from typing import Any

from madnas.report.certificate import certificate_document, cost_lines, doubt_lines, measured_on
from madnas.restructure.split import Split

SCHEMA = "madnas/split-certificate/1"


def split_document(name: str, result: Split, weights: str | None, about: dict[str, Any]) -> dict[str, Any]:
    """The certificate as JSON-able data.

    Args:
        name: of the network.
        result: what was done.
        weights: file of the weights before; None for random ones.
        about: versions and hardware, and what was asked for.
    """
    return certificate_document(SCHEMA, name, result, weights) | {
        "changed": result.changed,
        "parts": [asdict(one) for one in result.parts],
        "left": list(result.left),
        **about,
    }


def one_image(shape: tuple[int, ...]) -> dict[str, Any]:
    """What outputs were compared on where a network was changed: not a proof, only how much."""
    return {"images": 1, "shape": list(shape)}


def split_report(name: str, result: Split, weights: str | None, about: dict[str, Any]) -> str:
    """The certificate in Markdown."""
    lines = [
        f"# {name}, split",
        "",
        f"Weights: {weights or 'random'}. Activations removed: {about['fraction']:.0%} of each pair of layers, "
        f"{about['units']}; branch: {about['activation']}.",
        "",
        *cost_lines(result),
        "",
        "| largest difference from the network without those activations | absolute | relative |",
        "|---|---|---|",
        *(f"| {dtype} | {one.absolute:.1e} | {one.relative:.1e} |" for dtype, one in result.errors.items()),
        *doubt_lines(result.errors),
        "",
        f"Removing them changed the outputs on one random image by up to {result.changed:.2g} of the largest.",
        "",
        "| pair | units | keep their activation | MACs | speed | float64 | float32 |",
        "|---|---|---|---|---|---|---|",
        *("| " + " | ".join(row) + " |" for row in split_rows(result)),
    ]
    if result.left:
        lines += ["", f"Left, because a branch costs more than it saves: {', '.join(result.left)}"]
    if result.latency:
        lines += ["", measured_on(about["environment"])]
    return "\n".join([*lines, ""])


def split_rows(result: Split) -> list[list[str]]:
    """A row of texts for each pair."""
    return [
        [
            one.name,
            str(one.hidden),
            str(one.kept),
            f"{one.before.macs:,} -> {one.after.macs:,}",
            f"{one.latency['after'].ratio:.2f} x" if one.latency else "-",
            f"{one.errors['float64'].relative:.0e}",
            f"{one.errors['float32'].relative:.0e}",
        ]
        for one in result.parts
    ]
