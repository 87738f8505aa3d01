"""``madnas experiment``: one JSON document, tables, files, exit codes."""

import json
import subprocess

import pytest

from madnas.cli.experiment import experiment
from madnas.cli.main import app, run
from madnas.experiments.library import recipe_files
from tests.experiments.shell import COMMAND, write_recipe

if "experiment" not in {command.callback.__name__ for command in app.registered_commands}:
    app.command()(experiment)


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    for name in ("COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def refused(capsys, *arguments, code=2):
    assert run(["experiment", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("madnas: ")
    return err


def test_json_is_one_document(tmp_path, capsys):
    recipe = str(write_recipe(tmp_path))
    assert run(["experiment", recipe, "--workers", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    document, end = json.JSONDecoder(parse_constant=lambda name: 1 / 0).raw_decode(out)
    assert out[end:] == "\n"
    assert document["schema"] == "madnas/experiment/1"
    assert set(document) == {
        "schema", "experiment", "figure", "seed", "settings", "networks", "left_out", "fits", "fits_by_depth", "paper",
        "points", "environment", "run",
    }  # fmt: skip
    assert set(document["fits"]) == {"accuracy", "isometry"}
    assert set(document["fits"]["accuracy"]) == {"mass", "params", "params_all"}
    assert document["left_out"]["massless_points"] == 3


def test_tables(tmp_path, capsys):
    assert run(["experiment", str(write_recipe(tmp_path)), "--workers", "1"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "3 points without skip connections have mass 0 and are not in the first two fits; 0 of 24" in out
    for word in ("test accuracy", "mean singular value (LDI)", "against ln NN-Mass", "not printed", "with 1 worker,"):
        assert word in out
    assert all(len(line) <= 120 for line in out.splitlines())


def test_flags_replace_the_recipes_values(tmp_path, capsys):
    recipe = str(write_recipe(tmp_path, quick={"epochs": 2, "repeats": 3, "depths": [4]}))
    flags = ["--quick", "--epochs", "1", "--samples", "60", "--seed", "7", "--workers", "1"]
    assert run(["experiment", recipe, *flags, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    settings = document["settings"]
    assert (settings["epochs"], settings["repeats"], settings["samples"], document["seed"]) == (1, 3, 60, 7)
    assert settings["depths"] == [4]


def test_output_and_plot(tmp_path, capsys):
    recipe = str(write_recipe(tmp_path))
    command = ["experiment", recipe, "--workers", "1", "-o", str(tmp_path / "out"), "--plot", str(tmp_path / "fig.svg")]
    assert run(command) == 0
    assert "0 of 3 groups were there already" in capsys.readouterr().out
    assert (tmp_path / "out" / "figure.png").read_bytes().startswith(b"\x89PNG")
    svg = (tmp_path / "fig.svg").read_text()
    assert "<svg" in svg
    assert "exists already" in refused(capsys, *command[1:])
    assert run([*command, "--force"]) == 0
    assert "3 of 3 groups were there already" in capsys.readouterr().out  # a picture costs no results
    assert (tmp_path / "fig.svg").read_text() == svg
    assert run([*command, "--force", "--restart"]) == 0
    assert "0 of 3 groups were there already" in capsys.readouterr().out


def test_going_on(tmp_path, capsys):
    command = ["experiment", str(write_recipe(tmp_path)), "--workers", "1", "-o", str(tmp_path / "out")]
    assert run(command) == 0
    capsys.readouterr()
    assert run(command) == 0
    assert "3 of 3 groups were there already" in capsys.readouterr().out
    assert "epochs 3 there, 9 here" in refused(capsys, *command[1:], "--epochs", "9")


def test_list(capsys):
    assert run(["experiment", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in recipe_files())
    assert run(["experiment", "--list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in document["experiments"]] == list(recipe_files())
    assert [one["networks"] for one in document["experiments"]] == [65, *[375] * 5, 7, 1280]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--quick"], "which experiment?"),
        (["nn-mass/circel20"], "did you mean 'nn-mass/circle20'"),
        (["nn-mass/circle20", "--epochs", "0"], "--epochs"),
        (["nn-mass/circle20", "--repeats", "9999"], "--repeats: expected 1 to 1000, found 9999"),
        (["nn-mass/circle20", "--device", "tpu"], "unknown device 'tpu'"),
        (["nn-mass/circle20", "--data", "."], "--data is the folder of MNIST, and circle20 is not read from a folder"),
        (["nn-mass/digits", "--data", "."], "--data is the folder of MNIST, and digits is not read from a folder"),
        (["nn-mass/circle20", "--device", "cuda", "--workers", "2"], "--workers are processes on the CPU"),
        (["nn-mass/circle20", "--plot", "x.bmp"], "cannot draw a .bmp"),
        (["nn-mass/circle20", "-o", "/nowhere/at/all"], "no folder"),
    ],
)
def test_mistakes(arguments, words, capsys):
    assert words in refused(capsys, *arguments)


def test_mnist_that_is_not_there(tmp_path, capsys):
    err = refused(capsys, "nn-mass/mnist", "--data", str(tmp_path), "-o", str(tmp_path / "out"), code=5)
    assert f"belong into {tmp_path}/MNIST/raw" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["--list"], ["--list", "--json"], ["nn-mass/circel20"]])
def test_what_trains_nothing_loads_no_torch(arguments):
    """Nor what a library would bring along."""
    code = COMMAND[2].replace(
        "sys.exit(run(sys.argv[1:]))",
        f"run(['experiment', *{arguments}]); print({{'torch', 'timm', 'numpy'}} & set(sys.modules))",
    )
    done = subprocess.run([*COMMAND[:2], code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "set()"


def test_interrupt(tmp_path, monkeypatch, capsys):
    from madnas.experiments import run as running

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "train_group", interrupted)
    folder = tmp_path / "out"
    err = refused(capsys, str(write_recipe(tmp_path)), "--workers", "1", "-o", str(folder), code=130)
    assert err == "madnas: interrupted\n"
    assert {path.name for path in folder.iterdir()} == {".lock", "run.json"}


def test_a_recipe_without_quick_settings(tmp_path, capsys):
    recipe = str(write_recipe(tmp_path))
    assert "--quick: the recipe has no settings for it" in refused(capsys, recipe, "--quick")
