"""What makes a network, beyond types: sizes, words, keys that go together."""

from collections.abc import Iterator
from dataclasses import fields

from madnas.network.blocks import CATALOGUE, BlockKind, shortcut_of
from madnas.network.cells import MIN_CELL, dense_out, skip_chs
from madnas.network.expand import vanishes
from madnas.network.spec import LINEAR_BLOCKS, Group, NetworkSpec, Stem
from madnas.network.squeeze import SE_RATIO
from madnas.network.yamlfile import did_you_mean, shorten
from madnas.theory.numerics import Number

ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "silu", "gelu", "hard_swish", "mish"),
    *("elu", "selu", "tanh", "sigmoid", "hard_sigmoid", "identity"),
)
"""Activations by timm's names; none with parameters of its own (PReLU), which the closed-form count does not know."""

STEM_NORMS = ("batch", "layer", "later")

GROUP_NORMS = ("batch", "none")

BRANCHES = ("none", "gelu", "exp", "expm1", "exp-clamped")

HEAD_NORMS = ("none", "batch", "layer")

STEMLESS = frozenset({"conv", "repvgg", "random-skip", "random-skip-mobile"})
"""Blocks with which a convolutional network may begin: those that do not need a stem before them."""

OWN_EXPANSION = frozenset({"convnext", "mobile-pair"})
"""Blocks that do not expand their input's channels."""

PAIRS = frozenset({"afrb-pair", "inverted-pair", "act-conv-pair"})
"""Blocks around a waist of half their channels."""

SAME_SHAPE = PAIRS | {"depthwise"}
"""Blocks that cannot change the number of channels."""

MAX_CHANNELS = 1_000_000

MAX_DEPTH = 10_000

MAX_GROUPS = 100

MAX_KERNEL = 31

MAX_SIDE = 16_384

MAX_EXPAND = 1_000

MAX_NAME = 100

MAX_SEED = 2**63 - 1

MAX_POOL = 64

ALWAYS = frozenset({"block", "out", "depth"})
"""Keys that every group has."""


def problems_of(spec: NetworkSpec) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a network, beyond types, with its part; what is None could not be read."""
    yield from (("", problem) for problem in _top_problems(spec))
    if spec.stem is not None and spec.stem.out is not None:
        yield from (("stem", f"stem.{problem}") for problem in _stem_problems(spec.stem))
    first = next(iter(spec.groups), None)
    if spec.stem is None and not _is_mlp(spec) and first is not None and first.block not in STEMLESS:
        yield (
            "stem",
            f"stem: missing; only networks that begin with {', '.join(sorted(STEMLESS | LINEAR_BLOCKS))} have none",
        )
    before = _first_chs(spec)
    for index, group in enumerate(spec.groups):
        if group is not None:
            part = f"groups[{index}]"
            yield from ((part, f"{part}.{problem}") for problem in _group_problems(group, spec, before))
        before = group and _out_chs(group, before)
    if spec.head is not None:
        yield from (("head", f"head.{problem}") for problem in _head_problems(spec))


def size_problems(spec: NetworkSpec) -> Iterator[str]:
    """Yield what is wrong with the input's size, of a network without other problems."""
    part = vanishes(spec)
    if part is not None:
        yield f"input: {spec.input[1]} x {spec.input[2]} pixels are too few: none is left in {part}"


def _first_chs(spec: NetworkSpec) -> Number | None:
    """Channels that the first group sees, if known."""
    if spec.stem is not None or spec.input is None:
        return spec.stem and spec.stem.out
    if _is_mlp(spec):
        return spec.input[0] * spec.input[1] * spec.input[2]
    first = next(iter(spec.groups), None)
    return spec.input[0] if first is not None and first.block in STEMLESS else None


def _out_chs(group: Group, before: Number | None) -> Number | None:
    """Channels that a group gives out, if known: those of a dense one follow from its growth."""
    if "growth" not in _keys(CATALOGUE.get(group.block)):
        return group.out
    sound = group.growth is not None and 0 < group.growth <= MAX_CHANNELS and 0 < group.depth <= MAX_DEPTH
    return dense_out(group, before) if sound and before is not None else None


def _keys(kind: BlockKind | None) -> frozenset[str]:
    """Keys that a block may have besides those that every one has."""
    return frozenset() if kind is None else kind.needs | kind.takes


def _is_mlp(spec: NetworkSpec) -> bool:
    """Whether a network is meant to be an MLP, rather than to have lost its stem."""
    return spec.stem is None and any(group is not None and group.block in LINEAR_BLOCKS for group in spec.groups)


