"""Figures 2, 3 and 5 of DeepMAD: the networks, the groups, the table, the folder."""

import csv
import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from madnas.cli.main import run
from madnas.errors import DataError, InfeasibleError, SpecError
from madnas.experiments.effectiveness import networks
from madnas.experiments.effectiveness.networks import random_networks
from madnas.experiments.effectiveness.summary import Measured, accuracies_of, measured, summarise
from madnas.experiments.library import load_recipe, recipe_files
from madnas.models import build
from madnas.network.named import get
from madnas.network.specfile import check_spec, load_spec

NAME = "deepmad/effectiveness"
RECIPE = load_recipe(NAME)
FEW = ["--quick", "--no-train"]
"""Twelve of the 65 networks, which are drawn in a second."""


@pytest.fixture(scope="module")
def specs():
    return random_networks(RECIPE, 0)


def test_networks_are_what_the_paper_says(specs):
    """65 networks of ResNet blocks with 0.27 M params and 0.04 G MACs, rho from 0.1 to 1, one in every slice."""
    reference = measured(get("resnet20"))
    assert (round(reference.params / 1e6, 2), round(reference.macs / 1e9, 2)) == (0.27, 0.04)
    found = [measured(spec) for spec in specs]
    assert len(found) == len({(spec.stem, spec.groups) for spec in specs}) == 65
    width = 0.9 / 65
    for number, one in enumerate(found):
        assert 0.1 + number * width <= one.rho <= 0.1 + (number + 1) * width
        assert abs(one.params / reference.params - 1) <= 0.02
        assert abs(one.macs / reference.macs - 1) <= 0.02
    for spec in specs:
        check_spec(spec)
        outs = [spec.stem.out] + [group.out for group in spec.groups]
        assert all(1 <= after / before <= 3 for before, after in itertools.pairwise(outs))


def test_counts_are_those_of_the_module(specs):
    for spec in specs[::16]:
        assert sum(p.numel() for p in build(spec).parameters()) == measured(spec).params


def test_a_seed_decides_everything():
    recipe = RECIPE.quickened()
    specs = random_networks(recipe, 0)
    assert random_networks(recipe, 0) == specs
    assert [spec.groups for spec in random_networks(recipe, 1)] != [spec.groups for spec in specs]


def test_figures_2_and_5_entropy_and_depth_rise_and_width_falls(specs):
    tau = summarise(NAME, RECIPE, 0, [measured(spec) for spec in specs])["tau"]
    assert tau["entropy"]["low"] > 0.7
    assert tau["layers"]["low"] > 0.7
    assert tau["width"]["high"] < -0.5
    assert tau["accuracy"] is None


def test_impossible_costs_are_infeasible(monkeypatch):
    monkeypatch.setattr(networks, "ROUNDS", 2)
    with pytest.raises(InfeasibleError, match=r"of the 65 slices of rho from 50 to 60"):
        random_networks(replace(RECIPE, rho=(50, 60)), 0)


def network(rho: float, entropy: float, accuracy: float | None) -> Measured:
    return Measured(f"n{rho}", 1, 1, 1, 1.0, rho, entropy, entropy, accuracy)


def test_groups_are_the_nearest_networks():
    """Accuracy follows entropy in the first group, runs against it in the second, and is half known in the third."""
    near_low = [network(rho, entropy, entropy) for rho, entropy in ((0.1, 1), (0.12, 3), (0.14, 2))]
    near_high = [network(rho, entropy, -entropy) for rho, entropy in ((0.9, 11), (0.92, 13), (0.94, 12))]
    middle = [network(0.5, 5, 5), network(0.51, 6, None), network(0.52, 7, 7)]
    groups = tuple(replace(RECIPE.groups[0], rho=rho) for rho in (0.1, 1.0, 0.5))
    recipe = replace(RECIPE, groups=groups, group_size=3)
    summary = summarise(NAME, recipe, 0, [*near_low, *middle, *near_high])
    first, second, third = summary["groups"]
    assert first["networks"] == ["n0.1", "n0.12", "n0.14"]
    assert (first["low"], first["high"], first["tau"]["value"]) == (0.1, 0.14, 1)
    assert second["tau"]["value"] == -1
    assert (third["accuracies"], third["tau"]) == (2, None)
    assert summary["best"] == {"network": "n0.52", "rho": 0.52, "accuracy": 7}
    assert summary["accuracies"] == 8


