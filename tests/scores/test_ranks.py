"""Rank correlations against brute force, their intervals, and tables that are none."""

import math
from itertools import combinations

import numpy as np
import pytest

from madnas.errors import DataError
from madnas.scores.ranks import kendall, rank, read_accuracies, spearman


def tau_b(x, y):
    """Kendall's tau-b, pair by pair."""
    signs = [(np.sign(a - c), np.sign(b - d)) for (a, b), (c, d) in combinations(zip(x, y, strict=True), 2)]
    product = sum(one * other for one, other in signs)
    return product / math.sqrt(sum(one != 0 for one, _ in signs) * sum(other != 0 for _, other in signs))


@pytest.mark.parametrize("seed", range(5))
def test_statistics_by_brute_force(seed):
    generator = np.random.default_rng(seed)
    x, y = generator.integers(0, 8, 20).astype(float), generator.integers(0, 8, 20).astype(float)
    assert float(kendall(x, y)[0]) == pytest.approx(tau_b(x, y))
    ranks = [[1 + sum(b < a for b in side) + (sum(b == a for b in side) - 1) / 2 for a in side] for side in (x, y)]
    assert float(spearman(x, y)[0]) == pytest.approx(np.corrcoef(*ranks)[0, 1])


def results(values):
    return [
        {"scores": {"zen": {"value": value}, "macs": {"value": 1.0}, "params": {"value": -value}}} for value in values
    ]


def test_every_score_is_ranked_the_baselines_first():
    found = rank(results(range(10)), range(10))
    assert list(found["scores"]) == ["params", "macs", "zen"]
    assert found["scores"]["zen"]["kendall"] == {
        "value": pytest.approx(1),
        "low": pytest.approx(1),
        "high": pytest.approx(1),
    }
    assert found["scores"]["params"]["spearman"]["value"] == pytest.approx(-1)
    assert found["scores"]["macs"]["kendall"] == {"value": None, "low": None, "high": None}
    assert (found["n"], found["resamples"], found["confidence"]) == (10, 2000, 0.95)


def test_few_networks_have_no_interval():
    found = rank(results(range(9)), range(9))["scores"]["zen"]["kendall"]
    assert found == {"value": pytest.approx(1), "low": None, "high": None}


def test_baselines_are_of_the_networks_that_have_the_score():
    some = results([5, 1, 2, 3])
    del some[0]["scores"]["zen"]
    found = rank(some, [1, 2, 3, 4])["scores"]
    assert found["params"]["kendall"]["value"] == pytest.approx(0)
    assert found["zen"]["baselines"] == {"params": pytest.approx(-1), "macs": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network,accuracy\na,69,76\nb,1,2\nc,3,4\n", "more fields"),
        ("network,accuracy\n", "0 networks"),
        ("name,accuracy\na,1\n", "no column network"),
    ],
)
def test_wrong_tables(text, message, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_accuracies(path)


def test_columns_in_any_case(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("Network, Accuracy\na,1\nb,2\nc,3\n")
    assert read_accuracies(path) == [("a", 1), ("b", 2), ("c", 3)]


def test_networks_without_a_score_are_left_out_and_counted():
    some = results([1, 2, 3, 4])
    del some[0]["scores"]["zen"]
    assert rank(some, [1, 2, 3, 4])["scores"]["zen"]["n"] == 3
    del some[1]["scores"]["zen"]
    found = rank(some, [1, 2, 3, 4])
    assert "zen" not in found["scores"]
    assert found["left_out"] == {"zen": 2}


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_networks_that_count_several_times(seed):
    """The bootstrap's arithmetic is that of scipy on the networks written out."""
    from scipy.stats import kendalltau, spearmanr

    generator = np.random.default_rng(seed)
    x, y = generator.integers(0, 6, 12).astype(float), generator.normal(size=12)
    counts = generator.multinomial(12, np.full(12, 1 / 12), size=5)
    taus, rhos = kendall(x, y, counts.astype(float)), spearman(x, y, counts.astype(float))
    for row, tau, rho in zip(counts, taus, rhos, strict=True):
        once = np.repeat(x, row), np.repeat(y, row)
        assert tau == pytest.approx(kendalltau(*once).statistic)
        assert rho == pytest.approx(spearmanr(*once).statistic)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    truth = 2 / math.pi * math.asin(0.6)  # of a bivariate normal distribution with this correlation
    hits = 0
    for _ in range(40):
        x = generator.normal(size=40)
        y = 0.6 * x + 0.8 * generator.normal(size=40)
        interval = rank(results(x), y)["scores"]["zen"]["kendall"]
        hits += interval["low"] <= truth <= interval["high"]
    assert hits >= 33


def test_table(tmp_path):
    path = tmp_path / "acc.csv"
    path.write_text("accuracy,note,network\n70.1,x,resnet18\n0.7,,nets/a b.yaml\n1e1,,resnet50\n")
    assert read_accuracies(path) == [("resnet18", 70.1), ("nets/a b.yaml", 0.7), ("resnet50", 10.0)]


@pytest.mark.parametrize(("text", "message"), [
    ("", "no column network and accuracy"),
    ("network,acc\na,1\n", "no column accuracy"),
    ("network,accuracy\na,1\nb,x\nc,3\n", "line 3: expected a network and a number"),
    ("network,accuracy\na,1\nb,nan\nc,3\n", "line 3"),
    ("network,accuracy\na,1\n,2\nc,3\n", "line 3"),
    ("network,accuracy\na,1\nb\nc,3\n", "line 3"),
    ("network,accuracy\na,1\nb,2\na,3\n", "line 4: a is there twice"),
    ("network,accuracy\na,1\nb,2\n", "2 networks; a ranking needs 3"),
])  # fmt: skip
def test_what_is_no_table(tmp_path, text, message):
    path = tmp_path / "acc.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_accuracies(path)
