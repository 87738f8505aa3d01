"""Elementary functions over numbers, arrays and Pyomo expressions."""

import math
import warnings

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madnas.theory.numerics import exp, floor_to_multiple, is_array, is_symbolic, log, rounded, scaled, sqrt


def variable(value: float):
    """A free Pyomo variable with a value."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(initialize=value)
    return model.x


@pytest.mark.parametrize("x", [2, 2.0, np.float64(2), np.float32(2), np.array(2.0)])
def test_a_number_is_neither_symbolic_nor_an_array(x: float):
    assert not is_symbolic(x)
    assert not is_array(x)


def test_arrays_and_expressions_are_told_apart():
    assert is_array(np.array([2.0]))
    assert not is_symbolic(np.array([2.0]))
    x = variable(2)
    for expression in (x, x + 1, pyo.log(x)):
        assert is_symbolic(expression)
        assert not is_array(expression)


@pytest.mark.parametrize(("ours", "reference"), [(log, math.log), (exp, math.exp), (sqrt, math.sqrt)])
@pytest.mark.parametrize("x", [1e-300, 0.5, 1, 2.0, 700])
def test_number_array_and_expression_agree(ours, reference, x: float):
    expected = pytest.approx(reference(x), rel=1e-15)
    assert type(ours(x)) is float
    assert ours(x) == expected
    assert ours(np.array([x, x])) == expected
    expression = ours(variable(x))
    assert is_symbolic(expression)
    assert pyo.value(expression) == expected


@pytest.mark.parametrize("x", [709.79, 1e4, math.inf])
def test_exp_overflows_to_infinity(x: float):
    assert exp(x) == math.inf
    assert (exp(np.array([x])) == math.inf).all()


@pytest.mark.parametrize("x", [0, -1, -math.inf])
def test_log_of_what_is_not_positive_is_refused(x: float):
    with pytest.raises(ValueError):
        log(x)


@pytest.mark.parametrize(("x", "multiple", "expected"), [(63, 8, 56), (64, 8, 64), (7, 8, 8), (0, 8, 8), (5, 1, 5)])
def test_floor_to_multiple(x: int, multiple: int, expected: int):
    assert floor_to_multiple(x, multiple) == expected
    assert floor_to_multiple(np.array([x]), multiple).tolist() == [expected]


@given(st.integers(1, 10_000), st.sampled_from([1, 2, 4, 8, 16]))
def test_floor_to_multiple_is_the_largest_multiple_below(x: int, multiple: int):
    floor = floor_to_multiple(x, multiple)
    assert floor % multiple == 0
    assert floor <= x < floor + multiple or (x < multiple and floor == multiple)


@pytest.mark.parametrize(
    ("x", "expected"), [(0.4, 0), (0.5, 0), (1.5, 2), (2.5, 2), (2.51, 3), (7, 7), (np.float64(3.5), 4)]
)
def test_rounded(x: float, expected: int):
    """Halves to the even number, as Python's and numpy's own rounding have it."""
    assert (rounded(x), type(rounded(x))) == (expected, int)
    array = rounded(np.array([x, x]))
    assert array.tolist() == [expected, expected]
    assert array.dtype.kind == "i"


def test_rounded_is_at_least():
    assert (rounded(0.4, least=1), rounded(2.4, least=1)) == (1, 2)
    assert rounded(np.array([0.4, 2.4]), least=1).tolist() == [1, 2]


def test_rounded_leaves_an_expression_as_it_is():
    x = variable(2.4)
    assert rounded(x, least=5) is x


def test_scaled_overflows_to_infinity_without_a_warning():
    large = 1e308
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scaled(10.0, large) == math.inf
        assert scaled(10.0, np.array([large, 1.0])).tolist() == [math.inf, 10.0]
    assert pyo.value(scaled(10.0, variable(3.0))) == 30.0
