"""PlainNet text, the structure files of Zen-NAS's public code: import and export.

Blocks follow each other without separators; only the first line counts::

    SuperConvK3BNRELU(3,24,2,1)SuperResK5K5(24,32,2,64,1)SuperResK1K5K1(32,64,2,32,3)SuperConvK1BNRELU(64,512,1,1)

Numbers stand behind an optional ``id|``. Rows of residual blocks are (in, out, stride, bottleneck, layers).

========================  ======================================================================================
``SuperConvK{k}BNRELU``   (in, out, stride, layers): stem; at the end with k = 1 and stride 1 the head's
                          convolution; elsewhere ``conv``
``SuperResK{k}K{k}``      "Res": ``basic``, shortcut ``biased``
``SuperResK1K{k}K1``      "Btn", whose layers are two bottlenecks each: ``bottleneck``, shortcut ``biased``
``SuperResIDWE{e}K{k}``   "MB", whose layers are two MobileNetV2 blocks of expansion e each: ``mobile-pair``
========================  ======================================================================================

Every activation is ReLU. The text names neither input size nor classes, and does not say whether MB blocks have
squeeze-excitation; all three are arguments here.
"""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from madnas.errors import SpecError
from madnas.files import read_text
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.specfile import check_spec
from madnas.network.yamlfile import shorten

BLOCK = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*)\(([^()]*)\)\s*")
KINDS = {
    "conv": re.compile(r"SuperConvK([0-9]{1,3})BNRELU"),
    "Res": re.compile(r"SuperResK([0-9]{1,3})K\1"),
    "Btn": re.compile(r"SuperResK1K([0-9]{1,3})K1"),
    "MB": re.compile(r"SuperResIDWE([0-9]{1,3})K([0-9]{1,3})"),
}
KNOWN = (
    "SuperConvK3BNRELU, SuperResK3K3, SuperResK1K3K1, SuperResIDWE4K3 and the same with other kernels and expansions"
)
UNITS = {"basic": 1, "bottleneck": 2, "mobile-pair": 1}
"""Blocks here that are one layer there."""

NO_SE = "PlainNet text does not say that a network has squeeze-excitation: read it with se=True"


@dataclass(frozen=True, slots=True)
class Row:
    """A block of the text: ``kind`` of :data:`KINDS`; ``hidden`` of all but convolutions, ``expand`` of MB."""

    kind: str
    kernel: int
    chs: int
    out: int
    stride: int
    layers: int
    hidden: int | None = None
    expand: int | None = None


def is_plainnet(text: str) -> bool:
    """Whether a text begins as PlainNet text does."""
    return re.match(r"\s*Super[A-Za-z0-9]*\(", text) is not None


def load_plainnet(
    path: str | Path, classes: int = 1000, resolution: int = 224, se: bool = False, name: str | None = None
) -> NetworkSpec:
    """Read a network from a PlainNet file.

    Args:
        path: the file.
        classes: of the classifier.
        resolution: side of the input, in pixels.
        se: whether MB blocks have squeeze-excitation.
        name: of the network; default: the file's name.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is no structure that can be built here; every problem with the block that it is in.
    """
    return parse_plainnet(read_text(path), str(path), classes, resolution, se, name or Path(path).stem)


def parse_plainnet(
    text: str, source: str, classes: int = 1000, resolution: int = 224, se: bool = False, name: str = "plainnet"
) -> NetworkSpec:
    """A network from PlainNet text; see :func:`load_plainnet`."""
    rows = _rows(next(iter(text.strip().splitlines()), ""), source)
    problems = list(_problems(rows))
    if problems:
        raise SpecError(source, problems)
    return check_spec(_spec(rows, name, classes, resolution, se), source)


def _rows(line: str, source: str) -> list[Row]:
    rows: list[Row] = []
    problems: list[str] = []
    place = 0
    while place < len(line):
        match = BLOCK.match(line, place)
        if match is None:
            problems.append(f"block {len(rows) + 1}: expected NAME(numbers), found {shorten(repr(line[place:]))}")
            break
        row = _row(*match.groups())
        if isinstance(row, Row):
            rows.append(row)
        else:
            problems.append(f"block {len(rows) + len(problems) + 1}: {row}")
        place = match.end()
    if not rows and not problems:
        problems.append("the first line is empty")
    if problems:
        raise SpecError(source, problems)
    return rows


def _row(name: str, inside: str) -> Row | str:
    """A block, or what is wrong with it."""
    kind, match = next(((k, m) for k, pattern in KINDS.items() if (m := pattern.fullmatch(name))), (None, None))
    if kind is None or match is None:
        return f"unknown {shorten(repr(name))}; known are {KNOWN}"
    numbers = inside.rpartition("|")[2].split(",")
    expected = ["in", "out", "stride", *(["bottleneck"] if kind != "conv" else []), "layers"]
    if len(numbers) != len(expected) or not all(re.fullmatch(r"\s*[0-9]{1,9}\s*", number) for number in numbers):
        return f"{name}: expected the whole numbers {', '.join(expected)}, found {shorten(repr(inside))}"
    chs, out, stride, *middle, layers = map(int, numbers)
    expand = int(match[1]) if kind == "MB" else None
    return Row(kind, int(match[match.re.groups]), chs, out, stride, layers, next(iter(middle), None), expand)


