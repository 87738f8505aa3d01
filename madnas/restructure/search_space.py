"""What a search for linear blocks begins with, what it weighs, and what its slopes mean (RAN, Section 2.4)."""

from collections.abc import Mapping
from dataclasses import replace

from madnas.errors import UsageError
from madnas.network.blocks import CATALOGUE
from madnas.network.spec import Group, NetworkSpec
from madnas.restructure.stages import FIRST, block_macs, blocks_of, collapse_blocks, with_blocks
from madnas.theory.restructuring import is_linear

RESTRUCTURABLE = {"inverted-residual": "afrb", "inverted-pair": "afrb-pair"}
"""Blocks, and what they are in a search."""


def restructurable(spec: NetworkSpec) -> NetworkSpec:
    """The network with restructurable blocks where it has inverted bottlenecks.

    Raises:
        UsageError: it has none.
    """
    blocks = [_restructurable(block) for block in blocks_of(spec)]
    if not any(block.block in RESTRUCTURABLE.values() for block in blocks):
        raise UsageError(
            f"{spec.name}: no block can be searched",
            "inverted-residual (with expand, without squeeze-excitation) and inverted-pair can",
        )
    return with_blocks(spec, blocks)


def numbers_of(spec: NetworkSpec) -> dict[str, int]:
    """Numbers of a network's blocks, by the names of their modules."""
    names = [f"groups.{index}.{place}" for index, group in enumerate(spec.groups) for place in range(int(group.depth))]
    return {name: number for number, name in enumerate(names, FIRST)}


def savings(spec: NetworkSpec) -> dict[str, float]:
    """What collapsing each restructurable block saves, in shares of the mean saving; 0 where it costs.

    Args:
        spec: of the network in the search.

    Returns:
        weights by the names of the blocks' modules, for a search that is aware of multiply-adds.
    """
    blocks = blocks_of(spec)
    numbers = {name: number for name, number in numbers_of(spec).items()
               if blocks[number - FIRST].block in RESTRUCTURABLE.values()}  # fmt: skip
    after = block_macs(collapse_blocks(spec, list(numbers.values())))
    before = block_macs(spec)
    saved = {name: max(0, before[number - FIRST] - after[number - FIRST]) for name, number in numbers.items()}
    mean = sum(saved.values()) / max(1, len(saved))
    return {name: one / mean if mean else 0.0 for name, one in saved.items()}


def subnetwork(
    base: NetworkSpec, searched: NetworkSpec, alphas: Mapping[str, float], expanded: bool = False
) -> NetworkSpec:
    """The network that a search found, to be trained anew: linear blocks collapsed, the others as they were.

    Args:
        base: the network before the search.
        searched: the network in the search; it has the data's input and classes.
        alphas: slopes after the search, by the names of the blocks' modules.
        expanded: see :func:`~madnas.restructure.stages.collapse_blocks`.
    """
    numbers = numbers_of(searched)
    linear = [numbers[name] for name, alpha in alphas.items() if is_linear(alpha)]
    fitted = replace(base, input=searched.input, head=replace(base.head, classes=searched.head.classes))
    return collapse_blocks(fitted, linear, expanded)


def _restructurable(block: Group) -> Group:
    plain = block.se == "none" and block.shortcut in (None, *CATALOGUE[block.block].shortcuts[:1])
    if block.block not in RESTRUCTURABLE or block.expand is None or not plain:
        return block
    kind = RESTRUCTURABLE[block.block]
    return Group(kind, block.out, 1, expand=block.expand, kernel=block.kernel, stride=block.stride)
