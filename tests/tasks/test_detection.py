"""Detection is a run like every other: resumed, signalled, shared, tested, and with the same messages."""

import json
import math
import shutil
import signal

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from madnas.cli.main import run
from madnas.data.source import Process
from madnas.errors import DataError, DivergedError, SpecError, UsageError
from madnas.targets import find
from madnas.tasks.detection import TASK
from madnas.train.checkpoint import newest
from madnas.train.engine import Engine
from madnas.train.model import build_model, fitted
from madnas.train.recipe import load_recipe, recipe_files
from madnas.train.run import train
from tests.tasks.shell import SMALL, TEST, TRAIN, arguments, detection_job, network
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

RECIPES = [name for name in recipe_files() if load_recipe(name).task == "detection"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, shapes):
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    finish(detection_job(folder, shapes, "model_ema_decay=0.9"))
    return folder / "run"


def engine_of(recipe, target, shapes):
    source = TASK.open_data(recipe, shapes, 0, target, 0, torch.device("cpu"))
    model = TASK.build_model(TASK.fitted(target, source.facts), source.facts, recipe, 0)
    return Engine(model, recipe, source.facts, Process(), 0, steps_per_epoch=5), source


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


def copied(shapes, folder):
    shutil.copytree(shapes, folder / "set")
    return folder / "set"


def test_images_that_cannot_be_read_are_named_counted_and_replaced_the_same_way(tmp_path, shapes):
    data = copied(shapes, tmp_path)
    file = data / "train2017" / "000000000003.jpg"
    file.write_bytes(file.read_bytes()[:200])
    annotations = data / "annotations" / "instances_train2017.json"
    tree = json.loads(annotations.read_text())
    tree["images"][6]["width"] += 1
    tree["annotations"][0]["bbox"][2] = 0
    annotations.write_text(json.dumps(tree))
    told = []
    one = detection_job(tmp_path, data, "bad_data_rate=0.3")
    result = train(one, lambda progress: None, told.append)
    ledger = [json.loads(line) for line in (tmp_path / "run" / "ledger.jsonl").read_text().splitlines()]
    box, *samples = ledger
    assert (box["file"], box["annotation"]) == ("000000000001.jpg", tree["annotations"][0]["id"])
    assert result["unreadable_samples"] == len(samples) == 4  # two of them in each of two epochs
    assert {line["file"].rpartition("/")[2] for line in samples} == {"000000000003.jpg", "000000000007.jpg"}
    assert any("and the annotations say" in line["error"] for line in samples)
    assert any("1 boxes without use are left out" in text for text in told)
    again = detection_job(tmp_path, data, "bad_data_rate=0.3", name="again")
    for step in (3, 7):
        crash_at(again, step)
    finish(again)
    assert_equal_runs(tmp_path / "again", tmp_path / "run")
    with pytest.raises(DataError, match="could not be read, more than"):
        finish(detection_job(tmp_path, data, "bad_data_rate=0.05", name="strict"))


