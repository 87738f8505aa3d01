"""Strict YAML files: what PyYAML would guess, drop or expand is an error here, and every problem is named at once.

:func:`read_yaml` turns a file into plain mappings, lists and scalars, and :func:`validate` such a tree into a
dataclass. Scalars are read as YAML 1.2's core schema says: ``1e-3`` is a number, ``off``, ``yes`` and ``1:30`` are
text. PyYAML follows YAML 1.1, where it is the other way round. PyYAML and pydantic are imported on use, because they
take a while.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from madnas.errors import SpecError
from madnas.files import read_text

T = TypeVar("T")
Key = tuple[str | int, ...]
"""Where a value is in a tree: ``("groups", 2, "hidden")``."""

MAX_DEPTH = 32
"""Deepest nesting of mappings and lists; our own files need five levels."""

MAX_VALUES = 50_000
"""Most values in a file; PyYAML reads some 60,000 of them a second."""

MAX_DIGITS = 100
"""Longest number; Python refuses to read or print integers of thousands of digits."""

BROKEN_TEXT = "holds half a character (a lone surrogate)"

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


def validate(tree: Mapping[str, Any], kind: type[T], source: str) -> T:
    """A dataclass from a tree of plain values, strictly: no unknown keys, nothing converted except integer to float.

    Args:
        tree: what a file holds, with text for keys.
        kind: a standard dataclass; its fields may be dataclasses, tuples, lists, dicts, unions, or any type that
            pydantic knows, which is also how a field converts text such as ``11.7M``.
        source: what errors call the tree.

    Raises:
        SpecError: every problem with its dotted key, such as ``groups[2].hiden: unknown key; did you mean 'hidden'?``
    """
    value, problems = check(tree, kind)
    if problems:
        raise SpecError(source, problems)
    assert value is not None
    return value


def check(tree: Any, kind: type[T], at: Key = ()) -> tuple[T | None, list[str]]:
    """As :func:`validate`, but give back the value (None if there is any problem) and the problems.

    Args:
        tree: the values.
        kind: a standard dataclass.
        at: where the tree is inside the file, for the problems' keys.
    """
    from pydantic import ValidationError

    problems = [f"{dotted(at + key)}: {text}" for key, text in _unfit(tree, ())]
    if problems:
        return None, problems
    adapter: Any = _adapter(kind)  # type: ignore[arg-type] # mypy does not see that types are hashable
    try:
        # JSON mode, because pydantic's strict mode takes only tuples for tuples unless the values come from JSON.
        return adapter.validate_json(json.dumps([tree]))[0], []
    except ValidationError as error:
        found = _by_key(error.errors(include_url=False), tree, kind)
        return None, [f"{dotted(at + key)}: {text}" for key, text in found.items()]


def dotted(key: Key) -> str:
    """A key as people write it.

    >>> dotted(("groups", 2, "hidden"))
    'groups[2].hidden'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{shorten(part)}" for part in key)
    return text.removeprefix(".") or "the file"


def shorten(text: str, length: int = 60) -> str:
    """A text that fits in an error message: printable, on one line, at most ``length`` characters."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: length + 1])
    return text if len(text) <= length else text[: length - 3] + "..."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the known names that look like ``name``, or nothing.

    >>> did_you_mean("hiden", ["hidden", "kernel"])
    "; did you mean 'hidden'?"
    """
    from difflib import get_close_matches

    folded = {candidate.lower(): candidate for candidate in sorted(known)}
    close = get_close_matches(name[:100].lower(), folded, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(folded[match]) for match in close)}?" if close else ""


# Reading


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
        elif _is_broken(name):
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
    if _is_broken(text):
        raise ValueError(BROKEN_TEXT)
    return text


def _is_broken(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


# Validating


@cache
def _adapter(kind: type) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    # A standard dataclass takes the configuration of what holds it, and a bare one cannot be given any: hence the list.
    return TypeAdapter(list[kind], config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))  # type: ignore[valid-type]


