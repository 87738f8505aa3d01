"""TARGET: whatever a command takes for a network, found, and built with fresh weights.

A description of ours in a file or by name (:mod:`madnas.network.target`), a model of timm's or torchvision's, or the
file of a restructured network. Finding one loads neither torch nor, for our own, any library.
"""

from madnas.targets.build import backbone_of, module_of
from madnas.targets.find import RESTRUCTURED, Target, as_library, find, input_of, resized

__all__ = ["RESTRUCTURED", "Target", "as_library", "backbone_of", "find", "input_of", "module_of", "resized"]
