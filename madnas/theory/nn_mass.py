r"""NN-Mass, how well a network is connected: Eq. (1)-(13) of NN-Mass [Bhardwaj et al. 2021], Eq. (4) of RAN [2022].

A cell or block has some of the skip connections that its layers leave room for: their share is its density, and density
times neurons is its mass. The mass of a network is the sum over its cells or blocks, and which of them count is a
policy of :mod:`madnas.network.mass`; here is one cell at a time. "Neurons" of a convolution are its channels.

- Concatenation (DenseNet-type cells): :func:`cell_mass`. Numbers and arrays; its minimum has no Pyomo expression.
- Addition (residual blocks): :func:`residual_block_mass` for any, :func:`bottleneck_mass` and others for known ones.
"""

from collections.abc import Sequence

from madnas.theory.numerics import Number, is_array, is_symbolic, minimum, sqrt


def require(holds: Number, rule: str, value: Number) -> None:
    """Refuse an argument outside a formula's domain; an expression has no value yet and passes.

    Args:
        holds: a condition on a number, an array (then it has to hold for every element) or a Pyomo expression.
        rule: the condition in words.
        value: what does not meet it, or an array with such elements.

    Raises:
        ValueError: the condition does not hold; names the value, of an array the first.

    >>> require(3 > 0, "width must be above 0", 3)
    >>> require(-3 > 0, "width must be above 0", -3)
    Traceback (most recent call last):
    ValueError: width must be above 0, not -3
    """
    if is_symbolic(holds):
        return
    if is_array(holds):
        if holds.all():
            return
        import numpy as np

        value = np.broadcast_to(value, holds.shape)[~holds][0]
    elif holds:
        return
    raise ValueError(f"{rule}, not {value}")


def _require_depth(depth: Number) -> None:
    """Whether a cell of this depth has a density."""
    require(depth > 2, "a cell's depth must be at least 3 to leave room for a skip connection", depth)


def _require_cell(width: Number, depth: Number) -> None:
    """Whether a cell of this size, in values, has a density."""
    require(width > 0, "width must be above 0", width)
    _require_depth(depth)
    require(depth % 1 == 0, "depth must be a whole number of layers", depth)


def links_into_cell(width: Number, depth: Number, links: Number) -> Number:
    r"""Neurons that supply skip connections, over all layers.  :math:`S = \sum_{i=2}^{d-1} \min(w(i-1), t)`   Eq. (5).

    Eq. (5) of NN-Mass without its outer w: each of the S neurons is linked to all w of its target layer. With k layers
    that take all their candidates, :math:`S = w \frac{k(k+1)}2 + (d-2-k)\,t`, exact for whole numbers.

    Args:
        width: w, neurons (channels) of every layer. A number or an array, as the others; shapes broadcast.
        depth: d, layers of the cell, numbered 0 to d - 1; a whole number.
        links: t, how many neurons of layers 0 to i - 2 supply skip connections to layer i at most; ``math.inf``: all.

    Raises:
        ValueError: a depth below 3 or between whole numbers, a width that is not positive, fewer than 0 links.

    The third cell of Fig. 9: min(4, 5) + min(8, 5).

    >>> links_into_cell(4, 4, 5)
    9
    """
    _require_cell(width, depth)
    require(links >= 0, "links must be at least 0", links)
    capped = minimum(links, width * (depth - 2))  # the last layer has the most candidates; finite from here on
    full = capped // width
    return full * (full + 1) // 2 * width + (depth - 2 - full) * capped


def cell_density(width: Number, depth: Number, links: Number) -> Number:
    r"""Share of the possible skip connections that a cell has.  :math:`\rho_c = \frac{2S}{w(d-1)(d-2)}`   Eq. (1), (7).

    Dimensionless, from 0 (no skip connections) to 1 (DenseNet: all that there are).

    Args:
        width: w, neurons (channels) of every layer. A number or an array, as the others; shapes broadcast.
        depth: d, layers of the cell; a whole number.
        links: t, how many earlier neurons supply skip connections to a layer at most, for S (:func:`links_into_cell`).

    Raises:
        ValueError: as :func:`links_into_cell`; at depth 2 Eq. (1) of NN-Mass would be 0 / 0.

    >>> cell_density(4, 4, 5)
    0.75
    """
    return 2 * links_into_cell(width, depth, links) / (width * (depth - 1) * (depth - 2))


