"""The Zen-Score of many candidates against a walk of every one."""

from math import log, sqrt

import numpy as np
import pytest

from madnas.network.layer import Layer
from madnas.network.zen_batch import Run, zen_of_runs
from madnas.theory.zen import ALPHA, convolved_variance, response, taps

NUMBER = 40
SIDES = np.array([7, 16, 33])


def walked(layers: list[tuple[int, int, int, int, str | None, str]], outputs: float) -> float:
    """Score of one chain of (channels of a group, side, kernel, stride, activation before, activation behind)."""
    taken, square = 0.0, ALPHA**2
    for chs, side, kernel, stride, act, after in layers:
        inside, squared = (one**2 for one in taps(side, kernel, stride))
        mean, spread = (0.0, 1.0) if act is None else (response(act).mean, response(act).variance)
        variance = convolved_variance(chs, inside, squared, mean, spread)
        taken += 0.5 * log(variance)
        distance = sqrt(chs * inside * square / variance)
        square = response(after).square(distance)
    return taken + log(outputs * response(after).size(distance))


def drawn(seed: int) -> tuple[list[Run], list[float]]:
    """Runs of random candidates: a stem, one to three rows of depthwise blocks that end linearly, a head."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(1, 4, NUMBER)
    index = np.repeat(np.arange(NUMBER), rows)
    place = np.arange(len(index)) - np.repeat(np.cumsum(rows) - rows, rows)
    repeat = generator.integers(0, 6, len(index))
    kernel = generator.choice([1, 3, 5], len(index))
    chs, side = generator.integers(4, 200, len(index)), generator.choice(SIDES, len(index))
    before = np.array([repeat[(index == one) & (place < at)].sum() for one, at in zip(index, place, strict=True)])
    block = (
        Layer("expand", chs, chs, (side, side)),
        Layer("depthwise", chs, chs, (side, side), kernel, groups=chs),
        Layer("project", chs, chs, (side, side)),
    )
    head, outputs = generator.integers(8, 64, NUMBER), generator.integers(8, 64, NUMBER)
    depth = np.bincount(index, repeat, NUMBER).astype(int)
    runs = [
        Run((Layer("conv", 3, 8, (32, 32), 3, 2),), (None, "identity"), (63, 63)),
        Run(block, ("identity", "silu", "silu", "identity"), (side, side), repeat, 1 + 3 * before, index),
        Run((Layer("conv", head, outputs, (7, 7)),), ("identity", "relu"), (7, 7), 1, 1 + 3 * depth),
    ]
    scores = []
    for one in range(NUMBER):
        layers: list[tuple[int, int, int, int, str | None, str]] = [(3, 63, 3, 2, None, "identity")]
        for row in np.flatnonzero(index == one):
            width, size = int(chs[row]), int(side[row])
            layers += [
                (width, size, 1, 1, "identity", "silu"),
                (1, size, int(kernel[row]), 1, "silu", "silu"),
                (width, size, 1, 1, "silu", "identity"),
            ] * int(repeat[row])
        layers.append((int(head[one]), 7, 1, 1, "identity", "relu"))
        scores.append(walked(layers, int(outputs[one]) * 49))
    return runs, scores


@pytest.mark.parametrize("seed", [0, 1])
def test_runs_of_several_activations_sizes_and_lengths(seed):
    runs, scores = drawn(seed)
    assert zen_of_runs(runs, NUMBER) == pytest.approx(scores, rel=1e-12)


def test_runs_come_in_any_order_but_for_the_end():
    (stem, rows, head), scores = drawn(2)
    assert zen_of_runs([rows, stem, head], NUMBER) == pytest.approx(scores, rel=1e-12)


def test_a_wider_layer_adds_its_logarithm_alone():
    layer = Layer("conv", np.array([8, 32]), 16, (32, 32), 3)
    narrow, wide = zen_of_runs([Run((layer,), (None, "relu"), (32, 32))], 2)
    assert wide - narrow == pytest.approx(0.5 * log(4), rel=1e-12)
