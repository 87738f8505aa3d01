"""Fits and means: against numpy, and what is left out of them."""

import math
import random

import numpy as np
import pytest

from madnas.experiments.fit import linear_fit
from madnas.experiments.library import load_recipe
from madnas.experiments.summary import fits_of, points_of, summarise
from tests.experiments.shell import write_recipe


def test_fit_is_numpys():
    generator = np.random.default_rng(0)
    x = generator.normal(size=30)
    y = 3 * x + generator.normal(size=30)
    fit = linear_fit(x.tolist(), y.tolist())
    slope, intercept = np.polyfit(x, y, 1)
    assert (fit.slope, fit.intercept) == pytest.approx((slope, intercept))
    assert fit.r2 == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)
    assert fit.points == 30


@pytest.mark.parametrize(("x", "y"), [([], []), ([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [5, 5, 5])])
def test_no_fit(x, y):
    assert linear_fit(x, y).r2 is None


def row(depth, links, repeat, accuracy, params=None, mass=None):
    return {
        "depth": depth, "links": links, "repeat": repeat, "params": params or 10 * depth + links,
        "mass": float(links if mass is None else mass), "isometry": 0.5 + 0.01 * links,
        "accuracy": accuracy, "diverged": accuracy is None,
    }  # fmt: skip


ROWS = [
    row(depth, links, repeat, 0.5 + 0.1 * math.log(max(links, 1)) + 0.01 * repeat)
    for depth in (4, 5)
    for links in (0, 2, 4, 9)
    for repeat in (0, 1)
]


def test_points_are_means_over_repeats():
    points = points_of(ROWS)
    assert [(point.depth, point.links) for point in points] == [(d, t) for d in (4, 5) for t in (0, 2, 4, 9)]
    first = points[1].accuracy
    assert (first.mean, first.std, first.n) == pytest.approx((0.5 + 0.1 * math.log(2) + 0.005, 0.01 / 2**0.5, 2))


def test_points_without_mass_are_in_neither_of_the_compared_fits():
    fits = fits_of(points_of(ROWS), "accuracy")
    assert [fits[size].points for size in ("mass", "params", "params_all")] == [6, 6, 8]
    assert fits["mass"].r2 == pytest.approx(1)
    assert fits["mass"].slope == pytest.approx(0.1)
    assert fits["params"].r2 < 0.5


def test_networks_that_diverged_are_counted_and_left_out(tmp_path):
    rows = [*ROWS, row(6, 2, 0, None), row(6, 2, 1, 0.7), row(6, 4, 0, None)]
    summary = summarise("tiny", load_recipe(str(write_recipe(tmp_path))), 0, rows)
    assert summary["networks"] == 19
    assert summary["left_out"] == {"diverged_networks": 2, "massless_points": 2}
    deep = [point for point in summary["points"] if point["depth"] == 6]
    assert [point["accuracy"]["n"] for point in deep] == [1, 0]
    assert summary["fits"]["accuracy"]["mass"]["points"] == 7
    assert summary["fits"]["isometry"]["mass"]["points"] == 8


def test_order_of_rows_does_not_matter(tmp_path):
    recipe = load_recipe(str(write_recipe(tmp_path)))
    shuffled = ROWS.copy()
    random.Random(0).shuffle(shuffled)
    assert summarise("tiny", recipe, 0, shuffled) == summarise("tiny", recipe, 0, ROWS)
