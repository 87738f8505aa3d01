"""The restructuring experiment: the whole way on real data, gone on with where it stopped; its recipe and report."""

import json

import pytest

from madnas.cli.main import run
from madnas.errors import SpecError, UsageError
from madnas.experiments.library import load_recipe
from madnas.experiments.restructuring.recipe import RestructuringRecipe
from madnas.report.restructure_front import front
from madnas.restructure.collapse import collapse
from madnas.train.opened import open_network
from tests.cli.shell import document, refused

SMALL = """schema: madnas/network/1
name: small
input: [1, 8, 8]
stem: {out: 8, kernel: 3, stride: 1}
groups:
  - {block: inverted-residual, out: 16, depth: 2, expand: 6, kernel: 3, stride: 2}
  - {block: inverted-residual, out: 16, depth: 1, expand: 2, kernel: 3, stride: 1}
head: {classes: 10}
"""
RECIPE = """schema: madnas/restructuring-recipe/1
figure: Section 2.5
network: NETWORK
strengths: [1.0e-3, 1.0]
train: TRAIN
epochs: 2
quick: {strengths: [1.0], epochs: 1}
"""
TRAIN = """schema: madnas/train-recipe/1
row: "-"
dataset: digits
image_size: 8
epochs: 9
batch_size: 64
lr: 0.3
opt: sgd
warmup_epochs: 0
crop: pad
pad: 1
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("restructuring")
    (folder / "small.yaml").write_text(SMALL)
    (folder / "train.yaml").write_text(TRAIN)
    text = RECIPE.replace("NETWORK", str(folder / "small.yaml")).replace("TRAIN", str(folder / "train.yaml"))
    (folder / "recipe.yaml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def finished(files):
    assert run(["experiment", str(files / "recipe.yaml"), "-o", str(files / "results")]) == 0
    return files / "results"


def test_the_collapsed_networks_say_what_the_others_say(finished):
    summary = json.loads((finished / "summary.json").read_text())
    supernet, weak, strong = summary["networks"]
    assert [row["lambda"] for row in summary["networks"]] == [None, 0.001, 1]
    assert strong["units"] < supernet["units"] and strong["linear"]
    for row in (weak, strong):
        assert row["samples"] == 449
        assert row["different"] == 0 and row["collapsed_top1"] == row["top1"]
        assert row["errors"]["float64"] <= 1e-12
        assert row["speed"]["ratio"] > 0
        assert row["linear"] == [int(n) for n, slope in row["slopes"].items() if 0.8 <= slope <= 1.3]


def test_costs_are_those_of_the_network_that_is_tested(finished):
    """The last block expands by 2: as one convolution it would cost, so that the collapse leaves it."""
    strong = json.loads((finished / "summary.json").read_text())["networks"][-1]
    opened = open_network(str(finished / "runs/lambda-1"), None)
    collapsed = collapse(opened.model, opened.input)
    assert (strong["params"], strong["macs"]) == (collapsed.after.params, collapsed.after.macs)
    assert strong["left"] == len(collapsed.left) > 0
    assert strong["macs"] < strong["subnetwork_macs"] and strong["macs"] < strong["trained_macs"]


def test_its_folder_has_a_report_and_pictures(finished):
    report = (finished / "report.md").read_text()
    assert "| 1 |" in report and "figure.png" in report
    assert all((finished / name).read_bytes().startswith(b"\x89PNG") for name in ("figure.png", "alphas.png"))
    assert (finished / "runs/search/lambda-1/subnetwork.yaml").exists()


def test_what_was_done_is_not_done_again(finished, files, capsys):
    """All but one row is there: the rest is trained already, and the same comes out."""
    before = json.loads((finished / "summary.json").read_text())
    lines = (finished / "results.jsonl").read_text().splitlines(keepends=True)
    (finished / "results.jsonl").write_text("".join(lines[:-1]))
    found = document(capsys, "experiment", str(files / "recipe.yaml"), "-o", str(finished))
    timeless = [[{**row, "speed": None} for row in one["networks"]] for one in (before, found)]
    assert timeless[0] == timeless[1]


def test_other_settings_in_the_same_folder_are_refused(finished, files, capsys):
    again = ["experiment", str(files / "recipe.yaml"), "-o", str(finished), "--seed", "3"]
    assert "another" in refused(capsys, *again)


def test_options_of_other_experiments(capsys):
    assert "--repeats has no meaning for ran/digits" in refused(capsys, "experiment", "ran/digits", "--repeats", "2")


def test_settings_for_little_time():
    recipe = load_recipe("ran/digits")
    assert isinstance(recipe, RestructuringRecipe)
    assert len(recipe.quickened().strengths) < len(recipe.strengths)
    assert recipe.trained_with(None, 4).epochs == 4
    assert recipe.trained_with("digits/quick", None).epochs is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[1.0e-3, 1.0]", "[]"), "strengths: expected at least one"),
        (("[1.0e-3, 1.0]", "[1.0, 1.0]"), "strengths: expected at least one value, each once"),
        (("strengths: [1.0]", "strengths: [-1.0]"), "quick.strengths: expected 1e-09 to 1000"),
        (("epochs: 2", "epochs: 0"), "epochs: expected 1"),
        (("figure", "picture"), "picture: unknown key"),
    ],
)
def test_wrong_recipes(files, tmp_path, change, message):
    (tmp_path / "wrong.yaml").write_text((files / "recipe.yaml").read_text().replace(*change))
    with pytest.raises(SpecError, match=message):
        load_recipe(str(tmp_path / "wrong.yaml"))


def test_a_network_that_cannot_be_searched(files, tmp_path, capsys):
    (tmp_path / "wrong.yaml").write_text((files / "recipe.yaml").read_text().replace("small.yaml", "train.yaml"))
    assert refused(capsys, "experiment", str(tmp_path / "wrong.yaml"))
    from madnas.targets import find
    from madnas.train.supernet import searchable

    with pytest.raises(UsageError, match="no block can be searched"):
        searchable(find("resnet20"))


def test_networks_that_no_other_one_beats():
    rows = [{"units": units, "top1": top1} for units, top1 in ((5, 0.9), (3, 0.8), (4, 0.7), (5, 0.95), (9, 0.95))]
    assert front(rows, "units") == [rows[1], rows[3]]
