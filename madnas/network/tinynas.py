r"""Structure files of TinyNAS, the DeepMAD authors' public code: import and export.

Such a file is one Python literal: a list of blocks, or a mapping with one under ``structure_info`` or several under
``best_structures`` (other keys, such as recorded scores, are no part of a structure)::

    {'best_structures': [[
     {'class': 'ConvKXBNRELU', 'in': 3, 'out': 32, 'k': 3, 's': 2},
     {'class': 'SuperResK1KXK1', 'in': 32, 'out': 96, 'k': 5, 's': 2, 'L': 1, 'btn': 40}]],
     'space_arch': 'CnnNet'}

====================  ====================================================  ==========================
TinyNAS class         here                                                  activation without ``act``
====================  ====================================================  ==========================
``ConvKXBNRELU``      stem; at the end with k = s = 1 the head's            as the network's blocks
                      convolution; elsewhere ``conv``
``SuperResK1KXK1``    ``bottleneck``, shortcut ``pool``                     relu
``SuperResKXKX``      ``basic``, shortcut ``pool``                          relu
``SuperResK1DWK1``    ``inverted-residual``, shortcut ``pool``              silu
``SuperResK1DWSEK1``  the same with ``se: deepmad``                         silu
====================  ====================================================  ==========================

A structure names neither input size nor classes; both are arguments here. One thing does not translate: a strided
``SuperResKXKX`` has its stride on the second convolution and no projection between equal widths, while ``basic`` has
its stride on the first, as ResNet does. Params (but for such a projection), layers, rho and entropy are the same, MACs
are lower; both directions warn about it.
"""

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madnas.errors import SpecError, UsageError
from madnas.files import read_text
from madnas.network.blocks import CATALOGUE, shortcut_of
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.specfile import check_spec
from madnas.network.yamlfile import did_you_mean, shorten

CONV = "ConvKXBNRELU"


@dataclass(frozen=True, slots=True)
class SuperBlock:
    """A TinyNAS class and what it is here."""

    block: str
    act: str
    se: str = "none"


SUPER_BLOCKS = {
    "SuperResK1KXK1": SuperBlock("bottleneck", "relu"),
    "SuperResKXKX": SuperBlock("basic", "relu"),
    "SuperResK1DWK1": SuperBlock("inverted-residual", "silu"),
    "SuperResK1DWSEK1": SuperBlock("inverted-residual", "silu", "deepmad"),
}
"""Every class that can be read, besides the plain convolution."""

SPELLINGS = {"SuperResConvK1KXK1": "SuperResK1KXK1", "SuperResConvKXKX": "SuperResKXKX"}
"""Names of classes in the first release."""

ACTIVATIONS = {"relu": "relu", "relu6": "relu6", "swish": "silu", "sigmoid": "sigmoid"}
"""TinyNAS's names of activations, and ours."""

COUNTS = ("in", "out", "k", "s")
SUPER_COUNTS = (*COUNTS, "btn", "L")
FIXED = {"g": 1}
"""Keys that may be given, but with this value only."""

STRIDED_BASIC = (
    "TinyNAS strides the second convolution of SuperResKXKX, madnas the first of 'basic': "
    "MACs differ; layers, rho and entropy do not"
)

MAX_NESTING = 8
TOKEN = re.compile(
    r"""(?P<space>(?:\s|\\\n|\#[^\n]*)+)
      | (?P<operand>'[^'\\\n]*'|"[^"\\\n]*"|[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![\w.])
                   |(?:True|False|None)\b)
      | (?P<open>[\[{(]) | (?P<close>[\]})]) | (?P<between>[:,])""",
    re.VERBOSE,
)
"""The pieces of a structure file."""

PAIRS = {"]": "[", "}": "{", ")": "("}


def load_tinynas(
    path: str | Path, index: int = 0, classes: int = 1000, resolution: int = 224, name: str | None = None
) -> NetworkSpec:
    """Read a network from a TinyNAS structure file.

    Args:
        path: the file.
        index: which of several structures.
        classes: of the classifier, which the file does not have.
        resolution: side of the input, in pixels, which the file does not have either.
        name: of the network; default: the file's name.

    Raises:
        UsageError: the file cannot be read, or has no such structure.
        SpecError: it is no structure that can be built here; every problem with the block that it is in.
    """
    text = read_text(path)
    return parse_tinynas(text, str(path), index, classes, resolution, name or Path(path).stem)


