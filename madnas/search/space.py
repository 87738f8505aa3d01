"""Spaces of networks whose length is free, as Zen-NAS searches them: small YAML files that users copy and change.

A network is a stem, stages of one to a few rows, and a 1x1 convolution; a row is a run of equal blocks. The first row
of a stage takes its stride, so that every map's size is known before anything is chosen.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from madnas.errors import SpecError
from madnas.network.blocks import CATALOGUE
from madnas.network.library import load, shipped
from madnas.network.plainnet import UNITS
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.specfile import MAX_CHANNELS, MAX_SIDE, check_spec
from madnas.network.yamlfile import read_yaml
from madnas.theory.numerics import Number

SCHEMA = "madnas/evolution-space/1"

BLOCKS = ("basic", "bottleneck", "mobile-pair")
"""Blocks that a row may have: those of Zen-NAS."""

MOST_STAGES, MOST_ROWS, MOST_DEPTH, MOST_KINDS = 8, 12, 200, 64

FACTORS = (0.4, 0.5, 0.667, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5)
"""What Zen-NAS multiplies widths by."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Blocks that a row may have: every kernel with every expansion.

    Attributes:
        block: of the catalogue.
        kernels: sides of its square kernel.
        expand: expansions, of ``mobile-pair``.
    """

    block: str
    kernels: tuple[int, ...]
    expand: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One kind of row: block, kernel and expansion; of many candidates at once kernel and expansion may be arrays."""

    block: str
    kernel: Number
    expand: Number | None = None


@dataclass(frozen=True, slots=True)
class StemRange:
    """The stem: a range of widths, kernel and stride."""

    out: tuple[int, int]
    kernel: int = 3
    stride: int = 2


@dataclass(frozen=True, slots=True)
class Small:
    """What replaces strides for small images.

    Attributes:
        side: of the largest input that counts as small, in pixels.
        stem_stride: of the stem.
        strides: of the stages.
    """

    side: int
    stem_stride: int
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """The network that a search begins with: one row a stage, all alike."""

    out: int
    hidden: int
    layers: int = 1
    head: int = 128


@dataclass(frozen=True, slots=True)
class Mutation:
    """How a network is changed.

    Attributes:
        parts: how many parts (stem, rows, head) of a parent are drawn anew at a time.
        factors: what widths are multiplied by.
        layers: at most so many layers more or fewer.
        split: a row of at least so many layers becomes two, of three and of the rest.
    """

    parts: int = 2
    factors: tuple[float, ...] = FACTORS
    layers: int = 2
    split: int = 6


