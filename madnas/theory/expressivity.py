r"""Expressivity, how many linear regions a ReLU network can have: Section 3 of RAN [Bhardwaj et al. 2022].

A ReLU unit is on or off, so X units make at most :math:`2^X` linear regions; and in a network of equal residual blocks
X is proportional to NN-Mass (Prop. 3), with a constant for each kind of block. Everything here takes numbers, arrays or
Pyomo expressions. Counts of regions are beyond any float: the functions give their logarithms.
"""

from madnas.theory.nn_mass import require
from madnas.theory.numerics import Number, log


def bottleneck_units(inner: Number) -> Number:
    r"""Non-linear units (channels) of a bottleneck residual block.  :math:`X = 2 w_2 = 2 e w_1`   Eq. (7) of RAN.

    Those after its first and second layer. The ReLU after a ResNet's sum, w_1 more, is not among them.

    Args:
        inner: w_2, channels between the 1x1 convolutions.

    Raises:
        ValueError: fewer than 0 channels.

    >>> bottleneck_units(64)
    128
    """
    require(inner >= 0, "channels must be at least 0", inner)
    return 2 * inner


def convnext_units(width: Number, expansion: Number = 4) -> Number:
    r"""Non-linear units (channels) of a ConvNeXt block.  :math:`X = e w`   (proof of Prop. 3 of RAN).

    Those of its only activation, between the 1x1 layers.

    Args:
        width: w, channels of the block's input.
        expansion: e, channels between the 1x1 layers over w; 4 in ConvNeXt.

    Raises:
        ValueError: a negative width or expansion.

    >>> convnext_units(96)
    384
    """
    require(width >= 0, "width must be at least 0", width)
    require(expansion >= 0, "expansion must be at least 0", expansion)
    return expansion * width


def bottleneck_units_per_mass(expansion: Number) -> Number:
    r"""Non-linear units per NN-Mass of bottlenecks, a ratio.  :math:`k_R = \frac{2e(2+e)}{1+2e}`   Prop. 3 of RAN.

    :math:`X = k_R\,m` for a network of any number of bottlenecks with the same e.

    Args:
        expansion: e, inner over input channels of every block: 1/4 in a ResNet, 6 in a MobileNetV2.

    Raises:
        ValueError: an expansion that is not positive.

    >>> bottleneck_units_per_mass(0.25)
    0.75
    """
    require(expansion > 0, "expansion must be above 0", expansion)
    return 2 * expansion * (2 + expansion) / (1 + 2 * expansion)


def convnext_units_per_mass(expansion: Number = 4) -> Number:
    r"""Non-linear units per NN-Mass of ConvNeXt blocks, a ratio.  :math:`k_C = \frac{3e}{2+e}`   Prop. 3 of RAN.

    :math:`X = k_C\,m` for a network of any number of blocks with the same e.

    Args:
        expansion: e, channels between the 1x1 layers over the block's; 4 in ConvNeXt.

    Raises:
        ValueError: an expansion that is not positive.

    >>> convnext_units_per_mass()
    2.0
    """
    require(expansion > 0, "expansion must be above 0", expansion)
    return 3 * expansion / (2 + expansion)


def log2_linear_regions_bound(units: Number) -> Number:
    r"""Upper bound of the number of linear regions, in bits.  :math:`\log_2 2^X = X`   Prop. 3 of RAN.

    Every region has its own pattern of ReLU units that are on. Smooth activations (GELU) have no regions: there it is a
    count of units and no bound.

    Args:
        units: X, non-linear units of the whole network.

    Raises:
        ValueError: fewer than 0 units.

    >>> log2_linear_regions_bound(3 * convnext_units(96))
    1152
    """
    require(units >= 0, "units must be at least 0", units)
    return units


def log_linear_regions(inputs: Number, width: Number, depth: Number) -> Number:
    r"""Linear regions of a ReLU MLP, in nats.  :math:`\ln[(n/n_0)^{(L-1) n_0}\, n^{n_0}]`   Prop. 2 of RAN.

    How many it can have, at least [Montúfar et al. 2014]. An order of growth, :math:`\Omega`, for fixed n_0: its
    constant is left out, so the number compares networks of the same inputs and bounds none (at n = n_0 = 8 and L = 1
    it is 8^8, more than the 2^8 patterns that there are).

    Args:
        inputs: n_0, input neurons.
        width: n, neurons of every layer, at least n_0.
        depth: L, layers, at least 1.

    Raises:
        ValueError: inputs that are not positive, a width below the inputs, a depth below 1.

    Two inputs, three layers of eight: (8 / 2)^4 * 8^2 = 2^14 regions.

    >>> import math
    >>> math.isclose(log_linear_regions(2, 8, 3), 14 * math.log(2))
    True
    """
    _require_layers(inputs, width)
    require(depth >= 1, "depth must be at least 1", depth)
    return _log_regions(inputs, width, (depth - 1) * inputs)


def log_linear_regions_by_mass(inputs: Number, width: Number, mass: Number) -> Number:
    r"""Linear regions by NN-Mass, in nats.  :math:`\ln[(n/n_0)^{(m-n) n_0/n}\, n^{n_0}]`   Corollary 1 of RAN.

    :func:`log_linear_regions` with L = m / n. For m = n L one of the L layers has to be a whole residual block: Eq. (6)
    of RAN gives a mass of n to a block of e = 1, which has three layers. Mass no longer matters at n = n_0.

    Args:
        inputs: n_0, input neurons.
        width: n, neurons of every layer, at least n_0.
        mass: m, NN-Mass of the network, at least n.

    Raises:
        ValueError: inputs that are not positive, a width below the inputs, a mass below the width.

    >>> import math
    >>> math.isclose(log_linear_regions_by_mass(2, 8, mass=3 * 8), log_linear_regions(2, 8, depth=3))
    True
    """
    _require_layers(inputs, width)
    require(mass >= width, "mass must be at least the width, that of one layer", mass)
    return _log_regions(inputs, width, (mass - width) * inputs / width)


def _require_layers(inputs: Number, width: Number) -> None:
    """Whether Prop. 2 holds for layers of this width."""
    require(inputs > 0, "inputs must be above 0", inputs)
    require(width >= inputs, "width must be at least the number of inputs", width)


def _log_regions(inputs: Number, width: Number, folds: Number) -> Number:
    """Logarithm of ``(width / inputs)^folds * width^inputs``."""
    return folds * log(width / inputs) + inputs * log(width)