def _problems(rows: list[Row]) -> Iterator[str]:
    if rows[0].kind != "conv":
        yield "block 1: a network begins with a convolution"
    for number, (before, row) in enumerate(pairwise(rows), 2):
        if row.chs != before.out:
            yield f"block {number}: {row.chs} input channels, but the block before gives out {before.out}"
    for number, row in enumerate(rows, 1):
        if row.layers < 1:
            yield f"block {number}: layers: at least 1, found {row.layers}"


def _spec(rows: list[Row], name: str, classes: int, resolution: int, se: bool) -> NetworkSpec:
    first, *body = rows
    if first.layers > 1:
        body.insert(0, Row("conv", first.kernel, first.out, first.out, 1, first.layers - 1))
    head = None
    if len(body) > 1 and (body[-1].kind, body[-1].kernel, body[-1].stride, body[-1].layers) == ("conv", 1, 1, 1):
        head = body.pop().out
    groups = tuple(_group(row, se) for row in body)
    stem = Stem(first.out, first.kernel, first.stride)
    return NetworkSpec(name, (first.chs, resolution, resolution), groups, Head(classes, head), stem)


def _group(row: Row, se: bool) -> Group:
    if row.kind == "conv":
        return Group("conv", row.out, row.layers, kernel=row.kernel, stride=row.stride)
    if row.kind == "MB":
        gate = "zennet" if se else "none"
        return Group("mobile-pair", row.out, row.layers, row.hidden, row.expand, row.kernel, row.stride, se=gate)
    return residual_group(row.kind, row.kernel, row.out, row.stride, row.hidden or 0, row.layers)


def residual_group(kind: str, kernel: int, out: int, stride: int, hidden: int, layers: int) -> Group:
    """``Res`` or ``Btn`` blocks of Zen-NAS; a layer of ``Btn`` is two bottlenecks, one of ``Res`` a basic block."""
    block = "basic" if kind == "Res" else "bottleneck"
    return Group(block, out, layers * UNITS[block], hidden, kernel=kernel, stride=stride, shortcut="biased")


# From a network to text


def dump_plainnet(spec: NetworkSpec) -> str:
    """A network as PlainNet text, a line. Input size, classes, squeeze-excitation and provenance are not in it.

    Raises:
        SpecError: the network, or a part of it, has no counterpart; every such part.
    """
    check_spec(spec)
    problems = list(_foreign(spec))
    if problems or spec.stem is None:
        raise SpecError(str(spec.name), [f"{problem} has no counterpart in PlainNet text" for problem in problems])
    if any(group.se == "zennet" for group in spec.groups):
        warnings.warn(f"{spec.name}: {NO_SE}", stacklevel=2)
    chs = spec.stem.out
    blocks = [_conv_text(spec.stem.kernel, spec.input[0], chs, spec.stem.stride, 1)]
    for group in spec.groups:
        blocks.append(_group_text(group, chs))
        chs = group.out
    if spec.head.conv is not None:
        blocks.append(_conv_text(1, chs, spec.head.conv, 1, 1))
    return "".join(blocks) + "\n"


def _conv_text(kernel: int | None, chs: int, out: int, stride: int, layers: int) -> str:
    return f"SuperConvK{kernel}BNRELU({chs},{out},{stride},{layers})"


def _group_text(group: Group, chs: int) -> str:
    if group.block == "conv":
        return _conv_text(group.kernel, chs, group.out, group.stride, group.depth)
    k = group.kernel
    names = {"basic": f"SuperResK{k}K{k}", "bottleneck": f"SuperResK1K{k}K1"}
    name = names.get(group.block) or f"SuperResIDWE{int(group.expand or 0)}K{k}"
    hidden = group.out if group.hidden is None else group.hidden
    return f"{name}({chs},{group.out},{group.stride},{hidden},{group.depth // UNITS[group.block]})"


def _foreign(spec: NetworkSpec) -> Iterator[str]:
    """Yield the parts of a network that PlainNet text cannot describe."""
    if spec.stem is None:
        yield "a network without a stem"
    elif (spec.stem.norm, spec.stem.pool, spec.stem.act, spec.stem.hidden) != ("batch", False, "relu", ()):
        yield "stem: norm, pooling, activation or further convolutions"
    head = spec.head
    if (head.norm, head.hidden, head.pool) != ("none", (), 1) or (head.conv is not None and head.act != "relu"):
        yield "head: norm, hidden layers, pooling or activation"
    for index, group in enumerate(spec.groups):
        yield from (f"groups[{index}].{problem}" for problem in _foreign_group(group))


def _foreign_group(group: Group) -> Iterator[str]:
    if group.block not in (*UNITS, "conv"):
        yield f"block: {group.block!r}"
        return
    if group.act != "relu":
        yield f"act: {group.act!r}"
    if group.norm != "batch" or group.pool:
        yield "norm or pool"
    if group.se not in ("none", "zennet"):
        yield f"se: {group.se!r}"
    if group.group_width is not None:
        yield f"group_width: {group.group_width}"
    if group.block in ("basic", "bottleneck") and group.shortcut != "biased":
        yield f"shortcut: {group.shortcut or 'conv'!r}"
    if group.block == "bottleneck" and group.depth % UNITS["bottleneck"]:
        yield f"depth: an odd number of bottlenecks, {group.depth}"
    if group.expand is not None and group.expand != int(group.expand):
        yield f"expand: {group.expand}"
