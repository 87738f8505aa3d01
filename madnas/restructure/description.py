"""The description of a restructured network: the network that it was, and what of it was merged or split."""

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from madnas.errors import SpecError, UsageError
from madnas.files import read_text
from madnas.network.specfile import parse_spec
from madnas.network.yamlfile import parse_yaml, validate

if TYPE_CHECKING:
    from torch import nn

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


def rebuild(description: Description) -> "nn.Module":
    """The restructured module with fresh weights, for those of a file.

    Raises:
        UsageError: the network has no such parts: another version of its library.
    """
    import torch

    from madnas.models.norms import set_norms
    from madnas.restructure.merge import apply, finish, plan
    from madnas.restructure.prepared import traced_for_merging

    model = base_model(description)
    set_norms(model, None, description.bn_eps)
    if description.split:
        from madnas.restructure.split import split_structure

        model = split_structure(model, description.input, description.split, description.branch)
    if not description.merged:
        return model
    for name, slopes in slopes_of(model).items():
        if name in description.linear:
            with torch.no_grad():
                slopes.fill_(1.0)
    traced = traced_for_merging(model, description.input)
    wanted = set(description.merged)
    merges = [merge for merge in plan(traced, description.costly, description.only)[0] if merge.modules in wanted]
    missing = wanted - {merge.modules for merge in merges}
    if missing:
        raise UsageError(f"{description.name}: the network has no {min(missing)[0]} that can be merged as described")
    for merge in merges:
        apply(traced, merge)
    return finish(traced)


def linear_in(model: "nn.Module") -> tuple[str, ...]:
    """Names of blocks and PReLUs that are linear, because their slopes are 1: as fresh ones they would not be."""
    return tuple(name for name, slopes in slopes_of(model).items() if bool((slopes == 1).all()))


def slopes_of(model: "nn.Module") -> dict[str, "nn.Parameter"]:
    """Slopes of restructurable blocks and of PReLUs, by the names of those."""
    from torch import nn

    from madnas.models.restructurable import alphas_of

    units = {name: part.weight for name, part in model.named_modules() if isinstance(part, nn.PReLU)}
    return alphas_of(model) | units


def base_model(description: Description) -> "nn.Module":
    """The network before, with fresh weights."""
    from madnas.scores.targets import RESTRUCTURED, Target, as_library, module_of

    if description.spec is None:
        assert description.base is not None
        target = as_library(description.base)
        if target.library == RESTRUCTURED:
            raise UsageError(f"{description.name}: its base {description.base} is restructured itself")
    else:
        target = Target(description.name, parse_spec(description.spec, description.name))
    return module_of(target, description.classes, description.input)
