"""Memory that a call needs at most, and the largest batch that fits."""

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from madnas.measure.clock import synchronise
from madnas.measure.setting import MAX_BATCH

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
SHARE = 0.8
"""Of the memory that is free, which a batch on the CPU may take: past the end, the system ends processes."""

FINE = 16
"""The largest batch is found to a sixteenth of itself."""


class OutOfMemory(Exception):
    """A batch does not fit."""


class AllocationTracker(TorchDispatchMode):
    """Follows the memory of all tensors that are made within it, backward passes included.

    What a kernel takes and gives back within one operation (scratch space of a convolution) is not seen.

    Attributes:
        now: bytes of tensors that were made and are still there.
        peak: the most that ever were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and note the storages that it made."""
        before = {_place(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and _place(leaf) not in before:
                self._note(leaf.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known[storage] = True
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, size)

    def _gone(self, size: int) -> None:
        self.now -= size


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def peak_bytes(call: Callable[[], Any], device: torch.device) -> int:
    """Bytes that a call needs at most besides what was there before."""
    if device.type == "cuda":
        synchronise(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        synchronise(device)
        return torch.cuda.max_memory_allocated(device) - before
    with AllocationTracker() as tracker:
        call()
    return tracker.peak


def bytes_of(module: nn.Module) -> int:
    """Bytes of a module's parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


def free_bytes() -> int:
    """Memory of the machine, or of this container, that is free; a lot where that cannot be found out."""
    found = [2**62]
    try:
        for line in MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(1024 * int(line.split()[1]))
    except (OSError, ValueError):
        pass
    try:
        limit = (CGROUP / "memory.max").read_text(encoding="ascii").strip()
        if limit.isdigit():
            found.append(int(limit) - int((CGROUP / "memory.current").read_text(encoding="ascii")))
    except (OSError, ValueError):
        pass
    return max(0, min(found))


def largest_batch(fits: Callable[[int], bool], most: int = MAX_BATCH) -> int:
    """The largest batch that fits, to a sixteenth of itself: doubled until memory ends, then halved in.

    Args:
        fits: whether a batch of this size does.
        most: largest that is tried.

    Returns:
        0 if a single image does not fit.

    >>> largest_batch(lambda size: size <= 37), largest_batch(lambda size: size <= 1000)
    (36, 992)
    """
    good, bad = 0, most + 1
    size = 1
    while size <= most and fits(size):
        good, size = size, 2 * size
    bad = min(bad, size)
    while bad - good > max(1, good // FINE):
        middle = (good + bad) // 2
        if fits(middle):
            good = middle
        else:
            bad = middle
    return good
