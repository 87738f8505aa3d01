"""What the tests of formulas share: one formula, three kinds of argument."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from madnas.theory.numerics import is_symbolic

Formula = Callable[..., Any]


def assert_agrees(formula: Formula, at: Sequence[float]) -> None:
    """Numbers, arrays of candidates and Pyomo expressions give the same values, here and at some multiples."""
    number = formula(*at)
    assert isinstance(number, int | float)
    scales = np.array([1.0, 1.25, 2.0])
    array = formula(*(x * scales for x in at))
    assert array.shape == scales.shape
    assert array[0] == pytest.approx(number, rel=1e-13)

    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(len(at)))
    expression = formula(*model.x.values())
    assert is_symbolic(expression)
    for scale, element in zip(scales, array, strict=True):
        for i, x in enumerate(at):
            model.x[i].set_value(x * scale)
        assert formula(*(x * scale for x in at)) == pytest.approx(element, rel=1e-13)
        assert pyo.value(expression) == pytest.approx(element, rel=1e-13)
