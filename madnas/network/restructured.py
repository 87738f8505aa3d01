"""The description of a restructured network: the network that it was, and what of it was merged or split."""

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from madnas.errors import SpecError
from madnas.files import read_text
from madnas.network.specfile import parse_spec
from madnas.network.yamlfile import parse_yaml, validate

SCHEMA: Final = "madnas/restructured/1"
LARGEST = 16384
"""Of sizes and classes in a file."""
HEAD = "# A restructured network: what it was, and what was merged or split. It is a TARGET like any other.\n"


@dataclass(frozen=True, slots=True)
class Description:
    """A restructured network, with the keys of its file.

    Attributes:
        schema: of the file.
        name: what it is called.
        input: (C, H, W).
        classes: outputs.
        merged: names of the modules of each merge.
        split: units that kept their activation, by the names of the layers before them.
        branch: activation of the branches beside them.
        linear: blocks whose alpha is 1, or was taken as that, and PReLUs all slopes of which are.
        costly: whether merges that cost multiply-adds were made.
        only: names of the modules in which merges were made; empty if that was the network.
        bn_eps: of its batch norms, where the recipe that trained it says so.
        base: what the network was called before, in a library; absent if ``spec`` describes it.
        spec: of the network before.
    """

    schema: Literal["madnas/restructured/1"]
    name: str
    input: tuple[int, int, int]
    classes: int
    merged: tuple[tuple[str, ...], ...] = ()
    split: dict[str, int] = field(default_factory=dict)
    branch: Literal["none", "gelu", "exp", "expm1", "exp-clamped"] = "none"
    linear: tuple[str, ...] = ()
    costly: bool = False
    only: tuple[str, ...] = ()
    bn_eps: float | None = None
    base: str | None = None
    spec: dict[str, Any] | None = None


def dump(description: Description) -> str:
    """The text of its file."""
    import yaml

    tree = {key: value for key, value in json.loads(json.dumps(asdict(description))).items() if value is not None}
    return HEAD + yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, width=110)


def is_description(path: str) -> bool:
    """Whether a file says of itself that it is one."""
    if not path.endswith((".yaml", ".yml")) or not os.path.isfile(path):
        return False
    return any(line.startswith("schema:") and SCHEMA in line for line in read_text(path).splitlines())


def load(path: str) -> Description:
    """Read a description.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is none; every problem.
    """
    found = validate(parse_yaml(read_text(path), path), Description, path)
    problems = []
    if (found.base is None) == (found.spec is None):
        problems.append("base or spec: expected one of them")
    if not all(0 < size <= LARGEST for size in found.input):
        problems.append(f"input: expected 1 to {LARGEST}")
    if not found.merged and not found.split:
        problems.append("merged or split: expected one of them")
    if not 0 < found.classes <= LARGEST:
        problems.append(f"classes: expected 1 to {LARGEST}")
    if problems:
        raise SpecError(path, problems, "madnas restructure writes such files")
    if found.spec is not None:
        parse_spec(found.spec, f"{path}, spec")
    return found
