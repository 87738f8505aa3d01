"""Marks in time: of the wall, of a thread, or of a GPU's queue of work."""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import torch

from madnas.measure.setting import Setting


class Clock(Protocol):
    """Sets marks between pieces of work, and says how much time lies between them."""

    def mark(self) -> Any:
        """Now; on a GPU, when the work queued so far will be done."""

    def between(self, marks: Sequence[Any]) -> list[float]:
        """Seconds from each mark to the next."""


class HostClock:
    """Of work that is done when the call returns.

    Args:
        now: seconds, from an arbitrary origin.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.mark = now

    def between(self, marks: Sequence[float]) -> list[float]:
        """Seconds from each mark to the next."""
        return [after - before for before, after in pairwise(marks)]


class GpuClock:
    """Of work that a GPU does in the order of the calls: events in its stream, which cost it next to nothing."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def mark(self) -> Any:
        """An event after the work queued so far."""
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def between(self, marks: Sequence[Any]) -> list[float]:
        """Seconds from each event to the next; waits for the last."""
        marks[-1].synchronize()
        return [before.elapsed_time(after) / 1e3 for before, after in pairwise(marks)]


def clock_of(setting: Setting) -> Clock:
    """The clock that a setting asks for."""
    if setting.device.startswith("cuda"):
        return GpuClock(torch.device(setting.device))
    return HostClock(time.thread_time if setting.clock == "thread" else time.perf_counter)


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
