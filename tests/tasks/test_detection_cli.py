"""Detection on the command line: a run's files, what it would take, lists, and what does not go together."""

import json

import pytest

from madnas.cli.main import run
from madnas.errors import SpecError
from madnas.train.checkpoint import newest
from madnas.train.recipe import load_recipe, recipe_files
from tests.tasks.shell import RECIPES, TEST, TRAIN, arguments


def test_a_run_and_its_files(tmp_path, shapes, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["train", *arguments(tmp_path, shapes, "-o", "run", "--json")]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert err == "" and result["task"] == "detection" and set(result["best"]) == {"epoch", "ap"}
    rows = (tmp_path / "run" / "summary.csv").read_text().splitlines()
    assert rows[0] == "epoch,train_loss,eval_ap,eval_ap50,eval_ap75,eval_ap_small,eval_ap_medium,eval_ap_large,lr"
    assert len(rows) == 3
    report = (tmp_path / "run" / "report.md").read_text()
    assert (
        "- best AP " in report
        and "| epoch | training loss | AP % | AP50 % |" in report
        and "- detector: fcos" in report
    )
    assert "mixup" not in report
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert run(["train", "--eval", "run", "--data", str(shapes), "-j", "0"]) == 0
    out = capsys.readouterr().out
    assert "tiny" in out and "AP50" in out and f"{TEST} test samples of coco" in out
    assert newest(tmp_path / "run", lambda text: None).state["kept"][0].keys() == {"epoch", "ap"}


def test_a_dry_run_says_what_it_would_take(tmp_path, shapes, capsys):
    assert run(["train", *arguments(tmp_path, shapes, "--dry-run", "--json")]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["task"] == "detection" and plan["data"] == {"train": TRAIN, "test": TEST, "classes": 3,
                                                            "shape": [3, 64, 64]}  # fmt: skip
    assert plan["estimate"]["images_per_second"] > 0 and plan["updates"] == 10


def test_lists_are_by_task(capsys):
    assert run(["train", "--list", "--task", "detection", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["recipes"]
    assert sorted(row["name"] for row in rows) == sorted(RECIPES)
    assert run(["train", "--list", "--json"]) == 0
    tasks = [row["task"] for row in json.loads(capsys.readouterr().out)["recipes"]]
    assert tasks == sorted(tasks, key=list(dict.fromkeys(tasks)).index)  # each task's stand together


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "classification", "--recipe", "coco/fcos-2x"], "a recipe for detection, not for classification"),
        (["--task", "sorting"], "--task sorting: no such task"),
        (["--recipe", "coco/fcos-2x", "--set", "mixup=0.2"], "mixup: has no effect in detection"),
        (["--recipe", "coco/fcos-2x", "--set", "head_width=9"], "head_width: is for detector two-stage"),
        (["--recipe", "coco/fcos-2x", "--set", "dataset=folder"], "dataset: expected coco for detection"),
        (["--recipe", "coco/fcos-2x", "--set", "head_chs=80"], "head_chs: 80 is no multiple of the 32 groups"),
        (["--recipe", "coco/fcos-2x", "--set", "short_side=null"], "short_side: missing; detection needs it"),
        (["--recipe", "coco/fcos-2x", "--set", "short_side=[9, 5]"], "short_side: expected"),
        (["--set", "detector=fcos"], "detector: is for detection"),
    ],
)
def test_recipes_and_tasks_that_do_not_go_together(capsys, words, message):
    assert run(["train", "resnet18", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_task_of_a_file_is_checked(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(recipe_files()["coco/fcos-2x"].read_text().replace("detector: fcos\n", ""))
    with pytest.raises(SpecError, match="detector: missing; detection needs it"):
        load_recipe(str(path))


def test_data_that_is_not_there_is_told_with_the_way_to_make_it(tmp_path, capsys):
    assert run(["train", "resnet18", "--task", "detection", "--data", str(tmp_path)]) == 5
    assert "python -m madnas.data.shapes detection" in capsys.readouterr().err
