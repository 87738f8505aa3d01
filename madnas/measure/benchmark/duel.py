"""Networks against one reference that stays: each is built, measured beside it in turns, and let go."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from madnas.errors import UsageError
from madnas.measure.benchmark.bout import Bout
from madnas.measure.benchmark.contestant import Contestant, contestant, contestant_of
from madnas.measure.benchmark.memory import OutOfMemory
from madnas.measure.benchmark.request import Request, check_request
from madnas.measure.benchmark.run import in_force
from madnas.measure.clock import synchronise
from madnas.measure.intervals import percentiles, speed_ratio
from madnas.measure.prepare import measuring
from madnas.measure.provenance import complete, provenance
from madnas.measure.rounds import in_turns, nothing
from madnas.network.spec import NetworkSpec
from madnas.targets import Target


@dataclass(frozen=True, slots=True)
class Duel:
    """A reference, ready to run.

    Attributes:
        reference: what others are measured beside.
        request: how.
        setting: as it is in force.
        about: hardware, driver, versions, command, commit; complete.
    """

    reference: Contestant
    request: Request
    setting: dict[str, Any]
    about: dict[str, Any]

    def __call__(self, spec: NetworkSpec, effort: int) -> Bout:
        """Measure a network beside the reference.

        Args:
            spec: the network.
            effort: how many times the request's seconds (or rounds) it may take.

        Raises:
            UsageError: the memory does not suffice.
        """
        device = torch.device(self.request.setting.device)
        try:
            other = contestant_of(Target(spec.name, spec), "infer", self.request)
        except OutOfMemory as error:
            raise UsageError(str(error), "a smaller --batch-size takes less") from error
        pace = self.request.pace
        rounds = None if pace.rounds is None else effort * pace.rounds
        clean = torch.cuda.empty_cache if self.request.auto_batch and device.type == "cuda" else nothing
        now = time.thread_time if self.request.setting.clock == "thread" else time.perf_counter
        times = in_turns(
            {"reference": self.reference.call, "network": other.call},
            replace(pace, rounds=rounds, seconds=effort * pace.seconds),
            partial(synchronise, device),
            now,
            before=clean,
        )
        own, first = times["network"], times["reference"]
        return Bout(
            speed_ratio(own, first, other.batch / self.reference.batch),
            other.batch / percentiles(own).p50,
            self.reference.batch / percentiles(first).p50,
            other.batch,
            self.reference.batch,
            len(own),
        )


@contextmanager
def duel(request: Request, say: Callable[[str], None] = lambda message: None) -> Iterator[Duel]:
    """A reference that networks can be measured beside, for as long as the context lasts.

    Args:
        request: how; its first target is the reference.
        say: is told what happens.

    Raises:
        UsageError: options that are not possible here, an unknown target, or one that does not fit the memory; or
            nothing is known about where a number comes from, without which it is no result.
    """
    check_request(request)
    with measuring(request.setting):
        about = complete(provenance(request.setting.device))
        say(f"building {request.targets[0]}")
        try:
            reference = contestant(request.targets[0], "infer", request)
        except OutOfMemory as error:
            raise UsageError(str(error), "a smaller --batch-size takes less") from error
        yield Duel(reference, request, in_force(request), about)
