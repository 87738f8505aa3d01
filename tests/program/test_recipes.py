"""The design recipes: every file, and what every answer must keep; the paper's networks are beaten."""

import itertools
from functools import cache
from pathlib import Path

import pytest

from madnas.errors import SpecError, UsageError
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.named import get
from madnas.network.yamlfile import read_yaml
from madnas.program.design import design
from madnas.program.problem import Problem
from madnas.program.recipe import DesignRecipe, load_recipe, recipe_files
from madnas.program.space import load_space
from tests.program.spaces import meets, objective_of

FOLDER = Path(__file__).parents[2] / "recipes" / "design"
FILES = {path.stem: path for path in sorted(FOLDER.rglob("*.yaml"))}
QUICK = ("29m", "b0-rho0.5", "r18-rho0.3")
SOLVED = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FILES]

PUBLISHED = {
    name: get(name)
    for name in (
        "deepmad-r18",
        "deepmad-r34",
        "deepmad-r50",
        "deepmad-29m",
        "deepmad-29m-288",
        "deepmad-50m",
        "deepmad-89m",
    )
}


@cache
def solved(name):
    return design(load_recipe(name).problem(), name=name)


def test_every_file_is_known():
    assert len(FILES) == 28
    assert FILES.keys() == recipe_files().keys()
    assert all(path.samefile(recipe_files()[name]) for name, path in FILES.items())


@pytest.mark.parametrize("name", FILES)
class TestFile:
    def test_makes_a_problem(self, name):
        recipe = load_recipe(name)
        problem = recipe.problem()
        assert isinstance(problem, Problem)
        assert set(problem.budgets) == {"macs", "params"}
        assert 0 < problem.rho <= 2
        assert recipe == load_recipe(str(FILES[name]))

    def test_header_has_row_command_and_expected_result(self, name):
        header = [line[2:] for line in FILES[name].read_text().splitlines() if line.startswith("# ")]
        row = load_recipe(name).row
        assert row.startswith("Table ")
        assert header[0].split(":")[0].startswith(row)
        assert f"Run: madnas design --recipe {name}" in header
        assert any("top-1 accuracy" in line for line in header)

    def test_keys_come_in_the_same_order(self, name):
        keys = list(read_yaml(FILES[name]))
        order = ["schema", *DesignRecipe.__dataclass_fields__]
        assert keys[:3] == ["schema", "row", "space"]
        assert [*filter(keys.__contains__, order)] == sorted(keys, key=order.index)

    def test_name_says_what_is_asked(self, name):
        recipe = load_recipe(name)
        family, *options = name.split("-")
        if family in FAMILIES:
            assert (recipe.space, recipe.macs, recipe.params) == FAMILIES[family]
        for option in options:
            if option.startswith("rho"):
                assert recipe.rho == float(option.removeprefix("rho"))
            if option.startswith("alpha"):
                assert recipe.stage_weights == (1, 1, 1, 1, float(option.removeprefix("alpha")))
            if option.startswith("guideline") and "without" in name:
                assert recipe.without_guidelines == (int(option.removeprefix("guideline")),)

    def test_published_network_is_counted_like_ours(self, name):
        recipe = load_recipe(name)
        if recipe.published is not None:
            spec, problem = get(recipe.published), recipe.problem()
            assert spec.input == problem.space.input
            assert spec.head.conv == problem.space.head.conv
            assert {group.block for group in spec.groups} == {problem.space.block}


FAMILIES = {
    "r18": ("bottleneck", "1.82G", "11.69M"),
    "r34": ("bottleneck", "3.68G", "21.80M"),
    "b0": ("mobilenet-se", "390M", "5.3M"),
    "mb": ("mobilenet-se", "320M", "3.5M"),
    "29m": ("mobilenet-se", "4.5G", "29M"),
    "50m": ("mobilenet-se", "8.7G", "50M"),
    "89m": ("mobilenet-se", "15.4G", "89M"),
}
"""Space and budgets of the paper's rows (facts.md, "the authors' search bounds")."""


def test_rows_of_the_tables_are_all_there():
    rows = {name: load_recipe(name).row for name in FILES}
    assert len(set(rows.values())) == 28
    tables = {
        table: sum(row.startswith(f"Table {table},") for row in rows.values()) for table in (1, 2, 3, 7, 8, 9, 10)
    }
    assert tables == {1: 6, 2: 6, 3: 4, 7: 3, 8: 4, 9: 2, 10: 3}