def cell_mass(width: Number, depth: Number, links: Number) -> Number:
    r"""NN-Mass of a DenseNet-type cell, in neurons.  :math:`m = w d \rho_c = \frac{2 d S}{(d-1)(d-2)}`   Eq. (2).

    A network's is the sum over its cells (Eq. 2 of NN-Mass).

    Args:
        width: w, neurons (channels) of every layer. A number or an array, as the others; shapes broadcast.
        depth: d, layers of the cell; a whole number.
        links: t, how many earlier neurons supply skip connections to a layer at most, for S (:func:`links_into_cell`).

    Raises:
        ValueError: as :func:`links_into_cell`.

    The example of Fig. 9, three cells of four layers:

    >>> sum(cell_mass(w, 4, t) for w, t in zip([2, 3, 4], [3, 4, 5]))
    28.0
    """
    return 2 * depth * links_into_cell(width, depth, links) / ((depth - 1) * (depth - 2))


def dense_cell_mass(width: Number, depth: Number) -> Number:
    r"""NN-Mass of a cell with all its skip connections, in neurons.  :math:`m = w d`   Eq. (2) at density 1.

    Section 4.3 of NN-Mass: DenseNet has every skip connection.

    Args:
        width: w, neurons (channels) of every layer: DenseNet's growth rate. A number, an array or an expression.
        depth: d, layers of the cell, at least 3. Likewise.

    Raises:
        ValueError: a depth below 3, a width that is not positive.

    >>> dense_cell_mass(12, 16)
    192
    """
    require(width > 0, "width must be above 0", width)
    _require_depth(depth)
    return width * depth


def network_density(densities: Sequence[Number], numbers: Sequence[Number] | None = None) -> Number:
    r"""NN-Density of a network, dimensionless.  :math:`\rho_{avg} = \frac1{N_c} \sum_c \rho_c`   (Appendix H.2).

    Args:
        densities: density of every cell (:func:`cell_density`), each with the same weight, whatever its size; or of
            every kind of cell, or of many candidates as arrays.
        numbers: how many cells of each kind there are. Default: one.

    Returns:
        The mean; 0 without any cell.

    >>> network_density([0.25, 0.5, 0.75]), network_density([0.25, 0.5], [3, 1])
    (0.5, 0.3125)
    """
    numbers = [1] * len(densities) if numbers is None else numbers
    total: Number = sum(numbers)
    return sum(number * density for density, number in zip(densities, numbers, strict=True)) / (total + (total == 0))


def addition_density(actual: Number, possible: Number) -> Number:
    r"""Share of the possible additions that a block has.  :math:`\rho_c = N_{actual} / N_{possible}`   Eq. (3).

    Dimensionless, from 0 to 1; of NN-Mass, and Eq. (4) of RAN.

    Args:
        actual: channels that its shortcuts add. A number, an array or an expression.
        possible: channels that could be added (:func:`possible_additions`). Likewise.

    Raises:
        ValueError: nothing is possible, or ``actual`` is below 0 or more than that.

    The bottleneck of Fig. 2 with W_1 = 4 and W_2 = 1:

    >>> round(addition_density(4, 4 + 4 + 1), 4)
    0.4444
    """
    require(possible > 0, "a block must have possible additions: more than 0", possible)
    require(actual >= 0, "additions must be at least 0", actual)
    require(actual <= possible, "additions must be no more than are possible", actual)
    return actual / possible


