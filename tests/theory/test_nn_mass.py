"""NN-Mass: Eq. (1)-(8), (12), (13) of NN-Mass and Eq. (4) of RAN, against cells whose links are counted one by one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pyomo.common.errors import PyomoException

from madnas.theory.nn_mass import (
    addition_density,
    average_degree,
    basic_block_mass,
    bottleneck_mass,
    cell_density,
    cell_mass,
    convnext_mass,
    dense_cell_mass,
    exact_average_degree,
    links_into_cell,
    mean_squared_singular_value,
    network_density,
    possible_additions,
    require,
    residual_block_mass,
    singular_value_bounds,
)
from tests.theory.arguments import Formula, assert_agrees

GOLDEN = yaml.safe_load((Path(__file__).parents[1] / "golden" / "nn_mass.yaml").read_text())

WIDTHS, DEPTHS = st.integers(1, 512), st.integers(3, 80)
CHANNELS = st.integers(1, 2048)


# --- cells, link by link -----------------------------------------------------------------------------------------


Neuron = tuple[int, int]
Link = tuple[Neuron, Neuron]


@dataclass(frozen=True)
class Cell:
    """A cell as Section 3.1 of NN-Mass builds it: its neurons and the connections between them, all written out."""

    neurons: list[Neuron]
    lattice: list[Link]
    skips: list[Link]
    possible: list[Link]


def wired(width: int, depth: int, links: int, random: Random) -> Cell:
    """A random cell: layer i is linked to layer i - 1 and to min(w (i - 1), t) random neurons of layers 0 to i - 2."""
    layers = [[(layer, neuron) for neuron in range(width)] for layer in range(depth)]
    skips: list[Link] = []
    possible: list[Link] = []
    for i in range(2, depth):
        candidates = [neuron for layer in layers[: i - 1] for neuron in layer]
        possible += product(candidates, layers[i])
        skips += product(random.sample(candidates, min(len(candidates), links)), layers[i])
    lattice = [link for sources, targets in pairwise(layers) for link in product(sources, targets)]
    return Cell([neuron for layer in layers for neuron in layer], lattice, skips, possible)


CELLS = st.tuples(st.integers(1, 6), st.integers(3, 9), st.integers(0, 50))


@given(CELLS, st.randoms(use_true_random=False))
def test_a_cell_counted_link_by_link(size: tuple[int, int, int], random: Random):
    """Definitions 1, 3 and 4 and Eq. (5), (6), from the lists of links themselves."""
    width, depth, _ = size
    cell = wired(*size, random)
    assert len(set(cell.skips)) == len(cell.skips)
    assert set(cell.skips) <= set(cell.possible)
    assert not set(cell.skips) & set(cell.lattice)

    assert len(cell.skips) == width * links_into_cell(*size)
    assert 2 * len(cell.possible) == width**2 * (depth - 1) * (depth - 2)
    density = len(cell.skips) / len(cell.possible)
    assert cell_density(*size) == pytest.approx(density, rel=1e-14)
    assert cell_mass(*size) == pytest.approx(len(cell.neurons) * density, rel=1e-14)
    degree = (len(cell.lattice) + len(cell.skips)) / len(cell.neurons)
    assert exact_average_degree(width, depth, cell_mass(*size)) == pytest.approx(degree, rel=1e-14)


@given(WIDTHS, DEPTHS, st.integers(0, 50_000))
def test_the_closed_form_is_the_sum(width: int, depth: int, links: int):
    """Eq. (5) term by term, exact, and a whole number for whole numbers."""
    found = links_into_cell(width, depth, links)
    assert found == sum(min(width * (i - 1), links) for i in range(2, depth))
    assert isinstance(found, int)


@given(st.floats(0.01, 1000), DEPTHS, st.floats(0, 50_000))
def test_the_closed_form_between_whole_numbers(width: float, depth: int, links: float):
    """Scaled widths need not be whole; the closed form has a floor in it and still no jump."""
    expected = math.fsum(min(width * (i - 1), links) for i in range(2, depth))
    assert links_into_cell(width, depth, links) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("links", "expected"), [(0, 0), (3, 9), (4, 12), (5, 14), (8, 20), (11, 23), (12, 24), (99, 24)]
)
def test_links_into_a_cell_by_hand(links: int, expected: int):
    """Four neurons, five layers: 4, 8 and 12 candidates for layers 2, 3 and 4."""
    assert links_into_cell(4, 5, links) == expected


# --- DenseNet-type cells -----------------------------------------------------------------------------------------


def test_example_of_figure_9_is_exact():
    fig9 = GOLDEN["fig9"]
    masses = [cell_mass(w, fig9["depth"], t) for w, t in zip(fig9["width"], fig9["links"], strict=True)]
    assert sum(masses) == int(fig9["mass"]) == 28
    assert masses == pytest.approx([40 / 6, 56 / 6, 72 / 6], rel=1e-15)


@pytest.mark.parametrize("shift", [-1, 1])
def test_links_come_from_two_layers_back_and_more(shift: int):
    """Candidates of layers 0 to i - 3 or 0 to i - 1 instead of 0 to i - 2 would not give Fig. 9's 28."""
    fig9, depth = GOLDEN["fig9"], GOLDEN["fig9"]["depth"]
    shifted = sum(
        2 * depth * min(w * (i - 1 + shift), t) / ((depth - 1) * (depth - 2))
        for w, t in zip(fig9["width"], fig9["links"], strict=True)
        for i in range(2, depth)
    )
    assert shifted != int(fig9["mass"])


