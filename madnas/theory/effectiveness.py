"""Effectiveness rho and the average width: Eq. (2), (3), (19)-(21) of DeepMAD [Shen et al. 2023]."""

from madnas.theory.numerics import Number, exp, log


def average_width(depth: Number, log_widths: Number) -> Number:
    r"""Average (geometric mean) width.  :math:`\bar w = \exp(\frac1L \sum_i \ln w_i)`   Eq. (3), (21) of DeepMAD.

    The width of the uniform network of the same depth and the same entropy per output element (Eq. 19, 20).

    Args:
        depth: L, number of layers on the main path, at least 1.
        log_widths: :math:`\sum_i \ln w_i` over these layers.

    >>> import math
    >>> round(average_width(3, math.log(2 * 4 * 8)), 12)
    4.0
    """
    return exp(log_widths / depth)


def effectiveness(depth: Number, log_widths: Number) -> Number:
    r"""Effectiveness of a network, dimensionless.  :math:`\rho = L / \bar w`   Eq. (2) of DeepMAD, with Eq. (3).

    Small: a shallow, nearly linear network. Large: a chaotic one that does not train. DeepMAD uses 0.1 to 2.

    >>> import math
    >>> round(effectiveness(100, 100 * math.log(1000)), 12)
    0.1
    """
    return depth / average_width(depth, log_widths)


def log_effectiveness(depth: Number, log_widths: Number) -> Number:
    r"""Logarithm of rho.  :math:`\ln L - \frac1L \sum_i \ln w_i`   Eq. (2), (3) of DeepMAD.

    The form for a program: for a given depth it is linear in the logarithms of the widths.

    >>> import math
    >>> round(log_effectiveness(100, 100 * math.log(1000)), 6) == round(math.log(0.1), 6)
    True
    """
    return log(depth) - log_widths / depth
