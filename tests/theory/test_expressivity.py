"""Linear regions and NN-Mass: Prop. 2 and 3, Eq. (6), (7) and Corollary 1 of RAN."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madnas.theory.expressivity import (
    bottleneck_units,
    bottleneck_units_per_mass,
    convnext_units,
    convnext_units_per_mass,
    log2_linear_regions_bound,
    log_linear_regions,
    log_linear_regions_by_mass,
)
from madnas.theory.nn_mass import bottleneck_mass, convnext_mass
from tests.theory.arguments import Formula, assert_agrees

BLOCKS = st.lists(st.integers(1, 2048), min_size=1, max_size=50)
EXPANSIONS = st.floats(0.05, 8)

# --- Proposition 3 -----------------------------------------------------------------------------------------------


@given(BLOCKS, EXPANSIONS)
def test_units_of_bottlenecks_are_proportional_to_mass(widths: list[int], expansion: float):
    """Eq. (6), (7): X = k_R m, whatever the widths and the number of blocks, if e is the same in all."""
    mass = sum(bottleneck_mass(w, expansion * w) for w in widths)
    assert math.isclose(mass, (1 + 2 * expansion) / (2 + expansion) * sum(widths), rel_tol=1e-12)
    units = sum(bottleneck_units(expansion * w) for w in widths)
    assert math.isclose(units, 2 * expansion * sum(widths), rel_tol=1e-12)
    assert math.isclose(units, bottleneck_units_per_mass(expansion) * mass, rel_tol=1e-12)


@given(BLOCKS, EXPANSIONS)
def test_units_of_convnexts_are_proportional_to_mass(widths: list[int], expansion: float):
    mass = sum(convnext_mass(w, expansion) for w in widths)
    units = sum(convnext_units(w, expansion) for w in widths)
    assert math.isclose(units, convnext_units_per_mass(expansion) * mass, rel_tol=1e-12)


def test_units_of_blocks_with_different_expansions_are_not_proportional():
    """The condition of Prop. 3: in ResNet-50 a block that opens a stage has another e, W_1 being what comes in."""
    uniform, opening = (bottleneck_units(64) / bottleneck_mass(outer, 64) for outer in (256, 64))
    assert uniform == pytest.approx(bottleneck_units_per_mass(1 / 4), rel=1e-14)
    assert opening == pytest.approx(bottleneck_units_per_mass(1), rel=1e-14)
    assert opening > 2 * uniform


def test_constants_by_hand():
    assert bottleneck_units_per_mass(1 / 4) == 0.75
    assert bottleneck_units_per_mass(1) == 2
    assert bottleneck_units_per_mass(6) == pytest.approx(96 / 13, rel=1e-15)
    assert convnext_units_per_mass() == 2
    assert convnext_units_per_mass(1) == 1


def test_a_relu_after_the_sum_would_give_another_constant():
    """ResNet's third, of W_1 channels, is none of Eq. (7)'s: with it k_R would be 2 + e."""
    units, mass = bottleneck_units(64) + 256, bottleneck_mass(256, 64)
    assert units / mass == pytest.approx(2 + 1 / 4, rel=1e-14)
    assert units / mass == pytest.approx(3 * bottleneck_units_per_mass(1 / 4), rel=1e-14)


def test_units_by_hand():
    assert bottleneck_units(64) == 128
    assert convnext_units(96) == convnext_units(96, expansion=4) == 384


# --- linear regions ----------------------------------------------------------------------------------------------


def zigzag_patterns(width: int, depth: int) -> list[tuple[bool, ...]]:
    """Which ReLUs of a network are on, from x = 0 to x = 1: Montúfar et al.'s construction for one input.

    Each layer of n units maps [0, 1] to itself as a zigzag of n pieces; its depth-fold composition has n^L. Exact
    fractions, four points inside each piece.
    """
    points = 4 * width**depth
    patterns = []
    for i in range(points):
        x, pattern = Fraction(2 * i + 1, 2 * points), []
        for _ in range(depth):
            pre = [width * x if j == 0 else 2 * (width * x - j) for j in range(width)]
            pattern += [p > 0 for p in pre]
            x = sum(((-1) ** j * max(p, 0) for j, p in enumerate(pre)), Fraction(0))
        patterns.append(tuple(pattern))
    return patterns


@pytest.mark.parametrize(("width", "depth"), [(1, 3), (2, 1), (2, 6), (3, 4), (5, 2), (7, 1)])
def test_linear_regions_of_a_network_that_reaches_the_count(width: int, depth: int):
    """Prop. 2 with one input, n^(L-1) * n regions, counted on a network; and no more than 2^X of Prop. 3."""
    patterns = zigzag_patterns(width, depth)
    regions = 1 + sum(a != b for a, b in pairwise(patterns))
    assert regions == width**depth == len(set(patterns))
    assert log_linear_regions(1, width, depth) == pytest.approx(math.log(regions), abs=1e-13)
    assert math.log2(regions) <= log2_linear_regions_bound(width * depth)


def test_linear_regions_by_hand():
    """Two inputs, three layers of eight: 4^4 * 8^2."""
    assert log_linear_regions(2, 8, 3) == pytest.approx(math.log(4**4 * 8**2), rel=1e-15)
    assert log_linear_regions(3, 3, 50) == pytest.approx(math.log(27), rel=1e-15)
    assert log_linear_regions(1, 1, 1) == 0


def test_the_lower_bound_is_an_order_of_growth():
    """Its constant is left out: at n = n_0 = 8 one layer would have 8^8 regions, where there are 2^8 patterns."""
    assert log_linear_regions(8, 8, 1) == pytest.approx(8 * math.log(8), rel=1e-15)
    assert log_linear_regions(8, 8, 1) > log2_linear_regions_bound(8) * math.log(2)


def test_regions_are_counted_where_floats_end():
    assert log_linear_regions(784, 4096, 100) == pytest.approx(99 * 784 * math.log(4096 / 784) + 784 * math.log(4096))


@given(st.integers(1, 3000), st.integers(0, 3000), st.integers(1, 200))
def test_corollary_1_is_proposition_2(inputs: int, more: int, depth: int):
    """With m = n L the exponents (m - n) n_0 / n and (L - 1) n_0 are the same."""
    width = inputs + more
    by_mass = log_linear_regions_by_mass(inputs, width, width * depth)
    assert math.isclose(by_mass, log_linear_regions(inputs, width, depth), rel_tol=1e-12, abs_tol=1e-12)


@given(st.integers(1, 3000), st.floats(1, 100))
def test_mass_matters_less_when_width_is_low(inputs: int, layers: float):
    """Corollary 1: at n = n_0 not at all, above it the more the wider."""
    lightest = log_linear_regions_by_mass(inputs, inputs, inputs)
    assert log_linear_regions_by_mass(inputs, inputs, layers * inputs) == lightest
    gains = [
        log_linear_regions_by_mass(inputs, width, 101 * width) - log_linear_regions_by_mass(inputs, width, width)
        for width in (inputs, 2 * inputs, 4 * inputs)
    ]
    assert gains == pytest.approx([0, 100 * inputs * math.log(2), 200 * inputs * math.log(2)], rel=1e-9, abs=1e-9)


def test_corollary_1_counts_a_block_as_a_layer():
    """Eq. (6) gives a bottleneck of e = 1 a mass of n, but it has three layers, of which two have non-linear units."""
    width = 64
    assert bottleneck_mass(width, width) == width
    assert bottleneck_units(width) == 2 * width


# --- three kinds of argument -------------------------------------------------------------------------------------

FORMULAS: dict[str, tuple[Formula, Sequence[float]]] = {
    "bottleneck_units": (bottleneck_units, [64]),
    "convnext_units": (convnext_units, [96, 4]),
    "bottleneck_units_per_mass": (bottleneck_units_per_mass, [0.25]),
    "convnext_units_per_mass": (convnext_units_per_mass, [4]),
    "log2_linear_regions_bound": (log2_linear_regions_bound, [384]),
    "log_linear_regions": (log_linear_regions, [2, 8, 5]),
    "log_linear_regions_by_mass": (log_linear_regions_by_mass, [2, 8, 40]),
}


@pytest.mark.parametrize(("formula", "at"), FORMULAS.values(), ids=FORMULAS.keys())
def test_number_array_and_expression_agree(formula: Formula, at: Sequence[float]):
    assert_agrees(formula, at)


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bottleneck_units(-1), "channels must be at least 0, not -1"),
        (lambda: convnext_units(-1), "width must be at least 0, not -1"),
        (lambda: convnext_units(96, -1), "expansion must be at least 0, not -1"),
        (lambda: bottleneck_units_per_mass(0), "expansion must be above 0, not 0"),
        (lambda: bottleneck_units_per_mass(math.nan), "expansion must be above 0, not nan"),
        (lambda: convnext_units_per_mass(-2), "expansion must be above 0, not -2"),
        (lambda: log2_linear_regions_bound(-1), "units must be at least 0, not -1"),
        (lambda: log_linear_regions(0, 8, 3), "inputs must be above 0, not 0"),
        (lambda: log_linear_regions(9, 8, 3), "width must be at least the number of inputs, not 8"),
        (lambda: log_linear_regions(2, np.array([8, 1]), 3), "width must be at least the number of inputs, not 1"),
        (lambda: log_linear_regions(2, 8, 0), "depth must be at least 1, not 0"),
        (lambda: log_linear_regions_by_mass(0, 8, 24), "inputs must be above 0, not 0"),
        (lambda: log_linear_regions_by_mass(9, 8, 24), "width must be at least the number of inputs, not 8"),
        (lambda: log_linear_regions_by_mass(2, 8, 7), "mass must be at least the width, that of one layer, not 7"),
    ],
)
def test_arguments_that_are_refused(call: Callable[[], Any], message: str):
    with pytest.raises(ValueError, match=message):
        call()