def table_1_mass(row: dict[str, Any]) -> float:
    """Three cells, which hold all but four of the layers."""
    depth, rest = divmod(row["layers"] - 4, 3)
    assert rest == 0
    return sum(cell_mass(w, depth, t) for w, t in zip((32, 64, 128), row["links"], strict=True))


@pytest.mark.parametrize("row", GOLDEN["table1"], ids=lambda row: row["mass"])
def test_table_1_truncates(row: dict[str, Any]):
    assert math.floor(table_1_mass(row)) == int(row["mass"])


def test_table_1_does_not_round():
    """Three of its five masses would be one more."""
    assert [round(table_1_mass(row)) - int(row["mass"]) for row in GOLDEN["table1"]] == [1, 1, 0, 0, 1]


@given(WIDTHS, DEPTHS)
def test_a_cell_with_every_link_is_densenets(width: int, depth: int):
    """Density 1 and mass w d, from t = w (d - 2) on."""
    for links in (width * (depth - 2), width * depth, math.inf):
        assert cell_density(width, depth, links) == 1
        assert cell_mass(width, depth, links) == pytest.approx(dense_cell_mass(width, depth), rel=1e-15)
    assert dense_cell_mass(width, depth) == width * depth
    assert cell_density(width, depth, width * (depth - 2) - 1) < 1


@given(WIDTHS, DEPTHS)
def test_a_cell_without_links_has_no_mass(width: int, depth: int):
    """VGG (Section 4.3): exactly 0."""
    assert links_into_cell(width, depth, 0) == cell_density(width, depth, 0) == cell_mass(width, depth, 0) == 0


@given(WIDTHS, DEPTHS, st.integers(0, 50_000))
def test_mass_is_density_times_neurons(width: int, depth: int, links: int):
    """Definition 4; density between 0 and 1 and not decreasing in the links."""
    density = cell_density(width, depth, links)
    assert 0 <= density <= 1
    assert cell_density(width, depth, links + 1) >= density
    assert math.isclose(cell_mass(width, depth, links), width * depth * density, rel_tol=1e-13)


