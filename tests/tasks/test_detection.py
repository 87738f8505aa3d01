"""Detection is a run like every other: resumed, signalled, shared, tested, and with the same messages."""

import json
import math
import signal

import pytest
import torch
from safetensors.torch import load_file

from madnas.cli.main import run
from madnas.data.source import Process
from madnas.errors import DivergedError, UsageError
from madnas.targets import find
from madnas.train.engine import Engine
from madnas.train.recipe import load_recipe
from tests.tasks.shell import RECIPES, TEST, arguments, detection_job, engine_of, network
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


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_runs_for_two_updates(name, tmp_path, shapes):
    """At toy size; its head and everything else stay."""
    recipe = load_recipe(name, ["batch_size=2", "short_side=[40, 48]", "image_size=64"])
    one = detection_job(tmp_path, shapes)
    engine, source = engine_of(recipe, one.target, shapes)
    before = {key: value.clone() for key, value in engine.model.state_dict().items()}
    order = type("First", (), {"steps_per_epoch": 5, "batch": lambda self, step, rank, world: torch.arange(2)})()
    for step, batch in enumerate(source.train(order, 0, 2, Process())):
        found = engine.update(batch, 4 + step)
        assert found.wrong == "" and math.isfinite(float(found.loss)) and found.rate > 0
    changed = {key for key, value in engine.model.state_dict().items() if not torch.equal(value, before[key])}
    assert any(key.startswith("backbone.maps.body") for key in changed)
    norms = {key for key in changed if "running_mean" in key}
    assert bool(norms) != recipe.freeze_norm


def test_settings_are_those_of_the_papers():
    papers = {
        "coco/fcos-2x": {"epochs": 24, "detector": "fcos", "short_side": (640, 800), "image_size": 1333},
        "coco/fcos-zennet-480": {"epochs": 12, "detector": "fcos", "short_side": (480, 480), "image_size": 480},
        "coco/two-stage-ran": {"epochs": 26, "detector": "two-stage", "head_width": 512, "proposals": 512,
                               "momentum": 0.9, "weight_decay": 1e-4, "batch_size": 16, "freeze_norm": False,
                               "decay_norm_bias": True,
                               "short_side": (800, 800), "image_size": 800, "hflip": 0.5},
    }  # fmt: skip
    for name, expected in papers.items():
        recipe = load_recipe(name)
        assert {key: getattr(recipe, key) for key in expected} == expected


def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path, shapes, whole):
    one = detection_job(tmp_path, shapes, "model_ema_decay=0.9")
    for step in (1, 4, 5, 8):
        crash_at(one, step)
    result = finish(one)
    assert (result["updates"], result["last"]["n"], result["task"]) == (10, TEST, "detection")
    assert_equal_runs(tmp_path / "run", whole)


def test_processes_that_read_change_nothing(tmp_path, shapes, whole):
    finish(detection_job(tmp_path, shapes, "model_ema_decay=0.9", workers=2))
    assert_equal_runs(tmp_path / "run", whole)


