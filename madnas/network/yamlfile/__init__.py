"""Strict YAML files: what PyYAML would guess, drop or expand is an error here, and every problem is named at once.

:func:`read_yaml` turns a file into plain mappings, lists and scalars, and :func:`validate` such a tree into a
dataclass. Scalars are read as YAML 1.2's core schema says: ``1e-3`` is a number, ``off``, ``yes`` and ``1:30`` are
text. PyYAML follows YAML 1.1, where it is the other way round. PyYAML and pydantic are imported on use, because they
take a while.
"""

from madnas.network.yamlfile.fit import check, validate
from madnas.network.yamlfile.limits import MAX_DEPTH
from madnas.network.yamlfile.read import add_core_schema, parse_yaml, read_yaml
from madnas.network.yamlfile.words import Key, did_you_mean, dotted, shorten

__all__ = [
    "MAX_DEPTH",
    "Key",
    "add_core_schema",
    "check",
    "did_you_mean",
    "dotted",
    "parse_yaml",
    "read_yaml",
    "shorten",
    "validate",
]
