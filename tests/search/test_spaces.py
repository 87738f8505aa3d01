"""Candidates as arrays against the networks that they stand for, and what mutation may do."""

import json
from dataclasses import replace

import numpy as np
import pytest

from madnas.errors import SpecError
from madnas.measure.verify import verify
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.named import get
from madnas.network.plainnet import dump_plainnet, parse_plainnet
from madnas.network.specfile import check_spec
from madnas.network.yamlfile import read_yaml
from madnas.network.zen import zen_closed
from madnas.program.evaluator import Evaluator
from madnas.program.recipe import load_recipe
from madnas.search.fixed import Fixed
from madnas.search.rows import Rows
from madnas.search.space import evolution_spaces, load_evolution_space

COSTS = ("params", "macs", "activations", "layers")


def rows_of(name: str, side: int = 32, **changes) -> Rows:
    return Rows(load_evolution_space(name).customised(resolution=side, **changes))


def drift(family, number: int, steps: int, seed: int = 0) -> np.ndarray:
    """Candidates after a walk of mutations."""
    generator = np.random.default_rng(seed)
    candidates = family.start(generator, number)
    for _ in range(steps):
        candidates = family.mutate(generator, candidates)
    return candidates


def test_the_shipped_spaces():
    assert set(evolution_spaces()) == {"zen-residual", "zen-mobile"}
    kinds = {name: len(load_evolution_space(name).choices) for name in evolution_spaces()}
    assert kinds == {"zen-residual": 6, "zen-mobile": 12}


@pytest.mark.parametrize("name", ["zen-residual", "zen-mobile"])
@pytest.mark.parametrize("side", [32, 97, 224])
def test_arrays_are_what_each_network_has(name, side):
    family = rows_of(name, side)
    candidates = drift(family, 60, 5)
    values = family.closed(candidates, family.known)
    for place, candidate in enumerate(candidates):
        spec = check_spec(family.network(candidate, "one"))
        counts, structure = count(spec), analyse(spec)
        assert {cost: values[cost][place] for cost in COSTS} == {cost: getattr(counts, cost) for cost in COSTS}
        assert values["entropy"][place] == pytest.approx(structure.weighted_entropy(), rel=1e-12)
        assert values["rho"][place] == pytest.approx(structure.rho, rel=1e-12)
        assert values["width"][place] == pytest.approx(structure.width, rel=1e-12)
        assert values["zen-closed"][place] == pytest.approx(zen_closed(spec), rel=1e-12)


def test_a_name_that_comes_twice_counts_once():
    """As that of a score and of a budget."""
    family = rows_of("zen-residual", 32)
    candidates = drift(family, 20, 2)
    once, twice = family.closed(candidates, COSTS), family.closed(candidates, (*COSTS, *COSTS))
    assert all((once[cost] == twice[cost]).all() for cost in COSTS)


def test_other_activations_and_oblong_maps_are_what_each_network_has():
    space = load_evolution_space("zen-mobile").customised(input=(1, 65, 31))
    family = Rows(replace(space, act="silu"))
    candidates = drift(family, 40, 5)
    scores = [zen_closed(family.network(candidate, "one")) for candidate in candidates]
    assert family.closed(candidates, ("zen-closed",))["zen-closed"] == pytest.approx(scores, rel=1e-12)


@pytest.mark.parametrize("name", ["zen-residual", "zen-mobile"])
def test_a_candidate_counts_as_its_module_does(name):
    family = rows_of(name)
    for candidate in drift(family, 3, 4, seed=1):
        assert not verify(family.network(candidate, "one")).mismatches


@pytest.mark.parametrize("recipe", ["r18-rho0.3", "29m"])
def test_fixed_spaces_count_as_the_program_does(recipe):
    problem = load_recipe(recipe).problem()
    family = Fixed(problem)
    candidates = drift(family, 500, 3)
    values = family.closed(candidates, family.known)
    evaluated = Evaluator(problem)(candidates)
    assert values["objective"] == pytest.approx(evaluated.objective)
    for row, (name, limit) in enumerate(problem.budgets.items()):
        assert values[name] / limit - 1 == pytest.approx(evaluated.usage[row])
    assert ((family.breach(candidates) == 0) == evaluated.ratios).all()
    assert values["zen-closed"][7] == pytest.approx(zen_closed(family.network(candidates[7], "one")), rel=1e-12)
    spec = family.network(candidates[7], "one")
    assert values["entropy"][7] == pytest.approx(analyse(spec).weighted_entropy(problem.weights))


@pytest.mark.parametrize("recipe", ["r18-rho0.3", "29m"])
def test_fixed_mutations_stay_on_the_grid(recipe):
    family = Fixed(load_recipe(recipe).problem())
    candidates = drift(family, 300, 6)
    for column, variable in zip(candidates.T, family.problem.variables, strict=True):
        assert set(column.tolist()) <= set(variable.values)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", ["zen-residual", "zen-mobile"])
def test_mutations_stay_in_the_space(name, plain):
    space = load_evolution_space(name).customised(resolution=32)
    family = Rows(space, plain=plain)
    parts = family.parts(drift(family, 400, 12))
    kind, out, hidden, layers = np.moveaxis(parts, -1, 0)
    there = layers > 0
    assert there.any(axis=2).all(), "every stage has a row"
    assert not parts[~there].any(), "rows that are not there are 0"
    assert (np.diff(there.astype(int), axis=2) <= 0).all(), "rows come first"
    assert (kind[there] < len(space.choices)).all()
    for widths, bounds in ((out, space.out), (hidden, space.hidden)):
        found = widths[there]
        assert (found % space.multiple == 0).all() and bounds[0] <= found.min() and found.max() <= bounds[1]
    assert (layers < space.mutation.split)[:, :, :-1].all() or (there[:, :, -1] & (layers >= 6).any(axis=2)).any()
    assert (there.sum(axis=2) > 1).any(), "long rows are split"


