"""Entropy of MLPs and CNNs: Eq. (1), (4), (16)-(18) of DeepMAD [Shen et al. 2023].

Every function takes sums or single layers, not networks, so that numbers, arrays and Pyomo expressions all work.
Logarithms are natural; entropies are in nats.
"""

from collections.abc import Iterable

from madnas.theory.numerics import Number, log


def layer_width(in_chs: Number, kernel: Number = 1, groups: Number = 1) -> Number:
    r"""Width of a layer: inputs that one output sees.  :math:`w = c k^2 / g`   (Section 4.1 of DeepMAD).

    Args:
        in_chs: input channels c (features of a linear layer).
        kernel: kernel size k of a square kernel; 1 for a linear layer.
        groups: convolution groups g; ``in_chs`` itself for a depthwise convolution.

    >>> layer_width(64, kernel=3)
    576
    >>> layer_width(64, kernel=5, groups=64)
    25
    """
    per_group = 1 if groups is in_chs else in_chs if isinstance(groups, int) and groups == 1 else in_chs // groups
    return per_group * kernel * kernel


def layer_entropy(width: Number) -> Number:
    r"""What one layer adds to the entropy of each output element, in nats.  :math:`\ln w_i`   Eq. (4), (17) of DeepMAD.

    >>> round(layer_entropy(27), 4)
    3.2958
    """
    return log(width)


def log_variance(widths: Iterable[Number]) -> Number:
    r"""Log of the variance of an output element.  :math:`\ln \sigma^2 = \sum_i \ln w_i`   Eq. (16), (17) of DeepMAD.

    It assumes Gaussian inputs and weights of unit variance (Eq. 12, 13). Empty: 0, the input itself.

    >>> import math
    >>> math.isclose(log_variance([2, 3, 4]), math.log(24))
    True
    """
    return sum((layer_entropy(w) for w in widths), 0.0)


def output_variance(widths: Iterable[Number]) -> Number:
    r"""Variance of an element after the last layer.  :math:`\sigma^2(x_L) = \prod_i w_i`   Eq. (16) of DeepMAD.

    >>> output_variance([2, 3, 4])
    24.0
    """
    variance: Number = 1.0
    for w in widths:
        variance = variance * w
    return variance


def mlp_entropy(out_features: Number, log_widths: Number) -> Number:
    r"""Gaussian entropy bound of an MLP, in nats.  :math:`H = w_{L+1} \sum_i \ln w_i`   Eq. (1), (18) of DeepMAD.

    Args:
        out_features: :math:`w_{L+1}`, features of the last layer's output.
        log_widths: :math:`\sum_{i=1}^{L} \ln w_i` (:func:`log_variance` of the layers' input features).

    >>> import math
    >>> math.isclose(mlp_entropy(10, log_variance([784, 100])), 10 * (math.log(784) + math.log(100)))
    True
    """
    return out_features * log_widths


def cnn_entropy(resolution: Number, out_chs: Number, log_widths: Number) -> Number:
    r"""Entropy of a CNN's feature map, in nats.  :math:`H = \ln(r^2 c) \sum_i \ln w_i`   Eq. (4) of DeepMAD.

    Args:
        resolution: r, side of the (square) output map; for a map of height h and width w pass ``sqrt(h * w)``.
        out_chs: c, channels of the output map.
        log_widths: :math:`\sum_i \ln(c_i k_i^2 / g_i)` over every layer up to this map, earlier stages included.

    The stem of DeepMAD-R18 (27 inputs per output, 32 channels at 112 x 112):

    >>> round(cnn_entropy(112, 32, log_variance([27])), 2)
    42.53
    """
    return log(resolution * resolution * out_chs) * log_widths