def _top_problems(spec: NetworkSpec) -> Iterator[str]:
    if spec.name is not None and not (0 < len(spec.name) <= MAX_NAME and spec.name.isprintable()):
        yield f"name: expected 1 to {MAX_NAME} printable characters, found {shorten(repr(spec.name))}"
    if spec.input is not None and not all(1 <= side <= MAX_SIDE for side in spec.input):
        yield f"input: expected channels, height and width from 1 to {MAX_SIDE}, found {shorten(str(list(spec.input)))}"
    if not 1 <= len(spec.groups) <= MAX_GROUPS:
        yield f"groups: expected 1 to {MAX_GROUPS} groups, found {'more' if spec.groups else 'none'}"


def _stem_problems(stem: Stem) -> Iterator[str]:
    yield from _range("out", stem.out, MAX_CHANNELS)
    yield from _one_of("norm", stem.norm, STEM_NORMS)
    if stem.norm == "layer":
        if not 1 <= stem.kernel == stem.stride <= MAX_KERNEL:
            yield f"stride: with 'norm: layer' it has to be the kernel, at most {MAX_KERNEL}, found {stem.stride}"
    else:
        yield from _kernel("kernel", stem.kernel)
        yield from _stride("stride", stem.stride)
    yield from _one_of("act", stem.act, ACTIVATIONS)
    if stem.norm in ("layer", "later") and stem.act != Stem(stem.out).act:
        yield f"act: with 'norm: {stem.norm}' no activation follows the stem"
    if stem.norm == "layer" and stem.hidden:
        yield "hidden: with 'norm: layer' the stem has one convolution"
    for index, chs in enumerate(stem.hidden):
        yield from _range(f"hidden[{index}]", chs, MAX_CHANNELS)


def _head_problems(spec: NetworkSpec) -> Iterator[str]:
    head = spec.head
    yield from _range("classes", head.classes, MAX_CHANNELS)
    yield from _one_of("act", head.act, ACTIVATIONS)
    yield from _one_of("norm", head.norm, HEAD_NORMS)
    yield from _range("pool", head.pool, MAX_POOL)
    for index, chs in enumerate(head.hidden):
        yield from _range(f"hidden[{index}]", chs, MAX_CHANNELS)
    if head.conv is not None and head.norm == "batch":
        yield "norm: 'batch' is for heads without a convolution, which has a norm of its own"
    if _is_mlp(spec) and (head.norm != "none" or head.pool != 1):
        yield "norm and pool: an MLP has no maps to normalise or pool"
    if head.conv is not None:
        yield from _range("conv", head.conv, MAX_CHANNELS)
        if _is_mlp(spec):
            yield "conv: an MLP has no head convolution"


def _group_problems(group: Group, spec: NetworkSpec, before: Number | None) -> Iterator[str]:
    """Yield what is wrong with a group; ``before`` is the number of its input channels, if known."""
    kind = CATALOGUE.get(group.block)
    misfit = None if kind is None else _misfit(group, spec)
    if kind is None:
        yield from _one_of("block", group.block, tuple(CATALOGUE))
    elif misfit is not None:
        yield f"block: {misfit}"
    yield from _range("out", group.out, MAX_CHANNELS)
    yield from _range("depth", group.depth, MAX_DEPTH)
    if group.hidden is not None:
        yield from _range("hidden", group.hidden, MAX_CHANNELS)
    if group.kernel is not None:
        yield from _kernel("kernel", group.kernel)
    yield from _stride("stride", group.stride)
    yield from _one_of("act", group.act, ACTIVATIONS)
    yield from _one_of("norm", group.norm, GROUP_NORMS)
    if kind is not None and misfit is None:
        yield from _key_problems(group, kind)
        yield from _expand_problems(group, before)
        yield from _cell_problems(group, _keys(kind), before)
        if group.block in SAME_SHAPE and before is not None and group.out != before:
            yield f"out: block {group.block!r} gives out as many channels as it sees, here {before}, found {group.out}"
        if group.block in PAIRS and group.out % 2:
            yield f"out: half of it is the waist of block {group.block!r}: expected an even number, found {group.out}"
        if "pad" in kind.shortcuts and shortcut_of(group) == "pad" and before is not None and group.out < before:
            yield f"shortcut: 'pad' adds channels and cannot drop any, here {before} in and {group.out} out"


def _misfit(group: Group, spec: NetworkSpec) -> str | None:
    """Why a block does not belong in this network at all, if it does not."""
    if group.block in LINEAR_BLOCKS and not _is_mlp(spec):
        return f"a convolutional network has no {group.block!r} blocks"
    if group.block not in LINEAR_BLOCKS and _is_mlp(spec):
        return "a network without a stem that begins with linear layers is an MLP and has no others"
    return None


