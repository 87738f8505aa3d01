"""A NetworkSpec as the text of a spec file: a line for the stem, each group and the head."""

from functools import cache
from typing import Any

from madnas.network.spec import NetworkSpec
from madnas.network.specfile.read import check_spec
from madnas.network.specfile.tree import spec_to_tree
from madnas.network.yamlfile import add_core_schema


def dump_spec(spec: NetworkSpec) -> str:
    """A network as a spec file's text, with a line for the stem, each group and the head; it reads back exactly.

    Raises:
        SpecError: a network that cannot be built; every problem with its dotted key.
        TypeError: a spec of no single network.
    """
    import yaml

    tree = spec_to_tree(check_spec(spec))
    for key in ("input", "stem", "head"):
        if key in tree:
            tree[key] = _flow(tree[key])
    tree["groups"] = [_flow(group) for group in tree["groups"]]
    if "provenance" in tree:
        tree["provenance"] = {name: _flow(value) for name, value in tree["provenance"].items()}
    return yaml.dump(tree, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=float("inf"))


class _FlowMapping(dict):
    """A mapping that is written on one line."""


class _FlowList(list):
    """A list that is written on one line."""


def _flow(value: Any) -> Any:
    """A mapping or list to be written on one line; any other value as it is."""
    if isinstance(value, dict):
        return _FlowMapping(value)
    return _FlowList(value) if isinstance(value, list) else value


@cache
def _dumper() -> Any:
    """PyYAML's safe dumper, quoting text that a reader of YAML 1.1 or 1.2 would take for another type."""
    import yaml

    class SpecDumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)  # lists are indented below their key

    add_core_schema(SpecDumper)
    for cls, name in ((_FlowMapping, "map"), (_FlowList, "seq")):
        SpecDumper.add_representer(cls, _flow_representer(name))
    SpecDumper.add_representer(str, _represent_text)
    return SpecDumper


def _represent_text(dumper: Any, text: str) -> Any:
    """Text, with escapes where it is not printable: PyYAML's other quotes lose line breaks such as U+0085."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


def _flow_representer(name: str) -> Any:
    def represent(dumper: Any, value: Any) -> Any:
        if name == "map":
            return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=True)
        return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)

    return represent
