"""Throughput-matched design (DeepMAD, Appendix D): of networks measured to be as fast as another, that of most entropy.

The paper designs networks for several budgets, measures all, and takes one that is aligned. Here budgets are searched:

1. All budgets (MACs, params, activations) are multiplied by one *scale*, the mathematical program designs a network for
   them, and that is measured beside the reference, in turns. Larger scales have higher objectives and slower networks.
2. The interval of the ratio decides. *Fast enough*: all of it is at 1 or above. *Too slow*: all of it is below. Where 1
   is inside, it is measured again with twice and four times the rounds; if 1 is still inside then, the network is
   *undecided*, and as little an answer as one that is too slow: what is claimed has to be sure.
3. The next scale: while nothing is fast enough, or nothing too slow, that at which the ratio would be 1 if time grew as
   the budgets do. Between two that are, where the line through both ratios (in logarithms) has it, but not too close to
   either; after two steps on the same side, the middle.
4. It ends when the two are :data:`PRECISION` apart, when larger budgets change nothing any more (a limit of latency,
   layers or rho binds), or when the measurements are used up. Other proportions of params to MACs are searches of their
   own, which begin at the scale that the one before found.
5. Of all that are fast enough, that with the highest objective is measured once more, with four times the rounds: the
   first measurement was also a choice. If it does not hold then, it is undecided and the next best is measured; where
   there is none, the search goes on below.

Throughput is not exactly monotone in the scale: neighbouring budgets may have other depths. Both ends of a bracket were
measured, so the answer holds; it need not be the only scale at which the ratio crosses 1.
"""

import json
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Protocol

import numpy as np

from madnas.errors import InfeasibleError, UsageError
from madnas.measure.benchmark.bout import Bout, bout_from
from madnas.network.spec import NetworkSpec
from madnas.network.specfile import spec_to_tree
from madnas.program.design import Design
from madnas.program.problem import Problem
from madnas.search.journal import Journal

SCALED = ("macs", "params", "activations")
"""Budgets that are scaled; layers, latency and rho are limits that stay."""

PRECISION = 1.02
"""Factor between a scale that is fast enough and one that is too slow at which a search ends."""

EFFORTS = (1, 2, 4)
"""Times the usual rounds, in turn, while an interval has 1 inside; the last one confirms the answer."""

STEP = 4.0
"""Most that a scale changes by at a time, ..."""

RANGE = 256.0
"""... and most that it may become, or its inverse."""

INSIDE = 0.15
"""Share of a bracket (in logarithms) that the next scale keeps from either end."""

CONFIRMATIONS = 3
"""Networks that are measured once more, at most."""

FAST, SLOW, UNDECIDED, NONE = "fast enough", "too slow", "undecided", "no network"


class Measure(Protocol):
    """Measures a network beside the reference."""

    def __call__(self, spec: NetworkSpec, effort: int) -> Bout:
        """With so many times the usual rounds."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is searched.

    Attributes:
        problem: space, weights and limits; its budgets at scale 1.
        solve: designs a network: problem, name, and candidates (N, V) to beat.
        tilts: params per MAC as multiples of the problem's, each a search of its own.
        measurements: most that are made, those that confirm the answer aside.
        name: of the network.
    """

    problem: Problem
    solve: Callable[[Problem, str, np.ndarray | None], Design]
    tilts: tuple[float, ...] = (1.0,)
    measurements: int = 16
    name: str = "design"


@dataclass(frozen=True, slots=True)
class Step:
    """One design and what it was measured to be.

    Attributes:
        number: from 1.
        tilt: params per MAC, as a multiple.
        scale: of the budgets.
        budgets: that follow.
        verdict: :data:`FAST`, :data:`SLOW`, :data:`UNDECIDED` or :data:`NONE`.
        design: the network, if there is one.
        bout: its last measurement.
        same_as: number of an earlier step that had the same network, whose measurement this is.
        confirmed: the measurement that confirms it, or does not.
    """

    number: int
    tilt: float
    scale: float
    budgets: dict[str, float]
    verdict: str
    design: Design | None = None
    bout: Bout | None = None
    same_as: int | None = None
    confirmed: Bout | None = None


@dataclass(frozen=True, slots=True)
class Matched:
    """What a search ended with.

    Attributes:
        best: the step whose network is the answer.
        steps: all of them, in their order.
        measurements: made, those taken from a journal included.
        interrupted: whether it was stopped before its end; the answer has then not been measured once more.
        seconds: it took.
    """

    best: Step
    steps: tuple[Step, ...]
    measurements: int
    interrupted: bool
    seconds: float


