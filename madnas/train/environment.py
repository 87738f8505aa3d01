"""Where a number comes from: versions, hardware, command."""

import platform
import sys
from typing import Any

import torch

import madnas
from madnas.data.source import Process


def environment(process: Process) -> dict[str, Any]:
    """Versions, hardware and command, for whoever wants to know where a number comes from."""
    import timm
    import torchvision

    cuda = process.device.type == "cuda"
    return {
        "madnas": madnas.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": torchvision.__version__,
        "timm": timm.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "device": torch.cuda.get_device_name(process.device) if cuda else platform.machine(),
        "threads": torch.get_num_threads(),
        "processes": process.world,
        "command": sys.argv,
    }
