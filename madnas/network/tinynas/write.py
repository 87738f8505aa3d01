"""From a network to the blocks of a structure file."""

import warnings
from collections.abc import Iterator
from typing import Any

from madnas.errors import SpecError
from madnas.network.blocks import CATALOGUE, shortcut_of
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.specfile import check_spec
from madnas.network.tinynas.classes import ACTIVATIONS, CONV, STRIDED_BASIC, SUPER_BLOCKS, squeezes_otherwise


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
    if group.se == "deepmad" and squeezes_otherwise(group.hidden or 0):
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
