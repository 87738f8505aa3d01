"""Rounds and intervals on a machine that is imagined: its clock is ours, so what comes out is known."""

import numpy as np
import pytest

from madnas.measure.intervals import percentiles, speed_ratio
from madnas.measure.rounds import FEWEST_ROUNDS, LEAST_ROUNDS, Pace, in_turns


class Machine:
    """A clock that calls advance: each takes its own time, times how slow the machine is at that moment."""

    def __init__(self, slowness=lambda now: 1.0):
        self.time = 0.0
        self.slowness = slowness
        self.called = []

    def now(self):
        return self.time

    def call(self, name, seconds):
        def run():
            self.called.append(name)
            self.time += seconds * self.slowness(self.time)

        return run


def test_drift_of_the_machine_cancels_in_ratios():
    machine = Machine(lambda now: 1 + now / 20)  # twice as slow after 20 seconds
    calls = {"a": machine.call("a", 0.2), "b": machine.call("b", 0.1)}
    times = in_turns(calls, Pace(100), now=machine.now)
    assert times["a"][-1] / times["a"][0] > 2
    ratio = speed_ratio(times["b"], times["a"])
    assert ratio.low <= 2 <= ratio.high and ratio.value == pytest.approx(2, rel=0.01)


def test_measured_one_after_the_other_the_same_drift_would_deceive():
    machine = Machine(lambda now: 1 + now / 20)
    first = in_turns({"a": machine.call("a", 0.2)}, Pace(100), now=machine.now)["a"]
    second = in_turns({"b": machine.call("b", 0.1)}, Pace(100), now=machine.now)["b"]
    assert not 1.5 < np.median(first) / np.median(second) < 2.5


@pytest.mark.parametrize("seconds, warm, turn", [(0.0005, 40, 4), (0.003, 7, 1), (0.05, 1, 1), (0.2, 0, 1)])
def test_short_calls_fill_a_turn_and_are_warm(seconds, warm, turn):
    machine = Machine()
    times = in_turns({"a": machine.call("a", seconds)}, Pace(10, turn=0.002), now=machine.now)
    assert times["a"] == pytest.approx([seconds] * 10)
    assert len(machine.called) == 3 + 10 * (warm + turn)


@pytest.mark.parametrize("seconds", [0.003, 0.2])
def test_what_is_done_before_a_turn_costs_it_nothing(seconds):
    """A GPU's memory that was given back has to be asked for again, by long calls too."""
    machine = Machine()
    cold = [True]

    def call():
        machine.time += seconds * (3 if cold[0] else 1)
        cold[0] = False

    def give_back():
        cold[0] = True

    assert in_turns({"a": call}, Pace(5), now=machine.now, before=give_back)["a"] == pytest.approx([seconds] * 5)


def test_calls_that_are_interrupted_do_not_count_where_each_is_timed():
    """One of four of a turn, which takes ten times as long."""
    for each, expected in ((True, 0.005), (False, 0.005 * 13 / 4)):
        machine = Machine()
        calls = iter(range(10_000))

        def call(machine=machine, calls=calls):
            machine.time += 0.05 if next(calls) % 4 == 3 else 0.005

        assert in_turns({"a": call}, Pace(10, each=each), now=machine.now)["a"] == pytest.approx([expected] * 10)


def test_what_runs_beside_a_short_call_does_not_change_its_time():
    """Of a cache that a call has to itself after six of its own."""

    def alone_or_beside(*others):
        machine = Machine()
        cold = {"a": 0}

        def a():
            machine.time += 0.003 * (1.2 if cold["a"] < 6 else 1)
            cold["a"] += 1

        def other():
            machine.time += 0.05
            cold["a"] = 0

        return in_turns({"a": a} | dict.fromkeys(others, other), Pace(20), now=machine.now)["a"]

    assert alone_or_beside("b", "c") == pytest.approx(alone_or_beside())


def test_order_is_another_one_in_every_round_and_the_same_again():
    def order():
        machine = Machine()
        in_turns({name: machine.call(name, 0.2) for name in "abc"}, Pace(20), now=machine.now)
        return machine.called[9:]

    called = order()
    assert called == order()
    rounds = {tuple(called[at : at + 3]) for at in range(0, len(called), 3)}
    assert len(rounds) == 6


def test_rounds_end_when_ratios_are_known():
    machine = Machine()
    times = in_turns({"a": machine.call("a", 0.1), "b": machine.call("b", 0.2)}, Pace(least=0.0), now=machine.now)
    assert len(times["a"]) == LEAST_ROUNDS


def test_rounds_end_when_the_time_is_over():
    machine = Machine()
    times = in_turns({"a": machine.call("a", 0.1)}, Pace(seconds=0.0), now=machine.now)
    assert len(times["a"]) == FEWEST_ROUNDS