@dataclass(frozen=True)
class EvolutionSpace:
    """A family of networks of free length.

    Attributes:
        name: what the space is called.
        kinds: what a row may be.
        stem: the stem.
        strides: stride of every stage.
        out: smallest and largest output channels of a row.
        hidden: smallest and largest inner channels of a row.
        head: smallest and largest width of the 1x1 convolution at the end.
        max_depth: most layers, as Zen-NAS counts them: one of the stem, one of the head, and those of all rows; a layer
            of bottlenecks is two blocks, one of mobile pairs a pair, one of basic blocks a block.
        start: what a search begins with.
        summary: what it is, in a line.
        small: strides for small images.
        rows: most rows of a stage.
        multiple: channels are multiples of this.
        shortcut: of all blocks that have one.
        act: activation of all.
        se: squeeze-excitation of the rows: ``none``, or ``zennet`` of ``mobile-pair``.
        input: default input, channels x height x width.
        classes: default number of classes.
        mutation: how a network is changed.
    """

    name: str
    kinds: tuple[Kind, ...]
    stem: StemRange
    strides: tuple[int, ...]
    out: tuple[int, int]
    hidden: tuple[int, int]
    head: tuple[int, int]
    max_depth: int
    start: Start
    summary: str = ""
    small: Small | None = None
    rows: int = 6
    multiple: int = 8
    shortcut: str | None = None
    act: str = "relu"
    se: str = "none"
    input: tuple[int, int, int] = (3, 224, 224)
    classes: int = 1000
    mutation: Mutation = field(default_factory=Mutation)

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Every kind of row, in the order of the file."""
        return tuple(
            Choice(kind.block, kernel, expand)
            for kind in self.kinds
            for expand in kind.expand or (None,)
            for kernel in kind.kernels
        )

    def group(self, choice: Choice, out: Number, hidden: Number, layers: Number, stride: int) -> Group:
        """A row as a group of a network; numbers or arrays."""
        return Group(
            block=choice.block,
            out=out,
            depth=layers * UNITS[choice.block],
            hidden=hidden,
            expand=choice.expand,
            kernel=choice.kernel,
            stride=stride,
            act=self.act,
            se=self.se,
            shortcut=self.shortcut if CATALOGUE[choice.block].shortcuts else None,
        )

    def network(self, stem: Number, groups: tuple[Group, ...], head: Number, name: str) -> NetworkSpec:
        """Stem, groups and head as a network; numbers or arrays."""
        return NetworkSpec(name, self.input, groups, Head(self.classes, head, self.act), self.stem_of(stem))

    def stem_of(self, out: Number) -> Stem:
        """The stem of such a width."""
        return Stem(out, self.stem.kernel, self.stem.stride, self.act)

    def customised(
        self,
        *,
        input: tuple[int, int, int] | None = None,
        resolution: int | None = None,
        classes: int | None = None,
        kernels: tuple[int, ...] | None = None,
        multiple: int | None = None,
        max_depth: int | None = None,
    ) -> "EvolutionSpace":
        """The space with some of its parts replaced, and strides for small images where they are, checked again.

        Raises:
            SpecError: the changed space is not a possible one.
        """
        shape = input or self.input
        shape = shape if resolution is None else (shape[0], resolution, resolution)
        changed = replace(
            self,
            input=shape,
            classes=self.classes if classes is None else classes,
            kinds=self.kinds if kernels is None else tuple(replace(kind, kernels=kernels) for kind in self.kinds),
            max_depth=self.max_depth if max_depth is None else max_depth,
        )
        if multiple is not None and multiple >= 1:
            start = changed.start
            sizes = {key: -(-getattr(start, key) // multiple) * multiple for key in ("out", "hidden", "head")}
            changed = replace(changed, multiple=multiple, start=replace(start, **sizes))
        if self.small is not None and max(shape[1:]) <= self.small.side:
            stem = replace(self.stem, stride=self.small.stem_stride)
            changed = replace(changed, stem=stem, strides=self.small.strides, small=None)
        return _checked(changed, f"space {self.name}")


def evolution_spaces() -> dict[str, Path]:
    """The spaces of free length that come with madnas, by name."""
    return shipped("evolution")


def is_evolution_space(name_or_path: str) -> bool:
    """Whether a name, or a user's file, is a space of free length."""
    path = Path(name_or_path)
    if name_or_path in evolution_spaces():
        return True
    return path.suffix in (".yaml", ".yml") and path.exists() and read_yaml(path).get("schema") == SCHEMA


def load_evolution_space(name_or_path: str) -> EvolutionSpace:
    """A space by name, or from a user's own YAML file.

    Raises:
        UsageError: neither a known name nor a readable file.
        SpecError: the file is not such a space; every problem with its key.
    """
    space, source = load(name_or_path, "space", evolution_spaces(), {SCHEMA: EvolutionSpace})
    return _checked(space, source)


def _checked(space: EvolutionSpace, source: str) -> EvolutionSpace:
    for check in (_problems, _start_problems):
        problems = list(check(space))
        if problems:
            raise SpecError(source, problems)
    return space


def _problems(space: EvolutionSpace) -> Iterator[str]:
    """Yield what is wrong with a space beyond types, with its key."""
    yield from _kind_problems(space)
    ranges = {"stem.out": space.stem.out, "out": space.out, "hidden": space.hidden, "head": space.head}
    for key, bounds in ranges.items():
        if not 0 < bounds[0] <= bounds[1] <= MAX_CHANNELS:
            yield f"{key}: smallest and largest value, in this order, from 1 to {MAX_CHANNELS}"
        elif space.multiple >= 1 and bounds[1] // space.multiple * space.multiple < bounds[0]:
            yield f"{key}: no multiple of {space.multiple} in its range"
    if space.multiple < 1:
        yield "multiple: at least 1"
    small = {"small.strides": space.small.strides} if space.small is not None else {}
    for key, strides in ({"strides": space.strides} | small).items():
        if not 1 <= len(strides) <= MOST_STAGES or any(stride not in (1, 2) for stride in strides):
            yield f"{key}: one stride, 1 or 2, for each of 1 to {MOST_STAGES} stages"
        elif any(stride == 1 for stride in strides[1:]):
            yield f"{key}: every stage but the first begins with a stride of 2"
    if space.stem.stride not in (1, 2):
        yield "stem.stride: 1 or 2"
    if space.small is not None and space.small.stem_stride not in (1, 2):
        yield "small.stem_stride: 1 or 2"
    if not 1 <= space.rows <= MOST_ROWS:
        yield f"rows: from 1 to {MOST_ROWS}"
    if not len(space.strides) + 2 <= space.max_depth <= MOST_DEPTH:
        yield f"max_depth: from {len(space.strides) + 2} (stem, head and a layer a stage) to {MOST_DEPTH}"
    if min(space.input) < 1 or max(space.input) > MAX_SIDE:
        yield f"input: channels, height and width from 1 to {MAX_SIDE}"
    if space.classes < 1:
        yield "classes: at least 1"
    yield from _mutation_problems(space.mutation)


