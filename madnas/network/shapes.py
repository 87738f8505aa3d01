"""What the keys of a group say of one of its blocks."""

from madnas.network.spec import Group
from madnas.theory.numerics import Number, rounded


def block_stride(group: Group, index: int) -> int:
    """Stride of a block: only the first of a group has its group's."""
    return group.stride if index == 0 else 1


def hidden_chs(group: Group, in_chs: Number) -> Number:
    """Inner channels of a block: ``hidden``, or ``expand`` times the block's input, rounded."""
    if group.expand is None:
        return group.hidden
    return rounded(in_chs * group.expand)
