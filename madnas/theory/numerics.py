"""Elementary functions that accept a number, a numpy array or a Pyomo expression, and give back the same kind.

One formula then scores one network (float in, float out), a million candidates at once (array), or builds the objective
of a mathematical program (expression). Pyomo is imported only when an expression arrives, so numbers stay light.
"""

import math
from typing import Any, TypeAlias

Number: TypeAlias = Any
"""An ``int`` or ``float``, a numpy array, or a Pyomo expression."""


def is_symbolic(x: Number) -> bool:
    """Whether ``x`` is a Pyomo variable or expression rather than a value."""
    return hasattr(x, "is_expression_type")


def is_array(x: Number) -> bool:
    """Whether ``x`` is a numpy array (several candidates evaluated at once)."""
    return hasattr(x, "__array_ufunc__") and getattr(x, "ndim", 0) > 0


def log(x: Number) -> Number:
    """Natural logarithm.

    Raises:
        ValueError: a number that is not positive (no layer is that narrow, so it is the caller's mistake).
    """
    if is_symbolic(x):
        from pyomo.core.expr import log as symbolic_log

        return symbolic_log(x)
    if is_array(x):
        import numpy as np

        return np.log(x)
    return math.log(x)


def exp(x: Number) -> Number:
    """Exponential; infinite rather than an error where a float overflows (above 709.78)."""
    if is_symbolic(x):
        from pyomo.core.expr import exp as symbolic_exp

        return symbolic_exp(x)
    if is_array(x):
        import numpy as np

        with np.errstate(over="ignore"):
            return np.exp(x)
    return math.exp(x) if x < 709.78 else math.inf


def sqrt(x: Number) -> Number:
    """Square root of a non-negative number, array or expression."""
    return x**0.5


def scaled(factor: float, x: Number) -> Number:
    """``factor * x``; infinite, as the product of two floats is, where an array overflows, without numpy's warning.

    >>> scaled(10.0, 1e308)
    inf
    """
    if is_array(x):
        import numpy as np

        with np.errstate(over="ignore"):
            return factor * x
    return factor * x


def rounded(x: Number, least: int = 0) -> Number:
    """Nearest whole number, of two the even one, but at least ``least``.

    An expression stays as it is: a program relaxes whole numbers to real ones.

    >>> rounded(2.5), rounded(0.4, least=1)
    (2, 1)
    """
    if is_symbolic(x):
        return x
    if is_array(x):
        import numpy as np

        return np.maximum(np.rint(x).astype(np.int64), least)
    return max(round(x), least)


def minimum(x: Number, y: Number) -> Number:
    """The smaller of two values, element by element for arrays; there is none for expressions.

    >>> minimum(2, 3)
    2
    """
    if is_array(x) or is_array(y):
        import numpy as np

        return np.minimum(x, y)
    return min(x, y)


def floor_to_multiple(x: Number, multiple: int) -> Number:
    """Largest multiple of ``multiple`` that is at most ``x``, but at least ``multiple`` itself; no expressions."""
    if is_array(x):
        import numpy as np

        return np.maximum(x // multiple * multiple, multiple)
    return max(int(x) // multiple * multiple, multiple)
