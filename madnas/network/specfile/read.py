"""A NetworkSpec from a file or a tree of plain values, with every problem of every part at once."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, make_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from madnas.errors import SpecError
from madnas.network.spec import SCHEMA, Group, Head, NetworkSpec, Stem
from madnas.network.specfile.rules import MAX_GROUPS, problems_of, size_problems
from madnas.network.specfile.tree import spec_to_tree
from madnas.network.yamlfile import Key, check, dotted, read_yaml, shorten
from madnas.theory.numerics import Number

STAND_IN: dict[str, Any] = {"name": "", "input": [1, 1, 1], "groups": [], "head": {}, "schema": SCHEMA, "stem": None}
"""Values in the place of those at the top level that are wrong, while the others are read."""


@dataclass(frozen=True, slots=True)
class _Document:
    """A spec file's top level; its parts are checked one by one, so that a mistake in one hides none in another."""

    schema: str
    name: str
    input: tuple[int, int, int]
    groups: list[Any]
    head: Any
    stem: Any = None
    provenance: dict[str, Any] = field(default_factory=dict)


def load_spec(path: str | Path) -> NetworkSpec:
    """Read a spec file.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is no network; every problem with its dotted key.
    """
    return parse_spec(read_yaml(path), str(path))


def parse_spec(tree: Mapping[str, Any], source: str) -> NetworkSpec:
    """A network from a tree of plain values, as YAML or JSON give it.

    Args:
        tree: the values.
        source: what errors call it.

    Raises:
        SpecError: it is no network; every problem with its dotted key.
    """
    if not isinstance(tree, Mapping):
        raise SpecError(source, [f"expected a mapping, found {shorten(repr(tree))}"])
    schema = tree.get("schema")
    if isinstance(schema, str) and schema != SCHEMA:
        # Nothing else in a file of another kind is worth a complaint.
        raise SpecError(source, [f"schema: expected {SCHEMA!r}, found {shorten(repr(schema))}"])
    spec, problems = _read(tree)
    for part, problem in problems_of(spec):
        problems[part].append(problem)
    found = [problem for part in problems.values() for problem in part]
    found = found or list(size_problems(spec))
    if found:
        raise SpecError(source, found, None if "schema" in tree else f"a spec file begins with 'schema: {SCHEMA}'")
    return spec


def check_spec(spec: NetworkSpec, source: str | None = None) -> NetworkSpec:
    """The same network in plain integers, if it is one that can be built and written to a file.

    Raises:
        SpecError: every problem with its dotted key.
    """
    return parse_spec(spec_to_tree(spec), source or str(spec.name))


def _read(tree: Mapping[str, Any]) -> tuple[NetworkSpec, dict[str, list[str]]]:
    """What can be read of a network, and the problems with keys and types in every part.

    Parts are ``""`` (the top level), ``"stem"``, ``"groups[0]"`` ..., ``"head"``. What cannot be read is None in the
    network; an unreadable stem, since None means that there is none, is one without channels.
    """
    top: Any
    top, wrong = check(tree, _Document)
    problems: dict[str, list[str]] = {"": wrong, "stem": []}
    if top is None:
        bad = {problem.partition(":")[0].partition("[")[0].partition(".")[0] for problem in wrong}
        good = {name: tree[name] for name in STAND_IN if name in tree and name not in bad}
        top = check(STAND_IN | good, _Document)[0]
        top = replace(top, **{name: None for name in STAND_IN if name not in good})

    def read(value: Any, kind: type, key: Key) -> Any:
        part, problems[dotted(key)] = check(value, _in_files(kind), key)
        return part and kind(**{f.name: getattr(part, f.name) for f in fields(kind)})

    rows = enumerate((top.groups or [])[: MAX_GROUPS + 1])
    groups: Any = tuple(read(group, Group, ("groups", index)) for index, group in rows)
    if top.groups is None:
        groups = (None,)
    head: Any = None if top.head is None else read(top.head, Head, ("head",))
    spec = NetworkSpec(
        name=top.name,
        input=top.input,
        stem=None if top.stem is None else read(top.stem, Stem, ("stem",)) or Stem(None),
        groups=groups,
        head=head,
        provenance=top.provenance,
    )
    return spec, problems


@cache
def _in_files(part: type) -> Any:
    """A dataclass like ``part`` in which every count is an integer, as it is in a file.

    In memory counts may be arrays or expressions, so that ``part`` itself has to declare them as anything.
    """
    count = {Number: int, Number | None: int | None}
    rows: list[Any] = []
    for f in fields(part):
        default: Any = field() if f.default is MISSING else field(default=f.default)
        rows.append((f.name, count.get(f.type, f.type), default))
    return make_dataclass(part.__name__, rows, frozen=True)
