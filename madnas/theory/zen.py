r"""What is analytic in the Zen-Score [Lin et al. 2021]: variances before batch norms, and how a perturbation travels.

Behind a batch norm a map is close to standard normal. An activation makes of it something of mean :math:`\mu` and
variance v; a convolution with standard normal weights over that has a variance that needs no forward pass, and so has
the difference of two maps that differ by a perturbation. Eq. (5) to (8) of the paper's appendix state the same chain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import atan2, erf, erfc, exp, log, pi, sqrt, tanh

from madnas.theory.numerics import Number, is_array

ALPHA = 0.01
"""Size of the input's perturbation in the Zen-Score."""

SLOPE = 0.01
"""Of timm's leaky rectifier."""

SELU = (1.0507009873554805, 1.6732632423543772)
"""Scale and alpha of Klambauer et al. 2017."""


def _softplus(z: float) -> float:
    return max(z, 0.0) + log(1 + exp(-abs(z)))


def _sigmoid(z: float) -> float:
    return 0.5 * (1 + tanh(z / 2))


ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "identity": lambda z: z,
    "relu": lambda z: max(z, 0.0),
    "relu6": lambda z: min(max(z, 0.0), 6.0),
    "leaky_relu": lambda z: max(z, SLOPE * z),
    "silu": lambda z: z * _sigmoid(z),
    "gelu": lambda z: z * 0.5 * erfc(-z / sqrt(2)),
    "hard_swish": lambda z: z * min(max(z + 3, 0.0), 6.0) / 6,
    "mish": lambda z: z * tanh(_softplus(z)),
    "elu": lambda z: z if z > 0 else exp(z) - 1,
    "selu": lambda z: SELU[0] * (z if z > 0 else SELU[1] * (exp(z) - 1)),
    "tanh": tanh,
    "sigmoid": _sigmoid,
    "hard_sigmoid": lambda z: min(max(z + 3, 0.0), 6.0) / 6,
}
"""Activations by timm's names, as functions of a number."""

REACH = 8.0
"""Standard deviations over which integrals are taken."""

POINTS, COARSE = 801, 161
"""Points of such an integral, and of the one over the perturbation; odd, so that 0, where rectifiers bend, is one."""

SMALLEST, LARGEST, SIZES = 1e-3, 1.6, 40
GRID = tuple(SMALLEST * (LARGEST / SMALLEST) ** (place / (SIZES - 1)) for place in range(SIZES))
"""Sizes of perturbations at which responses are tabled."""


@dataclass(frozen=True, slots=True)
class Response:
    r"""What an activation :math:`\phi` makes of a standard normal z, and of the difference to a perturbed one.

    Attributes:
        mean: :math:`E \phi(z)`.
        variance: :math:`Var \phi(z)`.
        squares: :math:`E(\phi(z) - \phi(z'))^2 / d^2` at every d of :data:`GRID`.
        sizes: :math:`E|\phi(z) - \phi(z')| / d` likewise.
    """

    mean: float
    variance: float
    squares: tuple[float, ...]
    sizes: tuple[float, ...]

    def square(self, distance: Number) -> Number:
        r"""Mean square of the difference, for z and z' at :math:`d^2 = E(z - z')^2`; numbers or arrays."""
        return _between(distance, self.squares) * distance**2

    def size(self, distance: Number) -> Number:
        """Mean absolute difference; numbers or arrays."""
        return _between(distance, self.sizes) * distance


def _between(distance: Number, values: tuple[float, ...]) -> Number:
    """Linear interpolation over the logarithm of :data:`GRID`; constant beyond its ends."""
    if is_array(distance):
        import numpy as np

        return np.interp(np.log(distance), *_table(values))
    place = (SIZES - 1) * log(distance / SMALLEST) / log(LARGEST / SMALLEST)
    left = min(max(int(place), 0), SIZES - 2)
    share = min(max(place - left, 0.0), 1.0)
    return values[left] + share * (values[left + 1] - values[left])


@cache
def _table(values: tuple[float, ...]) -> tuple[Number, Number]:
    """Logarithms of :data:`GRID`, and the values of a table there, as arrays."""
    import numpy as np

    return np.log(GRID), np.array(values)


