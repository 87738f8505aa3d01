"""Where a measured number comes from: hardware, driver, versions, command, commit. All of it, or it is no result."""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import madnas
from madnas.errors import UsageError

NEEDED = ("hardware", "cores", "driver", "versions", "command", "commit")
"""What every row of results carries."""

DRIVER_FILE = Path("/proc/driver/nvidia/version")
CPU_FILE = Path("/proc/cpuinfo")
PACKAGES = ("madnas", "torch", "torchvision", "timm", "numpy")


def provenance(device: str, packages: tuple[str, ...] = ()) -> dict[str, Any]:
    """Everything of :data:`NEEDED`, and how busy the machine is, and the time.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        packages: further ones whose versions matter.
    """
    on_gpu = device.startswith("cuda")
    return {
        "hardware": gpu_name(device) if on_gpu else cpu_name(),
        "host": cpu_name(),
        "cores": os.cpu_count(),
        "driver": gpu_driver() if on_gpu else f"{platform.system()} {platform.release()}",
        "versions": versions(packages),
        "command": command(),
        "commit": commit(),
        "load": load(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def complete(about: dict[str, Any]) -> dict[str, Any]:
    """What is known about where a number comes from, if nothing of :data:`NEEDED` is missing.

    Raises:
        UsageError: names what is.
    """
    unknown = missing(about)
    if unknown:
        raise UsageError(f"not known here, and without it a number is no result: {', '.join(unknown)}")
    return about


def cells(about: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a row of a table, in which a cell is a single text or number."""
    return {
        **about,
        "versions": " ".join(f"{name}={number}" for name, number in about["versions"].items()),
        "command": shlex.join(about["command"]),
    }


def load() -> float | None:
    """Programs that want a core, mean of the last minute; None where the system does not say."""
    with suppress(OSError, AttributeError):
        return round(os.getloadavg()[0], 2)
    return None


def missing(about: dict[str, Any]) -> list[str]:
    """What of :data:`NEEDED` is not known."""
    return [name for name in NEEDED if not about.get(name)]


def versions(packages: tuple[str, ...] = ()) -> dict[str, str]:
    """Versions of Python, of what computes, and of ``packages``, where they are installed."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *packages):
        with suppress(PackageNotFoundError):
            found[name] = madnas.__version__ if name == "madnas" else version(name)
    return found


def command() -> list[str]:
    """The command line, with the program by its name."""
    program, *words = sys.argv or [""]
    return ["madnas" if Path(program).name in ("madnas", "__main__.py") else Path(program).name, *words]


@cache
def cpu_name() -> str:
    """Model of the processor."""
    with suppress(OSError):
        for line in CPU_FILE.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "Hardware") and value.strip():
                return " ".join(value.split())
    return platform.processor() or platform.machine()


def gpu_name(device: str) -> str:
    """Model of the GPU."""
    import torch

    return str(torch.cuda.get_device_name(torch.device(device)))


def gpu_driver() -> str:
    """Version of the GPU's driver; empty where it cannot be found out."""
    with suppress(OSError):
        words = DRIVER_FILE.read_text(encoding="utf-8", errors="replace").split("\n")[0].split()
        numbers = [word for word in words if word[:1].isdigit() and "." in word]
        if numbers:
            return f"NVIDIA {numbers[0]}"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    found = _output(query)
    return f"NVIDIA {found.splitlines()[0].strip()}" if found else ""


@cache
def commit() -> str:
    """The commit of madnas's source, with ``+changes`` where files differ; of a release, which is one, its version."""
    folder = Path(madnas.__file__).resolve().parent
    if _output(["git", "-C", str(folder), "ls-files", "__init__.py"]):
        head = _output(["git", "-C", str(folder), "rev-parse", "HEAD"])
        changed = _output(["git", "-C", str(folder.parent), "status", "--porcelain", "--untracked-files=no"])
        return head + ("+changes" if changed else "")
    with suppress(PackageNotFoundError, ValueError, AttributeError):
        about = json.loads(distribution("madnas").read_text("direct_url.json") or "{}")
        found = about.get("vcs_info", {}).get("commit_id")
        if found:
            return str(found)
    return f"release {madnas.__version__}"


def _output(words: list[str]) -> str:
    """What a program prints; empty if there is no such program, or it fails."""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return ""
