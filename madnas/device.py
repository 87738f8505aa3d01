"""Where modules are computed, and what cannot be computed there."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from madnas.errors import UsageError

DEVICES = ("cpu", "cuda")
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)
_LARGEST = 2**31 - 1
_MEMORY_ENDED = (
    "out of memory", "can't allocate memory", "not enough memory", "Failed to allocate memory", "bad allocation"
)  # fmt: skip


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Raises:
        UsageError: an unknown device, or no GPU.
    """
    kind, _, number = device.partition(":")
    if kind not in DEVICES or (number and (kind != "cuda" or not number.isdecimal())):
        raise UsageError(f"unknown device {device[:60]!r}", f"known: {', '.join(DEVICES)}, cuda:1 ...")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available", "leave --device out to use the CPU")
    if number and int(number) >= torch.cuda.device_count():
        raise UsageError(f"no CUDA device {number}; there are {torch.cuda.device_count()}")


def keep_freed_memory() -> bool:
    """Let this process keep what tensors on the CPU free, where the C library is glibc; whether it could be set.

    Every step of training frees what the next one takes again, and every layer of a forward pass a map. By default
    glibc gives large blocks back to the system, which then clears every page anew: some 8 % of a step of resnet20, and
    more of a Zen-Score (``benchmarks/zen.py``).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    return mallopt is not None and bool(mallopt(_TRIM_THRESHOLD, _LARGEST)) and bool(mallopt(_MMAP_MAX, 0))


def ran_out(error: BaseException) -> bool:
    """Whether an error, of Python, torch or onnxruntime, says that memory ended."""
    text = str(error)
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(one in text for one in _MEMORY_ENDED)


@contextmanager
def explained() -> Iterator[None]:
    """Turn errors of torch that a user's settings cause into those that say what to do.

    Raises:
        UsageError: memory does not suffice; a batch norm over a single value.
    """
    try:
        yield
    except (RuntimeError, MemoryError, ValueError) as error:
        text = str(error)
        if ran_out(error):
            raise UsageError(
                "the memory does not suffice",
                "--set grad_accum_steps=2 (or more) computes a batch in parts; a smaller batch_size or image_size, or "
                "--set amp_dtype=bfloat16, takes less",
            ) from error
        if "Expected more than 1 value per channel" in text:
            raise UsageError(
                f"a batch norm sees a single value per channel, which has no variance: {text.splitlines()[0]}",
                "a larger --set batch_size=... or image_size=..., or fewer grad_accum_steps",
            ) from error
        raise