@pytest.mark.parametrize("name", SOLVED)
class TestAnswer:
    def test_meets_everything(self, name):
        problem, spec = solved(name).problem, solved(name).spec
        costs, structure = count(spec), analyse(spec)
        assert all(getattr(costs, budget) <= limit for budget, limit in problem.budgets.items())
        assert structure.rho <= problem.rho
        assert meets(problem, spec)

    def test_uses_a_budget_to_98_percent(self, name):
        assert max(value / limit for value, limit in solved(name).used().values()) >= 0.98

    def test_widths_do_not_decrease(self, name):
        problem, spec = solved(name).problem, solved(name).spec
        outs = [spec.stem.out, *(group.out for group in spec.groups)]
        if 3 in problem.guidelines:
            assert outs == sorted(outs)

    def test_gap_is_as_promised(self, name):
        small = name.startswith(("b0", "mb"))
        assert 0 <= solved(name).gap <= (0.015 if small else 0.005)
        assert solved(name).objective <= solved(name).bound

    def test_bound_rests_on_agreeing_starts(self, name):
        evidence = solved(name).solution.evidence
        assert evidence.root_agreed == evidence.root_starts >= 2
        assert evidence.agreed >= 0.9 * evidence.checked
        assert evidence.unsolved <= 0.05 * evidence.nodes

    def test_beats_every_published_network_that_meets_the_constraints(self, name):
        problem = solved(name).problem
        for published in comparable(problem):
            assert solved(name).objective > objective_of(problem, published), published.name


def comparable(problem):
    """Published networks of the problem's kind and input that keep its limits, and Guideline 3 where that holds."""
    for spec in PUBLISHED.values():
        costs, outs = count(spec), [group.out for group in spec.groups]
        if (
            spec.groups[0].block == problem.space.block
            and spec.input == problem.space.input
            and len(analyse(spec).stages) == len(problem.weights)
            and all(getattr(costs, budget) <= limit for budget, limit in problem.budgets.items())
            and analyse(spec).rho <= problem.rho
            and (3 not in problem.guidelines or all(a <= b for a, b in itertools.pairwise(outs)))
        ):
            yield spec


@pytest.mark.parametrize(
    ("name", "published"),
    [
        pytest.param("r50-rho0.3", {"deepmad-r50"}),
        pytest.param("29m", {"deepmad-29m"}),
        pytest.param("29m-288", {"deepmad-29m-288"}),
        pytest.param("50m", {"deepmad-29m", "deepmad-50m"}),
        pytest.param("89m", {"deepmad-29m", "deepmad-50m", "deepmad-89m"}),
    ],
)
def test_published_networks_that_are_compared(name, published):
    assert {spec.name for spec in comparable(load_recipe(name).problem())} == published


MARGINS = [("r18-rho0.3", "deepmad-r18", 1.06), ("29m", "deepmad-29m", 1.30)]


@pytest.mark.parametrize(("name", "published", "factor"), MARGINS, ids=[name for name, _, _ in MARGINS])
def test_beats_the_published_network_by_far(name, published, factor):
    """R18 although the published one is 1 % over its params budget and breaks Guideline 3."""
    problem = solved(name).problem
    assert solved(name).objective >= factor * objective_of(problem, PUBLISHED[published])


@pytest.mark.slow
def test_objectives_are_at_least_those_of_the_paper_for_every_row_that_names_a_network():
    for name in FILES:
        recipe = load_recipe(name)
        if recipe.published:
            assert solved(name).objective > objective_of(recipe.problem(), get(recipe.published)), name


@pytest.mark.slow
def test_more_rho_is_more_objective_and_more_depth():
    """Figure 5: with the budgets fixed, a larger rho makes deeper, narrower networks of higher entropy."""
    for family, rhos in (("r18", ("0.1", "0.15", "0.3", "0.5", "0.7")), ("b0", ("0.3", "0.5", "1", "1.5", "2"))):
        designs = [solved(f"{family}-rho{rho}") for rho in rhos]
        for before, after in itertools.pairwise(designs):
            assert after.objective > before.objective
            assert after.counts.layers > before.counts.layers
            assert after.structure.width < before.structure.width


@pytest.mark.slow
@pytest.mark.parametrize("guideline", [1, 2, 3])
def test_switching_a_guideline_off_is_no_worse(guideline):
    """By its own measure: the network with all guidelines is one of those that may be chosen without one."""
    full, without = solved("b0-guidelines"), solved(f"b0-without-guideline{guideline}")
    assert without.objective >= objective_of(without.problem, full.spec) * (1 - 5e-3)


@pytest.mark.slow
def test_same_problem_under_two_names():
    assert solved("b0-guidelines").spec.groups == solved("b0-rho0.5").spec.groups
    assert solved("r18-alpha8").spec.groups == solved("r18-rho0.3").spec.groups


