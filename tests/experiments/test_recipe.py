"""Recipes of experiments: every shipped file, strict reading, ``--quick``."""

from pathlib import Path

import pytest

from madnas.errors import SpecError, UsageError
from madnas.experiments.library import load_recipe, recipe_files
from madnas.experiments.recipe import Quick
from tests.experiments.shell import write_recipe

FOLDER = Path(__file__).parents[2] / "recipes" / "experiments"
NAMES = ["circle20", "digits", "mnist", "seg20", "seg30"]


def test_shipped_files():
    names = ["deepmad/effectiveness", *(f"nn-mass/{name}" for name in NAMES), "ran/digits", "zen-nas/proxies"]
    assert sorted(recipe_files()) == names
    files = [path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.*")]
    assert sorted(files) == sorted(recipe_files())


@pytest.mark.parametrize("name", [f"nn-mass/{name}" for name in NAMES])
class TestShipped:
    def test_grid_of_the_paper(self, name):
        """Appendix G.1."""
        recipe = load_recipe(name)
        assert recipe.depths == (16, 20, 24, 28, 32)
        assert recipe.links == tuple(range(15))
        assert (recipe.width, recipe.repeats) == (8, 5)
        assert recipe.activation == ("elu" if name in ("nn-mass/mnist", "nn-mass/digits") else "relu")
        if name == "nn-mass/mnist":
            assert recipe.epochs == 60
        if name.startswith(("nn-mass/seg", "nn-mass/circle")):
            assert (recipe.samples, recipe.test_samples, recipe.epochs) == (60_000, 12_000, 1500)

    def test_quick_is_a_smaller_grid_of_the_same(self, name):
        recipe = load_recipe(name)
        quick = recipe.quickened()
        assert set(quick.depths) < set(recipe.depths) and set(quick.links) < set(recipe.links)
        assert quick.repeats < recipe.repeats
        assert (quick.width, quick.activation, quick.dataset) == (recipe.width, recipe.activation, recipe.dataset)
        assert len(quick.depths) * (len(quick.links) - 1) >= 10  # points with mass, for the fits

    def test_quick_is_quick(self, name):
        """Steps of layers, of which 860,000 of ten networks and 100 samples take a minute of CPU time."""
        quick = load_recipe(name).quickened()
        samples = quick.samples or 1348  # of the digits
        steps = quick.epochs * -(-samples // quick.batch_size) * sum(quick.depths)
        assert steps * quick.batch_size / 100 * len(quick.links) * quick.repeats / 10 <= 900_000

    def test_header_says_what_it_is_how_to_run_it_and_what_was_found(self, name):
        header = [line for line in recipe_files()[name].read_text().splitlines() if line.startswith("#")]
        assert "Fig. " in header[0]
        for word in ("# Run: madnas experiment ", "# Expected: ", "# Measured: "):
            assert sum(line.startswith(word) for line in header) == 1
        assert name in " ".join(header)


def test_the_papers_r2_are_in_the_recipe():
    paper = load_recipe("nn-mass/mnist").paper
    assert (paper.accuracy_mass, paper.accuracy_params) == (0.85, 0.19)
    assert (paper.isometry_mass, paper.isometry_params) == (0.79, 0.31)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dephts": [16]}, "dephts: unknown key; did you mean 'depths' or"),
        ({"quick": {"epoch": 3}}, "quick.epoch: unknown key; did you mean 'epochs'"),
        ({"epochs": None}, "epochs: missing"),
        ({"epochs": 0}, "epochs: expected 1 to 1e+06, found 0"),
        ({"epochs": 1.5}, "epochs: expected a"),
        ({"depths": []}, "depths: expected at least one value, each once"),
        ({"depths": [4, 4]}, "depths: expected at least one value, each once"),
        ({"depths": [2]}, "depths: expected 3 to 1000, found 2"),
        ({"links": [-1]}, "links: expected 0 to 100000, found -1"),
        ({"quick": {"depths": [1]}}, "quick.depths: expected 3 to 1000, found 1"),
        ({"activation": "tanh"}, "activation: expected 'relu' or 'elu'"),
        (
            {"dataset": "imagenet"},
            "dataset: expected seg<N>, circle<N> (N from 2 to 999), mnist or digits, found 'imagenet'",
        ),
        ({"schema": "madnas/space/1"}, "'madnas/restructuring-recipe/1', found 'madnas/space/1'"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict) else "",
)
def test_wrong_recipe(tmp_path, changes, message):
    with pytest.raises(SpecError) as error:
        load_recipe(str(write_recipe(tmp_path, **changes)))
    assert message in str(error.value)
    assert "tiny.yaml" in str(error.value)


def test_unknown_name():
    with pytest.raises(UsageError, match="unknown experiment 'nn-mass/circle2'; did you mean 'nn-mass/circle20'"):
        load_recipe("nn-mass/circle2")


def test_quick_changes_what_it_names(tmp_path):
    recipe = load_recipe(str(write_recipe(tmp_path, quick={"epochs": 1, "depths": [5]})))
    assert recipe.quick == Quick(epochs=1, depths=(5,))
    quick = recipe.quickened()
    assert (quick.epochs, quick.depths, quick.links) == (1, (5,), recipe.links)


def test_settings_are_what_decides_results(tmp_path):
    settings = load_recipe(str(write_recipe(tmp_path))).settings()
    assert set(settings) == {
        "dataset", "depths", "links", "repeats", "activation", "epochs", "batch_size", "learning_rate", "width",
        "samples", "test_samples", "isometry_samples",
    }  # fmt: skip