def split_one_by_one(rows: list[list[int]], split: int) -> list[list[int]]:
    """Rows of a stage with the long ones in two, from the first on, while there is room."""
    for place in range(len(rows) - 1):
        if rows[place][3] >= split and rows[-1][3] == 0:
            rest = [*rows[place][:3], rows[place][3] - 3]
            rows = [*rows[:place], [*rows[place][:3], 3], rest, *rows[place + 1 : -1]]
    return rows


@pytest.mark.parametrize("most", [1, 2, 6])
def test_long_rows_are_split_and_lost_ones_closed_up(most):
    space = load_evolution_space("zen-residual").customised(resolution=32)
    family, generator = Rows(replace(space, rows=most)), np.random.default_rng(0)
    parts = generator.integers(1, 20, (200, family.stages, most, 4))
    count = generator.integers(1, most + 1, (200, family.stages, 1))
    parts[np.broadcast_to(np.arange(most) >= count, parts.shape[:3])] = 0
    lost = (generator.random(parts.shape[:3]) < 0.3) & (count > 1)
    lost[..., 0] &= most > 2
    parts[..., 3][lost] = 0
    expected = []
    for stage in parts.reshape(-1, most, 4).tolist():
        rows = [row for row in stage if row[3]]
        rows += [[0] * 4] * (most - len(rows))
        expected.append(split_one_by_one(rows, space.mutation.split))
    family._compact(parts)
    family._split(parts)
    assert parts.reshape(-1, most, 4).tolist() == expected


def test_zen_nas_mutation_draws_every_factor_and_kind_alike():
    space = load_evolution_space("zen-residual").customised(resolution=32)
    space = replace(space, mutation=replace(space.mutation, parts=1), start=replace(space.start, hidden=200))
    family = Rows(space, plain=True)
    parents = np.repeat(family.first, 60_000, axis=0)
    before, after = family.parts(parents), family.parts(family.mutate(np.random.default_rng(0), parents))
    changed = (before != after).any(axis=3)
    assert set(changed.sum(axis=(1, 2)).tolist()) <= {0, 1}, "one part at a time"
    rows = after[:, 0, 0][changed[:, 0, 0]]
    _, kinds = np.unique(rows[:, 0], return_counts=True)
    _, widths = np.unique(rows[:, 2], return_counts=True)
    assert len(kinds) == 6 and kinds.max() / kinds.min() < 1.15
    assert len(widths) == len(space.mutation.factors) and widths.max() / widths.min() < 1.2
    # of six parts (stem, head, four rows) each is drawn alike; few draws change nothing
    assert changed[:, 1, 0].mean() == pytest.approx(1 / 6, abs=0.02)


def test_published_zennets_are_in_the_space():
    space = load_evolution_space("zen-residual").customised(resolution=32, classes=10)
    family = Rows(space)
    spec = get("zennet-cifar-1m")
    choices = [(choice.block, choice.kernel) for choice in space.choices]
    parts = np.zeros((1, family.stages, family.rows, 4), np.int64)
    stage, row = 0, -1
    for number, group in enumerate(spec.groups):
        stage, row = (stage + 1, 0) if group.stride == 2 and number else (stage, row + 1)
        parts[0, stage, row] = (choices.index((group.block, group.kernel)), group.out, group.hidden, group.depth // 2)
    candidate = family.join(np.array([[spec.stem.out, spec.head.conv]]), parts)
    assert family.depth(candidate)[0] == 18, "the depth cap of the paper's search"
    assert family.breach(candidate)[0] == 0
    assert family.network(candidate[0], spec.name) == spec
    text = dump_plainnet(spec)
    assert parse_plainnet(text, "text", 10, 32, name=spec.name) == spec


def test_small_images_have_their_own_strides():
    small, large = (load_evolution_space("zen-residual").customised(resolution=side) for side in (64, 65))
    assert (small.stem.stride, small.strides) == (1, (1, 2, 2, 2))
    assert (large.stem.stride, large.strides) == (2, (2, 2, 2, 2))


@pytest.mark.parametrize(
    "changes, key",
    [
        ({"kinds": [{"block": "convnext", "kernels": [3]}]}, "kinds[0].block"),
        ({"kinds": [{"block": "mobile-pair", "kernels": [3]}]}, "kinds[0].expand"),
        ({"kinds": [{"block": "basic", "kernels": [4]}]}, "kinds[0].kernels"),
        ({"strides": [2, 1, 2]}, "strides"),
        ({"out": [100, 50]}, "out"),
        ({"max_depth": 3}, "max_depth"),
        ({"start": {"out": 9, "hidden": 8}}, "start.out"),
        ({"mutation": {"parts": 0}}, "mutation.parts"),
        ({"hiden": [8, 16]}, "hiden"),
        ({"rows": 0}, "rows"),
    ],
)
def test_broken_spaces_say_where(tmp_path, changes, key):
    path = tmp_path / "space.yaml"
    path.write_text(json.dumps(read_yaml(evolution_spaces()["zen-residual"]) | changes))
    with pytest.raises(SpecError) as error:
        load_evolution_space(str(path))
    assert key in str(error.value)
