"""Networks as backbones of detectors: what fits them to torchvision's, and what the whole costs."""

from madnas.tasks.detectors import SingleMap, fcos, two_stage
from madnas.tasks.pyramid import Pyramid

__all__ = ["Pyramid", "SingleMap", "fcos", "two_stage"]
