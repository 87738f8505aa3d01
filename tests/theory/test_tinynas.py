"""The authors' public convention: the score of every published network, to every printed digit."""

import math
from dataclasses import replace

import numpy as np
import pytest

from madnas.errors import UsageError
from madnas.network.analyse import analyse
from madnas.network.expand import at_resolution
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.tinynas_score import tinynas_score
from madnas.theory.entropy import cnn_entropy
from madnas.theory.tinynas import (
    penalised_depths,
    standard_deviation,
    tinynas_depth_imbalance,
    tinynas_entropy,
    tinynas_objective,
)


def test_all_published_networks_are_there(all_published):
    assert len(all_published) == 7


def test_authors_score_to_every_printed_digit(published):
    assert published.agrees("tinynas", tinynas_score(published.spec))


def test_the_papers_objective_is_another_number(published):
    """Were both conventions one, this file would prove nothing."""
    assert not published.agrees("tinynas", analyse(published.spec).objective())
    assert not published.agrees("tinynas", analyse(published.spec).weighted_entropy() / 2)


def test_every_point_of_the_convention_is_needed(all_published):
    """Each of the four departures from the paper, put back alone, breaks a printed digit."""
    r18, small, large = (all_published[name] for name in ("deepmad-r18", "deepmad-29m-224", "deepmad-29m-288"))
    halved = analyse(r18.spec).weighted_entropy() / 2
    assert not r18.agrees("tinynas", 2 * halved - 10 * tinynas_depth_imbalance([9, 10, 12]))
    assert not r18.agrees("tinynas", halved - 10 * math.exp(standard_deviation([9, 10, 12]) ** 2))
    assert not r18.agrees("tinynas", halved - 10 * tinynas_depth_imbalance(r18.spec.depths))
    assert r18.agrees("tinynas", halved - 10 * tinynas_depth_imbalance([9, 10, 12]))
    without_se = tuple(replace(group, se="none") for group in small.spec.groups)
    assert not small.agrees("tinynas", tinynas_score(replace(small.spec, groups=without_se)))
    # The stem's stage is the only one without squeeze-excitation, so r from 288 px shows in its entropy alone.
    stem = analyse(large.spec).stages[0]
    at_288 = tinynas_entropy(144, stem.out_chs, stem.log_widths) - tinynas_entropy(112, stem.out_chs, stem.log_widths)
    assert at_288 > 0
    assert not large.agrees("tinynas", tinynas_score(large.spec) + at_288)


def test_score_does_not_see_the_input_size(published):
    assert tinynas_score(at_resolution(published.spec, 96)) == tinynas_score(published.spec)


def test_score_of_a_small_network_by_hand():
    """A stem of 8, one group without and one with squeeze-excitation, worked out from the layers' widths."""
    groups = (
        Group("inverted-residual", 16, 1, hidden=24, kernel=3, stride=2),
        Group("inverted-residual", 32, 3, hidden=64, kernel=5, stride=2, se="deepmad"),
    )
    spec = NetworkSpec("hand", (3, 32, 32), groups, Head(10), Stem(8))
    first = [8, 9, 24]
    second = [16, 25, 64] + 2 * [32, 25, 64]
    up_to = [math.log(math.prod(widths)) / 2 for widths in ([27], [27, *first], [27, *first, *second])]
    stages = [math.log(112**2 * 8) * up_to[0], math.log(56**2 * 16) * up_to[1], math.log(32) * up_to[2]]
    expected = stages[0] + stages[1] + 8 * stages[2] - 10 * math.exp(1)  # depths 1 and 3: standard deviation 1
    assert tinynas_score(spec) == pytest.approx(expected, rel=1e-13)
    assert tinynas_score(spec, weights=(0, 1, 0), depth_penalty=0) == pytest.approx(stages[1], rel=1e-13)


