"""Search spaces: which networks a program may choose from, as small YAML files that users copy and change."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from madnas.errors import SpecError, UsageError
from madnas.network.blocks import CATALOGUE, BlockKind
from madnas.network.layer import strided
from madnas.network.library import load, shipped
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.specfile import MAX_CHANNELS, MAX_SIDE, check_spec
from madnas.theory.numerics import Number

SCHEMA = "madnas/space/1"

MOST = 1e6
"""Largest stage weight and depth penalty; the paper's are 16 and 10."""

MOST_GROUPS = 16
"""Most groups that a program has; the paper's networks have five."""

MOST_DEPTH = 500
"""Most blocks in a group; the paper's deepest has 60."""

MOST_VALUES = 10_000
"""Most values that a width may have; the spaces that come with madnas have up to 1,024."""

MOST_RATIO = 100.0
"""Largest hidden / out and out / hidden; the paper's are 6 and 10."""

RATIO_SLACK = 1e-9
"""Relative slack of ratios such as 0.1, which no float holds exactly; budgets and rho have none."""

DESIGNABLE = ("conv", "basic", "bottleneck", "inverted-residual", "separable", "linear")
"""Blocks of which a program can be made; the others need a stem, a head or depths that a space does not have."""

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
        kernels: allowed kernels; absent: 3, or none where the block has no kernel.
        kernel_map_ratio: a kernel is at most the side of the group's input map divided by this (the smallest kernel
            is always allowed).
        hidden_ratio: smallest and largest hidden / out; absent for blocks without hidden width.
        growth: largest ratio of a group's output channels to its input channels (the stem's, of the first group).
        depth: fewest and most blocks in a group.
        first_depth: the same for the first group.
        multiple: channels are multiples of this.
        se, shortcut, act: as in a network's groups.
        stem: absent for an MLP.
        head: what follows the groups.
        input: default input, channels x height x width.
        classes: default number of classes.
        stage_weights: default alpha; absent: 1, ..., 1, 8.
        depth_penalty: default beta; absent: 10, or 0 for a single stage, as in an MLP.
        rho: default limit of the effectiveness.
        non_decreasing: whether Guideline 3 holds in this space: output channels do not decrease from the stem to the
            first group and from group to group.
    """

    name: str
    block: str
    strides: tuple[int, ...]
    out: tuple[int, int]
    summary: str = ""
    kernels: tuple[int, ...] | None = None
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
    depth_penalty: float | None = None
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
        kernels = self.kernels or (3,)
        return tuple(k for k in sorted(kernels) if k <= limit) or (min(kernels),)

    def draw(
        self, number: int, macs: tuple[float, float], depth: tuple[int, int], seed: int, name: str
    ) -> list[NetworkSpec]:
        """See :meth:`madnas.measure.latency_table.request.Drawable.draw`."""
        from madnas.program.draw import draw  # which needs this module

        return draw(self, number, macs, depth, seed, name)

    def choices(self) -> dict[str, Sequence[int]]:
        """Everything that the designer chooses, by name, with the allowed values, ascending.

        In a fixed order: ``stem``, then ``out1``, ``hidden1``, ``kernel1`` and ``depth1`` of the first group and so on,
        then ``head``; each where the space leaves a choice.
        """
        found: dict[str, Sequence[int]] = {}
        if self.stem is not None:
            found["stem"] = multiples(self.stem.out, self.multiple)
        for group in range(len(self.strides)):
            number = group + 1
            found[f"out{number}"] = multiples(self.out, self.multiple)
            if self.hidden_ratio is not None:
                low, high = self.hidden_ratio
                bounds = (max(1, int(self.out[0] * low)), int(self.out[1] * high * (1 + RATIO_SLACK)))
                found[f"hidden{number}"] = multiples(bounds, self.multiple)
            if "kernel" in CATALOGUE[self.block].needs:
                found[f"kernel{number}"] = self.kernels_of(group)
            shallowest, deepest = self.depth_range(group)
            found[f"depth{number}"] = range(shallowest, deepest + 1)
        if isinstance(self.head.conv, tuple):
            found["head"] = multiples(self.head.conv, self.multiple)
        return found

    def network(self, chosen: Mapping[str, Number], name: str) -> NetworkSpec:
        """The network that choices stand for: integers, arrays or expressions, by the names of :meth:`choices`."""
        groups = tuple(
            Group(
                block=self.block,
                out=chosen[f"out{number}"],
                depth=chosen[f"depth{number}"],
                hidden=chosen.get(f"hidden{number}"),
                kernel=chosen.get(f"kernel{number}"),
                stride=stride,
                act=self.act,
                se=self.se,
                shortcut=self.shortcut,
            )
            for number, stride in enumerate(self.strides, 1)
        )
        stem = None
        if self.stem is not None:
            stem = Stem(chosen["stem"], self.stem.kernel, self.stem.stride, self.stem.act)
        conv = chosen["head"] if isinstance(self.head.conv, tuple) else self.head.conv
        return NetworkSpec(name, self.input, groups, Head(self.classes, conv, self.head.act), stem)


def space_files() -> dict[str, Path]:
    """The spaces that come with madnas, by name."""
    return shipped("space")


def load_space(name_or_path: str) -> Space:
    """A space by name, or from a user's own YAML file.

    Raises:
        UsageError: neither a known name nor a readable file.
        SpecError: the file is not a space; every problem with its key.
    """
    space, source = load(name_or_path, "space", space_files(), {SCHEMA: Space})
    return _checked(space, source)


def _checked(space: Space, source: str) -> Space:
    """The space, if it is a possible one; each check relies on those before it."""
    for check in (_problems, _choice_problems, _smallest_problems):
        problems = list(check(space))
        if problems:
            raise SpecError(source, problems)
    return space


def _problems(space: Space) -> Iterator[str]:
    """Yield what is wrong with a space beyond types, with its key."""
    kind = CATALOGUE.get(space.block)
    if kind is None:
        yield f"block: unknown {space.block!r}; one of {', '.join(DESIGNABLE)}"
        return
    if space.block not in DESIGNABLE:
        yield f"block: a network of {space.block!r} cannot be designed; one of {', '.join(DESIGNABLE)}"
        return
    yield from _block_problems(space, kind)
    yield from _kernel_problems(space, kind)
    yield from _stride_problems(space)
    yield from _number_problems(space)
    yield from _range_problems(space)


def _block_problems(space: Space, kind: BlockKind) -> Iterator[str]:
    """Yield keys that the block needs, or does not have."""
    if (space.stem is None) != (space.block == "linear"):
        yield "stem: needed by every block but 'linear', which has none"
    if space.shortcut is not None and space.shortcut not in kind.shortcuts:
        yield f"shortcut: {space.shortcut!r} is not one of {space.block}'s: {', '.join(kind.shortcuts)}"
    if kind.shortcuts and (space.shortcut or kind.shortcuts[0]) not in COUNTABLE_SHORTCUTS:
        yield f"shortcut: a space needs one of {', '.join(s for s in kind.shortcuts if s in COUNTABLE_SHORTCUTS)}"
    # An inverted residual may have 'expand' instead of hidden widths in a network, but not in a space.
    if ("hidden" in kind.needs or "expand" in kind.takes) and space.hidden_ratio is None:
        yield f"hidden_ratio: needed by {space.block}"
    if space.hidden_ratio is not None and "hidden" not in kind.needs | kind.takes:
        yield f"hidden_ratio: {space.block} has no hidden width"
    allowed = ("none", *(se for se in kind.se if se == "deepmad"))
    if space.se not in allowed:
        yield f"se: {space.se!r} is not one of {space.block}'s in a space: {', '.join(allowed)}"


def _kernel_problems(space: Space, kind: BlockKind) -> Iterator[str]:
    if space.kernel_map_ratio <= 0:
        yield "kernel_map_ratio: above 0"
    if space.kernels is None:
        return
    if "kernel" not in kind.needs:
        yield f"kernels: {space.block} has no kernel"
    elif not space.kernels or any(k < 1 or k % 2 == 0 or k > 31 for k in space.kernels):
        yield "kernels: odd numbers from 1 to 31"
    elif len(set(space.kernels)) < len(space.kernels):
        yield f"kernels: each once, found {', '.join(map(str, space.kernels))}"


def _stride_problems(space: Space) -> Iterator[str]:
    if not space.strides or any(stride not in (1, 2) for stride in space.strides):
        yield "strides: one stride, 1 or 2, for every group, and at least one group"
    if len(space.strides) > MOST_GROUPS:
        yield f"strides: {len(space.strides)} groups; at most {MOST_GROUPS} can be designed"
    if space.stem is not None and space.stem.stride not in (1, 2):
        yield "stem.stride: 1 or 2"
    weights = space.stage_weights
    if weights is not None and len(weights) != space.stages:
        yield f"stage_weights: {len(weights)} weights for {space.stages} stages"
    elif weights is not None and (any(not 0 <= weight <= MOST for weight in weights) or not any(weights)):
        yield f"stage_weights: from 0 to {MOST:g}, and not all 0"


def _number_problems(space: Space) -> Iterator[str]:
    if space.multiple < 1:
        yield "multiple: at least 1"
    if space.growth is not None and space.growth < 1:
        yield "growth: at least 1"
    if space.rho is not None and space.rho <= 0:
        yield "rho: above 0"
    if space.depth_penalty is not None and not 0 <= space.depth_penalty <= MOST:
        yield f"depth_penalty: at least 0 and at most {MOST:g}"
    if min(space.input) < 1 or max(space.input) > MAX_SIDE:
        yield f"input: channels, height and width from 1 to {MAX_SIDE}"
    if space.classes < 1:
        yield "classes: at least 1"
    if isinstance(space.head.conv, int) and space.head.conv < 1:
        yield "head.conv: at least 1"


def _range_problems(space: Space) -> Iterator[str]:
    """Yield ranges that are empty, or so wide that listing their values would be a burden."""
    channels = {
        "out": space.out,
        "stem.out": space.stem.out if space.stem else None,
        "head.conv": space.head.conv if isinstance(space.head.conv, tuple) else None,
    }
    depths = {"depth": space.depth, "first_depth": space.first_depth}
    ranges: dict[str, tuple[float, float] | None] = {**channels, **depths, "hidden_ratio": space.hidden_ratio}
    for key, bounds in ranges.items():
        if bounds is None:
            continue
        if not 0 < bounds[0] <= bounds[1]:
            yield f"{key}: smallest and largest value, above 0 and in this order"
        elif key in channels and bounds[1] > MAX_CHANNELS:
            yield f"{key}: at most {MAX_CHANNELS}"
        elif key in depths and bounds[1] > MOST_DEPTH:
            yield f"{key}: at most {MOST_DEPTH} blocks"
        elif key == "hidden_ratio" and not 1 / MOST_RATIO <= bounds[0] <= bounds[1] <= MOST_RATIO:
            yield f"{key}: from {1 / MOST_RATIO:g} to {MOST_RATIO:g}"


KEYS = {
    "stem": "stem.out", "out": "out", "hidden": "hidden_ratio", "kernel": "kernels", "depth": "depth",
    "head": "head.conv",
}  # fmt: skip
"""The key of a space that says what a choice's values are."""


