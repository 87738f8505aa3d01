"""What the device can do at most, measured beside the networks: a matrix product and a copy."""

from collections.abc import Callable
from typing import Any

import torch

from madnas.measure.prepare import DTYPES
from madnas.measure.setting import Setting

SIDE = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices."""

COPIED = {"cpu": 2**26, "cuda": 2**30}
"""Bytes that are copied; more than caches hold."""

PRODUCT, COPY = "matrix product", "copy"


def peak_calls(setting: Setting) -> dict[str, Callable[[], Any]]:
    """The matrix product and the copy, in the setting's precision, as calls; none for int8."""
    if setting.precision not in DTYPES:
        return {}
    device = torch.device(setting.device)
    side = SIDE[device.type]
    matrix = torch.randn(side, side, device=device).to(DTYPES[setting.precision])
    result = torch.empty_like(matrix)
    source = torch.zeros(COPIED[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return {PRODUCT: lambda: torch.mm(matrix, matrix, out=result), COPY: lambda: target.copy_(source)}


def peak_of(name: str, seconds: float, setting: Setting) -> float:
    """Operations per second of the product, 2 for a multiply-add; bytes per second of the copy, read and written."""
    kind = torch.device(setting.device).type
    return 2.0 * SIDE[kind] ** 3 / seconds if name == PRODUCT else 2.0 * COPIED[kind] / seconds
