"""From the blocks of a structure file to a network."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from madnas.errors import SpecError, UsageError
from madnas.files import read_text
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.specfile import check_spec
from madnas.network.tinynas.classes import (
    ACTIVATIONS,
    CONV,
    SPELLINGS,
    STRIDED_BASIC,
    SUPER_BLOCKS,
    squeezes_otherwise,
)
from madnas.network.tinynas.literal import literal
from madnas.network.yamlfile import did_you_mean, shorten

COUNTS = ("in", "out", "k", "s")

SUPER_COUNTS = (*COUNTS, "btn", "L")

FIXED = {"g": 1}
"""Keys that may be given, but with this value only."""


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
    blocks = _structure(literal(text, source), source, index)
    problems = list(_problems(blocks))
    if problems:
        raise SpecError(source, problems)
    return check_spec(_spec(blocks, name, classes, resolution), source)


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
    if name == "SuperResK1DWSEK1" and _is_count(block.get("btn")) and squeezes_otherwise(block["btn"]):
        yield f".btn: {block['btn']} squeezes to other widths in TinyNAS and in madnas; use a multiple of 8"


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
