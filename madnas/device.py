"""Where modules are computed."""

import torch

from madnas.errors import UsageError

DEVICES = ("cpu", "cuda")


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
