"""Files that come with madnas, by name, and users' own files of the same kind, by path."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from madnas.errors import SpecError
from madnas.network.named import unknown_name
from madnas.network.yamlfile import read_yaml, validate

T = TypeVar("T")


def shipped(folder: str) -> dict[str, Path]:
    """The YAML files in a folder of ``recipes/``, by name."""
    from importlib.resources import files

    found = Path(str(files("madnas.recipes") / folder))
    return {path.stem: path for path in sorted(found.glob("*.yaml"))}


def load(name_or_path: str, what: str, known: Mapping[str, Path], kinds: Mapping[str, type[T]]) -> tuple[T, str]:
    """A dataclass from a file that comes with madnas, or from a user's own.

    Args:
        name_or_path: one of ``known``, or a path.
        what: what such a file holds, for errors: ``space``, ``recipe``.
        known: the files that come with madnas, by name.
        kinds: dataclasses by what a file's ``schema`` may be.

    Returns:
        the value, and what errors call its file.

    Raises:
        UsageError: neither a known name nor a readable file.
        SpecError: another kind of file, or wrong keys and types; every problem with its key.
    """
    path = known.get(name_or_path)
    if path is None:
        path = Path(name_or_path)
        if path.suffix not in (".yaml", ".yml") and not path.exists():
            raise unknown_name(what, name_or_path, known, f"or give the path of a {what} file (.yaml)")
    tree = read_yaml(path)
    found = tree.pop("schema", None)
    if not isinstance(found, str) or found not in kinds:
        expected = " or ".join(map(repr, kinds))
        raise SpecError(str(path), [f"schema: expected {expected}, found {found!r}"])
    return validate(tree, kinds[found], str(path)), str(path)