def _unfit(tree: Any, key: Key) -> Iterator[tuple[Key, str]]:
    """Yield what no file may hold, whatever its type: other than plain values, infinite numbers, broken text, depth."""
    if len(key) > MAX_DEPTH:
        yield key[:3], f"nested more than {MAX_DEPTH} levels deep"
    elif isinstance(tree, float):
        if not math.isfinite(tree):
            yield key, f"expected a finite number, found {tree}"
    elif isinstance(tree, str):
        if _is_broken(tree):
            yield key, BROKEN_TEXT
    elif isinstance(tree, Mapping):
        for name, value in tree.items():
            if not isinstance(name, str):
                yield key, f"keys are text, found {shorten(repr(name))}"
            else:
                if _is_broken(name):
                    yield key, f"key {shorten(name)} {BROKEN_TEXT}"
                yield from _unfit(value, (*key, name))
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from _unfit(value, (*key, index))
    elif isinstance(tree, int):
        if abs(tree) >= 10**MAX_DIGITS:
            yield key, f"a number of more than {MAX_DIGITS} digits"
    elif tree is not None:
        yield key, f"a file cannot hold a value of type {type(tree).__name__}"


def _by_key(errors: list[Any], tree: Any, kind: Any) -> dict[Key, str]:
    """pydantic's errors by their key, in its order; a union's alternatives, which it lists one by one, together."""
    found: dict[Key, list[str]] = {}
    for error in errors:
        key = _place(error, tree)
        text = _message(error, key, kind)
        if text not in found.setdefault(key, []):
            found[key].append(text)
    # Where one alternative fails deeper inside, that is the one that was meant.
    deepest = [key for key in found if not any(other[: len(key)] == key != other for other in found)]
    return {key: _join(found[key]) for key in deepest}


def _place(error: Mapping[str, Any], tree: Any) -> Key:
    """Key of an error in the tree: its location without the names of union members and the list around the tree."""
    key: list[str | int] = []
    steps = error["loc"][1:]
    absent = error["type"] in ("missing", "missing_argument")
    for number, step in enumerate(steps):
        among = range(len(tree)) if isinstance(tree, list | tuple) else tree if isinstance(tree, Mapping) else ()
        if step in among:
            tree = tree[step]
        elif not (absent and number == len(steps) - 1):
            continue
        key.append(step)
    return tuple(key)


def _message(error: Mapping[str, Any], key: Key, kind: Any) -> str:
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        name = str(error["loc"][-1])
        known = _keys_at(kind, key[:-1])
        return f"unknown key{did_you_mean(name, known) or _list_of(known)}"
    if error["type"] in ("missing", "missing_argument"):
        return "missing"
    text = str(error["msg"]).removeprefix("Value error, ").replace("Input should be ", "expected ")
    for theirs, ours in (("a valid string", "text"), ("an object", "a mapping"), ("a valid array", "a list")):
        text = text.replace(theirs, ours)
    text = text.replace(" after validation", "").replace("Tuple", "list").replace("a valid ", "a ")
    text = text.replace("a integer", "an integer").replace("a boolean", "true or false")
    quotes = " (put it in quotes)" if error["type"] == "string_type" and isinstance(error["input"], int | float) else ""
    return f"{text}, found {_shown(error['input'])}{quotes}"


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    if isinstance(value, Mapping):
        return "a mapping"
    return shorten(repr(value))


def _join(texts: list[str]) -> str:
    """One message of a union's alternatives: ``expected an integer, or a list, found 'x'``."""
    if len(texts) == 1:
        return texts[0]
    wanted, found = zip(*(text.rpartition(", found ")[::2] for text in texts), strict=True)
    return f"{', or '.join([wanted[0], *(w.removeprefix('expected ') for w in wanted[1:])])}, found {found[0]}"


def _list_of(known: Iterable[str]) -> str:
    return f"; known are {', '.join(known)}" if known else ""


def _keys_at(kind: Any, key: Key) -> list[str]:
    """Names of the fields of the dataclass that a type has at a key."""
    kinds = [kind]
    for step in key:
        kinds = [inner for outer in kinds for inner in _inside(outer, step)]
    return [f.name for outer in kinds for member in _members(outer) if is_dataclass(member) for f in fields(member)]


def _members(kind: Any) -> Iterator[Any]:
    """Yield the members of a union, or the type itself."""
    if get_origin(kind) is Annotated:
        yield from _members(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for member in get_args(kind):
            yield from _members(member)
    else:
        yield kind


def _inside(kind: Any, step: str | int) -> Iterator[Any]:
    """Yield the types that a type can have one step inside."""
    for member in _members(kind):
        if is_dataclass(member) and isinstance(member, type):
            hints = get_type_hints(member)
            if step in hints:
                yield hints[str(step)]
        else:
            yield from (argument for argument in get_args(member) if argument is not Ellipsis)
