"""What a search for linear blocks minimises, which slopes count as linear, and how many units a split leaves (RAN)."""

from fractions import Fraction
from math import floor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from madnas.theory.restructuring import LINEAR, alpha_penalty, is_linear, kept_units

SLOPES = st.lists(st.floats(-2, 3), min_size=1, max_size=20)


def test_penalty_by_hand():
    """1e-3 (0.8^2 + 0.1^2 + 0.3^2)."""
    assert alpha_penalty([0.2, 0.9, 1.3], 1e-3) == pytest.approx(7.4e-4, rel=1e-12)
    assert alpha_penalty([0.2, 0.9, 1.3], 1e-3, [2, 0, 1]) == pytest.approx(1.37e-3, rel=1e-12)


@given(SLOPES, st.floats(1e-6, 10))
def test_penalty_pulls_every_slope_to_one(slopes, strength):
    """It is 0 where all blocks are linear, and its gradient is 2 lambda (alpha - 1) for each slope by itself."""
    assert alpha_penalty([1.0] * len(slopes), strength) == 0
    alphas = torch.tensor(slopes, dtype=torch.float64, requires_grad=True)
    alpha_penalty(list(alphas), strength).backward()
    assert torch.allclose(alphas.grad, 2 * strength * (alphas.detach() - 1), rtol=1e-12, atol=1e-300)


@given(SLOPES, SLOPES)
def test_penalty_adds_up_over_blocks(some, others):
    whole = alpha_penalty(some + others, 0.5)
    assert whole == pytest.approx(alpha_penalty(some, 0.5) + alpha_penalty(others, 0.5), rel=1e-12, abs=1e-15)


def test_weights_for_other_blocks_are_refused():
    with pytest.raises(ValueError, match="zip"):
        alpha_penalty([0.1, 0.2], 1e-3, [1.0])


def test_slopes_that_count_as_linear():
    """The two of footnote 4 and all between them."""
    assert LINEAR == (0.8, 1.3)
    assert all(is_linear(alpha) for alpha in (0.8, 1.0, 1.3))
    assert not any(is_linear(alpha) for alpha in (0.79, 1.31, -1.0, float("nan")))


@pytest.mark.parametrize("channels", [96, 192, 384, 768])
def test_units_of_table_4(channels):
    """Of ConvNeXt-T's stages; params and MACs of the table's networks come out with them."""
    assert kept_units(4 * channels, 0.4) == int(2.4 * channels)
    assert kept_units(4 * channels, 0.275) == int(2.9 * channels)


@given(st.integers(1, 10_000), st.integers(0, 1000))
def test_kept_units_are_rounded_down_exactly(hidden, thousandths):
    """Against exact fractions: in floating point 100 (1 - 0.71) would be 28.999999999999996."""
    assert kept_units(hidden, thousandths / 1000) == floor(hidden * (1 - Fraction(thousandths, 1000)))