def parse_tinynas(
    text: str, source: str, index: int = 0, classes: int = 1000, resolution: int = 224, name: str = "tinynas"
) -> NetworkSpec:
    """A network from the text of a TinyNAS structure file; see :func:`load_tinynas`."""
    blocks = _structure(_literal(text, source), source, index)
    problems = list(_problems(blocks))
    if problems:
        raise SpecError(source, problems)
    return check_spec(_spec(blocks, name, classes, resolution), source)


# Reading the literal


def _literal(text: str, source: str) -> Any:
    """The Python literal in a text, without running anything and without its depth ever reaching Python's parser."""
    _check_tokens(text, source)
    if not text.strip():
        raise SpecError(source, ["the file is empty"])
    try:
        expression = ast.parse(f"({text}\n)", mode="eval")
        twice = sorted(set(_keys_twice(expression)))
        if twice:
            raise SpecError(source, [f"key {key} given twice in one mapping" for key in twice])
        return ast.literal_eval(expression)
    except SyntaxError as error:
        place = f"line {error.lineno}: " if error.lineno else ""
        raise SpecError(source, [f"not a TinyNAS structure: {place}{shorten(error.msg)}"]) from error
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise SpecError(source, [f"not a TinyNAS structure: {shorten(str(error)) or 'too complex'}"]) from error


def _check_tokens(text: str, source: str) -> None:
    """Refuse everything but brackets, text, numbers and what separates them.

    Python's parser can exhaust the stack on long chains of operators, subscripts or calls, so they must not reach it.
    """
    place, opened, after_value = 0, "", False
    while place < len(text):
        match = TOKEN.match(text, place)
        kind = match.lastgroup if match else None
        starts = kind in ("operand", "open")
        if match is None or (starts and after_value) or (kind == "close" and PAIRS[text[place]] != opened[-1:]):
            raise SpecError(source, [_misplaced(text, place, f"unexpected {text[place : place + 20]!r}")])
        if kind == "open":
            opened += text[place]
        elif kind == "close":
            opened = opened[:-1]
        if len(opened) > MAX_NESTING:
            raise SpecError(source, [_misplaced(text, place, "nested too deeply")])
        after_value = kind in ("operand", "close") or (after_value and kind == "space")
        place = match.end()
    if opened:
        raise SpecError(source, [f"not a TinyNAS structure: {opened[-1]!r} is never closed"])


def _misplaced(text: str, place: int, problem: str) -> str:
    line, column = text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)
    return f"not a TinyNAS structure: line {line}, column {column}: {problem}"