@given(WIDTHS, DEPTHS, st.integers(0, 5000), st.integers(2, 9))
def test_density_depends_on_links_per_width(width: int, depth: int, links: int, times: int):
    """Scale law: s times the width and the links leave the density of Eq. (7) and give s times the mass of Eq. (2)."""
    wider = (times * width, depth, times * links)
    assert math.isclose(cell_density(*wider), cell_density(width, depth, links), rel_tol=1e-13)
    assert math.isclose(cell_mass(*wider), times * cell_mass(width, depth, links), rel_tol=1e-13)


def test_candidates_are_counted_at_once():
    widths, depths, links = np.array([2, 3, 4]), np.array([[4], [7]]), np.array([3.0, math.inf, 0.0])
    for formula in (links_into_cell, cell_density, cell_mass):
        one_by_one = [[formula(*size) for size in ((2, d, 3), (3, d, math.inf), (4, d, 0))] for d in (4, 7)]
        assert formula(widths, depths, links).tolist() == one_by_one
    assert cell_mass(np.array([2, 3, 4]), 4, np.array([3, 4, 5])).sum() == 28
    assert links_into_cell(np.array([2, 3]), 4, np.array([3, 4])).dtype.kind == "i"


def test_a_minimum_has_no_expression():
    model = pyo.ConcreteModel()
    model.width = pyo.Var()
    with pytest.raises(PyomoException):
        cell_mass(model.width, 4, 5)


def test_network_density_is_the_mean():
    """Appendix H.2: cells weigh alike, whatever their size."""
    assert network_density([0.25, 0.5, 0.75]) == 0.5
    assert network_density([0.25, 0.5], [3, 1]) == network_density([0.25, 0.25, 0.25, 0.5])
    assert network_density([]) == network_density([0.25], [0]) == 0
    cells = [cell_density(w, 4, t) for w, t in ((2, 3), (3, 4), (4, 5))]
    assert network_density(cells) == pytest.approx((5 / 6 + 7 / 9 + 9 / 12) / 3, rel=1e-15)
    arrays = [np.array([0.0, 1.0]), np.array([1.0, 1.0])]
    assert network_density(arrays).tolist() == [0.5, 1.0]


# --- residual blocks ---------------------------------------------------------------------------------------------


def counted_block_mass(in_chs: Sequence[int]) -> float:
    """Eq. (3) over the list of all shortcuts: from the input of a layer to any point at least two layers on."""
    points = len(in_chs) + 1
    shortcuts = [(start, end) for start in range(points) for end in range(start + 2, points)]
    possible = sum(in_chs[start] for start, _ in shortcuts)
    around = sum(in_chs[start] for start, end in shortcuts if (start, end) == (0, points - 1))
    return sum(in_chs) * around / possible


@given(st.lists(CHANNELS, min_size=2, max_size=7))
def test_a_residual_block_counted_shortcut_by_shortcut(in_chs: list[int]):
    assert residual_block_mass(in_chs) == pytest.approx(counted_block_mass(in_chs), rel=1e-14)


@given(CHANNELS, CHANNELS)
def test_known_blocks_counted_shortcut_by_shortcut(outer: int, inner: int):
    """Fig. 2 of NN-Mass and Fig. 5 of RAN as printed, against the shortcuts of their layers."""
    assert basic_block_mass(outer, inner) == pytest.approx(counted_block_mass([outer, inner]), rel=1e-14)
    assert bottleneck_mass(outer, inner) == pytest.approx(counted_block_mass([outer, inner, inner]), rel=1e-14)
    convnext = convnext_mass(outer, inner / outer)
    assert convnext == pytest.approx(counted_block_mass([outer, outer, inner]), rel=1e-13)


def test_masses_of_blocks_by_hand():
    assert basic_block_mass(64, 128) == 192
    assert bottleneck_mass(256, 64) == pytest.approx(384 * 256 / 576, rel=1e-15)
    assert bottleneck_mass(64, 64) == 64, "the first block of ResNet-50: its input has 64 channels"
    assert bottleneck_mass(24, 144) == 39, "MobileNetV2: 13/8 of the input channels at e = 6"
    assert convnext_mass(96) == 192
    assert convnext_mass(96, expansion=1) == 96
    assert possible_additions([256, 64, 64]) == 2 * 256 + 64
    assert addition_density(256, 576) == 4 / 9