def possible_additions(in_chs: Sequence[Number]) -> Number:
    r"""Channels that shortcuts inside a block could add.  :math:`\sum_{i=0}^{n-1} (n-1-i)\,c_i`   (Remark 2, Fig. 2).

    A shortcut leads from the input of a layer over at least two layers, and adds as many channels as it starts with.

    Args:
        in_chs: input channels c_0 to c_{n-1} of the block's layers, on the main path, in order. Numbers, arrays or
            expressions.

    The bottleneck of Fig. 2, 2 W_1 + W_2, with W_1 = 4 and W_2 = 1:

    >>> possible_additions([4, 1, 1])
    9
    """
    return sum((len(in_chs) - 1 - i) * chs for i, chs in enumerate(in_chs[:-1]))


def residual_block_mass(in_chs: Sequence[Number]) -> Number:
    r"""NN-Mass of a block with a residual around it, in channels.  :math:`m = \rho_c \sum_i c_i`   Eq. (3), (4) of RAN.

    The residual adds the c_0 channels of the block's input, so :math:`\rho_c = c_0 / N_{possible}`.

    Args:
        in_chs: input channels c_0 to c_{n-1} of the block's layers, on the main path, in order. Numbers, arrays or
            expressions.

    Raises:
        ValueError: fewer than two layers, or a layer without channels.

    A bottleneck of 4 and 1 channels, 6 * 4 / 9, and a block of two layers, which has the only shortcut it could have:

    >>> round(residual_block_mass([4, 1, 1]), 4)
    2.6667
    >>> residual_block_mass([64, 64])
    128.0
    """
    require(len(in_chs) > 1, "a residual must lead over at least 2 layers", len(in_chs))
    for chs in in_chs:
        require(chs > 0, "channels must be above 0", chs)
    return sum(in_chs) * addition_density(in_chs[0], possible_additions(in_chs))


def basic_block_mass(in_chs: Number, chs: Number) -> Number:
    r"""NN-Mass of a ResNet basic block, in channels.  :math:`m = c + w`: density 1   (Remark 2 of NN-Mass).

    Its two layers leave room for one shortcut, which is there.

    Args:
        in_chs: c, channels of the block's input. A number, an array or an expression.
        chs: w, channels between its two convolutions. Likewise.

    Raises:
        ValueError: channels that are not positive.

    >>> basic_block_mass(64, 128)
    192
    """
    for width in (in_chs, chs):
        require(width > 0, "channels must be above 0", width)
    return in_chs + chs


def bottleneck_mass(outer: Number, inner: Number) -> Number:
    r"""NN-Mass of a bottleneck, in channels.  :math:`m = (W_1 + 2 W_2) \frac{W_1}{2 W_1 + W_2}`   Eq. (3), Fig. 2.

    ResNet's bottleneck and MobileNetV2's inverted residual alike; also Eq. (6) of RAN.

    Args:
        outer: W_1, channels of the block's *input*. A number, an array or an expression.
        inner: W_2, channels between its 1x1 convolutions. Likewise.

    Raises:
        ValueError: channels that are not positive.

    ResNet-50's second block, (256 + 128) * 256 / 576, and a MobileNetV2 block of 24 channels expanded by 6:

    >>> round(bottleneck_mass(256, 64), 2)
    170.67
    >>> bottleneck_mass(24, 144)
    39.0
    """
    for width in (outer, inner):
        require(width > 0, "channels must be above 0", width)
    return (outer + 2 * inner) * outer / (2 * outer + inner)


def convnext_mass(width: Number, expansion: Number = 4) -> Number:
    r"""NN-Mass of a ConvNeXt block, in channels.  :math:`m = \frac{2+e}{3} w`   Eq. (4) and Fig. 5(b) of RAN.

    Its depthwise layer and its two 1x1 layers see w, w and e w channels; of three possible shortcuts of w channels one
    is there.

    Args:
        width: w, channels of the block's input. A number, an array or an expression.
        expansion: e, channels between the 1x1 layers over w; 4 in ConvNeXt. Likewise.

    Raises:
        ValueError: a width or expansion that is not positive.

    >>> convnext_mass(96)
    192.0
    """
    require(width > 0, "width must be above 0", width)
    require(expansion > 0, "expansion must be above 0", expansion)
    return width * (2 + expansion) / 3


