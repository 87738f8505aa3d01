"""Borders: torch pads all sides alike, TFLite as its SAME says or with an operator of its own."""

import math
from collections.abc import Sequence
from typing import Any

from madnas.measure.npu.lowering import Lowering, Value

Pads = list[tuple[int, int]]
"""Rows above and below, columns left and right."""


def pair(value: Any) -> list[int]:
    """One number for both directions, or two."""
    sizes = list(value) if isinstance(value, list | tuple) else [value]
    return [int(size) for size in (sizes * 2 if len(sizes) == 1 else sizes)]


def bordered(
    low: Lowering,
    x: Value,
    extent: Sequence[int],
    stride: Sequence[int],
    padding: Any,
    out: Sequence[int],
    lowest: bool = False,
) -> tuple[Value, str]:
    """The map that a window slides over, and TFLite's name of the padding that is left to do.

    Args:
        low: operators so far.
        x: channels last.
        extent: sides of the window, with what dilation adds.
        stride: its steps.
        padding: torch's, for each direction, or by name.
        out: sides of the result.
        lowest: pad with the lowest number, as before a maximum.
    """
    sides = x.tensor.shape[1:3]
    same = [_same(*one) for one in zip(sides, extent, stride, strict=True)]
    before = [left for left, _ in same] if padding == "same" else [0, 0] if padding == "valid" else pair(padding)
    pads = [
        (first, max(0, (number - 1) * step + size - side - first))  # rows that no window reaches are not padded
        for side, size, step, first, number in zip(sides, extent, stride, before, out, strict=True)
    ]
    if not any(map(sum, pads)):
        return x, "VALID"
    if pads == same and list(out) == [-(-side // step) for side, step in zip(sides, stride, strict=True)]:
        return x, "SAME"
    return padded(low, x, pads, lowest), "VALID"


def _same(side: int, size: int, step: int) -> tuple[int, int]:
    """What TFLite's SAME pads."""
    total = max((-(-side // step) - 1) * step + size - side, 0)
    return total // 2, total - total // 2


def padded(low: Lowering, x: Value, pads: Pads, lowest: bool = False) -> Value:
    """A map with zeros around, or with the lowest number."""
    _, height, width, chs = x.tensor.shape
    shape = [1, height + sum(pads[0]), width + sum(pads[1]), chs]
    amounts = low.integers([(0, 0), *pads, (0, 0)])
    if not lowest:
        return low.emit("PAD", [x, amounts], shape, x, same_scale=True)
    return low.emit("PADV2", [x, amounts, low.like(-math.inf, x)], shape, x, same_scale=True)
