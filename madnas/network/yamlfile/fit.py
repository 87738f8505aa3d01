"""Trees of plain values as dataclasses, strictly, and pydantic's errors in words of the file."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from madnas.errors import SpecError
from madnas.network.yamlfile.limits import unfit
from madnas.network.yamlfile.words import Key, did_you_mean, dotted, shorten

T = TypeVar("T")


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

    problems = [f"{dotted(at + key)}: {text}" for key, text in unfit(tree, ())]
    if problems:
        return None, problems
    adapter: Any = _adapter(kind)  # type: ignore[arg-type] # mypy does not see that types are hashable
    try:
        # JSON mode, because pydantic's strict mode takes only tuples for tuples unless the values come from JSON.
        return adapter.validate_json(json.dumps([tree]))[0], []
    except ValidationError as error:
        found = _by_key(error.errors(include_url=False), tree, kind)
        return None, [f"{dotted(at + key)}: {text}" for key, text in found.items()]


@cache
def _adapter(kind: type) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    # A standard dataclass takes the configuration of what holds it, and a bare one cannot be given any: hence the list.
    return TypeAdapter(list[kind], config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))  # type: ignore[valid-type]


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
