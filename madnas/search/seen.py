"""Which candidates have been seen: a set of 64-bit keys that is filled and asked for whole arrays at a time."""

from functools import cache

import numpy as np

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
EMPTY = np.uint64(0)
FULL = 0.6
"""Share of the table above which it doubles."""


def keys(candidates: np.ndarray) -> np.ndarray:
    """A 64-bit key of every row (N,), the same on every machine; never 0.

    Among a hundred million candidates the chance that any two share a key is about 1 in 4,000.
    """
    weights = _weights(candidates.shape[1])
    found = candidates.astype(np.int64, copy=False).view(np.uint64) @ weights + weights[:1].sum()  # modulo 2^64
    found ^= found >> np.uint64(29)
    found *= MULTIPLIER
    found ^= found >> np.uint64(32)
    return np.where(found == EMPTY, np.uint64(1), found)


@cache
def _weights(number: int) -> np.ndarray:
    """Random odd 64-bit weights, always the same."""
    drawn = np.random.Generator(np.random.PCG64(0)).integers(0, 2**64, max(number, 1), np.uint64)
    return (drawn | np.uint64(1))[:number]


class Seen:
    """A set of keys: open addressing in one array, eight bytes a place."""

    def __init__(self, places: int = 1 << 12) -> None:
        self.table = np.zeros(places, np.uint64)
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def has(self, asked: np.ndarray) -> np.ndarray:
        """Which keys are in the set (N,)."""
        found = np.zeros(len(asked), bool)
        left = np.arange(len(asked))
        at = self._first(asked)
        while len(left):
            there = self.table[at]
            found[left[there == asked[left]]] = True
            on = (there != asked[left]) & (there != EMPTY)
            left, at = left[on], (at[on] + 1) % len(self.table)
        return found

    def add(self, new: np.ndarray) -> None:
        """Put keys into the set."""
        new, _ = np.unique(new, return_index=True)  # sorts, which for so few is faster than what it does without
        new = new[~self.has(new)]
        while self.size + len(new) > FULL * len(self.table):
            held = self.table[self.table != EMPTY]
            self.table = np.zeros(2 * len(self.table), np.uint64)
            self._place(held)
        self._place(new)
        self.size += len(new)

    def _place(self, new: np.ndarray) -> None:
        """Put distinct keys that are not in the table into its free places."""
        at = self._first(new)
        while len(new):
            free = self.table[at] == EMPTY
            self.table[at[free]] = new[free]  # of several that want a place, the last one has it
            on = self.table[at] != new
            new, at = new[on], (at[on] + 1) % len(self.table)

    def _first(self, asked: np.ndarray) -> np.ndarray:
        return (asked % np.uint64(len(self.table))).astype(np.int64)
