"""Structural scores: against published numbers, closed forms, and what the theory predicts."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from madnas.network.analyse import analyse
from madnas.network.blocks import CATALOGUE
from madnas.network.expand import at_resolution
from madnas.network.named import get, names
from madnas.network.spec import Group, Head, NetworkSpec, Stem


def shows(printed: str, value: float) -> bool:
    """Whether a value shows every digit that was printed."""
    return f"{value:.{len(printed.partition('.')[2])}f}" == printed


@pytest.mark.parametrize("name", ["r18", "r34", "r50", "29m", "29m-288", "50m", "89m"])
def test_published_deepmad_networks(golden, name):
    printed = golden["deepmad"][f"deepmad-{name}"]
    structure = analyse(get(f"deepmad-{name}"))
    assert shows(printed["rho"], structure.rho)
    assert shows(printed["entropy"], structure.weighted_entropy())
    assert shows(printed["layers"], structure.depth)


def test_worked_example_stage_by_stage(golden):
    entropies = analyse(get("deepmad-r18")).entropies
    assert [f"{h:.2f}" for h in entropies] == golden["stage_entropies"]["deepmad-r18"]


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "mobilenetv2", "efficientnet-b0"])
def test_rho_of_the_baselines_in_tables_1_and_2(golden, name):
    assert shows(golden["rho"][name], analyse(get(name)).rho)


def test_stages_of_a_published_network():
    stages = analyse(get("deepmad-r18")).stages
    assert [stage.resolution for stage in stages] == [112, 56, 28, 14, 7]
    assert [stage.out_chs for stage in stages] == [32, 96, 384, 1024, 672]
    assert [stage.depth for stage in stages] == [1, 3, 18, 27 + 30, 36]


def test_pooling_stem_begins_a_stage():
    stages = analyse(get("resnet18")).stages
    assert [stage.resolution for stage in stages] == [112, 56, 28, 14, 7]
    assert [stage.depth for stage in stages] == [1, 4, 4, 4, 4]


def test_mlp_is_equation_1():
    spec = NetworkSpec("mlp", (1, 28, 28), (Group("linear", 100, 2), Group("linear", 30, 1)), Head(10))
    structure = analyse(spec)
    logs = math.log(784) + 2 * math.log(100) + math.log(30)
    assert structure.entropies == pytest.approx((10 * logs,))
    assert structure.rho == pytest.approx(4 / math.exp(logs / 4))


def test_uniform_mlp_has_rho_depth_by_width():
    # Eq. (2): seven layers of 64, the classifier's input included.
    spec = NetworkSpec("mlp", (1, 8, 8), (Group("linear", 64, 6),), Head(10))
    assert analyse(spec).rho == pytest.approx(7 / 64)


def test_rectangular_maps_count_by_their_area():
    spec = NetworkSpec("rect", (3, 64, 16), (Group("conv", 8, 1, kernel=3, stride=2),), Head(10), Stem(8))
    square = analyse(at_resolution(spec, 32)).entropies
    assert analyse(spec).entropies == pytest.approx(square)


def divisible(name: str) -> bool:
    last = get(name).groups[-1]
    return last.depth > 1 and CATALOGUE[last.block].uniform


@pytest.mark.parametrize("name", [name for name in names() if divisible(name)])
def test_splitting_a_group_changes_no_entropy(name):
    # Blocks after the first of a group have the main path of a new group of stride 1.
    spec = get(name)
    last = spec.groups[-1]
    halves = (replace(last, depth=1), replace(last, depth=last.depth - 1, stride=1))
    split = analyse(replace(spec, groups=(*spec.groups[:-1], *halves)))
    assert split.entropies == pytest.approx(analyse(spec).entropies)
    assert split.rho == pytest.approx(analyse(spec).rho)


@pytest.mark.parametrize("name", names())
def test_stages_add_up(name):
    structure = analyse(get(name))
    assert structure.depth == sum(stage.depth for stage in structure.stages)
    assert structure.width == pytest.approx(math.exp(structure.log_widths / structure.depth))
    assert structure.rho == pytest.approx(structure.depth / structure.width)
    assert structure.log_rho == pytest.approx(math.log(structure.rho))
    weights = (1.0,) * (len(structure.stages) - 1) + (8.0,)
    assert structure.weighted_entropy() == pytest.approx(
        sum(a * h for a, h in zip(weights, structure.entropies, strict=True))
    )


def test_deeper_means_more_entropy_and_more_rho():
    def of_depth(depth: int) -> NetworkSpec:
        return NetworkSpec("deep", (3, 32, 32), (Group("conv", 16, depth, kernel=3, stride=2),), Head(10), Stem(8))

    structures = [analyse(of_depth(depth)) for depth in range(1, 6)]
    assert all(a.entropies[-1] < b.entropies[-1] for a, b in pairwise(structures))
    assert all(a.rho < b.rho for a, b in pairwise(structures))


def test_objective_leaves_the_first_group_out_of_the_depth_penalty():
    structure = analyse(get("deepmad-r18"))
    penalty = 10 * math.exp(4.6875)  # Var(6, 9, 10, 12)
    assert structure.objective() == pytest.approx(structure.weighted_entropy() - penalty)
    assert structure.objective(depth_penalty=0) == structure.weighted_entropy()
