"""YAML texts as plain mappings, lists and scalars, by YAML 1.2's core schema and without what can hide a mistake."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from madnas.errors import SpecError
from madnas.files import read_text
from madnas.network.yamlfile.limits import BROKEN_TEXT, MAX_DEPTH, MAX_DIGITS, MAX_VALUES, is_broken
from madnas.network.yamlfile.words import Key, dotted, shorten

INT = r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"

FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"

CORE_SCHEMA: dict[str, tuple[str, list[str]]] = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (INT, list("-+0123456789")),
    "float": (FLOAT, list("-+.0123456789")),
}
"""YAML 1.2's core schema: per type the pattern of a plain scalar and the characters it can begin with."""


class _Refused(Exception):
    """A YAML feature that is not allowed here."""


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Content of a YAML file whose top level is a mapping.

    Raises:
        UsageError: the file is missing, unreadable, not a regular file, too large or not UTF-8.
        SpecError: not YAML (with line and column), empty, several documents, no mapping, keys given twice or not text,
            anchors, aliases, merge keys, tags, or nested too deeply.
    """
    return parse_yaml(read_text(path), str(path))


def parse_yaml(text: str, source: str) -> dict[str, Any]:
    """Content of a YAML text whose top level is a mapping.

    Args:
        text: the YAML.
        source: what errors call it.

    Raises:
        SpecError: as in :func:`read_yaml`.
    """
    import yaml

    try:
        node = _loader()(text).get_single_node()
    except (yaml.YAMLError, _Refused) as error:
        raise SpecError(source, [_one_line(error, text)]) from error
    except (ValueError, OverflowError) as error:  # PyYAML on impossible characters such as "\UFFFFFFFF"
        raise SpecError(source, [f"not YAML: {error}"]) from error
    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")):
        raise SpecError(source, ["the file is empty"])
    if not isinstance(node, yaml.MappingNode):
        raise SpecError(source, ["expected a mapping ('key: value' lines) at the top level"])
    problems: list[str] = []
    tree = _plain(node, (), problems)
    if problems:
        raise SpecError(source, problems)
    return tree


@cache
def _loader() -> Callable[[str], Any]:
    """PyYAML's safe loader without YAML 1.1's guesses and without anything that can make a small file large."""
    import yaml

    class StrictLoader(yaml.SafeLoader):
        yaml_implicit_resolvers: dict = {}  # noqa: RUF012 - PyYAML's way: add_implicit_resolver copies it
        depth = 0
        values = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.peek_event()
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                raise _Refused(_at(event, "anchors (&) and aliases (*) are not allowed; write the value out"))
            if getattr(event, "tag", None) is not None:
                raise _Refused(_at(event, f"tags such as {shorten(event.tag)!r} are not allowed"))
            self.depth += 1
            self.values += 1
            if self.values > MAX_VALUES:
                raise _Refused(_at(event, f"more than {MAX_VALUES} values"))
            if self.depth > MAX_DEPTH:
                raise _Refused(_at(event, f"nested more than {MAX_DEPTH} levels deep"))
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    add_core_schema(StrictLoader)
    return StrictLoader


def add_core_schema(cls: Any) -> None:
    """Make a PyYAML loader or dumper tell types by YAML 1.2's core schema (only that, if it has no resolvers yet)."""
    for name, (pattern, first) in CORE_SCHEMA.items():
        cls.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(rf"(?:{pattern})\Z"), first)


def _at(where: Any, text: str) -> str:
    mark = where.start_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {text}"


def _one_line(error: Exception, text: str) -> str:
    """A YAML error as one line with line and column."""
    from yaml.reader import ReaderError

    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        return f"line {line}, column {column}: character 0x{ord(text[error.position]):02x} is not allowed in YAML"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return str(error)
    problem = str(getattr(error, "problem", "not YAML"))
    if "another document" in problem:
        problem = "a second document ('---') is not allowed"
    if "'\\t'" in problem:
        problem += " (indent with spaces, not tabs)"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _plain(node: Any, key: Key, problems: list[str]) -> Any:
    """Plain value of a YAML node; what is wrong goes to ``problems``."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*key, index), problems) for index, child in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _plain_mapping(node, key, problems)
    try:
        return scalar(node.value, node.tag.rpartition(":")[2])
    except ValueError as error:
        problems.append(_at(node, f"{dotted(key)}: {error}"))
        return None


def _plain_mapping(node: Any, key: Key, problems: list[str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name_node, value_node in node.value:
        name = name_node.value
        if not name_node.tag.endswith(":str"):
            problems.append(_at(name_node, f"keys are text{_quoted(name)}"))
        elif name == "<<" and name_node.style is None:  # in quotes it is a key like others
            problems.append(_at(name_node, "merge keys (<<) are not allowed; write the values out"))
        elif is_broken(name):
            problems.append(_at(name_node, BROKEN_TEXT))
        elif name in tree:
            problems.append(_at(name_node, f"{dotted((*key, name))}: key given twice"))
        else:
            tree[name] = _plain(value_node, (*key, name), problems)
    return tree


def _quoted(name: Any) -> str:
    return f"; put {shorten(name)} in quotes" if isinstance(name, str) else ""


def scalar(text: str, kind: str) -> Any:
    """Value of a YAML scalar of a core schema type.

    >>> scalar("1e-3", "float"), scalar("0x10", "int"), scalar("off", "str")
    (0.001, 16, 'off')

    Raises:
        ValueError: a number with too many digits, or text that no file can hold.
    """
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind in ("int", "float") and len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    if kind == "int":
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if kind == "float":
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if is_broken(text):
        raise ValueError(BROKEN_TEXT)
    return text