def average_degree(width: Number, mass: Number) -> Number:
    r"""Average number of connections per neuron of a deep cell.  :math:`\hat k = w_c + m / 2`   Prop. 1 of NN-Mass.

    The limit of many layers; :func:`exact_average_degree` for a given number.

    Args:
        width: w_c, neurons (channels) of every layer. A number, an array or an expression.
        mass: m, NN-Mass of the cell (:func:`cell_mass`). Likewise.

    Raises:
        ValueError: a width that is not positive, a negative mass.

    >>> average_degree(8, 28)
    22.0
    """
    require(width > 0, "width must be above 0", width)
    require(mass >= 0, "mass must be at least 0", mass)
    return width + mass / 2


def exact_average_degree(width: Number, depth: Number, mass: Number) -> Number:
    r"""Connections per neuron of a cell.  :math:`\hat k = w\frac{d-1}{d} + m\frac{(d-1)(d-2)}{2d^2}`   Def. 1, Eq. (8).

    The first term is the lattice: d - 1 steps from layer to layer with w^2 connections each, over w d neurons. The
    second is Eq. (8) of NN-Mass before its approximation. Prop. 1 is larger, by less than a share of 3 / d.

    Args:
        width: w, neurons (channels) of every layer. A number or an array, as the others; shapes broadcast.
        depth: d, layers of the cell; a whole number.
        mass: m, NN-Mass of the cell (:func:`cell_mass`).

    Raises:
        ValueError: a depth below 3 or between whole numbers, a width that is not positive, a negative mass.

    Two neurons per layer, four layers, every possible skip connection: 3 * 4 + 3 * 4 connections, 8 neurons.

    >>> exact_average_degree(2, 4, dense_cell_mass(2, 4))
    3.0
    """
    _require_cell(width, depth)
    require(mass >= 0, "mass must be at least 0", mass)
    return width * (depth - 1) / depth + mass * (depth - 1) * (depth - 2) / (2 * depth * depth)


def mean_squared_singular_value(width: Number, mass: Number, variance: Number = 1.0) -> Number:
    r"""Mean squared singular value of a layer's Jacobian.  :math:`E[\sigma^2] = q H, H = w_c + m/2`   Eq. (12).

    The mean is over all singular values of a matrix: each one, ordered by size, has another (Eq. 11 of NN-Mass says H).

    Args:
        width: w_c, neurons (channels) of every layer. A number, an array or an expression, as the others.
        mass: m, NN-Mass of the cell.
        variance: q, of the weights at initialisation.

    Raises:
        ValueError: a width that is not positive, a negative mass or variance.

    >>> mean_squared_singular_value(16, 40, variance=0.25)
    9.0
    """
    require(variance >= 0, "variance must be at least 0", variance)
    return variance * average_degree(width, mass)


def singular_value_bounds(width: Number, mass: Number, variance: Number = 1.0) -> tuple[Number, Number]:
    r"""Bounds of the mean singular value.  :math:`\sqrt{q(w_c + m/2)} \mp \sqrt{q w_c}`   Prop. 2, Eq. (13).

    Of the layerwise Jacobians of a linear network with Gaussian weights, at initialisation (Layerwise Dynamical
    Isometry, LDI); also Eq. (5) of RAN. Depth does not enter. With q = 1 / (w_c + m / 2) they lie around 1, at a
    distance of the square root of w_c / (w_c + m / 2): close to it for a large mass only.

    Args:
        width: w_c, neurons (channels) of every layer. A number, an array or an expression, as the others.
        mass: m, NN-Mass of the cell.
        variance: q, of the weights at initialisation.

    Returns:
        Lower and upper bound.

    Raises:
        ValueError: a width that is not positive, a negative mass or variance.

    >>> singular_value_bounds(16, 40)
    (2.0, 10.0)
    """
    centre = sqrt(mean_squared_singular_value(width, mass, variance))
    spread = sqrt(variance * width)
    return centre - spread, centre + spread