def _key_problems(group: Group, kind: BlockKind) -> Iterator[str]:
    """Yield needed keys that are missing and given ones that the block does not take."""
    known = _keys(kind)
    for f in fields(Group):
        value = getattr(group, f.name)
        if f.name in kind.needs and value is None:
            yield f"{f.name}: missing; block {group.block!r} needs it"
        elif f.name not in known | ALWAYS and value != f.default:
            yield f"{f.name}: not a key of block {group.block!r}, which takes {', '.join(sorted(known))}"
    if {"hidden", "expand"} <= kind.takes and (group.hidden is None) == (group.expand is None):
        how = "missing" if group.hidden is None else "given beside 'expand'"
        yield f"hidden: {how}; block {group.block!r} needs exactly one of hidden and expand"
    if group.shortcut is not None and "shortcut" in known:
        yield from _one_of("shortcut", group.shortcut, kind.shortcuts)
    if "se" in known:
        yield from _one_of("se", group.se, ("none", *kind.se))
        if group.se == "deepmad" and group.hidden is None and group.expand is not None:
            yield "se: 'deepmad' is a quarter of hidden; give hidden instead of expand"
    if group.branch is not None and "branch" in known:
        yield from _one_of("branch", group.branch, BRANCHES)
        if group.grn:
            yield "branch: beside 'grn', a norm over all inner channels, none of them is linear"
    if group.group_width is not None and "group_width" in known and group.hidden is not None:
        yield from _range("group_width", group.group_width, MAX_CHANNELS)
        if group.group_width > 0 and group.hidden % group.group_width:
            yield f"group_width: expected a divisor of hidden, here {group.hidden}, found {group.group_width}"


def _expand_problems(group: Group, before: Number | None) -> Iterator[str]:
    if group.expand is None:
        return
    if not 0 < group.expand <= MAX_EXPAND:
        yield f"expand: expected more than 0 and at most {MAX_EXPAND}, found {shorten(str(group.expand))}"
        return
    # The first block expands the group's input, the others its output; some kinds expand other channels.
    sources = [before] if before is not None and group.block not in OWN_EXPANSION else []
    sources += [group.out] if group.depth > 1 or group.block in OWN_EXPANSION else []
    sources += [group.hidden] if group.block == "mobile-pair" and group.hidden is not None else []
    if group.se == "zennet" and any(round(chs * group.expand) < SE_RATIO for chs in sources):
        yield f"se: 'zennet' is a quarter of {group.expand:g} times {min(sources)} channels, which leaves none"
    if group.links is not None:
        sources.append(skip_chs(group, group.out, max(2, group.depth - 1)))
    for chs in sources:
        if not 1 <= round(chs * group.expand) <= MAX_CHANNELS:
            yield f"expand: {group.expand} times {chs} channels is not between 1 and {MAX_CHANNELS}"
            return


def _cell_problems(group: Group, keys: frozenset[str], before: Number | None) -> Iterator[str]:
    """Yield what is wrong with a cell, and with poolings; ``keys`` are those of its kind."""
    if "pool" in keys and group.pool and group.stride != 2:
        yield "pool: a 2x2 pooling needs stride 2"
    if "links" in keys and group.links is not None:
        if not 0 <= group.links <= MAX_CHANNELS:
            yield f"links: expected 0 to {MAX_CHANNELS}, found {shorten(str(group.links))}"
        if group.depth < MIN_CELL:
            yield f"depth: a random-skip cell has at least {MIN_CELL} layers, found {group.depth}"
        if not 0 <= group.seed <= MAX_SEED:
            yield f"seed: expected 0 to {MAX_SEED}, found {shorten(str(group.seed))}"
    if "growth" in keys and group.growth is not None:
        yield from _range("growth", group.growth, MAX_CHANNELS)
        if before == 1 and group.stride == 2:
            yield "stride: a dense group of stride 2 halves its input's channels, here 1"
        elif _out_chs(group, before) not in (None, group.out):
            yield f"out: a dense group gives out all that it has, here {_out_chs(group, before)}, found {group.out}"


def _range(key: str, value: Number, high: int) -> Iterator[str]:
    if not 1 <= value <= high:
        yield f"{key}: expected 1 to {high}, found {shorten(str(value))}"


def _kernel(key: str, value: Number) -> Iterator[str]:
    if not 1 <= value <= MAX_KERNEL or value % 2 == 0:
        yield f"{key}: expected an odd number from 1 to {MAX_KERNEL}, found {shorten(str(value))}"


def _stride(key: str, value: int) -> Iterator[str]:
    if value not in (1, 2):
        yield f"{key}: expected 1 or 2, found {shorten(str(value))}"


def _one_of(key: str, value: str, known: tuple[str, ...]) -> Iterator[str]:
    if value not in known:
        yield f"{key}: unknown {shorten(repr(value))}{did_you_mean(value, known) or '; one of ' + ', '.join(known)}"
