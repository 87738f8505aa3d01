"""Spec files: a NetworkSpec from YAML, strictly, and back. The format is described in ``README.md`` of this folder."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, make_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from madnas.errors import SpecError
from madnas.network.blocks import CATALOGUE, SE_RATIO, BlockKind, shortcut_of
from madnas.network.cells import MIN_CELL, dense_out, skip_chs
from madnas.network.expand import vanishes
from madnas.network.spec import LINEAR_BLOCKS, SCHEMA, Group, Head, NetworkSpec, Stem, to_tree
from madnas.network.yamlfile import Key, add_core_schema, check, did_you_mean, dotted, read_yaml, shorten
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
    for part, problem in _problems(spec):
        problems[part].append(problem)
    found = [problem for part in problems.values() for problem in part]
    found = found or list(_size_problems(spec))
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


STAND_IN: dict[str, Any] = {"name": "", "input": [1, 1, 1], "groups": [], "head": {}, "schema": SCHEMA, "stem": None}
"""Values in the place of those at the top level that are wrong, while the others are read."""


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


# What makes a network, beyond types


def _problems(spec: NetworkSpec) -> Iterator[tuple[str, str]]:
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


def _top_problems(spec: NetworkSpec) -> Iterator[str]:
    if spec.name is not None and not (0 < len(spec.name) <= MAX_NAME and spec.name.isprintable()):
        yield f"name: expected 1 to {MAX_NAME} printable characters, found {shorten(repr(spec.name))}"
    if spec.input is not None and not all(1 <= side <= MAX_SIDE for side in spec.input):
        yield f"input: expected channels, height and width from 1 to {MAX_SIDE}, found {shorten(str(list(spec.input)))}"
    if not 1 <= len(spec.groups) <= MAX_GROUPS:
        yield f"groups: expected 1 to {MAX_GROUPS} groups, found {'more' if spec.groups else 'none'}"


def _size_problems(spec: NetworkSpec) -> Iterator[str]:
    """Yield what is wrong with the input's size, of a network without other problems."""
    part = vanishes(spec)
    if part is not None:
        yield f"input: {spec.input[1]} x {spec.input[2]} pixels are too few: none is left in {part}"


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


def _misfit(group: Group, spec: NetworkSpec) -> str | None:
    """Why a block does not belong in this network at all, if it does not."""
    if group.block in LINEAR_BLOCKS and not _is_mlp(spec):
        return f"a convolutional network has no {group.block!r} blocks"
    if group.block not in LINEAR_BLOCKS and _is_mlp(spec):
        return "a network without a stem that begins with linear layers is an MLP and has no others"
    return None


def _is_mlp(spec: NetworkSpec) -> bool:
    """Whether a network is meant to be an MLP, rather than to have lost its stem."""
    return spec.stem is None and any(group is not None and group.block in LINEAR_BLOCKS for group in spec.groups)


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


# Writing


def spec_to_tree(spec: NetworkSpec) -> dict[str, Any]:
    """A network as plain values for YAML or JSON, in the order of a spec file, without keys that have their default.

    ``parse_spec`` gives the same network back.

    Raises:
        TypeError: an array, an expression or another object among the values: a spec of no single network.
    """
    tree: dict[str, Any] = {"schema": SCHEMA, "name": spec.name, "input": list(spec.input)}
    if spec.stem is not None:
        tree["stem"] = to_tree(spec.stem)
    tree["groups"] = [_group_tree(group) for group in spec.groups]
    tree["head"] = to_tree(spec.head)
    if spec.provenance:
        tree["provenance"] = spec.provenance
    return _plain(tree)


def _group_tree(group: Group) -> dict[str, Any]:
    tree = to_tree(group)
    kind = CATALOGUE.get(group.block)
    if kind is not None and "stride" not in kind.takes and group.stride == 1:
        del tree["stride"]
    return tree


def _plain(value: Any) -> Any:
    """A value as plain Python: tuples become lists, numpy's scalars become numbers."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if value is None or type(value) in (bool, int, float, str):
        return value
    if getattr(value, "shape", None) == ():  # a scalar of numpy's
        return value.item()
    raise TypeError(f"{type(value).__name__} in a network's description: only numbers and text can be written")


def dump_spec(spec: NetworkSpec) -> str:
    """A network as a spec file's text, with a line for the stem, each group and the head; it reads back exactly.

    Raises:
        SpecError: a network that cannot be built; every problem with its dotted key.
        TypeError: a spec of no single network.
    """
    import yaml

    tree = spec_to_tree(check_spec(spec))
    for key in ("input", "stem", "head"):
        if key in tree:
            tree[key] = _flow(tree[key])
    tree["groups"] = [_flow(group) for group in tree["groups"]]
    if "provenance" in tree:
        tree["provenance"] = {name: _flow(value) for name, value in tree["provenance"].items()}
    return yaml.dump(tree, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=float("inf"))


class _FlowMapping(dict):
    """A mapping that is written on one line."""


class _FlowList(list):
    """A list that is written on one line."""


def _flow(value: Any) -> Any:
    """A mapping or list to be written on one line; any other value as it is."""
    if isinstance(value, dict):
        return _FlowMapping(value)
    return _FlowList(value) if isinstance(value, list) else value


@cache
def _dumper() -> Any:
    """PyYAML's safe dumper, quoting text that a reader of YAML 1.1 or 1.2 would take for another type."""
    import yaml

    class SpecDumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)  # lists are indented below their key

    add_core_schema(SpecDumper)
    for cls, name in ((_FlowMapping, "map"), (_FlowList, "seq")):
        SpecDumper.add_representer(cls, _flow_representer(name))
    SpecDumper.add_representer(str, _represent_text)
    return SpecDumper


def _represent_text(dumper: Any, text: str) -> Any:
    """Text, with escapes where it is not printable: PyYAML's other quotes lose line breaks such as U+0085."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


def _flow_representer(name: str) -> Any:
    def represent(dumper: Any, value: Any) -> Any:
        if name == "map":
            return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=True)
        return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)

    return represent
