"""Throughput-matched design with a measure that is known: images per second that follow from the network's costs."""

from dataclasses import replace
from functools import cache
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from madnas.errors import InfeasibleError, UsageError
from madnas.measure.benchmark.bout import Bout, bout_from
from madnas.measure.intervals import Ratio
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.program.design import design
from madnas.program.problem import Problem
from madnas.program.space import load_space
from madnas.search.journal import Journal
from madnas.search.throughput import (
    FAST,
    NONE,
    SLOW,
    UNDECIDED,
    Matching,
    Remembered,
    Step,
    Task,
    check_task,
    following_scale,
    plain,
    scaled,
)

BUDGETS = {"macs": 20_000_000, "params": 200_000}


class Speed:
    """A measure without a clock: images per second are some number over a cost; the interval has a known half width."""

    def __init__(self, reference, cost=lambda counts: counts.macs, width=0.005, noise=0.0):
        self.reference, self.cost, self.width = reference, cost, width
        self.noise, self.random = noise, np.random.default_rng(0)
        self.calls = []

    def __call__(self, spec, effort):
        self.calls.append((spec, effort))
        width = self.width / effort**0.5
        ratio = self.reference / self.cost(count(spec)) * float(np.exp(self.noise * self.random.standard_normal()))
        return Bout(Ratio(ratio, ratio * (1 - width), ratio * (1 + width), 0.95), 100 * ratio, 100.0, 8, 8, 15 * effort)


def network(early, middle, late, depth):
    groups = tuple(Group("basic", out, depth, kernel=3, stride=stride, shortcut="pool")
                   for out, stride in ((early, 1), (middle, 2), (late, 2)))  # fmt: skip
    return NetworkSpec("net", (3, 32, 32), groups, Head(100), Stem(early, stride=1))


@cache
def family():
    """Networks of three groups: their choices (N, 4), MACs, params and entropies."""
    axes = (range(2, 40), range(4, 80, 2), range(8, 160, 2), (2, 3, 5, 8))
    choices = np.array(list(product(*axes)))
    spec = network(*choices.T)
    costs = count(spec)
    return choices, costs.macs, costs.params, analyse(spec).weighted_entropy()


def solve(problem, name, known):
    """In the program's place: the best of the family, by listing it."""
    choices, macs, params, entropy = family()
    fits = (macs <= problem.budgets["macs"]) & (params <= problem.budgets["params"])
    if not fits.any():
        raise InfeasibleError("none")
    best = int(np.argmax(np.where(fits, entropy, -1)))
    spec = replace(network(*(int(one) for one in choices[best])), name=name)
    return SimpleNamespace(spec=spec, objective=entropy[best], solution=SimpleNamespace(values=choices[best]))


def task(budgets=BUDGETS, **changes):
    return Task(Problem(load_space("basic-cifar"), dict(budgets), 0.3), solve, **changes)


def test_with_the_program_itself():
    problem = Problem(load_space("mlp"), {"macs": 100_000, "params": 100_000}, 0.1)
    program = Task(problem, lambda problem, name, known: design(problem, None, name, known))
    found = Matching(program, Speed(70_000)).run()
    assert 0.9 * 70_000 < count(found.best.design.spec).macs <= 70_000
    assert found.best.design.bound >= found.best.design.objective


@pytest.mark.parametrize("reference", [9e6, 20e6, 55e6])
def test_the_largest_network_that_is_fast_enough(reference):
    """Speed is what MACs leave: the answer has the reference's MACs, from above in speed, to the search's precision."""
    measure = Speed(reference)
    found = Matching(task(), measure).run()
    macs = count(found.best.design.spec).macs
    assert 0.95 * reference < macs <= reference / (1 + 0.0025)
    assert found.best.verdict == FAST and found.best.confirmed.ratio.low >= 1
    assert measure.calls[-1] == (found.best.design.spec, 4)
    assert found.measurements == len(measure.calls) - 1 <= 12
    fast = [one for one in found.steps if one.verdict == FAST]
    assert found.best.design.objective == max(one.design.objective for one in fast)
    slow = [one for one in found.steps if one.verdict != FAST]
    assert min(one.scale for one in slow) > max(one.scale for one in fast)


def test_budgets_keep_their_proportion():
    found = Matching(task(), Speed(9e6)).run()
    for step in found.steps:
        assert step.budgets["macs"] / step.budgets["params"] == pytest.approx(100, rel=1e-3)
        assert count(step.design.spec).macs <= step.budgets["macs"]