def test_a_test_image_that_cannot_be_read_ends_the_run(tmp_path, shapes):
    data = copied(shapes, tmp_path)
    (data / "val2017" / "000000000001.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="a test sample cannot be read"):
        finish(detection_job(tmp_path, data))


def test_annotations_that_make_no_sense_end_with_5(tmp_path, shapes, capsys):
    data = copied(shapes, tmp_path)
    file = data / "annotations" / "instances_train2017.json"
    file.write_text(file.read_text().replace('"category_id": 3', '"category_id": 2', 1))
    assert run(["train", *arguments(tmp_path, data, "-o", str(tmp_path / "run"))]) == 5
    assert "category_id 2: no such category" in capsys.readouterr().err
    file.write_text(file.read_text()[:1000])
    assert run(["train", *arguments(tmp_path, data, "-o", str(tmp_path / "run"))]) == 5
    assert "not json" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def changed(data, split, change):
    """A split's annotations, and the file of them, with a change."""
    file = data / "annotations" / f"instances_{split}.json"
    tree = json.loads(file.read_text())
    change(tree)
    file.write_text(json.dumps(tree))


def test_slivers_are_in_the_ledger_and_break_nothing(tmp_path, shapes):
    data = copied(shapes, tmp_path)

    def with_slivers(tree):
        for one in tree["annotations"][::3]:
            tree["annotations"].append({**one, "id": one["id"] + 1000, "bbox": [*one["bbox"][:2], 1e-6, 5], "area": 0})

    for split in ("train2017", "val2017"):
        changed(data, split, with_slivers)
    finish(detection_job(tmp_path, data, "bad_data_rate=0.5", "epochs=1"))
    lines = [json.loads(line) for line in (tmp_path / "run" / "ledger.jsonl").read_text().splitlines()]
    assert {line["split"] for line in lines} == {"train2017", "val2017"}
    assert all(line["error"].endswith("no area") for line in lines)


def test_what_cannot_be_tested_is_not_trained(tmp_path, shapes, capsys):
    data = copied(shapes, tmp_path)
    changed(data, "val2017", lambda tree: [one.update(iscrowd=1) for one in tree["annotations"]])
    assert run(["train", *arguments(tmp_path, data, "-o", str(tmp_path / "run"))]) == 5
    assert "average precision is undefined" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_test_needs_the_runs_categories_and_the_test_split_alone(tmp_path, shapes, whole, capsys):
    data = copied(shapes, tmp_path)
    shutil.rmtree(data / "train2017")
    (data / "annotations" / "instances_train2017.json").unlink()
    words = ["train", "--eval", str(whole), "--data", str(data), "-j", "0"]
    assert run([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    best = json.loads((whole / "result.json").read_text())["best"]["ap"]
    assert found["n"] == TEST and found["ap"] == pytest.approx(best, abs=1e-6)

    def swapped(tree):
        first, second = tree["categories"][:2]
        first["name"], second["name"] = second["name"], first["name"]

    changed(data, "val2017", swapped)
    file = [network(tmp_path), "--task", "detection", *(part for one in SMALL for part in ("--set", one))]
    for more in ([], ["--eval", str(whole / "best.safetensors"), *file]):
        assert run([*words, *more]) == 5
        assert "the run knows other categories than the data: ids " in capsys.readouterr().err
    identity = json.loads((whole / "run.json").read_text())
    assert [name for _, name in identity["categories"]] == ["circle", "square", "triangle"]


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


# Weights to start from


def classifier(folder, shapes, name="tiny", **changes):
    """A network with a head, and its weights in a file, as a run leaves them."""
    from madnas.data.source import Facts
    from madnas.models.weights import weights

    facts = Facts(8, 8, 10, (3, 64, 64), (0.5,) * 3, (0.5,) * 3)
    target = find(network(folder)) if name == "tiny" else find(name)
    model = build_model(fitted(target, facts), facts, load_recipe("digits/quick"), 5)
    (folder / "best.safetensors").write_bytes(weights(model))
    return target, model


@pytest.mark.parametrize("name", ["tiny", "timm/mobilenetv3_small_050"])
def test_a_classifiers_weights_become_the_backbones(tmp_path, shapes, name):
    target, model = classifier(tmp_path, shapes, name)
    one = detection_job(tmp_path, shapes)
    engine, _ = engine_of(one.recipe, target, shapes)
    told = TASK.load_initial(engine.model, tmp_path / "best.safetensors")
    body = engine.model.backbone.maps.body
    number = len(body.state_dict())
    assert f"gives {number} of the backbone's {number} tensors, and 0 of the" in told
    image = torch.rand(1, 3, 64, 64)
    maps, body = model.eval().forward_intermediates(image, intermediates_only=True), body.eval()
    last = body(image)[-1]
    assert any(torch.allclose(last, one, atol=1e-5) for one in maps if one.shape == last.shape)


def test_weights_of_another_network_are_refused(tmp_path, shapes):
    classifier(tmp_path, shapes, "resnet20")
    one = detection_job(tmp_path, shapes, initial_checkpoint=tmp_path / "best.safetensors")
    with pytest.raises(UsageError, match=r"weights of another network: \d+ of the backbone's"):
        finish(one)


def test_a_detectors_weights_are_taken_whole(tmp_path, shapes, whole):
    one = detection_job(tmp_path, shapes)
    engine, _ = engine_of(one.recipe, one.target, shapes)
    told = TASK.load_initial(engine.model, whole / "best.safetensors")
    heads = sum(not name.startswith("backbone.maps.body") for name in engine.model.state_dict())
    assert f"{heads} of the {heads} others" in told


def test_frozen_norms_want_weights_and_stay_as_these_have_them(tmp_path, shapes):
    with pytest.raises(UsageError, match="freeze_norm: the backbone's batch norms stay"):
        finish(detection_job(tmp_path, shapes, "freeze_norm=true"))
    _, model = classifier(tmp_path, shapes)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.fill_(0.25)
    from madnas.models.weights import weights

    (tmp_path / "best.safetensors").write_bytes(weights(model))
    told = []
    one = detection_job(tmp_path, shapes, "freeze_norm=true", "epochs=1",
                        initial_checkpoint=tmp_path / "best.safetensors")  # fmt: skip
    train(one, lambda progress: None, told.append)
    assert any("of the backbone's" in text for text in told)
    found = load_file(tmp_path / "run" / "last.safetensors")
    means = [value for name, value in found.items() if name.endswith("running_mean")]
    assert means and all((mean == 0.25).all() for mean in means)


# The command line


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


def test_data_that_is_not_there_is_told_with_the_way_to_make_it(tmp_path, capsys):
    assert run(["train", "resnet18", "--task", "detection", "--data", str(tmp_path)]) == 5
    assert "python -m madnas.data.shapes detection" in capsys.readouterr().err


def test_what_would_be_compiled_for_every_batch_is_not(tmp_path, shapes):
    with pytest.raises(UsageError, match="batches of detection differ in size"):
        finish(detection_job(tmp_path, shapes, torchcompile=True))


def test_networks_without_the_maps_that_are_needed(tmp_path, shapes):
    recipe = detection_job(tmp_path, shapes).recipe
    for word, message in (("resnet20", "its maps are reduced by 1, 2, 4, and 8, 16, 32 are needed"),
                          ("torchvision/resnet18", "torchvision networks give no maps")):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            engine_of(recipe, find(word), shapes)


def test_a_task_of_a_file_is_checked(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(recipe_files()["coco/fcos-2x"].read_text().replace("detector: fcos\n", ""))
    with pytest.raises(SpecError, match="detector: missing; detection needs it"):
        load_recipe(str(path))


@pytest.mark.slow
def test_it_learns(tmp_path_factory, shapes, capsys):
    """Far above what boxes without looking would give, which is less than one percent."""
    from madnas.data.shapes.write import write_shapes

    folder = tmp_path_factory.mktemp("learns")
    write_shapes("detection", folder / "set", 200, 50)
    words = [network(folder), "--task", "detection", "--data", str(folder / "set"), "-o", str(folder / "run")]
    assert run(["train", *words, "--set", "epochs=12", "--json", "-j", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["best"]["ap"] > 0.3
