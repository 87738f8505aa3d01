"""Printed costs of detection, segmentation and action recognition beside ours, and what whole detectors cost.

Run: make tables     (this part: half a minute)
"""

import platform
from collections.abc import Iterator
from importlib.metadata import version

import timm
import torch

import madnas
from benchmarks.readme import ROOT, write_part
from madnas.models.names import timm_name
from madnas.tasks.costs import detector_costs
from madnas.tasks.detectors import fcos
from madnas.tasks.published import Row, rows

README = ROOT / "madnas" / "tasks" / "README.md"
HEADER = ["| source | network | input | quantity | printed | ours | why |", "|---|---|---|---|---|---|---|"]
WHOLE = ["| FCOS over | input | params | MACs | backbone | pyramid | head |", "|---|---|---|---|---|---|---|"]
DETECTORS = (
    *((name, (800, 1280)) for name in ("resnet50", "deepmad-r50")),
    *((name, (480, 480)) for name in ("resnet50", "deepmad-r50", "zennet-0.1ms")),
)
"""Backbones of whole detectors, and the images' size."""


def line(row: Row) -> str:
    """One line of the table."""
    height, width = row.input
    why = row.why or ("" if row.equal else "not explained")
    return (
        f"| {row.source} | {row.network} | {height} x {width} | {row.quantity} | {row.printed} | {row.shown} | {why} |"
    )


def whole() -> Iterator[str]:
    """Lines of the table of whole detectors."""
    for name, (height, width) in DETECTORS:
        with torch.device("meta"):
            body = timm.create_model(timm_name(name), features_only=True, out_indices=(-3, -2, -1))
            costs = detector_costs(fcos(body), height, width)
        parts = " | ".join(f"{macs / 1e9:.1f} G" for macs in (costs.macs(), costs.backbone, costs.pyramid, costs.dense))
        yield f"| {name} | {height} x {width} | {costs.params / 1e6:.1f} M | {parts} |"


def main() -> None:
    """Rewrite the tables in the README of the tasks."""
    found = list(rows())
    equal = sum(row.equal for row in found)
    lines = [*HEADER, *map(line, found), "", f"{equal} of {len(found)} show every printed digit.", "", *WHOLE, *whole()]
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "timm"))
    lines += ["", f"madnas {madnas.__version__}, Python {platform.python_version()}, {packages}."]
    write_part(README, lines)


if __name__ == "__main__":
    main()