def test_other_proportions_win_where_params_cost_no_time():
    tight = {"macs": 20_000_000, "params": 100_000}
    straight, tilted = (Matching(task(tight, tilts=tilts, measurements=40), Speed(20e6)).run()
                        for tilts in ((1.0,), (1.0, 1.5)))  # fmt: skip
    assert tilted.best.tilt == 1.5
    assert tilted.best.design.objective > straight.best.design.objective
    one = scaled(task().problem, 2.0, 4.0).budgets
    assert one == {"macs": 20_000_000, "params": 800_000}


def test_what_is_undecided_is_measured_longer_and_is_no_answer():
    """The first network is exactly as fast as the reference, which no interval can show."""
    measure = Speed(count(solve(task().problem, "net", None).spec).macs, width=0.02)
    found = Matching(task(), measure).run()
    first = found.steps[0]
    assert first.verdict == UNDECIDED
    assert [effort for spec, effort in measure.calls if plain(spec) == plain(first.design.spec)] == [1, 2, 4]
    assert found.best.confirmed.ratio.low >= 1 and found.best.scale < 1


def test_a_noisy_clock_is_never_believed_too_early():
    """Whatever the noise says, the answer's last interval is above 1; with honest intervals, so is its true speed."""
    for seed in range(3):
        measure = Speed(20e6, width=0.03, noise=0.01)
        measure.random = np.random.default_rng(seed)
        found = Matching(task(measurements=30), measure).run()
        assert 0.8 * 20e6 < count(found.best.design.spec).macs < 20e6


def test_the_answer_is_confirmed_or_another_is_found():
    measure = Speed(20e6)

    def lucky(spec, effort):
        """The first measurement of the best ones was too good."""
        bout = measure(spec, effort)
        if effort == 4 and count(spec).macs > 0.97 * 20e6:
            return replace(bout, ratio=Ratio(0.99, 0.98, 1.001, 0.95))
        return bout

    found = Matching(task(), lucky).run()
    assert 0.9 * 20e6 < count(found.best.design.spec).macs <= 0.97 * 20e6
    refuted = [one for one in found.steps if one.confirmed is not None and one.verdict == UNDECIDED]
    assert refuted and found.best.confirmed.ratio.low >= 1
    with pytest.raises(InfeasibleError, match="when it was measured once more"):
        Matching(task(), lambda spec, effort: replace(measure(spec, effort), ratio=Ratio(*NEVER[effort], 0.95))).run()


NEVER = {1: (1.01, 1.002, 1.02), 2: (1.0, 0.99, 1.01), 4: (0.97, 0.96, 0.98)}


def test_a_reference_that_nothing_is_as_fast_as():
    with pytest.raises(InfeasibleError, match="as fast as the reference"):
        Matching(task(), Speed(1e3)).run()


def test_a_reference_that_everything_is_faster_than():
    """The largest network of a space is the answer, and it is measured once, and once more."""
    measure = Speed(1e12)
    found = Matching(task(), measure).run()
    assert found.best.design.objective == family()[3].max()
    assert len({plain(spec) for spec, _ in measure.calls}) == found.measurements
    assert len(measure.calls) == found.measurements + 1


def test_budgets_too_small_for_any_network_come_first():
    found = Matching(task({"macs": 100_000, "params": 1_000}), Speed(20e6)).run()
    assert found.steps[0].verdict == NONE and found.steps[0].design is None
    assert 0.9 * 20e6 < count(found.best.design.spec).macs <= 20e6


def test_it_ends_where_larger_budgets_change_nothing_any_more():
    """The largest network of the family fits the first budgets, and is fast enough."""
    found = Matching(task({"macs": 2_000_000_000, "params": 20_000_000}), Speed(1e12)).run()
    assert [(step.scale, step.same_as) for step in found.steps] == [(1, None), (4, 1), (16, 1)]
    assert found.best.number == 1


def test_an_interrupt_leaves_the_best_so_far():
    measure = Speed(55e6)

    def interrupted(spec, effort):
        if len(measure.calls) == 2:
            raise KeyboardInterrupt
        return measure(spec, effort)

    found = Matching(task(), interrupted).run()
    assert found.interrupted and found.best.verdict == FAST and found.best.confirmed is None
    with pytest.raises(KeyboardInterrupt):
        Matching(task(), lambda spec, effort: (_ for _ in ()).throw(KeyboardInterrupt)).run()