def test_a_block_of_two_layers_is_no_bottleneck_of_expansion_one():
    """MobileNetV2's first block has no expansion layer: two layers have mass 2 c, the bottleneck formula c."""
    assert residual_block_mass([16, 16]) == 32
    assert bottleneck_mass(16, 16) == 16


@pytest.mark.parametrize("name", GOLDEN["ran_i"])
def test_mass_of_convnexts_is_twice_depth_times_width(name: str):
    """RAN's Table 7: (2 + 4) / 3 = 2 per channel and block."""
    row = GOLDEN["ran_i"][name]
    groups = list(zip(row["width"], row["depth"], strict=True))
    mass = sum(depth * convnext_mass(width) for width, depth in groups)
    assert mass == 2 * sum(depth * width for width, depth in groups) == int(row["mass"])


# --- Proposition 1: average degree -------------------------------------------------------------------------------


@given(WIDTHS, DEPTHS, st.integers(0, 50_000))
def test_proposition_1_is_close_for_deep_cells(width: int, depth: int, links: int):
    """Too large, by less than a share of 3 / d: under 10 % at the 32 layers of Fig. 3."""
    mass = cell_mass(width, depth, links)
    exact, limit = exact_average_degree(width, depth, mass), average_degree(width, mass)
    assert limit * (1 - 3 / depth) < exact < limit