def _keys_twice(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = Counter(key.value for key in node.keys if isinstance(key, ast.Constant))
            yield from (repr(key) for key, number in keys.items() if number > 1)


def _structure(tree: Any, source: str, index: int) -> list[dict[str, Any]]:
    """The list of blocks in one of the forms that such a file has."""
    if isinstance(tree, dict):
        key = next((key for key in ("best_structures", "structure_info") if key in tree), None)
        if key is None:
            raise SpecError(source, ["not a TinyNAS structure: neither 'best_structures' nor 'structure_info'"])
        tree = tree[key]
    if not isinstance(tree, list | tuple) or not tree:
        raise SpecError(source, ["not a TinyNAS structure: expected a list of blocks"])
    structures = list(tree) if isinstance(tree[0], list | tuple) else [tree]
    if not 0 <= index < len(structures):
        raise UsageError(f"{source}: no structure {index}; it has {len(structures)}, counted from 0")
    blocks = structures[index]
    if not isinstance(blocks, list | tuple) or not blocks or not all(isinstance(block, dict) for block in blocks):
        raise SpecError(source, [f"not a TinyNAS structure: structure {index} is not a list of blocks in braces"])
    return [dict(block) for block in blocks]


# From blocks to a network


def _problems(blocks: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with the blocks of a structure."""
    before = None
    for index, block in enumerate(blocks):
        for problem in _block_problems(block):
            yield f"[{index}]{problem}"
        if before is not None and _is_count(block.get("in")) and block["in"] != before:
            yield f"[{index}].in: {block['in']}, but the block before gives out {before}"
        before = block["out"] if _is_count(block.get("out")) else None
    if _class(blocks[0]) in SUPER_BLOCKS:
        yield f"[0].class: the first block must be a {CONV}, the stem"


def _block_problems(block: dict[str, Any]) -> Iterator[str]:
    name = _class(block)
    if name != CONV and name not in SUPER_BLOCKS:
        classes = (CONV, *SUPER_BLOCKS)
        more = did_you_mean(str(name), classes) or f"; one of {', '.join(classes)}"
        yield f".class: {shorten(repr(name))} cannot be read{more}" if name is not None else ".class: missing"
        return
    counts = COUNTS if name == CONV else SUPER_COUNTS
    known = {"class", "inner_class", "act", "p", *FIXED, *counts}
    for key in counts:
        if key == "s" and "s" not in block:
            continue  # TinyNAS's default, 1
        if key not in block:
            yield f".{key}: missing"
        elif not _is_count(block[key]):
            yield f".{key}: expected a positive integer, found {shorten(repr(block[key]))}"
    for key in block:
        if key in ("nbitsA", "nbitsW"):
            yield f".{key}: quantised structures cannot be read"
        elif key not in known:
            yield f".{shorten(str(key))}: unknown key{did_you_mean(str(key), known)}"
        elif key in FIXED and block[key] != FIXED[key]:
            yield f".{key}: only {FIXED[key]} can be read, found {shorten(repr(block[key]))}"
    yield from _detail_problems(block, name)


def _detail_problems(block: dict[str, Any], name: str) -> Iterator[str]:
    """Yield what would make a block something else than what it is read as."""
    if "p" in block and _is_count(block.get("k")) and block["p"] != (block["k"] - 1) // 2:
        yield f".p: only {(block['k'] - 1) // 2}, half the kernel, can be read, found {shorten(repr(block['p']))}"
    if block.get("act", "relu") not in ACTIVATIONS:
        yield f".act: {shorten(repr(block['act']))} is not one of {', '.join(ACTIVATIONS)}"
    if name == "SuperResK1DWSEK1" and _is_count(block.get("btn")) and _squeezes_otherwise(block["btn"]):
        yield f".btn: {block['btn']} squeezes to other widths in TinyNAS and in madnas; use a multiple of 8"


def _squeezes_otherwise(hidden: int) -> bool:
    """Whether squeeze-excitation has another width there: TinyNAS rounds the quarter before the multiple of 8."""
    return max(1, round(hidden / 4) // 8) != max(1, hidden // 4 // 8)


def _class(block: dict[str, Any]) -> Any:
    name = block.get("class")
    return SPELLINGS.get(name, name) if isinstance(name, str) else name


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _spec(blocks: list[dict[str, Any]], name: str, classes: int, resolution: int) -> NetworkSpec:
    supers = [SUPER_BLOCKS[_class(block)] for block in blocks if _class(block) != CONV]
    default = "silu" if any(one.act == "silu" for one in supers) else "relu"
    first, *body = blocks
    stem = Stem(first["out"], first["k"], first.get("s", 1), _act(first, default))
    head = Head(classes)
    if body and _class(body[-1]) == CONV and body[-1]["k"] == body[-1].get("s", 1) == 1:
        last = body.pop()
        head = Head(classes, last["out"], _act(last, default))
    groups = tuple(_group(block, default) for block in body)
    if any(group.block == "basic" and group.stride == 2 for group in groups):
        warnings.warn(f"{name}: {STRIDED_BASIC}", stacklevel=2)
    return NetworkSpec(name, (first["in"], resolution, resolution), groups, head, stem)


def _act(block: dict[str, Any], default: str) -> str:
    return ACTIVATIONS[block["act"]] if "act" in block else default


def _group(block: dict[str, Any], default: str) -> Group:
    stride = block.get("s", 1)
    if _class(block) == CONV:
        return Group("conv", block["out"], 1, kernel=block["k"], stride=stride, act=_act(block, default))
    kind = SUPER_BLOCKS[_class(block)]
    # TinyNAS projects a basic block only where widths differ, which without a stride is what 'conv' does.
    shortcut = "conv" if kind.block == "basic" and stride == 1 else "pool"
    act = _act(block, kind.act)
    return Group(kind.block, block["out"], block["L"], block["btn"], None, block["k"], stride, act, kind.se, shortcut)


# From a network to blocks


def dump_tinynas(spec: NetworkSpec) -> str:
    """A network as the text of a TinyNAS structure file. Input size, classes and provenance are not in it.

    Raises:
        SpecError: the network, or a part of it, has no counterpart in TinyNAS; every such part.
    """
    check_spec(spec)
    problems = list(_foreign(spec))
    if problems or spec.stem is None:
        raise SpecError(str(spec.name), [f"{problem} has no counterpart in TinyNAS" for problem in problems])
    default = "silu" if any(group.block == "inverted-residual" for group in spec.groups) else "relu"
    chs = spec.stem.out
    rows = [_conv_row(spec.input[0], chs, spec.stem.kernel, spec.stem.stride, spec.stem.act, default)]
    for group in spec.groups:
        rows += _rows(group, chs, default)
        chs = group.out
    if spec.head.conv is not None:
        rows.append(_conv_row(chs, spec.head.conv, 1, 1, spec.head.act, default))
    if any(group.block == "basic" and group.stride == 2 for group in spec.groups):
        warnings.warn(f"{spec.name}: {STRIDED_BASIC}", stacklevel=2)
    lines = ",\n ".join(repr(row) for row in rows)
    return f"{{'best_structures': [[\n {lines}]],\n 'space_arch': 'CnnNet'}}\n"


def _foreign(spec: NetworkSpec) -> Iterator[str]:
    """Yield the parts of a network that TinyNAS cannot describe."""
    if spec.stem is None:
        yield "a network without a stem" + (" (an MLP)" if spec.is_mlp else "")
        if spec.is_mlp:
            return
    else:
        yield from _foreign_stem(spec.stem)
    chs = spec.stem.out if spec.stem else spec.input[0]
    for index, group in enumerate(spec.groups):
        for problem in _foreign_group(group, chs):
            yield f"groups[{index}].{problem}"
        chs = group.out
    yield from _foreign_head(spec.head)


def _foreign_stem(stem: Stem) -> Iterator[str]:
    if stem.norm != "batch":
        yield f"stem.norm: {stem.norm!r}"
    if stem.pool:
        yield "stem.pool: maximum pooling"
    if stem.hidden:
        yield f"stem.hidden: {list(stem.hidden)}"
    if stem.act not in ACTIVATIONS.values():
        yield f"stem.act: {stem.act!r}"


def _foreign_head(head: Head) -> Iterator[str]:
    if head.norm != "none":
        yield f"head.norm: {head.norm!r}"
    if head.hidden:
        yield f"head.hidden: {list(head.hidden)}"
    if head.pool != 1:
        yield f"head.pool: {head.pool} x {head.pool} pixels"
    if head.conv and head.act not in ACTIVATIONS.values():
        yield f"head.act: {head.act!r}"


def _foreign_group(group: Group, in_chs: int) -> Iterator[str]:
    if group.act not in ACTIVATIONS.values():
        yield f"act: {group.act!r}"
    if group.block == "conv":
        if group.norm != "batch":
            yield f"norm: {group.norm!r}"
        if group.pool:
            yield "pool: maximum pooling"
        return
    if _class_of(group) is None:
        yield f"block: {group.block!r}" + (f" with se {group.se!r}" if "se" in CATALOGUE[group.block].takes else "")
        return
    if group.group_width is not None:
        yield f"group_width: {group.group_width}"
    if group.block == "inverted-residual" and group.hidden is None:
        yield "expand: a width that changes inside the group"
    if group.se == "deepmad" and _squeezes_otherwise(group.hidden or 0):
        yield f"hidden: squeeze-excitation of {group.hidden} channels"
    if shortcut_of(group) not in _translatable_shortcuts(group, in_chs):
        yield f"shortcut: {shortcut_of(group)!r}"


def _translatable_shortcuts(group: Group, in_chs: int) -> set[str]:
    """Shortcuts with which a group is what TinyNAS builds.

    Its shortcuts are pooled if strided; it then projects in bottlenecks always, in basic blocks where widths differ,
    and in inverted residuals never.
    """
    if group.stride == 2 or group.block == "inverted-residual":
        return {"pool"}
    if in_chs != group.out:
        return {"pool", "conv"}
    return {"pool"} if group.block == "bottleneck" else {"conv", "pad"}


def _class_of(group: Group) -> str | None:
    kinds = ((name, kind) for name, kind in SUPER_BLOCKS.items())
    return next((name for name, kind in kinds if (kind.block, kind.se) == (group.block, group.se)), None)


def _rows(group: Group, in_chs: int, default: str) -> list[dict[str, Any]]:
    if group.block == "conv":
        first = _conv_row(in_chs, group.out, group.kernel, group.stride, group.act, default)
        return [first] + [_conv_row(group.out, group.out, group.kernel, 1, group.act, default)] * (group.depth - 1)
    name = _class_of(group)
    assert name is not None
    inner = group.out if group.hidden is None else group.hidden
    row = {"class": name, "in": in_chs, "out": group.out, "k": group.kernel, "s": group.stride}
    return [row | {"L": group.depth, "btn": inner} | _act_key(group.act, SUPER_BLOCKS[name].act)]


def _conv_row(in_chs: int, out: int, kernel: int | None, stride: int, act: str, default: str) -> dict[str, Any]:
    row = {"class": CONV, "in": in_chs, "out": out, "k": kernel, "s": stride}
    return row | _act_key(act, default)


def _act_key(act: str, default: str) -> dict[str, str]:
    theirs = {ours: name for name, ours in ACTIVATIONS.items()}
    return {} if act == default else {"act": theirs[act]}
