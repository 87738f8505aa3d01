"""Segmentation and video are runs like every other: resumed, signalled, shared, tested, with the same messages."""

import json
import math
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from madnas.cli.main import run
from madnas.data.source import Process
from madnas.errors import DataError, DivergedError
from madnas.train.engine import Engine
from madnas.train.optimise import build_schedule, set_rate
from madnas.train.recipe import load_recipe, recipe_files
from madnas.train.run import train
from madnas.train.task import task_of
from tests.tasks.runs import SMALL, TEST, TRAIN, UPDATES, task_job, words, written
from tests.train.shell import (
    Task,
    assert_equal_runs,
    crash_at,
    ended,
    finish,
    kill_all,
    madnas,
    metrics,
    steps_logged,
    together,
    when,
)

pytest.importorskip("segmentation_models_pytorch", reason="segmentation's decoder, an extra")

TASKS = sorted(SMALL)
RECIPES = [name for name in recipe_files() if load_recipe(name).task in TASKS]
MAIN = {"segmentation": "miou", "video": "top1"}
IMAGE = {"segmentation": "images/training/ADE_train_00000003.jpg",
         "video": "rawframes/triangle/v_triangle_train_00003/img_00006.jpg"}  # fmt: skip
"""A file of the third sample that every run reads sooner or later: of the video, the middle frame."""
TESTED = {"segmentation": "images/validation/ADE_valid_00000001.jpg",
          "video": "rawframes/circle/v_circle_val_00001/img_00002.jpg"}  # fmt: skip


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return written(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, sets: dict[str, Path]) -> dict[str, Path]:
    """Runs that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    for task in TASKS:
        finish(task_job(task, folder, sets[task], "model_ema_decay=0.9", name=task))
    return {task: folder / task for task in TASKS}


def engine_of(job: Any) -> tuple[Engine, Any]:
    task = task_of(job.recipe)
    source = task.open_data(job.recipe, job.data, 0, job.target, 0, torch.device("cpu"))
    model = task.build_model(task.fitted(job.target, source.facts), source.facts, job.recipe, 0)
    return Engine(model, job.recipe, source.facts, Process(), 0, steps_per_epoch=3), source


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_runs_for_two_updates(name: str, tmp_path: Path, sets: dict[str, Path]) -> None:
    """At toy size; everything else stays."""
    task = load_recipe(name).task
    changes = ["batch_size=2", "image_size=32", "short_side=[32, 40]"]
    if task == "video":
        changes += [f"{part}_split=shapes_{part}_split_1_rawframes.txt" for part in ("train", "val")]
    job = task_job(task, tmp_path, sets[task])
    object.__setattr__(job, "recipe", load_recipe(name, changes))
    engine, source = engine_of(job)
    before = {key: value.clone() for key, value in engine.model.state_dict().items()}
    order: Any = type("First", (), {"steps_per_epoch": 3, "batch": lambda self, step, rank, world: torch.arange(2)})()
    for step, batch in enumerate(source.train(order, 0, 2, Process())):
        found = engine.update(batch, 2 + step)
        assert found.wrong == "" and math.isfinite(float(found.loss)) and found.rate > 0
    changed = {key for key, value in engine.model.state_dict().items() if not torch.equal(value, before[key])}
    assert any("groups.0" in key for key in changed)


@pytest.mark.parametrize("task", TASKS)
def test_a_run_goes_on_in_the_middle_of_an_epoch(
    task: str, tmp_path: Path, sets: dict[str, Path], whole: dict[str, Path]
) -> None:
    one = task_job(task, tmp_path, sets[task], "model_ema_decay=0.9")
    for step in (1, 3, 5):
        crash_at(one, step)
    result = finish(one)
    assert (result["updates"], result["last"]["n"], result["task"]) == (UPDATES, TEST, task)
    assert_equal_runs(tmp_path / "run", whole[task])


@pytest.mark.parametrize("task", TASKS)
def test_processes_that_read_change_nothing(
    task: str, tmp_path: Path, sets: dict[str, Path], whole: dict[str, Path]
) -> None:
    finish(task_job(task, tmp_path, sets[task], "model_ema_decay=0.9", workers=2))
    assert_equal_runs(tmp_path / "run", whole[task])


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_kill_9_and_sigterm_in_a_row(task: str, tmp_path: Path, sets: dict[str, Path]) -> None:
    """The real thing, in processes of their own."""
    process = Task(tmp_path, madnas, *words(task, tmp_path, sets[task], "-o", "whole"))
    assert process.communicate(timeout=120) and process.returncode == 0
    process = Task(tmp_path, madnas, *words(task, tmp_path, sets[task], "-o", "run"))
    when(lambda: steps_logged(tmp_path / "run") >= 2, process)
    kill_all(process)
    process = Task(tmp_path, madnas, *words(task, tmp_path, sets[task], "-o", "run"))
    when(lambda: steps_logged(tmp_path / "run") >= 3, process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 75, err
    assert f"of {UPDATES} is saved in run" in err
    process = Task(tmp_path, madnas, *words(task, tmp_path, sets[task], "-o", "run"))
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0 and "goes on after update" in err
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("task", TASKS)
def test_two_processes_share_samples_and_test_each_once(
    task: str, tmp_path: Path, sets: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = together(tmp_path, 2, madnas, *words(task, tmp_path, sets[task], "-o", "run"))
    assert [code for code, _ in ended(tasks)] == [0, 0]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["updates"], result["last"]["n"]) == (UPDATES, TEST)
    assert run(["train", "--eval", str(tmp_path / "run"), "--data", str(sets[task]), "-j", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    tested = [line for line in metrics(tmp_path / "run") if line["event"] == "eval"]
    best = tested[result["best"]["epoch"]]
    assert found["n"] == TEST and found["task"] == task
    for name in set(best) - {"event", "epoch", "step", "train_loss", "lr"}:
        assert found[name] == pytest.approx(best[name], rel=1e-5), name


@pytest.mark.parametrize("task", TASKS)
def test_samples_that_cannot_be_read_are_named_counted_and_replaced_the_same_way(
    task: str, tmp_path: Path, sets: dict[str, Path]
) -> None:
    data = tmp_path / "set"
    shutil.copytree(sets[task], data)
    files = [data / IMAGE[task]]
    if task == "video":
        files = list(files[0].parent.glob("*.jpg"))  # any of its frames may be drawn
    for file in files:
        file.write_bytes(file.read_bytes()[:200])
    told: list[str] = []
    one = task_job(task, tmp_path, data, "bad_data_rate=0.3")
    result = train(one, lambda progress: None, told.append)
    ledger = [json.loads(line) for line in (tmp_path / "run" / "ledger.jsonl").read_text().splitlines()]
    assert result["unreadable_samples"] == len(ledger) == 2  # once in each of two epochs
    assert all("3" in line["file"] and line["index"] == 2 != line["replaced_by"] for line in ledger)
    assert sum("cannot be read" in text for text in told) == 2
    again = task_job(task, tmp_path, data, "bad_data_rate=0.3", name="again")
    for step in (2, 5):
        crash_at(again, step)
    finish(again)
    assert_equal_runs(tmp_path / "again", tmp_path / "run")
    with pytest.raises(DataError, match="could not be read, more than"):
        finish(task_job(task, tmp_path, data, "bad_data_rate=0.01", name="strict"))


@pytest.mark.parametrize("task", TASKS)
def test_a_test_sample_that_cannot_be_read_ends_the_run(task: str, tmp_path: Path, sets: dict[str, Path]) -> None:
    data = tmp_path / "set"
    shutil.copytree(sets[task], data)
    (data / TESTED[task]).write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read"):
        finish(task_job(task, tmp_path, data))


@pytest.mark.parametrize("task", TASKS)
def test_a_loss_that_is_not_finite_leaves_its_evidence(
    task: str, tmp_path: Path, sets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = Engine._prepare

    def broken(self: Engine, batch: Any, epoch: int, step: int, seed: int) -> Any:
        images, targets = prepare(self, batch, epoch, step, seed)
        return images * float("nan") if step == 2 else images, targets

    monkeypatch.setattr(Engine, "_prepare", broken)
    with pytest.raises(DivergedError, match=r"the loss is not finite in update 2 \(epoch 0\)") as error:
        finish(task_job(task, tmp_path, sets[task]))
    assert error.value.exit_code == 6
    batch = load_file(tmp_path / "run" / "nonfinite" / "step-000000002" / "batch-0.safetensors")
    assert batch["images"].shape[0] == batch["labels"].shape[0] == len(batch["indices"]) == 4
    assert finish(task_job(task, tmp_path, sets[task], "nonfinite_retries=1", name="on"))["skipped_updates"] == [2]


@pytest.mark.parametrize("task", TASKS)
def test_the_pass_that_counts_for_nothing_reaches_every_parameter(
    task: str, tmp_path: Path, sets: dict[str, Path]
) -> None:
    """Else DDP would wait for gradients that never come."""
    engine, _ = engine_of(task_job(task, tmp_path, sets[task]))
    engine.student.train()
    engine._backward(*engine.learner.blank(2))
    assert all(weight.grad is not None for weight in engine.student.parameters())


@pytest.mark.parametrize("task", TASKS)
def test_parts_of_a_batch_add_up(task: str, tmp_path: Path, sets: dict[str, Path]) -> None:
    losses = []
    for parts in (1, 2):
        job = task_job(task, tmp_path, sets[task], f"grad_accum_steps={parts}")
        engine, source = engine_of(job)
        engine.student.eval()  # batch norms take their statistics from the parts, which is not what is asked here
        order: Any = type(
            "First", (), {"steps_per_epoch": 3, "batch": lambda self, step, rank, world: torch.arange(4)}
        )()
        (batch,) = source.train(order, 0, 1, Process())
        images, targets = engine._prepare(batch, 0, 0, 0)
        if task == "segmentation":
            engine.learner.student.train()
            for module in engine.learner.student.modules():
                if isinstance(module, torch.nn.BatchNorm2d | torch.nn.Dropout | torch.nn.Dropout2d):
                    module.eval()
        losses.append(float(engine._backward(images, targets)))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_a_run_and_its_files(
    task: str,
    tmp_path: Path,
    sets: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["train", *words(task, tmp_path, sets[task], "-o", "run", "--json")]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert err == "" and result["task"] == task and set(result["best"]) == {"epoch", MAIN[task]}
    head = (tmp_path / "run" / "summary.csv").read_text().splitlines()[0]
    assert f"eval_{MAIN[task]}" in head and "eval_loss" in head
    report = (tmp_path / "run" / "report.md").read_text()
    title = {"segmentation": "mIoU", "video": "top-1"}[task]
    assert f"- best {title} " in report
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert run(["train", "--eval", "run", "--data", str(sets[task]), "-j", "0"]) == 0
    out = capsys.readouterr().out
    assert f"tiny: {title} " in out and f"{TEST} test samples" in out


@pytest.mark.parametrize("task", TASKS)
def test_a_dry_run_says_what_it_would_take(
    task: str, tmp_path: Path, sets: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", *words(task, tmp_path, sets[task], "--dry-run", "--json")]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["task"] == task and plan["updates"] == UPDATES
    classes = {"segmentation": 4, "video": 3}[task]
    assert plan["data"] == {"train": TRAIN, "test": TEST, "classes": classes, "shape": [3, 32, 32]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--recipe", "ade20k/upernet", "--set", "mixup=0.2"], "mixup: has no effect in segmentation"),
        (["--recipe", "ade20k/upernet", "--set", "num_classes=300"], "num_classes: masks have at most 255"),
        (["--recipe", "ade20k/upernet", "--set", "segments=3"], "segments: is for video"),
        (["--recipe", "ade20k/upernet", "--set", "dataset=folder"], "dataset: expected ade20k for segmentation"),
        (["--recipe", "ucf101/tsn", "--set", "reprob=0.5"], "reprob: has no effect in video"),
        (["--recipe", "ucf101/tsn", "--set", "crop=pad"], "crop: expected resized, multiscale or none for video"),
        (["--recipe", "ucf101/tsn", "--set", "image_size=288"], "image_size: a crop of 288 is larger than the frames"),
        (["--recipe", "ucf101/tsn", "--set", "test_crops=4"], "test_crops: expected"),
        (["--recipe", "ucf101/tsn", "--set", "decoder_chs=64"], "decoder_chs: is for segmentation"),
        (["--set", "crop=multiscale"], "crop: multiscale is for video"),
        (["--set", "num_classes=7"], "num_classes: is for"),
        (["--task", "video", "--recipe", "ade20k/upernet"], "a recipe for segmentation, not for video"),
    ],
)
def test_recipes_and_tasks_that_do_not_go_together(
    capsys: pytest.CaptureFixture[str], given: list[str], message: str
) -> None:
    assert run(["train", "resnet18", *given]) == 2
    assert message in capsys.readouterr().err


def test_settings_are_those_of_the_papers() -> None:
    """The paper names OpenMMLab's programs; what these publish for its baselines is what the recipes have."""
    expected: dict[str, dict[str, Any]] = {
        "ade20k/upernet": {"epochs": 127, "batch_size": 16, "lr": 0.01, "min_lr": 1e-4, "sched": "poly",
                           "decay_rate": 0.9, "weight_decay": 5e-4, "image_size": 512, "short_side": (256, 1024),
                           "aux_weight": 0.4, "decoder_chs": 512, "num_classes": 150},
        "ucf101/tsn": {"epochs": 75, "batch_size": 256, "lr": 0.00128, "sched": "constant", "segments": 3,
                       "weight_decay": 5e-4, "clip_grad": 40, "drop": 0.4, "num_classes": 101},
        "kinetics400/tsn": {"epochs": 100, "batch_size": 256, "lr": 0.01, "decay_milestones": (40, 80), "segments": 3,
                            "weight_decay": 1e-4, "clip_grad": 40, "crop": "multiscale", "num_classes": 400},
    }  # fmt: skip
    for name, settings in expected.items():
        recipe = load_recipe(name)
        assert {key: getattr(recipe, key) for key in settings} == settings
    images = 20_210  # of ADE20K's training split
    assert 127 * (images // 16) == pytest.approx(160_000, rel=0.01)


def test_the_rate_of_ade20k_goes_down_as_a_power() -> None:
    recipe = load_recipe("ade20k/upernet")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=recipe.lr)
    schedule = build_schedule(optimizer, recipe, 100)
    for step in (0, 1, 5000, 12_699):
        set_rate(schedule, step, 100)
        expected = (recipe.lr - recipe.min_lr) * (1 - step / 12_700) ** 0.9 + recipe.min_lr
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)
