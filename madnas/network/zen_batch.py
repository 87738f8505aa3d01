"""The closed form of the Zen-Score for many candidates at once, as numpy arrays.

What a layer's batch norm takes depends on the layer and on the activation before it alone, so it is summed as
parameters are. Only the distance of the two perturbed maps goes from layer to layer: what each multiplies it by is laid
out layer by layer, the candidates with the most layers first, and then followed for all that have a layer there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log, prod

import numpy as np

from madnas.network.layer import Layer, Resolution
from madnas.theory.numerics import Number, is_array
from madnas.theory.zen import ALPHA, GRID, convolved_variance, response, taps

APART = 100.0
"""How far the tables of two activations lie from each other, on the axis of the logarithm of the mean square."""


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
    end, everybody = runs[-1], np.arange(number)
    lengths = np.broadcast_to(end.start + end.repeat * len(end.layers), number)
    course = _Course(lengths, (act for run in runs for act in run.acts))
    taken = np.zeros(number)
    for run in runs:
        index = everybody if run.index is None else run.index
        repeat = np.broadcast_to(run.repeat, len(index))
        variances, growths = zip(*_passages(run), strict=True)
        taken += np.bincount(index, repeat * (0.5 * np.log(prod(variances))), number)
        course.lay(run, index, repeat, growths)
    last = end.acts[-1]
    assert last is not None
    return taken + np.log(end.layers[-1].outputs * response(last).size(course.distance(last)))


class _Course:
    """What becomes of the distance of the maps, layer by layer.

    The logarithm of its square is followed, on an axis on which the tables of all activations lie beside each other: a
    layer adds that of what it multiplies by, and the way from the table of the activation before it to the next one's.

    Args:
        lengths: layers of each candidate (N,).
        acts: all activations, None for none included.
    """

    def __init__(self, lengths: np.ndarray, acts: Iterable[str | None]) -> None:
        order = np.argsort(-lengths, kind="stable")
        self.rank = np.empty_like(order)
        self.rank[order] = np.arange(len(order))
        self.going = np.cumsum(np.bincount(lengths)[:0:-1])[::-1]  # candidates that have a first layer, a second ...
        self.gain = np.zeros((len(self.going), len(order)))
        self.at = {act: APART * place for place, act in enumerate(dict.fromkeys([None, *acts]))}

    def lay(self, run: Run, index: np.ndarray, repeat: np.ndarray, growths: Sequence[Number]) -> None:
        """Put blocks where they are; their layers multiply the mean square of the difference by ``growths``."""
        which = np.repeat(np.arange(len(index)), repeat)
        turn = np.arange(len(which)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
        number, flat = len(self.rank), self.gain.ravel()
        here = (run.start * number + self.rank[index])[which] + turn * (len(run.layers) * number)
        for growth, (act, following) in zip(growths, pairwise(run.acts), strict=True):
            gain = np.log(growth) + (self.at[following] - self.at[act])
            flat[here] = gain[which] if is_array(gain) else gain
            here += number

    def distance(self, act: str) -> np.ndarray:
        """Distance behind the last norm of each candidate, before an activation (N,)."""
        grid, kept = self._tables()
        square = np.full(len(self.rank), 2 * log(ALPHA))
        for gain, going in zip(self.gain, self.going.tolist(), strict=True):
            here = square[:going]  # about 2, that of independent maps, at most, and so always on the grid
            here += gain[:going] + np.log(np.interp(here, grid, kept))
        return np.exp((square[self.rank] - self.at[act]) / 2)

    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        """The axis, and what each activation keeps of the mean square; of small differences as of the smallest."""
        sizes = np.concatenate([[-APART / 2], 2 * np.log(GRID)])
        kept = [np.ones(len(GRID)) if act is None else np.array(response(act).squares) for act in self.at]
        return (
            np.concatenate([sizes + at for at in self.at.values()]),
            np.concatenate([np.append(values[0], values) for values in kept]),
        )


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