@dataclass
class Matching:
    """A search.

    Args:
        task: what.
        measure: beside the reference.
        watch: told after every step how far it is, in a line.
    """

    task: Task
    measure: Measure
    watch: Callable[[str], None] = lambda message: None
    steps: list[Step] = field(default_factory=list)
    measurements: int = 0

    def run(self) -> Matched:
        """Search until it ends, or is interrupted; then give what there is.

        Raises:
            InfeasibleError: no network is as fast as the reference, or none is confirmed to be.
            KeyboardInterrupt: interrupted before any was fast enough.
        """
        begin = time.monotonic()
        best, interrupted = None, False
        try:
            scale = 1.0
            for tilt in self.task.tilts:
                scale = self._along(tilt, scale)
            best = self._confirmed()
        except KeyboardInterrupt:
            interrupted = True
            fast = self._fast()
            if not fast:
                raise
            best = fast[0]
        return Matched(best, tuple(self.steps), self.measurements, interrupted, time.monotonic() - begin)

    def _along(self, tilt: float, scale: float) -> float:
        """Search along one proportion of the budgets; the scale at which the best of it is, or where it ended."""
        low: Step | None = None
        high: Step | None = None
        side: list[bool] = []  # whether a step became the lower end
        stuck = 0
        while self.measurements < self.task.measurements:
            step = self._step(tilt, scale)
            self.watch(describe(step))
            lower = step.verdict in (FAST, NONE)
            side.append(lower)
            same = lower and low is not None and (low.same_as or low.number) == step.same_as
            stuck = stuck + 1 if same else 0
            low, high = (step, high) if lower else (low, step)
            following = following_scale(low, high, side, stuck)
            if following is None:
                break
            scale = following
        return low.scale if low is not None else scale

    def _step(self, tilt: float, scale: float) -> Step:
        problem = scaled(self.task.problem, scale, tilt)
        number = len(self.steps) + 1
        step = Step(number, tilt, scale, dict(problem.budgets), NONE)
        known = [one.design.solution.values for one in self.steps if one.design is not None]
        try:
            design = self.task.solve(problem, f"{self.task.name}-{number}", np.array(known) if known else None)
        except InfeasibleError:
            self.steps.append(step)
            return step
        before = next((one for one in self.steps if one.design and plain(one.design.spec) == plain(design.spec)), None)
        if before is not None:
            first = before.same_as or before.number
            step = replace(step, design=design, bout=before.bout, verdict=before.verdict, same_as=first)
        else:
            bout = self._decided(design.spec)
            step = replace(step, design=design, bout=bout, verdict=verdict_of(bout))
        self.steps.append(step)
        return step

    def _decided(self, spec: NetworkSpec) -> Bout:
        """Measured, with more rounds while its interval has 1 inside."""
        for effort in EFFORTS:
            bout = self.measure(spec, effort)
            self.measurements += 1
            if verdict_of(bout) != UNDECIDED or self.measurements >= self.task.measurements:
                break
        return bout

    def _fast(self) -> list[Step]:
        """Steps that are fast enough, each network once, the highest objective first."""
        found = [one for one in self.steps if one.verdict == FAST and one.same_as is None]
        return sorted(found, key=lambda one: -_objective(one))

    def _confirmed(self) -> Step:
        """The best that is fast enough when it is measured once more.

        Raises:
            InfeasibleError: none is.
        """
        tried: Step | None = None
        for _ in range(CONFIRMATIONS):
            if tried is not None and not self._fast():
                self._along(tried.tilt, tried.scale / PRECISION**2)
            fast = self._fast()
            if not fast:
                break
            tried = self._once_more(fast[0])
            if tried.verdict == FAST:
                return tried
        name = self.task.problem.space.name
        if tried is None:
            raise InfeasibleError(
                f"no network of space {name} was measured to be as fast as the reference",
                "start from smaller budgets, give more --measurements or --seconds, or another --space",
            )
        raise InfeasibleError(
            f"no network of space {name} was still as fast as the reference when it was measured once more",
            "something else disturbs this machine: more --seconds",
        )

    def _once_more(self, step: Step) -> Step:
        assert step.design is not None
        self.watch(f"step {step.number} once more")
        bout = self.measure(step.design.spec, EFFORTS[-1])
        verdict = FAST if verdict_of(bout) == FAST else UNDECIDED
        for place, other in enumerate(self.steps):
            if step.number in (other.number, other.same_as):
                self.steps[place] = replace(other, verdict=verdict, confirmed=bout)
        return self.steps[step.number - 1]