@cache
def response(act: str) -> Response:
    """The response of an activation, by quadrature.

    Raises:
        KeyError: an unknown activation.

    >>> rectifier = response("relu")
    >>> round(rectifier.mean, 4), round(rectifier.variance, 4)  # 1 / sqrt(2 pi), 1/2 - 1 / (2 pi)
    (0.3989, 0.3409)
    """
    import numpy as np

    points = np.linspace(-REACH, REACH, POINTS)
    weights = np.exp(-(points**2) / 2)
    weights /= weights.sum()
    fine = np.linspace(-3 * REACH, 3 * REACH, 24 * POINTS)
    values = np.array([ACTIVATIONS[act](float(z)) for z in fine])
    here = np.interp(points, fine, values)
    mean = float(weights @ here)
    variance = float(weights @ (here - mean) ** 2)
    nodes = np.linspace(-REACH, REACH, COARSE)
    masses = np.exp(-(nodes**2) / 2)
    masses /= masses.sum()
    squares, sizes = [], []
    for d in GRID:  # (z + z') / 2 and (z - z') / 2 are independent
        one = np.interp(sqrt(1 - d**2 / 4) * points[:, None] + d / 2 * nodes, fine, values)
        change = np.abs(one - one[:, ::-1])  # the other, for nodes are symmetric
        squares.append(float(weights @ change**2 @ masses) / d**2)
        sizes.append(float(weights @ change @ masses) / d)
    return Response(mean, variance, tuple(squares), tuple(sizes))


@cache
def largest(number: int) -> tuple[float, float, float]:
    """Maximum of so many independent standard normals, rectified: mean, variance, probability to be above 0.

    >>> [round(value, 3) for value in largest(1)]
    [0.399, 0.341, 0.5]
    """
    import numpy as np

    points = np.linspace(-REACH, REACH, POINTS)
    below = np.array([0.5 * (1 + erf(z / sqrt(2))) for z in points])
    weights = np.exp(-(points**2) / 2) * below ** (number - 1)
    weights /= weights.sum()
    values = np.maximum(points, 0.0)
    mean = float(weights @ values)
    return mean, float(weights @ (values - mean) ** 2), 1 - 0.5**number


@cache
def taps(side: int, kernel: int, stride: int) -> tuple[float, float]:
    r"""How much of a padded kernel lies inside a row of ``side`` pixels: :math:`\sum_t q_t` and :math:`\sum_t q_t^2`.

    :math:`q_t` is the share of output positions at which tap t sees a pixel and no padding.

    >>> taps(100, 1, 1), taps(2, 3, 1)
    ((1.0, 1.0), (2.0, 1.5))
    """
    outputs = -(-side // stride)
    shares = []
    for tap in range(kernel):
        offset = tap - (kernel - 1) // 2
        first = max(0, (stride - 1 - offset) // stride)  # the first output at which the tap is inside, and the last
        last = min(outputs - 1, (side - 1 - offset) // stride)
        shares.append(max(0, last - first + 1) / outputs)
    return sum(shares), sum(share**2 for share in shares)


def convolved_variance(chs: Number, inside: Number, squared: Number, mean: Number, variance: Number) -> Number:
    r"""Variance over images and positions of one output channel, averaged over standard normal weights.

    .. math:: c [v A + \mu^2 (A - B)]

    Args:
        chs: c, input channels of a group.
        inside: A, taps that see pixels, over both directions.
        squared: B, the sum of their squared shares; A - B is what padding adds, since it is 0 and not :math:`\mu`.
        mean: of the input.
        variance: v, of the input.

    >>> convolved_variance(64, 9.0, 9.0, 0.4, 0.5)
    288.0
    """
    return chs * (variance * inside + mean**2 * (inside - squared))


def rectified_square(distance: float) -> float:
    r"""Mean square difference of two rectified standard normals, in closed form [Cho and Saul 2009, Eq. 6].

    >>> abs(rectified_square(0.3) / response("relu").square(0.3) - 1) < 1e-3
    True
    """
    cosine = 1 - distance**2 / 2
    sine = sqrt(1 - cosine**2)
    return 1 - (sine + (pi - atan2(sine, cosine)) * cosine) / pi
