"""The closed form of the Zen-Score for many candidates at once, as numpy arrays.

What a layer's batch norm takes depends on the layer and on the activation before it alone, so it is summed as
parameters are. Only the distance of the two perturbed maps goes from layer to layer: what each multiplies it by is laid
out layer by layer, the candidates with the most layers first, and then followed for all that have a layer there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from madnas.network.layer import Layer, Resolution
from madnas.theory.numerics import Number, is_array
from madnas.theory.zen import ALPHA, PER_NAT, SIZES, convolved_variance, distance_at, place_of, response, taps


@dataclass(frozen=True, slots=True)
class Run:
    """Equal blocks that follow each other, in every candidate that has them.

    Attributes:
        layers: the main path of one block.
        acts: activations before its first layer, which None says that there is none, and behind each of its layers.
        before: size of the map that the first of them sees; numbers or arrays (M,).
        repeat: how many there are of them, in all or in each (M,); may be 0.
        start: layers before them, likewise.
        index: the candidate of each (M,); default: all, and then M is N. A candidate may have several such runs.
    """

    layers: tuple[Layer, ...]
    acts: tuple[str | None, ...]
    before: Resolution
    repeat: Number = 1
    start: Number = 0
    index: np.ndarray | None = None


def zen_of_runs(runs: Sequence[Run], number: int) -> np.ndarray:
    """The estimate of :func:`~madnas.network.zen.zen_closed` for every candidate.

    Args:
        runs: in any order, but for the last one, which is the end of all candidates.
        number: N, of candidates.

    Returns:
        estimates (N,).
    """
    end = runs[-1]
    course = _Course(np.broadcast_to(end.start + end.repeat * len(end.layers), number), runs)
    taken = np.zeros(number)
    everybody = np.arange(number)
    for run in runs:
        index = everybody if run.index is None else run.index
        repeat = np.broadcast_to(run.repeat, len(index))
        variances, growths = zip(*_passages(run), strict=True)
        taken += np.bincount(index, repeat * (0.5 * np.log(np.prod(variances, axis=0))), number)
        course.lay(run, index, repeat, growths)
    last = end.acts[-1]
    assert last is not None
    return taken + np.log(end.layers[-1].outputs * response(last).size(course.followed()))


class _Course:
    """What happens to the distance of the maps, layer by layer.

    Args:
        lengths: layers of each candidate (N,).
        runs: what will be laid.
    """

    def __init__(self, lengths: np.ndarray, runs: Sequence[Run]) -> None:
        order = np.argsort(-lengths, kind="stable")
        self.rank = np.empty_like(order)
        self.rank[order] = np.arange(len(order))
        going = np.cumsum(np.bincount(lengths)[:0:-1])[::-1]  # candidates that have a first layer, a second ...
        self.begin = np.concatenate([[0], np.cumsum(going)])
        self.gain, self.table = np.zeros(self.begin[-1]), np.zeros(self.begin[-1])
        self.acts = list(dict.fromkeys(act for run in runs for act in run.acts))

    def lay(self, run: Run, index: np.ndarray, repeat: np.ndarray, growths: Sequence[Number]) -> None:
        """Put blocks where they are; their layers multiply the mean square of the difference by ``growths``."""
        which = np.repeat(np.arange(len(index)), repeat)
        turn = np.arange(len(which)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
        depth = np.broadcast_to(run.start, len(index))[which] + turn * len(run.layers)
        rank = self.rank[index][which]
        for place, (growth, act) in enumerate(zip(growths, run.acts, strict=False)):
            here = self.begin[depth + place] + rank
            gain = PER_NAT / 2 * np.log(growth)
            self.gain[here] = gain[which] if is_array(gain) else gain
            self.table[here] = self.acts.index(act) * SIZES

    def followed(self) -> np.ndarray:
        """Distance behind the last norm of each candidate (N,).

        Its place on the grid of :mod:`madnas.theory.zen` is what goes from layer to layer: a factor is a sum there.
        """
        values = np.concatenate([np.ones(SIZES) if act is None else response(act).squares for act in self.acts])
        grid = np.arange(len(values))
        place = np.full(len(self.rank), place_of(ALPHA))
        for begin, end in pairwise(self.begin.tolist()):
            now = place[: end - begin]
            kept = np.interp(np.maximum(now, 0) + self.table[begin:end], grid, values)
            now += self.gain[begin:end] + PER_NAT / 2 * np.log(kept)
            np.minimum(now, SIZES - 1, out=now)
        return distance_at(place[self.rank])


def _passages(run: Run) -> list[tuple[Number, Number]]:
    """Variance behind each layer, and what it multiplies the mean square of the difference of its inputs by."""
    found, resolution = [], run.before
    for layer, act in zip(run.layers, run.acts, strict=False):
        mean, variance = (0.0, 1.0) if act is None else (response(act).mean, response(act).variance)
        inside, squared = _taps(resolution, layer.kernel, layer.stride)
        each = convolved_variance(1, inside, squared, mean, variance)
        found.append((layer.in_chs // layer.groups * each, inside / each))
        resolution = layer.resolution
    return found


def _taps(resolution: Resolution, kernel: Number, stride: int) -> tuple[Number, Number]:
    """Taps of a kernel that see pixels, and their squared shares, over both directions; numbers or arrays."""
    if not is_array(kernel) and kernel == 1:
        return 1.0, 1.0
    height, width = resolution
    vertical = _along(height, kernel, stride)
    horizontal = vertical if np.array_equal(height, width) else _along(width, kernel, stride)
    return vertical[0] * horizontal[0], vertical[1] * horizontal[1]


def _along(side: Number, kernel: Number, stride: int) -> tuple[Number, Number]:
    """:func:`~madnas.theory.zen.taps` of one side and kernel or of many."""
    if not is_array(kernel) and not is_array(side):
        return taps(side, kernel, stride)
    most = int(np.max(kernel)) + 1
    pairs = side * most + kernel
    found = np.zeros((2, int(pairs.max()) + 1))
    for pair in np.flatnonzero(np.bincount(pairs)).tolist():
        found[:, pair] = taps(pair // most, pair % most, stride)
    return found[0][pairs], found[1][pairs]
