"""The largest batch that fits a memory."""

from hypothesis import given
from hypothesis import strategies as st

from madnas.measure.benchmark.memory import largest_batch


@given(st.integers(0, 70_000))
def test_largest_batch_fits_and_a_sixteenth_more_does_not(limit):
    found = largest_batch(lambda size: size <= limit, most=65_536)
    assert found <= limit
    if found < 65_536:
        assert found + max(1, found // 16) + 1 > limit or limit > 65_536


def test_memory_is_not_asked_for_far_beyond_its_end():
    tried = []

    def fits(size):
        tried.append(size)
        return size <= 100

    assert largest_batch(fits) == 100
    assert max(tried) == 128
