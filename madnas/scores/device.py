"""Where modules are computed."""

import torch

from madnas.errors import UsageError

DEVICES = ("cpu", "cuda")


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Raises:
        UsageError: an unknown device, or no GPU.
    """
    if device not in DEVICES:
        raise UsageError(f"unknown device {device[:60]!r}", f"known: {', '.join(DEVICES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available", "leave --device out to use the CPU")
