"""RAN-e's stages by hand: blocks of a description collapsed, and other kernels (RAN, Sections 2.5.2 and 2.5.3).

Blocks have the numbers of the paper's Table 5: the stem is 1, and the blocks follow in their order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from madnas.errors import UsageError
from madnas.network.blocks import CATALOGUE, shortcut_of
from madnas.network.expand import openings
from madnas.network.layer import Layers
from madnas.network.spec import Group, NetworkSpec
from madnas.network.specfile import check_spec

FIRST = 2
"""Number of the first block."""

COLLAPSED = {
    "afrb": "act-conv",
    "afrb-pair": "act-conv-pair",
    "inverted-pair": "act-conv-pair",
    "inverted-residual": "act-conv",
}
"""Blocks, and what they become without the activations inside."""

EXPANDED = "act-expand"
"""What becomes ``act-conv``, before it is collapsed."""

ACT = "hard_swish"
"""Of the retrained networks, where a block has none of its own (RAN, Section 2.5)."""


@dataclass(frozen=True, slots=True)
class Change:
    """A block that changed.

    Attributes:
        number: of the block.
        before: what it was.
        after: what it is.
        macs_before: multiply-adds of one image.
        macs_after: now.
    """

    number: int
    before: Group
    after: Group
    macs_before: int
    macs_after: int


def collapse_blocks(spec: NetworkSpec, numbers: Sequence[int], expanded: bool = False) -> NetworkSpec:
    """The network with blocks collapsed: activation, k x k convolution, batch norm.

    Args:
        spec: the network.
        numbers: of blocks.
        expanded: as 1x1, k x k depthwise, 1x1 without activations between them, to be trained so and collapsed after;
            pairs are collapsed at once.

    Raises:
        UsageError: no such block, or one that cannot be collapsed.
    """
    blocks = blocks_of(spec)
    for number in numbers:
        blocks[_index(number, blocks)] = _collapsed(blocks[_index(number, blocks)], number, expanded)
    return _edited(spec, blocks, numbers)


def with_kernels(spec: NetworkSpec, kernels: Mapping[int, int]) -> NetworkSpec:
    """The network with other kernels in some blocks.

    Raises:
        UsageError: no such block, or one without a kernel.
        SpecError: a kernel that is none.
    """
    blocks = blocks_of(spec)
    for number, kernel in kernels.items():
        block = blocks[_index(number, blocks)]
        if block.kernel is None:
            raise UsageError(f"block {number}: {block.block} has no kernel to change")
        blocks[_index(number, blocks)] = replace(block, kernel=kernel)
    return _edited(spec, blocks, list(kernels))


def blocks_of(spec: NetworkSpec) -> list[Group]:
    """A network's blocks, each as a group of its own, in their order.

    Raises:
        UsageError: blocks that are no such: cells, in which layers see all earlier ones.
    """
    found = []
    for group in spec.groups:
        if not CATALOGUE[group.block].uniform:
            raise UsageError(f"{spec.name}: {group.block} is a cell, and no row of blocks")
        found.append(replace(group, depth=1))
        found += [replace(group, depth=1, stride=1, pool=False)] * (group.depth - 1)
    return found


def with_blocks(spec: NetworkSpec, blocks: Sequence[Group]) -> NetworkSpec:
    """The network with other blocks; equal ones in a row are a group again."""
    groups: list[Group] = []
    for block in blocks:
        last = groups[-1] if groups else None
        if last is not None and replace(last, depth=1, stride=1) == block:
            groups[-1] = replace(last, depth=last.depth + 1)
        else:
            groups.append(block)
    return check_spec(replace(spec, groups=tuple(groups), provenance={}))


def changes(before: NetworkSpec, after: NetworkSpec) -> list[Change]:
    """Blocks of which one network differs from another one of as many."""
    found = []
    rows = zip(blocks_of(before), block_macs(before), blocks_of(after), block_macs(after), strict=True)
    for number, (old, old_macs, new, new_macs) in enumerate(rows, FIRST):
        if old != new:
            found.append(Change(number, old, new, old_macs, new_macs))
    return found


def block_macs(spec: NetworkSpec) -> list[int]:
    """Multiply-adds of every block for one image, in closed form."""
    return [sum(int(layer.macs) for layer in layers) for layers in _block_layers(spec)]


def _block_layers(spec: NetworkSpec) -> list[Layers]:
    """Layers of every block, at its place in its group."""
    found: list[Layers] = []
    for one in openings(spec):
        group, layers = one.group, CATALOGUE[one.group.block].layers
        found.append(one.layers)
        found += [layers(group, group.out, one.after, index) for index in range(1, int(group.depth))]
    return found


def _edited(spec: NetworkSpec, blocks: Sequence[Group], touched: Sequence[int]) -> NetworkSpec:
    """The network with other blocks, if the rest stays as it was.

    Raises:
        UsageError: it does not, because some shortcuts begin with a group, and groups have changed.
    """
    edited = with_blocks(spec, blocks)
    for number, (old, new) in enumerate(zip(_block_layers(spec), _block_layers(edited), strict=True), FIRST):
        if number not in touched and [layer.params for layer in old] != [layer.params for layer in new]:
            raise UsageError(
                f"block {number} would change too: its group begins with a {shortcut_of(blocks[number - FIRST])!r} "
                "shortcut, and the edit divides the group",
                "edit all blocks of the group",
            )
    return edited


def _index(number: int, blocks: Sequence[Group]) -> int:
    if not FIRST <= number < FIRST + len(blocks):
        raise UsageError(
            f"no block {number}: they are {FIRST} to {FIRST + len(blocks) - 1} (the stem is 1)",
            "numbers are those of RAN's Table 5",
        )
    return number - FIRST


def _collapsed(block: Group, number: int, expanded: bool) -> Group:
    kind = COLLAPSED.get(block.block)
    if kind is None:
        done = block.block in (*COLLAPSED.values(), EXPANDED)
        why = "is linear already" if done else "cannot be collapsed"
        raise UsageError(f"block {number}: {block.block} {why}", f"{', '.join(COLLAPSED)} can")
    if block.se != "none":
        raise UsageError(f"block {number}: its squeeze-excitation is not linear")
    if block.shortcut is not None and block.shortcut != CATALOGUE[block.block].shortcuts[0]:
        raise UsageError(f"block {number}: its {block.shortcut!r} shortcut has no place in {kind}")
    if expanded and kind == "act-conv" and block.expand is None:
        raise UsageError(f"block {number}: --expanded needs expand, and the block has hidden")
    act = block.act if block.block.startswith("inverted") else ACT
    found = Group(kind, block.out, 1, kernel=block.kernel, stride=block.stride, act=act)
    if expanded and kind == "act-conv":
        return replace(found, block=EXPANDED, expand=block.expand)
    return found
