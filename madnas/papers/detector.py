"""RAN's detector, whose costs its Table 3 prints: two stages over the last map of a backbone."""

import timm
import torch

from madnas.models.names import timm_name
from madnas.tasks.costs import DetectorCosts, detector_costs
from madnas.tasks.detectors import two_stage

SIDE = 800
"""Of RAN's images, in pixels [Appendix E]."""

TABLE_WIDTH, TEXT_WIDTH = 1024, 512
"""Of the two linear layers of its head: with which Table 3's params come out, and what Section 3.5 says."""

PROPOSALS = 512
"""Boxes that its first stage hands on [Section 3.5]."""


def two_stage_costs(network: str, width: int, side: int = SIDE) -> DetectorCosts:
    """What RAN's detector costs over a named network; nothing is computed but shapes.

    Args:
        network: its name.
        width: of the head's linear layers.
        side: of the image, in pixels.
    """
    with torch.device("meta"):
        body = timm.create_model(timm_name(network), features_only=True, out_indices=(-1,))
        return detector_costs(two_stage(body, width=width), side, side)
