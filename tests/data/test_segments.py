"""TSN's frames: one of each segment."""

import random

from hypothesis import given
from hypothesis import strategies as st

from madnas.data.segments import central, sampled

COUNTS = st.tuples(st.integers(1, 400), st.integers(1, 30))


@given(COUNTS, st.integers(0, 100))
def test_each_segment_gives_one_of_its_frames(counts: tuple[int, int], seed: int) -> None:
    frames, segments = counts
    random.seed(seed)
    for chosen in (sampled(frames, segments), central(frames, segments)):
        assert len(chosen) == segments and chosen == sorted(chosen)
        for k, frame in enumerate(chosen):
            start = k * frames // segments
            assert start <= frame < max(start + 1, -(-(k + 1) * frames // segments))
            assert 0 <= frame < frames


def test_every_frame_of_a_video_is_trained_with() -> None:
    random.seed(0)
    seen = {frame for _ in range(400) for frame in sampled(17, 3)}
    assert seen == set(range(17))


def test_the_middle_ones() -> None:
    assert central(9, 3) == [1, 4, 7]
    assert central(10, 1) == [5]
    assert central(3, 5) == [0, 0, 1, 2, 2]  # a short video is repeated
