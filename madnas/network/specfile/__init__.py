"""Spec files: a NetworkSpec from YAML, strictly, and back. The format is described in ``madnas/network/README.md``."""

from madnas.network.specfile.read import check_spec, load_spec, parse_spec
from madnas.network.specfile.rules import ACTIVATIONS, MAX_CHANNELS, MAX_NAME, MAX_SIDE, PAIRS, SAME_SHAPE, STEMLESS
from madnas.network.specfile.tree import spec_to_tree
from madnas.network.specfile.write import dump_spec

__all__ = [
    "ACTIVATIONS", "MAX_CHANNELS", "MAX_NAME", "MAX_SIDE", "PAIRS", "SAME_SHAPE", "STEMLESS", "check_spec", "dump_spec",
    "load_spec", "parse_spec", "spec_to_tree",
]  # fmt: skip