def test_a_ratio_is_not_known_before_the_machine_can_have_changed():
    machine = Machine()
    times = in_turns({"a": machine.call("a", 0.1), "b": machine.call("b", 0.2)}, Pace(least=0.05), now=machine.now)
    assert len(times["a"]) > LEAST_ROUNDS  # each round takes next to nothing of the real time that counts here


def test_ratios_are_judged_within_their_group():
    """Training is as noisy as can be, but alike for both networks; its ratio to inference says nothing."""
    machine, random = Machine(), np.random.default_rng(6)
    noise = np.exp(0.5 * random.standard_normal(1000))
    calls = {"infer": machine.call("infer", 0.1)}
    for name, seconds in (("train", 3.0), ("train b", 6.0)):
        turns = iter(noise)
        calls[name] = lambda seconds=seconds, turns=turns: machine.call("", seconds * next(turns))()
    times = in_turns(calls, Pace(least=0.0), now=machine.now, judged=[["infer"], ["train", "train b"]])
    assert len(times["train"]) == LEAST_ROUNDS


def test_noise_means_more_rounds():
    random = np.random.default_rng(0)
    machine = Machine(lambda now: float(np.exp(0.05 * random.standard_normal())))
    times = in_turns({"a": machine.call("a", 0.1), "b": machine.call("b", 0.2)}, Pace(least=0.0), now=machine.now)
    assert len(times["a"]) > 2 * LEAST_ROUNDS
    assert speed_ratio(times["b"], times["a"]).half_width < 0.01


def test_intervals_hold_as_often_as_they_say():
    random = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        slow = np.exp(random.standard_normal(40))  # a round's slowness, which both share
        own, first = (slow * np.exp(0.2 * random.standard_normal(40)) * scale for scale in (1.0, 1.3))
        ratio = speed_ratio(own, first)
        held += ratio.low <= 1.3 <= ratio.high
    assert held >= 180


@pytest.mark.parametrize("rounds", [4, 7])
@pytest.mark.parametrize("law", ["normal", "laplace"])
def test_intervals_of_few_rounds_hold_as_often_as_they_say_too(law, rounds):
    random = np.random.default_rng(7)
    inside = 0
    for _ in range(200):
        own = np.exp(0.05 * getattr(random, law)(size=rounds))
        ratio = speed_ratio(own, 1.3 * np.ones(rounds))
        inside += ratio.low <= 1.3 <= ratio.high
    assert inside >= 0.92 * 200


def test_intervals_hold_where_disturbances_last_for_many_rounds():
    """Of neighbours that change which network is the faster one: over single rounds, intervals would be too narrow."""
    random = np.random.default_rng(3)
    held, naive, n = 0, 0, 400
    for _ in range(200):
        shift = np.zeros(n)
        for at in range(1, n):
            shift[at] = 0.9 * shift[at - 1] + 0.01 * random.standard_normal()
        noise = 0.01 * random.standard_normal((2, n))
        own, first = np.exp(noise[0] + shift / 2), 1.3 * np.exp(noise[1] - shift / 2)
        ratio = speed_ratio(own, first)
        held += ratio.low <= 1.3 <= ratio.high
        logs = np.log(first / own)
        naive += abs(logs.mean() - np.log(1.3)) < 1.96 * logs.std() / np.sqrt(n)
    assert naive < 0.6 * 200 < 0.88 * 200 <= held


def test_disturbed_rounds_do_not_count():
    """Two of five rounds have a neighbour, from which one network suffers and the other does not."""
    random = np.random.default_rng(4)
    disturbed = np.arange(200) % 5 < 2
    own = np.where(disturbed, 2.0, 1.0) * np.exp(0.01 * random.standard_normal(200))
    first = 1.3 * np.exp(0.01 * random.standard_normal(200))
    assert speed_ratio(own, first).value == pytest.approx(1.3, rel=0.005)
    assert np.median(first / own) < 0.995 * 1.3


def test_the_ratio_of_the_first_to_the_second_is_the_inverse():
    random = np.random.default_rng(5)
    own, first = np.exp(0.3 * random.standard_normal((2, 50)))
    there, back = speed_ratio(own, first), speed_ratio(first, own)
    assert (1 / there.value, 1 / there.high, 1 / there.low) == pytest.approx((back.value, back.low, back.high))


def test_unpaired_the_interval_would_be_many_times_wider():
    random = np.random.default_rng(2)
    slow = np.exp(random.standard_normal(40))
    paired = speed_ratio(slow, 1.3 * slow)
    shuffled = speed_ratio(slow, 1.3 * random.permutation(slow))
    assert paired.half_width < 1e-9 < 0.1 < shuffled.half_width


def test_larger_batches_count_as_more_work():
    assert speed_ratio([2.0] * 5, [1.0] * 5, work=4.0).value == 2.0


def test_percentiles_of_a_known_sample():
    found = percentiles([float(number) for number in range(1, 101)])
    assert (found.p50, found.least, found.n) == (50.5, 1.0, 100)
    assert found.p95 == pytest.approx(95.05) and found.spread == pytest.approx(49.5 / 50.5)