def test_a_stage_with_one_squeeze_excitation_loses_its_resolution():
    """One block with it is enough, also when another group shares its stage."""
    plain = Group("inverted-residual", 16, 2, hidden=24, kernel=3, stride=2)
    squeezed = replace(plain, stride=1, se="deepmad")
    weights = (0.0, 1.0)
    scores = [
        tinynas_score(NetworkSpec("one", (3, 224, 224), groups, Head(10), Stem(8)), weights, depth_penalty=0)
        for groups in ((plain, squeezed), (plain, replace(squeezed, se="none")))
    ]
    assert scores[0] / scores[1] == pytest.approx(math.log(16) / math.log(56**2 * 16), rel=1e-13)


def test_stages_without_blocks_are_not_counted():
    """After a pooling stem the first group may take a stride at once: the pooled map is then no stage."""
    group = Group("bottleneck", 64, 2, hidden=16, kernel=3, stride=2)
    spec = NetworkSpec("pooled", (3, 224, 224), (group,), Head(10), Stem(16, kernel=7, pool=True))
    stages = analyse(spec).stages
    assert len(stages) == 2
    expected = stages[0].entropy / 2 + 8 * stages[1].entropy / 2 - 10
    assert tinynas_score(spec) == pytest.approx(expected, rel=1e-13)


def test_candidates_are_scored_at_once():
    def spec(out, depth):
        groups = tuple(
            Group("inverted-residual", out * times, depth, hidden=out * 4, kernel=3, stride=2, se="deepmad")
            for times in (1, 2)
        )
        return NetworkSpec("many", (3, 224, 224), groups, Head(10), Stem(16))

    outs, depths = [16, 24, 40], [1, 2, 5]
    together = tinynas_score(spec(np.array(outs), np.array(depths)))
    assert together == pytest.approx([tinynas_score(spec(*one)) for one in zip(outs, depths, strict=True)], rel=1e-13)


def test_an_mlp_is_refused():
    mlp = NetworkSpec("mlp", (1, 28, 28), (Group("linear", 100, 2),), Head(10))
    with pytest.raises(UsageError, match=r"mlp: .* MLP"):
        tinynas_score(mlp)


def test_one_weight_per_stage(all_published):
    with pytest.raises(ValueError, match="2 stage weights for 5 stages"):
        tinynas_score(all_published["deepmad-r18"].spec, weights=(1, 8))
    with pytest.raises(ValueError, match="0 stage weights for 5 stages"):
        tinynas_score(all_published["deepmad-r18"].spec, weights=())
    with pytest.raises(ValueError, match="1 stage weights for 2 stages"):
        tinynas_objective([1, 2], [1], [3, 3])


def test_entropy_is_half_the_papers():
    assert tinynas_entropy(14, 64, 100.0) == cnn_entropy(14, 64, 100.0) / 2


def test_squeeze_excitation_leaves_the_channels():
    assert tinynas_entropy(14, 64, 100.0, squeeze_excite=True) == cnn_entropy(1, 64, 50.0)


@pytest.mark.parametrize(("resolution", "chs"), [(0, 64), (14, 0)])
def test_an_empty_output_map_is_refused(resolution: int, chs: int):
    with pytest.raises(ValueError):
        tinynas_entropy(resolution, chs, 10.0)


def test_depth_imbalance_by_hand():
    """std(1, 3) = 1, std(2, 6) = 2: linear in the spread, where the paper's variance is quadratic."""
    assert tinynas_depth_imbalance([1, 3]) == pytest.approx(math.e, rel=1e-15)
    assert tinynas_depth_imbalance([2, 6]) == pytest.approx(math.e**2, rel=1e-15)
    assert tinynas_depth_imbalance([4, 4, 4]) == 1
    assert tinynas_depth_imbalance([4]) == 1


@pytest.mark.parametrize(
    ("depths", "inverted", "expected"),
    [
        ((1, 6, 9, 10, 12), False, (9, 10, 12)),
        ((1, 6, 9, 10, 12), True, (1, 6, 9, 10, 12)),
        ((3, 4), False, (3, 4)),
    ],
)
def test_which_depths_are_penalised(depths, inverted: bool, expected):
    assert penalised_depths(depths, inverted) == expected