def _choice_problems(space: Space) -> Iterator[str]:
    """Yield choices without values, with too many, or too large ones, of a space whose ranges are possible."""
    for key, values in {KEYS[name.rstrip("0123456789")]: values for name, values in space.choices().items()}.items():
        if not values:
            yield f"{key}: no multiple of {space.multiple} in its range"
        elif len(values) > MOST_VALUES:
            count = f"{len(values)} values in steps of {space.multiple}"
            yield f"{key}: {count}; at most {MOST_VALUES} (narrow the range or raise multiple)"
        elif values[-1] > MAX_CHANNELS:
            yield f"{key}: up to {values[-1]} channels; at most {MAX_CHANNELS}"


def _smallest_problems(space: Space) -> Iterator[str]:
    """Yield what a spec file would not accept of the smallest network of a space that has no other problem."""
    try:
        check_spec(space.network({name: values[0] for name, values in space.choices().items()}, space.name))
    except SpecError as error:
        yield from error.problems


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
        UsageError: an input of one pixel for convolutions.
    """
    shape = input or space.input
    if input is not None and input[1:] == (1, 1) and space.stem is not None and resolution is None:
        raise UsageError(
            f"--input: {'x'.join(map(str, input))} is no image, and space {space.name} is convolutional",
            "write channels x height x width, 3x224x224, or give --resolution 224",
        )
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