def test_accuracies_by_name_or_path(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("network,accuracy\nnetworks/b.yaml,2\na,1\nc,3\n")
    assert accuracies_of(table, ["a", "b", "c"]) == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(DataError, match="c is none of the 2 networks"):
        accuracies_of(table, ["a", "b"])
    table.write_text("network,accuracy\nnetworks/b.yaml,2\na,1\nb,3\n")
    with pytest.raises(DataError, match="b is there twice"):
        accuracies_of(table, ["a", "b"])


def test_command_writes_networks_table_and_picture(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run(["experiment", NAME, *FEW, "-o", str(folder)]) == 0
    assert "accuracies of 0 of 12 networks" in capsys.readouterr().out
    rows = list(csv.DictReader((folder / "networks.csv").read_text().splitlines()))
    assert len(rows) == len(list((folder / "networks").iterdir())) == 12
    assert measured(load_spec(folder / "networks" / f"{rows[7]['name']}.yaml")).params == int(rows[7]["params"])
    table = tmp_path / "table.csv"
    table.write_text("network,accuracy\n" + "".join(f"{row['name']},{row['entropy']}\n" for row in rows[:8]))
    picture = tmp_path / "figure.svg"
    command = ["experiment", NAME, "--quick", "-o", str(folder), "--accuracies", str(table), "--plot", str(picture)]
    assert run([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert (err, summary["accuracies"]) == ("", 8)
    assert summary["groups"][0]["tau"]["value"] == pytest.approx(1)
    assert summary["groups"][1]["paper_tau"] == 0.77
    assert summary["groups"][2]["tau"] is None
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert picture.read_text().count("<svg") == 1
    assert run([*command, "--force"]) == 0
    out = capsys.readouterr().out
    assert "rho around" in out
    assert "accuracies of 8 of 12 networks" in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--no-train", "--epochs", "3"], "--epochs has no meaning for deepmad/effectiveness"),
        (["--repeats", "3"], "--repeats has no meaning"),
        (["--recipe", "digits/quik"], "did you mean 'digits/quick'"),
        (["--accuracies", "missing.csv"], "missing.csv"),
    ],
)
def test_refused(flags, message, capsys):
    assert run(["experiment", NAME, "--quick", *flags]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_a_table_has_no_meaning_where_networks_are_trained(capsys):
    assert run(["experiment", "nn-mass/digits", "--quick", "--accuracies", "table.csv"]) == 2
    assert "--accuracies has no meaning for nn-mass/digits" in capsys.readouterr().err


def test_a_folder_of_another_seed_is_kept(tmp_path, capsys):
    folder = str(tmp_path / "run")
    assert run(["experiment", NAME, *FEW, "-o", folder]) == 0
    assert run(["experiment", NAME, *FEW, "-o", folder, "--seed", "1"]) == 2
    assert "holds results of another run: seed 0 there, 1 here" in capsys.readouterr().err
    assert run(["experiment", NAME, *FEW, "-o", folder, "--seed", "1", "--restart"]) == 0
    assert {path.name[:9] for path in (tmp_path / "run" / "networks").iterdir()} == {"random-1-"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("networks", 2, "networks: expected 3 to 1000"),
        ("rho", [1.0, 0.1], "rho: expected a range"),
        ("group_size", 70, "group_size: 70 of 65 networks"),
        ("groups", [], "groups: expected at least one"),
        ("groups", [{"rho": -1}], "groups[0].rho: expected a number above 0"),
        ("network", 3, "did you mean"),
    ],
)
def test_a_wrong_recipe_is_refused(key, value, message, tmp_path):
    tree = yaml.safe_load(recipe_files()[NAME].read_text()) | {key: value}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(SpecError) as error:
        load_recipe(str(path))
    assert message in str(error.value)


def test_networks_are_trained_and_a_stopped_run_goes_on(tmp_path, capsys):
    """Four small networks on the digits, on two processes; the second time, all is there already."""
    tree = yaml.safe_load(recipe_files()[NAME].read_text())
    training = yaml.safe_load((Path(recipe_files()[NAME]).parents[2] / "train" / "digits" / "quick.yaml").read_text())
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(training | {"image_size": 8, "batch_size": 256, "pad": 1}))
    tree |= {"networks": 4, "group_size": 3, "rho": [0.1, 0.3], "train": str(tmp_path / "train.yaml"), "epochs": 3}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tree))
    command = ["experiment", str(tmp_path / "mine.yaml"), "-o", str(tmp_path / "run"), "--json"]
    assert run([*command, "--workers", "2"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["accuracies"] == 4
    assert all(0 < one["accuracy"] <= 100 for one in summary["networks"])
    assert all((tmp_path / "run" / "runs" / one["name"] / "last.safetensors").exists() for one in summary["networks"])
    lines = (tmp_path / "run" / "results.jsonl").read_text().splitlines()
    (tmp_path / "run" / "results.jsonl").write_text(lines[0] + "\n")
    assert run(command) == 0
    assert json.loads(capsys.readouterr().out) == summary