def _kind_problems(space: EvolutionSpace) -> Iterator[str]:
    if not space.kinds or len(space.choices) > MOST_KINDS:
        yield f"kinds: from 1 to {MOST_KINDS} kinds, kernels and expansions in all"
    for place, kind in enumerate(space.kinds):
        at = f"kinds[{place}]"
        if kind.block not in BLOCKS:
            yield f"{at}.block: {kind.block!r} is not one of {', '.join(BLOCKS)}"
            continue
        if not kind.kernels or any(kernel % 2 == 0 or not 1 <= kernel <= 31 for kernel in kind.kernels):
            yield f"{at}.kernels: odd numbers from 1 to 31"
        if (kind.expand is None) == (kind.block == "mobile-pair"):
            yield f"{at}.expand: needed by mobile-pair, and by no other"
        elif kind.expand is not None and (not kind.expand or any(not 1 <= one <= 16 for one in kind.expand)):
            yield f"{at}.expand: from 1 to 16"
        if space.se != "none" and space.se not in CATALOGUE[kind.block].se:
            yield f"se: {space.se!r} is not one of {kind.block}'s"
        shortcuts = CATALOGUE[kind.block].shortcuts
        if space.shortcut is not None and shortcuts and space.shortcut not in shortcuts:
            yield f"shortcut: {space.shortcut!r} is not one of {kind.block}'s: {', '.join(shortcuts)}"


def _mutation_problems(mutation: Mutation) -> Iterator[str]:
    if not 1 <= mutation.parts <= 16:
        yield "mutation.parts: from 1 to 16"
    if not mutation.factors or any(not 0.01 <= factor <= 100 for factor in mutation.factors):
        yield "mutation.factors: from 0.01 to 100"
    if not 0 <= mutation.layers <= 32:
        yield "mutation.layers: from 0 to 32"
    if mutation.split < 4:
        yield "mutation.split: at least 4, for three layers and the rest"


def _start_problems(space: EvolutionSpace) -> Iterator[str]:
    """Yield what is wrong with the network that a search begins with."""
    start, multiple = space.start, space.multiple
    for key, value, bounds in (("out", start.out, space.out), ("hidden", start.hidden, space.hidden),
                               ("head", start.head, space.head)):  # fmt: skip
        if not bounds[0] <= value <= bounds[1] or value % multiple:
            yield f"start.{key}: a multiple of {multiple} from {bounds[0]} to {bounds[1]}"
    layers = 2 + start.layers * len(space.strides)
    if start.layers < 1 or layers > space.max_depth:
        yield f"start.layers: at least 1, and no more in all than max_depth {space.max_depth}"
        return
    try:
        check_spec(start_network(space))
    except SpecError as error:
        yield from error.problems


def space_tree(space: EvolutionSpace) -> dict[str, Any]:
    """All of a space as plain data: what makes it another one than its neighbour."""
    return asdict(space)


def start_network(space: EvolutionSpace) -> NetworkSpec:
    """The network that a search begins with."""
    start = space.start
    groups = tuple(
        space.group(space.choices[0], start.out, start.hidden, start.layers, stride) for stride in space.strides
    )
    return space.network(_within(start.out, space.stem.out), groups, start.head, space.name)


def _within(value: int, bounds: tuple[int, int]) -> int:
    return min(max(value, bounds[0]), bounds[1])
