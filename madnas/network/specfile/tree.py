"""A NetworkSpec as plain values, in the order of a spec file."""

from collections.abc import Mapping
from typing import Any

from madnas.network.blocks import CATALOGUE
from madnas.network.spec import SCHEMA, Group, NetworkSpec, to_tree


def spec_to_tree(spec: NetworkSpec) -> dict[str, Any]:
    """A network as plain values for YAML or JSON, in the order of a spec file, without keys that have their default.

    ``parse_spec`` gives the same network back.

    Raises:
        TypeError: an array, an expression or another object among the values: a spec of no single network.
    """
    tree: dict[str, Any] = {"schema": SCHEMA, "name": spec.name, "input": list(spec.input)}
    if spec.stem is not None:
        tree["stem"] = to_tree(spec.stem)
    tree["groups"] = [_group_tree(group) for group in spec.groups]
    tree["head"] = to_tree(spec.head)
    if spec.provenance:
        tree["provenance"] = spec.provenance
    return _plain(tree)


def _group_tree(group: Group) -> dict[str, Any]:
    tree = to_tree(group)
    kind = CATALOGUE.get(group.block)
    if kind is not None and "stride" not in kind.takes and group.stride == 1:
        del tree["stride"]
    return tree


def _plain(value: Any) -> Any:
    """A value as plain Python: tuples become lists, numpy's scalars become numbers."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if value is None or type(value) in (bool, int, float, str):
        return value
    if getattr(value, "shape", None) == ():  # a scalar of numpy's
        return value.item()
    raise TypeError(f"{type(value).__name__} in a network's description: only numbers and text can be written")