def test_proposition_1_is_the_limit_of_deep_cells():
    errors = [1 - exact_average_degree(8, depth, 40.0) / average_degree(8, 40.0) for depth in (4, 16, 64, 256, 4096)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.4
    assert 0 < errors[-1] < 1e-3


@given(WIDTHS, DEPTHS, st.integers(0, 50_000))
def test_random_part_of_the_degree_is_links_over_layers(width: int, depth: int, links: int):
    """Eq. (8), second line against third: w S connections over w d neurons."""
    degree = exact_average_degree(width, depth, cell_mass(width, depth, links))
    lattice = width * (depth - 1) / depth
    assert math.isclose(degree - lattice, links_into_cell(width, depth, links) / depth, rel_tol=1e-9, abs_tol=1e-9)


# --- Proposition 2: singular values ------------------------------------------------------------------------------

DRAWS = 400


@pytest.mark.parametrize("variance", [1.0, 0.04])
@pytest.mark.parametrize(("width", "mass"), [(1, 0), (2, 6), (8, 0), (8, 28), (16, 40), (64, 10), (20, 360)])
def test_proposition_2_by_simulation(width: int, mass: int, variance: float):
    """Gaussian matrices of (w + m/2) x w. By Gordon's theorem the bounds hold at every size, not just in the limit."""
    rows = width + mass // 2
    random = np.random.default_rng(2021)
    matrices = math.sqrt(variance) * random.standard_normal((DRAWS, rows, width))
    values = np.linalg.svd(matrices, compute_uv=False)
    lower, upper = singular_value_bounds(width, mass, variance)
    assert lower < values.mean() < upper
    # Eq. (12). The mean square is chi-squared with DRAWS * rows * width degrees of freedom; five standard errors.
    squared = mean_squared_singular_value(width, mass, variance)
    assert squared == pytest.approx(variance * rows, rel=1e-14)
    assert (values**2).mean() == pytest.approx(squared, rel=5 * math.sqrt(2 / (DRAWS * rows * width)))


def test_singular_values_ordered_by_size_have_different_means():
    """Eq. (11) says H for each of them, which only their mean has."""
    random = np.random.default_rng(2021)
    values = np.linalg.svd(random.standard_normal((DRAWS, 36, 16)), compute_uv=False)
    by_rank = (values**2).mean(axis=0) / mean_squared_singular_value(16, 40)
    assert by_rank.mean() == pytest.approx(1, rel=0.02)
    assert by_rank[0] > 2
    assert by_rank[-1] < 0.25


def test_mean_singular_value_grows_with_mass():
    """Fig. 1(b): width 16, within the bounds all along."""
    random = np.random.default_rng(2021)
    masses = range(0, 101, 20)
    means = [np.linalg.svd(random.standard_normal((DRAWS, 16 + m // 2, 16)), compute_uv=False).mean() for m in masses]
    assert means == sorted(means)
    bounds = [singular_value_bounds(16, m) for m in masses]
    assert all(lower < mean < upper for mean, (lower, upper) in zip(means, bounds, strict=True))
    assert bounds == sorted(bounds)


def test_equal_mass_gives_equal_singular_values_at_different_depths():
    """Prop. 2 on whole linear cells of width 20 and mass 36: 9 layers, or 18 with 2.2 times the weights.

    The means differ by the share of layer 1, which no skip connection can reach: 1 of 8 Jacobians or 1 of 17.
    """
    width, sizes = 20, {9: 16, 18: 17}
    random = np.random.default_rng(2021)
    means, weights = [], []
    for depth, links in sizes.items():
        assert cell_mass(width, depth, links) == pytest.approx(36, rel=1e-14)
        fan_in = [width + (links if layer > 1 else 0) for layer in range(1, depth)]
        jacobians = [random.standard_normal((50, width, inputs)) for inputs in fan_in]
        means.append(np.mean([np.linalg.svd(jacobian, compute_uv=False).mean() for jacobian in jacobians]))
        weights.append(width * sum(fan_in))
    lower, upper = singular_value_bounds(width, 36)
    assert all(lower < mean < upper for mean in means)
    assert means[0] == pytest.approx(means[1], rel=0.05)
    assert weights[1] / weights[0] == pytest.approx(2.2, abs=0.05)


def test_singular_value_bounds_by_hand():
    assert singular_value_bounds(16, 40) == (2, 10)
    assert singular_value_bounds(16, 40, variance=0.25) == (1, 5)
    assert singular_value_bounds(9, 0) == (0, 6)


def test_depth_independent_variance_centres_the_bounds_on_one():
    """RAN, Prop. 1: with q = 1 / k the bounds lie around 1, and close to it only where the mass is large."""
    spreads = []
    for mass in (0, 48, 14_384):
        lower, upper = singular_value_bounds(16, mass, variance=1 / average_degree(16, mass))
        assert (lower + upper) / 2 == pytest.approx(1, rel=1e-14)
        spreads.append((upper - lower) / 2)
    assert spreads == pytest.approx([1, math.sqrt(16 / 40), math.sqrt(16 / 7208)], rel=1e-13)


# --- three kinds of argument -------------------------------------------------------------------------------------

FORMULAS: dict[str, tuple[Formula, Sequence[float]]] = {
    "dense_cell_mass": (dense_cell_mass, [32, 12]),
    "network_density": (lambda *densities: network_density(densities), [0.25, 0.75, 1.0]),
    "addition_density": (addition_density, [64, 192]),
    "possible_additions": (lambda *chs: possible_additions(chs), [64, 16, 16]),
    "residual_block_mass": (lambda *chs: residual_block_mass(chs), [64, 16, 24]),
    "basic_block_mass": (basic_block_mass, [64, 128]),
    "bottleneck_mass": (bottleneck_mass, [256, 64]),
    "convnext_mass": (convnext_mass, [96, 4]),
    "average_degree": (average_degree, [8, 40]),
    "mean_squared_singular_value": (mean_squared_singular_value, [8, 40, 0.5]),
    "singular_value_bounds, lower": (lambda *args: singular_value_bounds(*args)[0], [8, 40, 0.5]),
    "singular_value_bounds, upper": (lambda *args: singular_value_bounds(*args)[1], [8, 40, 0.5]),
}


@pytest.mark.parametrize(("formula", "at"), FORMULAS.values(), ids=FORMULAS.keys())
def test_number_array_and_expression_agree(formula: Formula, at: Sequence[float]):
    assert_agrees(formula, at)


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", [links_into_cell, cell_density, cell_mass])
@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((8, 2, 5), "depth must be at least 3 to leave room for a skip connection, not 2"),
        ((8, 1, 0), "depth must be at least 3 .*, not 1"),
        ((8, -4, 5), "depth must be at least 3 .*, not -4"),
        ((8, math.nan, 5), "depth must be at least 3 .*, not nan"),
        ((8, 3.5, 5), "depth must be a whole number of layers, not 3.5"),
        ((8, math.inf, 5), "depth must be a whole number of layers, not inf"),
        ((8, 4, -1), "links must be at least 0, not -1"),
        ((8, 4, math.nan), "links must be at least 0, not nan"),
        ((0, 4, 5), "width must be above 0, not 0"),
        ((-8, 4, 5), "width must be above 0, not -8"),
        ((np.array([8, 4, 0, -1]), 4, 5), "width must be above 0, not 0$"),
        ((8, np.array([[5], [2]]), np.array([1, 2])), "depth must be at least 3 .*, not 2$"),
        ((8, 4, np.array([3, -2])), "links must be at least 0, not -2$"),
    ],
    ids=str,
)
def test_cells_that_are_refused(formula: Callable[..., Any], size: tuple[Any, Any, Any], message: str):
    with pytest.raises(ValueError, match=message):
        formula(*size)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dense_cell_mass(8, 2), "depth must be at least 3 .*, not 2"),
        (lambda: dense_cell_mass(0, 4), "width must be above 0, not 0"),
        (lambda: addition_density(0, 0), "possible additions: more than 0, not 0"),
        (lambda: addition_density(-1, 3), "additions must be at least 0, not -1"),
        (lambda: addition_density(4, 3), "no more than are possible, not 4"),
        (lambda: addition_density(np.array([2, 4]), 3), "no more than are possible, not 4"),
        (lambda: residual_block_mass([]), "at least 2 layers, not 0"),
        (lambda: residual_block_mass([64]), "at least 2 layers, not 1"),
        (lambda: residual_block_mass([64, 0, 64]), "channels must be above 0, not 0"),
        (lambda: basic_block_mass(0, 64), "channels must be above 0, not 0"),
        (lambda: basic_block_mass(64, -1), "channels must be above 0, not -1"),
        (lambda: bottleneck_mass(0, 64), "channels must be above 0, not 0"),
        (lambda: bottleneck_mass(64, math.nan), "channels must be above 0, not nan"),
        (lambda: convnext_mass(0), "width must be above 0, not 0"),
        (lambda: convnext_mass(96, 0), "expansion must be above 0, not 0"),
        (lambda: average_degree(0, 10), "width must be above 0, not 0"),
        (lambda: average_degree(8, -1), "mass must be at least 0, not -1"),
        (lambda: exact_average_degree(8, 2, 10), "depth must be at least 3 .*, not 2"),
        (lambda: exact_average_degree(8, 4, -1), "mass must be at least 0, not -1"),
        (lambda: mean_squared_singular_value(8, 10, -1), "variance must be at least 0, not -1"),
        (lambda: singular_value_bounds(8, -1), "mass must be at least 0, not -1"),
        (lambda: singular_value_bounds(8, 10, -1), "variance must be at least 0, not -1"),
        (lambda: singular_value_bounds(0, 10), "width must be above 0, not 0"),
    ],
)
def test_arguments_that_are_refused(call: Callable[[], Any], message: str):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_requirement_names_the_first_offender():
    values = np.array([[3, 2], [0, -1]])
    require(values > -2, "must be above -2", values)
    with pytest.raises(ValueError, match=r"^must be above 0, not 0$"):
        require(values > 0, "must be above 0", values)
    with pytest.raises(ValueError, match=r"^must be above 0, not -5$"):
        require(np.array([True, False]), "must be above 0", -5)
