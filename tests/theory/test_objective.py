"""The objective of Eq. (5) of DeepMAD and its depth penalty Q."""

import math
import statistics
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madnas.theory.objective import DEPTH_PENALTY, default_stage_weights, depth_imbalance, objective, variance

DEPTHS = st.lists(st.integers(1, 30), min_size=2, max_size=8)


def test_default_weights_are_the_papers():
    """Section 4.3: {1, 1, 1, 1, 1, 8} for six scales, beta 10."""
    assert default_stage_weights(6) == (1, 1, 1, 1, 1, 8)
    assert default_stage_weights(1) == (1,), "Section 3: an MLP has nothing to weigh its entropy against"
    assert DEPTH_PENALTY == 10


@given(DEPTHS)
def test_variance_is_the_populations(values: list[int]):
    assert math.isclose(variance(values), statistics.pvariance(values), rel_tol=1e-12, abs_tol=1e-12)


@pytest.mark.parametrize("values", [[], [7]])
def test_variance_of_fewer_than_two_values_is_zero(values: list[int]):
    assert variance(values) == 0


def test_depth_imbalance_by_hand():
    """Var(1, 3) = 1, so Q = e; the spread counts and the level does not."""
    assert depth_imbalance([1, 3]) == pytest.approx(math.e, rel=1e-15)
    assert depth_imbalance([101, 103]) == pytest.approx(math.e, rel=1e-15)


@given(st.integers(1, 100), st.integers(1, 8))
def test_equal_depths_are_not_penalised_beyond_one(depth: int, groups: int):
    assert depth_imbalance([depth] * groups) == 1


@given(DEPTHS.filter(lambda depths: len(set(depths)) > 1))
def test_unequal_depths_are_penalised(depths: list[int]):
    assert depth_imbalance(depths) > 1


@given(DEPTHS, st.randoms(use_true_random=False))
def test_depth_imbalance_does_not_see_the_order_of_groups(depths: list[int], random):
    shuffled = random.sample(depths, len(depths))
    assert math.isclose(depth_imbalance(depths), depth_imbalance(shuffled), rel_tol=1e-9)


def test_depth_imbalance_beyond_floats_is_infinite():
    assert depth_imbalance([1, 100]) == math.inf


@pytest.mark.parametrize("spread", [0.0, 1.0, 708.0, 709.7, 709.79, 1e6])
def test_no_depths_warn_of_an_overflow(spread: float):
    """From a variance of 709.78 on Q is infinite, from 707.48 on beta Q is, for arrays as for numbers."""
    depths = [1.0, 1.0 + 2 * math.sqrt(spread)]
    number = objective([2.0, 3.0], [1, 8], depths)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        array = objective([2.0, 3.0], [1, 8], [np.array([depth, 1.0]) for depth in depths])
    assert array.tolist() == [number, 26 - 10]


def test_objective_by_hand():
    """1 * 2 + 8 * 3 - 10 e."""
    assert objective([2, 3], [1, 8], [1, 3]) == pytest.approx(26 - 10 * math.e, rel=1e-15)


def test_beta_zero_switches_the_penalty_off_even_where_it_is_infinite():
    assert objective([2, 3], [1, 8], [1, 100], depth_penalty=0) == 26


def test_equal_depths_cost_beta():
    assert objective([2, 3], [1, 8], [5, 5], depth_penalty=7) == 26 - 7


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=6), DEPTHS)
def test_objective_is_linear_in_the_entropies(entropies: list[float], depths: list[int]):
    weights = default_stage_weights(len(entropies))
    doubled = objective([2 * h for h in entropies], weights, depths, depth_penalty=0)
    assert math.isclose(doubled, 2 * objective(entropies, weights, depths, depth_penalty=0), rel_tol=1e-12)


@pytest.mark.parametrize("weights", [(), (1,), (1, 1, 8)])
def test_one_weight_per_stage(weights: tuple[float, ...]):
    with pytest.raises(ValueError, match=f"{len(weights)} stage weights for 2 stages"):
        objective([2, 3], weights, [5, 5])
