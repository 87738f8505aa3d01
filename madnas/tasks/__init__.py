"""Networks as backbones: detection, segmentation and action recognition, how they train, and what detectors cost."""

from madnas.tasks.detectors import SingleMap, fcos, two_stage
from madnas.tasks.pyramid import Pyramid

__all__ = ["Pyramid", "SingleMap", "fcos", "two_stage"]