def test_kill_9_and_sigterm_in_a_row(tmp_path, shapes):
    """The real thing, in processes of their own."""
    process = Task(tmp_path, madnas, *arguments(tmp_path, shapes, "-o", "whole"))
    assert process.communicate(timeout=120) and process.returncode == 0
    process = Task(tmp_path, madnas, *arguments(tmp_path, shapes, "-o", "run"))
    when(lambda: steps_logged(tmp_path / "run") >= 3, process)
    kill_all(process)
    process = Task(tmp_path, madnas, *arguments(tmp_path, shapes, "-o", "run"))
    when(lambda: steps_logged(tmp_path / "run") >= 5, process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 75, err
    assert "of 10 is saved in run" in err
    process = Task(tmp_path, madnas, *arguments(tmp_path, shapes, "-o", "run"))
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0 and "goes on after update" in err
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")


def test_two_processes_share_images_and_test_each_once(tmp_path, shapes, capsys):
    tasks = together(tmp_path, 2, madnas, *arguments(tmp_path, shapes, "-o", "run"))
    assert [code for code, _ in ended(tasks)] == [0, 0]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["updates"], result["last"]["n"]) == (10, TEST)
    assert run(["train", "--eval", str(tmp_path / "run"), "--data", str(shapes), "-j", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    best = next(line for line in metrics(tmp_path / "run") if line.get("ap") == result["best"]["ap"])
    assert found["n"] == TEST and found["task"] == "detection"
    for name in ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"):
        assert found[name] == (None if best[name] is None else pytest.approx(best[name], abs=1e-6)), name


@pytest.mark.slow
def test_two_processes_that_are_killed_go_on_to_the_same_result(tmp_path, shapes):
    """DDP adds gradients in the order that the pass without effect gives it, in a new process as in an old one."""
    words = arguments(tmp_path, shapes)
    whole = together(tmp_path, 2, madnas, *words, "-o", "whole")
    assert [code for code, _ in ended(whole)] == [0, 0]
    tasks = together(tmp_path, 2, madnas, *words, "-o", "run")
    when(lambda: steps_logged(tmp_path / "run") >= 5, tasks[0])
    kill_all(*tasks)
    assert [code for code, _ in ended(together(tmp_path, 2, madnas, *words, "-o", "run"))] == [0, 0]
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")


def test_a_loss_that_is_not_finite_leaves_its_evidence(tmp_path, shapes, monkeypatch):
    prepare = Engine._prepare

    def broken(self, batch, epoch, step, seed):
        images, targets = prepare(self, batch, epoch, step, seed)
        return [image * float("nan") for image in images] if step == 3 else images, targets

    monkeypatch.setattr(Engine, "_prepare", broken)
    with pytest.raises(DivergedError, match=r"the loss is not finite in update 3 \(epoch 0\)") as error:
        finish(detection_job(tmp_path, shapes))
    assert error.value.exit_code == 6
    batch = load_file(tmp_path / "run" / "nonfinite" / "step-000000003" / "batch-0.safetensors")
    assert [batch[f"images.{place}"].ndim for place in range(4)] == [3] * 4
    assert batch["labels.0.boxes"].shape[1] == 4 and len(batch["indices"]) == 4
    assert finish(detection_job(tmp_path, shapes, "nonfinite_retries=1", name="on"))["skipped_updates"] == [3]


def test_parts_of_a_batch_are_its_images(tmp_path, shapes):
    """In parts, the loss of FCOS is the mean of the parts' losses: nothing is lost, nothing counted twice."""
    one = detection_job(tmp_path, shapes, "grad_accum_steps=4", "lr=1e-9", "freeze_norm=true")
    engine, source = engine_of(one.recipe, one.target, shapes)
    order = type("First", (), {"steps_per_epoch": 5, "batch": lambda self, step, rank, world: torch.arange(4)})()
    (batch,) = source.train(order, 0, 1, Process())
    images, targets = engine._prepare(batch, 0, 0, 0)
    engine.student.train()
    alone = [float(engine.learner.loss(engine.student, [image], [target]).detach())
             for image, target in zip(images, targets, strict=True)]  # fmt: skip
    assert float(engine.update(batch, 0).loss) == pytest.approx(sum(alone) / 4, rel=1e-4)


@pytest.mark.parametrize("changes", [(), ("detector=two-stage", "head_chs=null", "head_width=32", "proposals=20")])
def test_the_pass_that_counts_for_nothing_reaches_every_parameter(tmp_path, shapes, changes):
    """Else DDP would wait for gradients that never come."""
    one = detection_job(tmp_path, shapes, *changes)
    engine, _ = engine_of(one.recipe, one.target, shapes)
    engine.student.train()
    engine._backward(*engine.learner.blank(2))
    assert all(weight.grad is not None for weight in engine.student.parameters() if weight.requires_grad)


def test_what_would_be_compiled_for_every_batch_is_not(tmp_path, shapes):
    with pytest.raises(UsageError, match="batches of detection differ in size"):
        finish(detection_job(tmp_path, shapes, torchcompile=True))


def test_networks_without_the_maps_that_are_needed(tmp_path, shapes):
    recipe = detection_job(tmp_path, shapes).recipe
    for word, message in (("resnet20", "its maps are reduced by 1, 2, 4, and 8, 16, 32 are needed"),
                          ("torchvision/resnet18", "torchvision networks give no maps")):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            engine_of(recipe, find(word), shapes)


@pytest.mark.slow
def test_it_learns(tmp_path_factory, shapes, capsys):
    """Far above what boxes without looking would give, which is less than one percent."""
    from madnas.data.shapes.write import write_shapes

    folder = tmp_path_factory.mktemp("learns")
    write_shapes("detection", folder / "set", 200, 50)
    words = [network(folder), "--task", "detection", "--data", str(folder / "set"), "-o", str(folder / "run")]
    assert run(["train", *words, "--set", "epochs=12", "--json", "-j", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["best"]["ap"] > 0.3
