"""Search spaces: which networks a program may choose from, as small YAML files that users copy and change."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from madnas.errors import SpecError
from madnas.network.blocks import CATALOGUE
from madnas.network.layer import strided

SCHEMA = "madnas/space/1"

COUNTABLE_SHORTCUTS = ("pool", "identity", "pad")
"""Shortcuts whose layers do not depend on whether two widths happen to be equal."""


@dataclass(frozen=True, slots=True)
class StemSpace:
    """The stem: a fixed kernel and stride, a range of widths."""

    out: tuple[int, int]
    kernel: int = 3
    stride: int = 2
    act: str = "relu"


@dataclass(frozen=True, slots=True)
class HeadSpace:
    """The head: a 1x1 convolution of fixed width (or a range of widths, or none) before pooling and classifier."""

    conv: int | tuple[int, int] | None = None
    act: str = "relu"


@dataclass(frozen=True, slots=True)
class Space:
    """A family of networks: one kind of block, a fixed sequence of strides, ranges for everything else.

    Attributes:
        name: what the space is called.
        block: kind of block of every group.
        strides: stride of every group; their number is the number of groups.
        out: smallest and largest output channels of a group.
        summary: what it is, in a line.
        kernels: allowed kernels.
        kernel_map_ratio: a kernel is at most the side of the group's input map divided by this (the smallest kernel
            is always allowed).
        hidden_ratio: smallest and largest hidden / out; absent for blocks without hidden width.
        growth: largest ratio of a group's output channels to its input channels.
        depth: fewest and most blocks in a group.
        first_depth: the same for the first group.
        multiple: channels are multiples of this.
        se, shortcut, act: as in a network's groups.
        stem: absent for an MLP.
        head: what follows the groups.
        input: default input, channels x height x width.
        classes: default number of classes.
        stage_weights: default alpha; absent: 1, ..., 1, 8.
        depth_penalty: default beta.
        rho: default limit of the effectiveness.
        non_decreasing: whether Guideline 3 holds in this space.
    """

    name: str
    block: str
    strides: tuple[int, ...]
    out: tuple[int, int]
    summary: str = ""
    kernels: tuple[int, ...] = (3,)
    kernel_map_ratio: float = 1.5
    hidden_ratio: tuple[float, float] | None = None
    growth: float | None = None
    depth: tuple[int, int] = (1, 60)
    first_depth: tuple[int, int] | None = None
    multiple: int = 8
    se: str = "none"
    shortcut: str | None = None
    act: str = "relu"
    stem: StemSpace | None = None
    head: HeadSpace = field(default_factory=HeadSpace)
    input: tuple[int, int, int] = (3, 224, 224)
    classes: int = 1000
    stage_weights: tuple[float, ...] | None = None
    depth_penalty: float = 10.0
    rho: float | None = None
    non_decreasing: bool = True

    @property
    def stages(self) -> int:
        """Number of stages: runs between stride-2 steps, the stem's included."""
        return 1 + sum(stride == 2 for stride in self.strides)

    def depth_range(self, group: int) -> tuple[int, int]:
        """Fewest and most blocks of a group (0-based)."""
        return self.first_depth if group == 0 and self.first_depth is not None else self.depth

    def kernels_of(self, group: int) -> tuple[int, ...]:
        """Kernels that a group (0-based) may use on its input map."""
        resolution = self.input[1:]
        strides = ([self.stem.stride] if self.stem else []) + list(self.strides[:group])
        for stride in strides:
            resolution = strided(resolution, stride)
        limit = min(resolution) / self.kernel_map_ratio
        return tuple(k for k in sorted(self.kernels) if k <= limit) or (min(self.kernels),)


