"""The closed form of the Zen-Score for many candidates at once, as numpy arrays.

What a layer's batch norm takes depends on the layer and on the activation before it alone, so it is summed as
parameters are. Only the distance of the two perturbed maps goes from layer to layer: it is followed for all candidates
together, each of which leaves a run of blocks when its own are used up.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from madnas.network.layer import Layer, Resolution
from madnas.theory.numerics import Number, is_array
from madnas.theory.zen import ALPHA, LARGEST, convolved_variance, response, taps


@dataclass(frozen=True, slots=True)
class Run:
    """Equal blocks that follow each other.

    Attributes:
        layers: the main path of one block.
        repeat: how many, of every candidate of the run (M,) or of all; may be 0.
        before: size of the map that the first of them sees.
        act: activation behind every layer ...
        ends: ... but the last of a block, and behind that one.
        out_chs: channels behind the run.
        index: the candidates that have it (M,); default: all, and then M is N.
    """

    layers: tuple[Layer, ...]
    repeat: Number
    before: Resolution
    act: str
    ends: str
    out_chs: Number
    index: np.ndarray | None = None

    def acts(self) -> Iterator[str]:
        """Activation behind each layer."""
        yield from [self.act] * (len(self.layers) - 1)
        yield self.ends


def zen_of_runs(runs: Sequence[Run], number: int) -> np.ndarray:
    """The estimate of :func:`~madnas.network.zen.zen_closed` for every candidate.

    The activation at the end of a run that some candidates do not have has to be that at the end of the run before it.

    Args:
        runs: in order; the first one, which sees the image, and the last one are those of all candidates.
        number: N, of candidates.

    Returns:
        estimates (N,).
    """
    taken, distance = np.zeros(number), np.zeros(number)
    everybody = np.arange(number)
    before: str | None = None
    for run in runs:
        index = everybody if run.index is None else run.index
        repeat = np.broadcast_to(run.repeat, len(index))
        steps: list[tuple[str | None, np.ndarray]] = []
        behind, resolution = before, run.before
        for layer, act in zip(run.layers, run.acts(), strict=True):
            variance, growth = _through(layer, resolution, behind)
            taken[index] += repeat * 0.5 * np.log(variance)
            steps.append((behind, np.broadcast_to(growth, len(index))))
            behind, resolution = act, layer.resolution
        for turn in range(int(repeat.max(initial=0))):
            here = np.flatnonzero(repeat > turn)
            distance[index[here]] = _distance(distance[index[here]], [(act, growth[here]) for act, growth in steps])
        before = behind
    assert before is not None
    height, width = runs[-1].layers[-1].resolution
    return taken + np.log(runs[-1].out_chs * (height * width) * response(before).size(distance))


def _through(layer: Layer, resolution: Resolution, behind: str | None) -> tuple[Number, Number]:
    """Variance behind a layer, and what it multiplies the mean square of the difference of its inputs by."""
    (a, a2), (b, b2) = (_taps(side, layer.kernel, layer.stride) for side in resolution)
    chs = layer.in_chs // layer.groups
    mean, variance = (0.0, 1.0) if behind is None else (response(behind).mean, response(behind).variance)
    found = convolved_variance(chs, a * b, a2 * b2, mean, variance)
    return found, chs * a * b / found


def _taps(side: int, kernel: Number, stride: int) -> tuple[Number, Number]:
    """:func:`~madnas.theory.zen.taps` of one kernel or of many."""
    if not is_array(kernel):
        return taps(side, kernel, stride)
    found = np.array([taps(side, size, stride) for size in range(1, int(kernel.max()) + 1, 2)])
    both = found[(kernel - 1) // 2]
    return both[:, 0], both[:, 1]


def _distance(distance: np.ndarray, steps: list[tuple[str | None, np.ndarray]]) -> np.ndarray:
    """Distance behind a block's last norm, from that behind the norm before it."""
    for act, growth in steps:
        square = ALPHA**2 if act is None else response(act).square(distance)
        distance = np.minimum(np.sqrt(growth * square), LARGEST)
    return distance
