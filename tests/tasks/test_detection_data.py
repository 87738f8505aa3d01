"""Images and annotations with something wrong: named, counted and replaced, or a reason not to begin."""

import json
import shutil

import pytest

from madnas.cli.main import run
from madnas.errors import DataError
from madnas.train.run import train
from tests.tasks.shell import SMALL, TEST, arguments, detection_job, network
from tests.train.shell import assert_equal_runs, crash_at, finish


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