def space_files() -> dict[str, Path]:
    """The spaces that come with madnas, by name."""
    from importlib.resources import files

    folder = Path(str(files("madnas.recipes") / "space"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_space(name_or_path: str) -> Space:
    """A space by name, or from a user's own YAML file.

    Raises:
        UsageError: neither a known name nor a readable file.
        SpecError: the file is not a space; every problem with its key.
    """
    from madnas.network.named import unknown_name
    from madnas.network.yamlfile import read_yaml, validate

    known = space_files()
    path = known.get(name_or_path)
    if path is None:
        path = Path(name_or_path)
        if path.suffix not in (".yaml", ".yml") and not path.exists():
            raise unknown_name("space", name_or_path, known, "or give the path of a space file (.yaml)")
    tree = read_yaml(path)
    schema = tree.pop("schema", None)
    if schema != SCHEMA:
        raise SpecError(str(path), [f"schema: expected {SCHEMA!r}, found {schema!r}"])
    space: Space = validate(tree, Space, str(path))
    return _checked(space, str(path))


def _checked(space: Space, source: str) -> Space:
    problems = list(_problems(space)) or list(_smallest_problems(space))
    if problems:
        raise SpecError(source, problems)
    return space


def _smallest_problems(space: Space) -> Iterator[str]:
    """Yield what a spec file would not accept of the smallest network of a space that has no other problem."""
    from madnas.network.specfile import check_spec
    from madnas.program.problem import Problem

    problem = Problem(space, {"layers": 1})
    empty = [variable.name for variable in problem.variables if not variable.values]
    if empty:
        yield f"no multiple of {space.multiple} is allowed for {', '.join(empty)}"
        return
    try:
        check_spec(problem.network([variable.values[0] for variable in problem.variables], space.name))
    except SpecError as error:
        yield from error.problems


def _problems(space: Space) -> Iterator[str]:
    """Yield what is wrong with a space beyond types, with its key."""
    kind = CATALOGUE.get(space.block)
    if kind is None:
        yield f"block: unknown {space.block!r}; one of {', '.join(sorted(CATALOGUE))}"
        return
    if not space.strides or any(stride not in (1, 2) for stride in space.strides):
        yield "strides: one stride, 1 or 2, for every group, and at least one group"
    if (space.stem is None) != (space.block == "linear"):
        yield "stem: needed by every block but 'linear', which has none"
    if space.shortcut is not None and space.shortcut not in kind.shortcuts:
        yield f"shortcut: {space.shortcut!r} is not one of {space.block}'s: {', '.join(kind.shortcuts)}"
    if kind.shortcuts and (space.shortcut or kind.shortcuts[0]) not in COUNTABLE_SHORTCUTS:
        yield f"shortcut: a space needs one of {', '.join(s for s in kind.shortcuts if s in COUNTABLE_SHORTCUTS)}"
    if "hidden" in kind.needs and space.hidden_ratio is None:
        yield f"hidden_ratio: needed by {space.block}"
    if space.hidden_ratio is not None and "hidden" not in kind.needs | kind.takes:
        yield f"hidden_ratio: {space.block} has no hidden width"
    if space.block == "inverted-residual" and space.hidden_ratio is None:
        yield "hidden_ratio: needed by inverted-residual"
    if space.se != "none" and "se" not in kind.takes:
        yield f"se: {space.block} has no squeeze-excitation"
    if space.se not in ("none", "deepmad"):
        yield f"se: {space.se!r} is not one of none, deepmad"
    if not space.kernels or any(k < 1 or k % 2 == 0 or k > 31 for k in space.kernels):
        yield "kernels: odd numbers from 1 to 31"
    if space.multiple < 1:
        yield "multiple: at least 1"
    if space.kernel_map_ratio <= 0:
        yield "kernel_map_ratio: above 0"
    if space.growth is not None and space.growth < 1:
        yield "growth: at least 1"
    if space.rho is not None and space.rho <= 0:
        yield "rho: above 0"
    if space.depth_penalty < 0:
        yield "depth_penalty: at least 0"
    if min(space.input) < 1 or max(space.input) > 16384:
        yield "input: channels, height and width from 1 to 16384"
    if space.classes < 1:
        yield "classes: at least 1"
    ranges: dict[str, tuple[float, float] | None] = {
        "out": space.out,
        "depth": space.depth,
        "first_depth": space.first_depth,
    }
    ranges |= {"stem.out": space.stem.out if space.stem else None, "hidden_ratio": space.hidden_ratio}
    ranges |= {"head.conv": space.head.conv if isinstance(space.head.conv, tuple) else None}
    for key, bounds in ranges.items():
        if bounds is not None and not 0 < bounds[0] <= bounds[1]:
            yield f"{key}: smallest and largest value, above 0 and in this order"
        elif bounds is not None and "." not in key and key != "hidden_ratio" and bounds[1] > 1_000_000:
            yield f"{key}: at most 1000000"
    for key, limits in {"out": space.out, "stem.out": space.stem.out if space.stem else None}.items():
        if limits is not None and space.multiple > 0 and not multiples(limits, space.multiple):
            yield f"{key}: no multiple of {space.multiple} between {limits[0]} and {limits[1]}"
    for key, bounds in (("depth", space.depth), ("first_depth", space.first_depth)):
        if bounds is not None and bounds[1] > 500:
            yield f"{key}: at most 500 blocks"
    if isinstance(space.head.conv, int) and space.head.conv < 1:
        yield "head.conv: at least 1"
    if space.stage_weights is not None and len(space.stage_weights) != space.stages:
        yield f"stage_weights: {len(space.stage_weights)} weights for {space.stages} stages"


def multiples(bounds: tuple[int, int], multiple: int) -> range:
    """The multiples of ``multiple`` in a closed range."""
    return range(-(-bounds[0] // multiple) * multiple, bounds[1] + 1, multiple)


def customise(
    space: Space,
    *,
    input: tuple[int, int, int] | None = None,
    resolution: int | None = None,
    classes: int | None = None,
    kernels: tuple[int, ...] | None = None,
    multiple: int | None = None,
    strides: tuple[int, ...] | None = None,
    head_conv: int | None = None,
) -> Space:
    """A space with some of its parts replaced, checked again.

    Raises:
        SpecError: the changed space is not a possible one.
    """
    shape = input or space.input
    changed = replace(
        space,
        input=shape if resolution is None else (shape[0], resolution, resolution),
        classes=space.classes if classes is None else classes,
        kernels=kernels or space.kernels,
        multiple=space.multiple if multiple is None else multiple,
        strides=strides or space.strides,
        head=space.head if head_conv is None else replace(space.head, conv=head_conv),
    )
    return _checked(changed, f"space {space.name}")
