"""Who stays: the best by one value, or NSGA-II's choice by several [Deb et al. 2002]."""

import numpy as np


def order(judged: np.ndarray, breach: np.ndarray) -> np.ndarray:
    """Places of candidates from the best to the worst (N,); of equals the earlier first.

    Candidates within the budgets come before others [Deb 2000]: by their value, or by front and crowding distance where
    they are judged by several; the others by how little they exceed.

    Args:
        judged: values, each the more the better (N, M).
        breach: how far each exceeds its budgets; 0 where it does not (N,).
    """
    within = np.flatnonzero(breach <= 0)
    beyond = np.flatnonzero(breach > 0)
    if judged.shape[1] == 1:
        inside = within[np.argsort(-judged[within, 0], kind="stable")]
    else:
        fronts = front_numbers(judged[within])
        inside = within[np.lexsort((-crowding(judged[within], fronts), fronts))]
    return np.concatenate([inside, beyond[np.argsort(breach[beyond], kind="stable")]])


def crowded(niches: np.ndarray, places: np.ndarray, most: int) -> np.ndarray:
    """The same places with those last that are more than so many of their niche, in order (N,).

    Args:
        niches: key of each candidate's niche (N,).
        places: of candidates from the best to the worst (N,).
        most: candidates of a niche that keep their place.
    """
    _, names = np.unique(niches[places], return_inverse=True)
    together = np.argsort(names, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(names))])[:-1] if len(names) else np.zeros(0, int)
    rank = np.empty(len(places), int)
    rank[together] = np.arange(len(places)) - starts[names[together]]
    return np.concatenate([places[rank < most], places[rank >= most]])


def front_numbers(judged: np.ndarray) -> np.ndarray:
    """Number of each candidate's front (N,): 0 where no other is as good in all values and better in one."""
    numbers = np.full(len(judged), -1)
    left = np.arange(len(judged))
    number = 0
    while len(left):
        best = ~dominated(judged[left])
        assert best.any()
        numbers[left[best]] = number
        left, number = left[~best], number + 1
    return numbers


def dominated(judged: np.ndarray) -> np.ndarray:
    """Which candidates another one dominates (N,)."""
    if judged.shape[1] == 2:  # sorted by the first value, the best of the second so far decides
        places = np.lexsort((-judged[:, 1], -judged[:, 0]))
        first, second = judged[places].T
        best = np.maximum.accumulate(second)
        before = np.concatenate([[-np.inf], best[:-1]])
        start = np.searchsorted(-first, -first, side="left")  # the first of those with an equal first value
        found = (before > second) | ((start > 0) & (best[np.maximum(start - 1, 0)] >= second))
        result = np.empty(len(judged), bool)
        result[places] = found
        return result
    result = np.zeros(len(judged), bool)
    for place, one in enumerate(judged):
        result[place] = ((judged >= one).all(axis=1) & (judged > one).any(axis=1)).any()
    return result


def crowding(judged: np.ndarray, fronts: np.ndarray) -> np.ndarray:
    """Crowding distance of each candidate in its front (N,): how far its neighbours are apart; infinite at the ends."""
    found = np.zeros(len(judged))
    for number in range(int(fronts.max(initial=-1)) + 1):
        here = np.flatnonzero(fronts == number)
        for values in judged[here].T:
            places = here[np.argsort(values, kind="stable")]
            ordered = np.sort(values, kind="stable")
            span = ordered[-1] - ordered[0]
            found[places[[0, -1]]] = np.inf
            if span > 0 and len(here) > 2:
                found[places[1:-1]] += (ordered[2:] - ordered[:-2]) / span
    return found
