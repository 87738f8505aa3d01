"""What whole detectors cost: FCOS, and RAN's two-stage detector with the two heads that its paper has.

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
from madnas.papers.detector import PROPOSALS, SIDE, TABLE_WIDTH, TEXT_WIDTH, two_stage_costs
from madnas.papers.printed import cells
from madnas.tasks.costs import detector_costs
from madnas.tasks.detectors import fcos

README = ROOT / "madnas" / "tasks" / "README.md"
TWO_STAGE = [
    f"| RAN's detector over | head | params | printed | MACs, N = {PROPOSALS} | printed | as printed for N = "
    "| backbone | proposals | each of N |",
    "|---|---|---|---|---|---|---|---|---|---|",
]
WHOLE = ["| FCOS over | input | params | MACs | backbone | pyramid | head |", "|---|---|---|---|---|---|---|"]
DETECTORS = (
    *((name, (800, 1280)) for name in ("resnet50", "deepmad-r50")),
    *((name, (480, 480)) for name in ("resnet50", "deepmad-r50", "zennet-0.1ms")),
)
"""Backbones of whole detectors, and the images' size."""


def two_stage() -> Iterator[str]:
    """Lines of the table of RAN's detectors, Table 3's numbers beside ours."""
    table = [cell for cell in cells("ran") if cell.subject[0] == "two_stage"]
    printed = {(cell.subject[1], cell.column): cell.printed for cell in table}
    for network in dict.fromkeys(cell.subject[1] for cell in table):
        params, macs = printed[network, "Params"], printed[network, "MACs"]
        for width in (TABLE_WIDTH, TEXT_WIDTH):
            costs = two_stage_costs(network, width, SIDE)
            implied = costs.proposals(1e9 * float(macs))
            counts = f"{costs.macs(PROPOSALS) / 1e9:.1f} G | {macs} G | {implied:.0f}"
            parts = f"{costs.backbone / 1e9:.2f} G | {costs.dense / 1e9:.2f} G | {costs.each / 1e9:.4f} G"
            yield f"| {network} | {width} | {costs.params / 1e6:.1f} M | {params} M | {counts} | {parts} |"


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
    lines = [*WHOLE, *whole(), "", *TWO_STAGE, *two_stage()]
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "timm"))
    lines += ["", f"madnas {madnas.__version__}, Python {platform.python_version()}, {packages}."]
    write_part(README, lines)


if __name__ == "__main__":
    main()