def test_a_journal_is_taken_up_again(tmp_path):
    """The same path, and only what is missing is measured."""
    path, whole = tmp_path / "j.jsonl", Speed(9e6)
    expected = Matching(task(), whole).run()
    first = Speed(9e6)

    def killed(spec, effort):
        if len(first.calls) == 2:
            raise SystemExit
        return first(spec, effort)

    with pytest.raises(SystemExit):
        Matching(task(), Remembered(killed, Journal(path, {"what": "test"}))).run()
    rest = Speed(9e6)
    found = Matching(task(), Remembered(rest, Journal(path, {"what": "test"}))).run()
    assert len(rest.calls) == len(whole.calls) - 2
    assert found.best.design.spec == expected.best.design.spec
    assert [one.scale for one in found.steps] == [one.scale for one in expected.steps]
    path.write_text(path.read_text() + '{"network": "x"}\n')
    with pytest.raises(UsageError, match="a line is broken"):
        Remembered(rest, Journal(path, {"what": "test"}))


def test_what_was_measured_twice_with_one_effort_is_remembered_twice(tmp_path):
    """A network that took the most rounds to decide, and was confirmed with as many."""
    path, spec = tmp_path / "j.jsonl", solve(task().problem, "n", None).spec
    first = Remembered(Speed(9e6, noise=0.1), Journal(path, {"what": "test"}))
    measured = [first(spec, 4), first(spec, 4)]
    assert measured[0] != measured[1]
    del first  # and with it the lock of its journal
    rest = Speed(9e6)
    again = Remembered(rest, Journal(path, {"what": "test"}))
    assert [again(spec, 4), again(spec, 4)] == measured and rest.calls == []
    again(spec, 4)
    assert len(rest.calls) == 1


def test_bouts_as_plain_data():
    bout = Speed(1.0)(solve(task().problem, "n", None).spec, 2)
    assert bout_from(bout.tree()) == bout


class TestFollowingScale:
    def step(self, scale, ratio, width=0.0, verdict=FAST):
        bout = Bout(Ratio(ratio, ratio * (1 - width), ratio * (1 + width), 0.95), 1.0, 1.0, 1, 1, 15)
        return Step(1, 1.0, scale, {}, verdict, bout=bout)

    def test_in_proportion_until_there_is_a_bracket(self):
        assert following_scale(self.step(1.0, 1.5), None) == 1.5
        assert following_scale(self.step(1.0, 100.0), None) == 4.0
        assert following_scale(None, self.step(1.0, 0.51, verdict=SLOW)) == pytest.approx(0.5)
        assert following_scale(None, self.step(1.0, 0.01, verdict=SLOW)) == 0.25

    def test_on_the_line_between_two(self):
        """Time in proportion to the budgets' square root: exactly where the ratio is 1."""
        low, high = self.step(0.5, 0.5**-0.5), self.step(2.0, 2.0**-0.5, verdict=SLOW)
        assert following_scale(low, high, [False, True]) == pytest.approx(1.0)

    def test_the_middle_after_two_on_one_side(self):
        low, high = self.step(0.5, 1.01), self.step(2.0, 0.5, verdict=SLOW)
        assert following_scale(low, high, [True, True]) == pytest.approx(1.0)
        assert following_scale(low, high, [False, True]) == pytest.approx(0.5 * 4**0.15)

    def test_the_end(self):
        assert following_scale(self.step(1.0, 1.01), self.step(1.02, 0.99, verdict=SLOW), [True, False]) is None
        assert following_scale(self.step(200.0, 2.0), None) is None
        assert following_scale(None, self.step(1 / 200, 0.5, verdict=SLOW)) is None


@pytest.mark.parametrize(
    ("budgets", "changes", "message"),
    [
        ({"layers": 40}, {}, "--match-throughput scales budgets"),
        ({"macs": 10**7}, {"tilts": (1.0, 2.0)}, "--params-per-mac needs budgets of both"),
        (BUDGETS, {"tilts": (100.0,)}, "--params-per-mac"),
        (BUDGETS, {"measurements": 0}, "--measurements"),
    ],
)
def test_mistakes(budgets, changes, message):
    with pytest.raises(UsageError, match=message):
        check_task(task(budgets, **changes))
