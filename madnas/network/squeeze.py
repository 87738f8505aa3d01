"""Squeeze-excitation: the two layers of a gate, and how many channels are between them."""

from madnas.network.layer import Layer, Layers
from madnas.network.shapes import hidden_chs
from madnas.network.spec import Group
from madnas.theory.numerics import Number, floor_to_multiple, is_symbolic, rounded

SE_RATIO = 4
"""Squeeze-excitation squeezes to a quarter, ..."""

SE_MULTIPLE = 8
"""... in DeepMAD's networks rounded down to a multiple of 8."""

SENET_RATIO = 16
"""In SE-ResNets to a sixteenth, rounded to the nearest multiple of 8."""


def se_chs(group: Group, in_chs: Number) -> Number:
    """Squeezed channels of a block's squeeze-excitation.

    ``deepmad``: a quarter of hidden, down to a multiple of 8. ``efficientnet``: a quarter of the block's input.
    ``senet``: a sixteenth of out, to a multiple of 8.
    """
    if group.se == "senet":
        return floor_to_multiple((group.out + SENET_RATIO * SE_MULTIPLE // 2) // SENET_RATIO, SE_MULTIPLE)
    if group.se == "deepmad":
        hidden = hidden_chs(group, in_chs)
        if is_symbolic(hidden):  # a lower bound for every whole hidden width, so that a relaxation stays one
            return (hidden - (SE_RATIO * SE_MULTIPLE - 1)) / SE_RATIO
        return floor_to_multiple(hidden // SE_RATIO, SE_MULTIPLE)
    return rounded(in_chs / SE_RATIO, least=1)


def squeeze_excite(group: Group, in_chs: Number, hidden: Number) -> Layers:
    """Squeeze-excitation of the inner map, or with ``senet`` of the branch's output."""
    if group.se == "none":
        return ()
    chs = group.out if group.se == "senet" else hidden
    squeezed = se_chs(group, in_chs)
    biased = group.se != "deepmad"
    return (
        Layer("se_reduce", chs, squeezed, (1, 1), bias=biased, norm=not biased, main=False),
        Layer("se_expand", squeezed, chs, (1, 1), bias=biased, norm=not biased, main=False),
    )
