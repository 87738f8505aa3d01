"""Printed costs of detectors and other tasks beside ours: DeepMAD Tables 4 to 7, Zen-NAS Appendix H, RAN Table 3."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import timm
import torch
import yaml
from torch import nn

from madnas.measure.by_module import count_elements
from madnas.measure.module_count import count_params
from madnas.models.blocks import BottleneckBlock
from madnas.models.names import timm_name
from madnas.network.count import count
from madnas.network.expand import at_resolution
from madnas.network.named import UnknownName, get
from madnas.network.timm_names import PREFIX
from madnas.tasks.costs import DetectorCosts, detector_costs
from madnas.tasks.detectors import two_stage

SIDE = 800
"""Of RAN's images [Appendix E]."""

WIDTHS = {"Table 3's": 1024, "the text's": 512}
"""Of the two linear layers of RAN's head."""

PROPOSALS = 512
"""Boxes that RAN's first stage hands on [Section 3.5]."""


@dataclass(frozen=True, slots=True)
class Row:
    """A printed number beside ours.

    Attributes:
        source: paper and table.
        network: a named network, one of timm's, or what the paper calls it.
        input: height and width, in pixels.
        quantity: what is counted, with its unit.
        printed: the paper's digits.
        ours: our value in the same unit; None if it cannot be counted.
        why: of a difference, or what the paper counted.
    """

    source: str
    network: str
    input: tuple[int, int]
    quantity: str
    printed: str
    ours: float | None
    why: str = ""

    @property
    def shown(self) -> str:
        """Our value with as many digits as are printed."""
        return "-" if self.ours is None else f"{self.ours:.{len(self.printed.partition('.')[2])}f}"

    @property
    def equal(self) -> bool:
        """Whether ours shows every printed digit."""
        return self.shown == self.printed


def rows(source: str | None = None) -> Iterator[Row]:
    """All of them; seconds, as nothing is computed but shapes.

    Args:
        source: those of one table alone, such as ``DeepMAD, Table 4``.
    """
    tables = yaml.safe_load(files(__package__).joinpath("published.yaml").read_text(encoding="utf-8"))
    for name, recount in (("backbones", _backbone), ("whole", _whole), ("two_stage", _two_stage)):
        for entry in tables[name]:
            if source in (None, entry["source"]):
                yield from recount(entry)


def _backbone(entry: dict[str, Any]) -> Iterator[Row]:
    height, width = entry["input"]
    model = _meta(entry["network"], (height, width))
    unseen = tuple(_behind_sums(model)) if entry["count"] == "openmmlab-inner" else ()
    elements = count_elements(model, (3, height, width), unseen)
    macs = elements.macs if entry["count"] == "macs" else elements.openmmlab
    yield from _pair(entry, count_params(model), macs)


def _whole(entry: dict[str, Any]) -> Iterator[Row]:
    try:
        spec = get(entry["network"])
    except UnknownName:  # a table's name for what nobody described
        yield from _pair(entry, None, None)
        return
    costs = count(at_resolution(spec, *entry["input"]))
    yield from _pair(entry, int(costs.params), int(costs.macs))


def _two_stage(entry: dict[str, Any]) -> Iterator[Row]:
    source, network, why = entry["source"], entry["network"], entry.get("why_params", "")
    size = (SIDE, SIDE)
    for whose, width in WIDTHS.items():
        costs = two_stage_costs(network, width)
        head = f"head of {width}, {whose}"
        told = why if width == 1024 else "Table 3's params are those of a head of 1024"
        yield Row(source, network, size, f"params (M), {head}", entry["params"], costs.params / 1e6, told)
        implied = costs.proposals(1e9 * float(entry["macs"]))
        told = (
            f"backbone {costs.backbone / 1e9:.2f} + proposals {costs.dense / 1e9:.2f} + N x {costs.each / 1e9:.4f}; "
            f"as printed for N = {implied:.0f}"
        )
        quantity = f"MACs (G), {head}, N = {PROPOSALS}"
        yield Row(source, network, size, quantity, entry["macs"], costs.macs(PROPOSALS) / 1e9, told)


def two_stage_costs(network: str, width: int, side: int = SIDE) -> DetectorCosts:
    """What RAN's detector costs over a named network.

    Args:
        network: its name.
        width: of the head's linear layers.
        side: of the image.
    """
    with torch.device("meta"):
        body = timm.create_model(timm_name(network), features_only=True, out_indices=(-1,))
        return detector_costs(two_stage(body, width=width), side, side)


def _meta(network: str, size: tuple[int, int]) -> nn.Module:
    with torch.device("meta"):
        if not network.startswith(PREFIX):
            return timm.create_model(timm_name(network), features_only=True)
        return timm.create_model(network.removeprefix(PREFIX), features_only=True, img_size=size)


def _behind_sums(model: nn.Module) -> Iterator[nn.Module]:
    """Activations that end a bottleneck."""
    for part in model.modules():
        if isinstance(part, BottleneckBlock):
            yield part.act


def _pair(entry: dict[str, Any], params: int | None, macs: int | None) -> Iterator[Row]:
    height, width = entry["input"]
    for quantity, unit, value in (("params", 1e6, params), ("MACs", 1e9, macs)):
        name = f"{quantity} ({'M' if quantity == 'params' else 'G'})"
        ours = None if value is None else value / unit
        yield Row(
            entry["source"], entry["network"], (height, width), name, entry[quantity.lower()], ours,
            entry.get(f"why_{quantity.lower()}", ""),
        )  # fmt: skip
