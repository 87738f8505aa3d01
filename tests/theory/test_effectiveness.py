"""Effectiveness rho and average width: Eq. (2), (3), (19)-(21) of DeepMAD."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madnas.theory.effectiveness import average_width, effectiveness, log_effectiveness
from madnas.theory.entropy import log_variance, mlp_entropy

WIDTHS = st.lists(st.integers(1, 4096), min_size=1, max_size=60)


def test_average_width_by_hand():
    """Eq. (3), (21): the cube root of 2 * 4 * 8."""
    assert average_width(3, log_variance([2, 4, 8])) == pytest.approx(4, rel=1e-15)


def test_effectiveness_by_hand():
    """Eq. (2) with Eq. (3): 3 layers over a width of 4."""
    assert effectiveness(3, log_variance([2, 4, 8])) == pytest.approx(0.75, rel=1e-15)


@pytest.mark.parametrize(("depth", "width", "rho"), [(100, 1000, 0.1), (100, 10, 10), (1, 1, 1)])
def test_effectiveness_of_a_uniform_network_is_depth_over_width(depth: int, width: int, rho: float):
    """Eq. (2) as printed, for equal widths."""
    assert effectiveness(depth, depth * math.log(width)) == pytest.approx(rho, rel=1e-12)


@given(st.integers(1, 200), st.integers(1, 4096))
def test_average_width_of_a_uniform_network_is_its_width(depth: int, width: int):
    assert math.isclose(average_width(depth, log_variance([width] * depth)), width, rel_tol=1e-11)


@given(WIDTHS, st.integers(1, 1000))
def test_the_uniform_network_of_average_width_has_the_same_entropy(widths: list[int], out_features: int):
    """Eq. (19), (20): what defines the average width."""
    uniform = [average_width(len(widths), log_variance(widths))] * len(widths)
    ours, theirs = (mlp_entropy(out_features, log_variance(network)) for network in (widths, uniform))
    assert math.isclose(ours, theirs, rel_tol=1e-11, abs_tol=1e-9)


@given(WIDTHS)
def test_average_width_is_the_geometric_mean(widths: list[int]):
    """Against the standard library, and between the extremes, at most the arithmetic mean."""
    mean = average_width(len(widths), log_variance(widths))
    assert math.isclose(mean, statistics.geometric_mean(widths), rel_tol=1e-10)
    assert min(widths) * (1 - 1e-12) <= mean <= statistics.fmean(widths) * (1 + 1e-12)


def test_a_bottleneck_narrows_the_average():
    """Section 3.2: towards a width of zero somewhere, the average goes to zero, which the arithmetic mean does not."""
    averages = [average_width(3, log_variance([64, narrow, 64])) for narrow in (1, 1e-6, 1e-12)]
    assert averages == sorted(averages, reverse=True)
    assert averages[-1] < 0.01


@given(WIDTHS, st.integers(2, 64))
def test_rho_falls_with_width_and_rises_with_depth(widths: list[int], times: int):
    """Scale laws: every layer s times wider divides rho by s; every layer t times repeated multiplies it by t."""
    rho = effectiveness(len(widths), log_variance(widths))
    wider = effectiveness(len(widths), log_variance([times * w for w in widths]))
    deeper = effectiveness(times * len(widths), log_variance(times * widths))
    assert math.isclose(wider, rho / times, rel_tol=1e-10)
    assert math.isclose(deeper, rho * times, rel_tol=1e-10)


@given(WIDTHS, st.randoms(use_true_random=False))
def test_rho_does_not_see_the_order_of_layers(widths: list[int], random):
    shuffled = random.sample(widths, len(widths))
    values = [effectiveness(len(ws), log_variance(ws)) for ws in (widths, shuffled)]
    assert math.isclose(*values, rel_tol=1e-12)


@given(WIDTHS)
def test_log_effectiveness_is_the_logarithm(widths: list[int]):
    log_widths = log_variance(widths)
    expected = math.log(effectiveness(len(widths), log_widths))
    assert math.isclose(log_effectiveness(len(widths), log_widths), expected, rel_tol=1e-12, abs_tol=1e-12)


def test_a_network_without_layers_is_refused():
    with pytest.raises(ValueError):
        log_effectiveness(0, 1.0)
