"""Entropy: Eq. (1), (4), (16)-(18) of DeepMAD."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madnas.theory.entropy import (
    cnn_entropy,
    layer_entropy,
    layer_width,
    log_variance,
    mlp_entropy,
    output_variance,
)

WIDTHS = st.lists(st.integers(1, 4096), max_size=40)


def test_width_of_a_convolution_is_what_one_output_sees():
    assert layer_width(3, kernel=3) == 27
    assert layer_width(64) == 64
    assert layer_width(64, kernel=5, groups=8) == 8 * 25


@pytest.mark.parametrize("chs", [1, 64, 5000])
def test_width_of_a_depthwise_convolution_is_its_kernel_whatever_the_channels(chs: int):
    assert layer_width(chs, kernel=3, groups=chs) == 9
    assert layer_width(chs, kernel=3, groups=int(str(chs))) == 9  # an equal number that is another object


@given(WIDTHS)
def test_log_variance_is_the_logarithm_of_the_variance(widths: list[int]):
    """Eq. (16) against Eq. (17), with the product in exact integers."""
    assert math.isclose(log_variance(widths), math.log(math.prod(widths)), rel_tol=1e-12, abs_tol=1e-12)


def test_output_variance_by_hand():
    assert output_variance([]) == 1
    assert output_variance([784, 100, 10]) == 784_000


def test_output_variance_is_that_of_a_random_network():
    """Eq. (16) by simulation of Eq. (12), (13): x and every weight standard normal, no activation, 200,000 networks."""
    random = np.random.default_rng(0)
    widths = [4, 6, 5]
    x = random.standard_normal((200_000, widths[0]))
    for fan_out in [*widths[1:], 1]:
        x = np.einsum("noi,ni->no", random.standard_normal((len(x), fan_out, x.shape[1])), x)
    # Kurtosis 3 prod((w + 2) / w) = 8.4, so the standard error of the variance is 0.6 %: the tolerance is five of them.
    assert x.var() == pytest.approx(output_variance(widths), rel=0.03)


def test_mlp_entropy_by_hand():
    """Eq. (1), (18): two layers of 8 and 2 inputs, 10 outputs: 10 (ln 8 + ln 2) = 40 ln 2."""
    assert mlp_entropy(10, log_variance([8, 2])) == pytest.approx(40 * math.log(2), rel=1e-15)


def test_cnn_entropy_by_hand():
    """Eq. (4): ln(4^2 * 4) (ln 27 + ln 9) = 6 ln 2 * 5 ln 3."""
    assert cnn_entropy(4, 4, log_variance([27, 9])) == pytest.approx(30 * math.log(2) * math.log(3), rel=1e-15)


def test_a_network_of_width_one_carries_nothing():
    assert layer_entropy(1) == 0
    assert mlp_entropy(1000, log_variance([1, 1, 1])) == 0
    assert cnn_entropy(56, 64, log_variance([1])) == 0


@given(WIDTHS, WIDTHS)
def test_entropy_is_additive_over_layers(first: list[int], rest: list[int]):
    whole = cnn_entropy(14, 64, log_variance(first + rest))
    parts = cnn_entropy(14, 64, log_variance(first)) + cnn_entropy(14, 64, log_variance(rest))
    assert math.isclose(whole, parts, rel_tol=1e-12, abs_tol=1e-12)


@given(WIDTHS, st.randoms(use_true_random=False))
def test_entropy_does_not_see_the_order_of_layers(widths: list[int], random):
    shuffled = random.sample(widths, len(widths))
    assert math.isclose(log_variance(widths), log_variance(shuffled), rel_tol=1e-12, abs_tol=1e-12)


@given(WIDTHS.filter(bool), st.integers(2, 512))
def test_entropy_grows_with_width_and_with_depth(widths: list[int], more: int):
    wider = [widths[0] + more, *widths[1:]]
    deeper = [*widths, more]
    for entropy in (lambda ws: mlp_entropy(10, log_variance(ws)), lambda ws: cnn_entropy(7, 10, log_variance(ws))):
        assert entropy(wider) > entropy(widths)
        assert entropy(deeper) > entropy(widths)


@given(st.integers(1, 512), st.integers(1, 4096), st.floats(1, 1000))
def test_entropy_grows_with_the_output_map(resolution: int, chs: int, log_widths: float):
    here = cnn_entropy(resolution, chs, log_widths)
    assert cnn_entropy(resolution + 1, chs, log_widths) > here
    assert cnn_entropy(resolution, chs + 1, log_widths) > here
    # Only the volume r^2 c counts: four times the channels are twice the resolution.
    assert math.isclose(cnn_entropy(2 * resolution, chs, log_widths), cnn_entropy(resolution, 4 * chs, log_widths))


@pytest.mark.parametrize("width", [0, -1, 0.0])
def test_a_layer_without_inputs_is_refused(width: float):
    with pytest.raises(ValueError):
        layer_entropy(width)
    with pytest.raises(ValueError):
        log_variance([27, width])


@pytest.mark.parametrize(("resolution", "chs"), [(0, 64), (7, 0), (7, -1)])
def test_an_empty_output_map_is_refused(resolution: int, chs: int):
    with pytest.raises(ValueError):
        cnn_entropy(resolution, chs, 10.0)