def following_scale(low: Step | None, high: Step | None, side: Sequence[bool] = (), stuck: int = 0) -> float | None:
    """The next scale to try; None where there is none.

    Args:
        low: the largest scale that is fast enough, or has no network.
        high: the smallest one that is not.
        side: of every step, whether it became the lower end.
        stuck: how many of the last steps had, at a larger scale, the network of the one before; after two, of which the
            second had :data:`STEP` times the budgets, something else than these binds.
    """
    if high is None:
        assert low is not None
        if stuck > 1:
            return None
        grow = STEP if low.bout is None or stuck else low.bout.ratio.value
        following = low.scale * min(max(grow, PRECISION**2), STEP)
        return following if following <= RANGE else None
    if low is None:
        assert high.bout is not None
        following = high.scale * max(min(high.bout.ratio.value / PRECISION, 1 / PRECISION), 1 / STEP)
        return following if following >= 1 / RANGE else None
    if high.scale <= low.scale * PRECISION:
        return None
    share = 0.5
    if low.bout is not None and high.bout is not None and len(set(side[-2:])) > 1:
        above = math.log(low.bout.ratio.value)
        below = math.log(high.bout.ratio.value)
        aim = low.bout.ratio.half_width  # so that the lower end of the next interval is at 1
        if above > below:
            share = min(max((above - aim) / (above - below), INSIDE), 1 - INSIDE)
    return low.scale * (high.scale / low.scale) ** share


def scaled(problem: Problem, scale: float, tilt: float = 1.0) -> Problem:
    """The problem with scaled budgets.

    Args:
        problem: at scale 1.
        scale: of MACs, params and activations.
        tilt: params per MAC, as a multiple.
    """
    by = {"macs": scale / math.sqrt(tilt), "params": scale * math.sqrt(tilt), "activations": scale}
    budgets = {
        name: max(1, int(limit * by[name])) if name in SCALED else limit for name, limit in problem.budgets.items()
    }
    return replace(problem, budgets=budgets)


def check_task(task: Task) -> None:
    """Refuse what cannot be searched.

    Raises:
        UsageError: no budget that can be scaled, or proportions of budgets that are not there.
    """
    budgets = task.problem.budgets
    if not any(name in budgets for name in SCALED):
        raise UsageError("--match-throughput scales budgets, and there is none", "give --macs (or --flops) or --params")
    if task.tilts != (1.0,) and not {"macs", "params"} <= set(budgets):
        raise UsageError("--params-per-mac needs budgets of both", "give --macs (or --flops) and --params")
    if not all(1 / 16 <= tilt <= 16 for tilt in task.tilts):
        raise UsageError("--params-per-mac: from 0.0625 to 16")
    if not 1 <= task.measurements <= 1000:
        raise UsageError(f"--measurements: from 1 to 1000, got {task.measurements}")


def verdict_of(bout: Bout) -> str:
    """What an interval says of a network."""
    if bout.ratio.low >= 1:
        return FAST
    return SLOW if bout.ratio.high < 1 else UNDECIDED


def describe(step: Step) -> str:
    """A step in a line."""
    from madnas.units import short_quantity

    budgets = " ".join(f"{name} {short_quantity(step.budgets[name])}" for name in SCALED if name in step.budgets)
    if step.bout is None:
        return f"step {step.number}: {budgets}: {step.verdict}"
    ratio = step.bout.ratio
    text = f"step {step.number}: {budgets}: {ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f}) times as fast"
    return f"{text}, {step.verdict}" + ("" if step.same_as is None else f" (the network of step {step.same_as})")


def plain(spec: NetworkSpec) -> NetworkSpec:
    """A description without what does not change the network."""
    return replace(spec, name="", provenance={})


def _objective(step: Step) -> float:
    return -math.inf if step.design is None else step.design.objective


class Remembered:
    """A measure whose results are kept in a journal, and taken from there by the same command.

    Args:
        measure: what measures.
        journal: the file.
    """

    def __init__(self, measure: Measure, journal: Journal) -> None:
        self.measure, self.journal = measure, journal
        self._held: defaultdict[tuple[str, int], deque[Bout]] = defaultdict(deque)
        for line in journal.lines:
            try:
                self._held[str(line["network"]), int(line["effort"])].append(bout_from(line["bout"]))
            except (KeyError, TypeError, ValueError) as error:
                raise UsageError(f"{journal.path}: a line is broken: {error}", "--restart begins anew") from error

    def __call__(self, spec: NetworkSpec, effort: int) -> Bout:
        """See :class:`Measure`; what was measured twice with one effort, to decide and to confirm, is given in turn."""
        key = (sha256(json.dumps(spec_to_tree(plain(spec))).encode()).hexdigest(), effort)
        if self._held[key]:
            return self._held[key].popleft()
        bout = self.measure(spec, effort)
        self.journal.add({"network": key[0], "effort": effort, "bout": bout.tree()})
        return bout