class TestLoading:
    def write(self, folder, **changes):
        lines = {
            "schema": "madnas/design-recipe/1",
            "row": "mine",
            "space": "bottleneck",
            "macs": "1.82G",
            "rho": "0.3",
        }
        path = folder / "mine.yaml"
        path.write_text("".join(f"{key}: {value}\n" for key, value in (lines | changes).items() if value is not None))
        return str(path)

    def test_users_own_file(self, tmp_path):
        path = self.write(tmp_path, params="11.69M", max_layers=100, activations="8M", resolution=160, classes=10)
        problem = load_recipe(path).problem()
        assert problem.budgets == {
            "macs": 1_820_000_000,
            "params": 11_690_000,
            "activations": 8_000_000,
            "layers": 100,
        }
        assert problem.space.input == (3, 160, 160)
        assert problem.space.classes == 10
        assert problem.guidelines == {1, 2, 3}

    def test_plain_numbers_are_budgets_too(self, tmp_path):
        assert load_recipe(self.write(tmp_path, macs=1820000000)).problem().budgets == {"macs": 1_820_000_000}

    @pytest.mark.parametrize("value", ["4.5e9", "4500000000.0", "'4.5e9'", "4.5G"])
    def test_a_budget_may_be_written_in_any_way(self, value, tmp_path):
        for key in ("macs", "params", "activations"):
            recipe = load_recipe(self.write(tmp_path, **({"macs": None} | {key: value})))
            assert recipe.problem().budgets == {key: 4_500_000_000}

    def test_without_rho_it_is_the_spaces_and_none_is_no_limit(self, tmp_path):
        assert load_recipe(self.write(tmp_path, rho=None)).problem().rho == load_space("bottleneck").rho == 0.3
        assert load_recipe(self.write(tmp_path, rho="~")).problem().rho == 0.3
        assert load_recipe(self.write(tmp_path, rho="none")).problem().rho is None
        assert load_recipe(self.write(tmp_path, rho="none", space="mlp", macs="1M")).problem().rho is None

    def test_what_a_flag_can_say_a_file_can_say(self, tmp_path):
        path = self.write(
            tmp_path, input="[1, 64, 32]", kernels="[3]", multiple=16, head_conv=640, classes=7, depth_penalty=3,
            stage_weights="[1, 1, 1, 1, 2]",
        )  # fmt: skip
        problem = load_recipe(path).problem()
        space = problem.space
        assert (space.input, space.kernels, space.multiple, space.head.conv) == ((1, 64, 32), (3,), 16, 640)
        assert (space.classes, problem.beta, problem.weights) == (7, 3.0, (1, 1, 1, 1, 2))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"schema": "madnas/space/1"}, "schema: expected 'madnas/design-recipe/1', found 'madnas/space/1'"),
            ({"row": None}, "row: missing"),
            ({"rhoo": 1}, "rhoo: unknown key; did you mean 'rho'"),
            ({"rho": "large"}, "rho: expected a number, or 'none', found 'large'"),
            ({"without_guidelines": "[4]"}, "without_guidelines: 4 is not one of 1, 2, 3"),
            ({"max_layers": 1.5}, "max_layers: expected an integer"),
            ({"macs": "[1G]"}, "macs"),
        ],
        ids=str,
    )
    def test_bad_files_are_refused(self, changes, message, tmp_path):
        with pytest.raises(SpecError, match=message) as caught:
            load_recipe(self.write(tmp_path, **changes))
        assert "mine.yaml" in str(caught.value)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"macs": "1.82B"}, "macs: cannot read '1.82B'"),
            ({"macs": 0}, "macs: must be above 0"),
            ({"macs": None}, "at least one budget"),
            ({"rho": 0.0}, "rho must be above 0"),
            ({"rho": -1.0}, "rho must be above 0"),
            ({"max_layers": 0}, "layers must be above 0"),
            ({"space": "botleneck"}, "unknown space 'botleneck'; did you mean 'bottleneck'"),
            ({"stage_weights": "[1, 8]"}, "2 stage weights for the 5 stages"),
            (
                {"stage_weights": "[1, 1, 1, 1, 8]", "without_guidelines": "[1]"},
                "stage weights do nothing without Guideline 1",
            ),
            ({"depth_penalty": 5, "without_guidelines": "[2]"}, "depth penalty does nothing without Guideline 2"),
        ],
        ids=str,
    )
    def test_bad_values_are_refused(self, changes, message, tmp_path):
        recipe = load_recipe(self.write(tmp_path, **changes))
        with pytest.raises(UsageError, match=message):
            recipe.problem()

    def test_unknown_name(self):
        with pytest.raises(UsageError, match=r"unknown recipe 'r18-rho0\.33'; did you mean 'r18-rho0\.3'"):
            load_recipe("r18-rho0.33")
