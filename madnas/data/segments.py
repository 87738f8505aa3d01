"""Which frames of a video TSN looks at [Wang et al. 2016]: one of each of K segments of equal length."""

import random


def sampled(frames: int, segments: int) -> list[int]:
    """A random frame of each segment, from 0; Python's generator decides.

    Segment k has the frames from floor(k n / K) to floor((k + 1) n / K) - 1; of a video of fewer frames than segments,
    frames are repeated.

    Args:
        frames: n, one or more.
        segments: K.

    >>> sampled(3, 3), sampled(2, 4)
    ([0, 1, 2], [0, 0, 1, 1])
    """
    return [random.randrange(start, max(start + 1, stop)) for start, stop in _bounds(frames, segments)]


def central(frames: int, segments: int) -> list[int]:
    """The middle frame of each segment, floor((k + 1/2) n / K).

    >>> central(250, 25)[:3], central(2, 4), central(1, 3)
    ([5, 15, 25], [0, 0, 1, 1], [0, 0, 0])
    """
    return [(2 * k + 1) * frames // (2 * segments) for k in range(segments)]


def _bounds(frames: int, segments: int) -> list[tuple[int, int]]:
    return [(k * frames // segments, (k + 1) * frames // segments) for k in range(segments)]
