r"""The TinyNAS convention: DeepMAD's score as its authors' public code computes it, a second one beside the paper's.

The published DeepMAD networks were searched with this score, so it is what their published values mean. It departs from
Eq. (4) and (5) of DeepMAD [Shen et al. 2023] in four points, each a row of the convention table in ``README.md``:

- a layer adds :math:`\ln \sqrt{w}` where Eq. (4) has :math:`\ln w`: entropies are half the paper's;
- r is that of a 224 px input, whatever the network's input;
- r = 1 in every stage that contains a block with squeeze-excitation, so that only the channels are left;
- Q is the exponential of the *standard deviation* of depths where Eq. (5) has the variance: of the last three groups in
  bottleneck networks, of all groups in inverted-residual ones.

The structure of a network is scored by :func:`madnas.network.tinynas_score.tinynas_score`.
"""

from collections.abc import Sequence

from madnas.theory.entropy import cnn_entropy
from madnas.theory.numerics import Number, exp, sqrt
from madnas.theory.objective import DEPTH_PENALTY, objective, variance

INPUT_RESOLUTION = 224
"""Side of the input image, in pixels, from which the convention takes every resolution."""

PENALISED_GROUPS = 3
"""How many groups, counted from the last, the depth penalty of a bottleneck network looks at."""


def tinynas_entropy(resolution: Number, out_chs: Number, log_widths: Number, squeeze_excite: bool = False) -> Number:
    r"""Entropy of a stage's output in the TinyNAS convention, in nats.  :math:`H = \ln(r^2 c) \sum_i \ln \sqrt{w_i}`.

    Half of Eq. (4) of DeepMAD, and less where the stage has squeeze-excitation.

    Args:
        resolution: r, side of the stage's output map for an input of :data:`INPUT_RESOLUTION`, in pixels.
        out_chs: c, channels of the stage's output map.
        log_widths: :math:`\sum_i \ln w_i` over every layer up to this map, earlier stages included.
        squeeze_excite: whether a block of this stage has squeeze-excitation, which makes r = 1.

    Raises:
        ValueError: a resolution or number of channels that is not positive.

    The stem of DeepMAD-R18 (27 inputs per output, 32 channels at 112 x 112), and the same with squeeze-excitation:

    >>> import math
    >>> round(tinynas_entropy(112, 32, math.log(27)), 2)
    21.26
    >>> math.isclose(tinynas_entropy(112, 32, math.log(27), squeeze_excite=True), math.log(32) * math.log(27) / 2)
    True
    """
    return cnn_entropy(1 if squeeze_excite else resolution, out_chs, log_widths / 2)


def standard_deviation(values: Sequence[Number]) -> Number:
    r"""Population standard deviation.  :math:`\sqrt{\frac1n \sum_i (v_i - \bar v)^2}`; 0 for fewer than two values.

    As an expression it has no derivative where all values are equal.

    >>> standard_deviation([1, 3])
    1.0
    """
    return sqrt(variance(values))


def tinynas_depth_imbalance(depths: Sequence[Number]) -> Number:
    r"""How uneven the depths are, in the TinyNAS convention.  :math:`Q = \exp(\mathrm{std}(L_1, \dots, L_M))`.

    Args:
        depths: depths in blocks of the groups that the penalty looks at (:func:`penalised_depths`).

    The last three groups of DeepMAD-R18:

    >>> round(tinynas_depth_imbalance([9, 10, 12]), 4)
    3.4807
    >>> tinynas_depth_imbalance([5, 5, 5])
    1.0
    """
    return exp(standard_deviation(depths))


def penalised_depths(depths: Sequence[Number], inverted: bool) -> tuple[Number, ...]:
    """The depths that the penalty looks at: of all groups of inverted-residual networks, else of the last three.

    Args:
        depths: depth in blocks of every group, first to last.
        inverted: whether the network is made of inverted residual blocks.

    >>> penalised_depths([1, 6, 9, 10, 12], inverted=False)
    (9, 10, 12)
    >>> penalised_depths([2, 4, 6, 6, 5], inverted=True)
    (2, 4, 6, 6, 5)
    """
    return tuple(depths) if inverted else tuple(depths[-PENALISED_GROUPS:])


def tinynas_objective(
    entropies: Sequence[Number],
    weights: Sequence[float],
    depths: Sequence[Number],
    depth_penalty: float = DEPTH_PENALTY,
) -> Number:
    r"""The authors' score of a network, in nats.  :math:`\sum_i \alpha_i H_i - \beta Q`.

    Args:
        entropies: H_i of every stage, from :func:`tinynas_entropy`.
        weights: alpha_i, one per stage.
        depths: depths in blocks of the groups that the penalty looks at (:func:`penalised_depths`), for Q by
            :func:`tinynas_depth_imbalance`.
        depth_penalty: beta.

    Raises:
        ValueError: not one weight per stage.

    DeepMAD-R18, from half its per-stage entropies of Eq. (4); the published search's score is 32085.4:

    >>> halves = [h / 2 for h in (42.53, 218.97, 1453.96, 5565.56, 7119.92)]
    >>> round(tinynas_objective(halves, [1, 1, 1, 1, 8], [9, 10, 12]), 0)
    32085.0
    """
    return objective(entropies, weights, (), depth_penalty=0) - depth_penalty * tinynas_depth_imbalance(depths)
