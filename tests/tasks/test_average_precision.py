"""Average precision: that of pycocotools on files, and what it has to be for answers that are known."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch

from madnas.data.annotations import annotation_file, read_annotations
from madnas.data.source import Process
from madnas.errors import UsageError
from madnas.tasks.average_precision import NAMES, AveragePrecision, average_precision, check_installed


@pytest.fixture
def known(shapes):
    """The test set's annotations."""
    return read_annotations(annotation_file(shapes, "val2017"))


def rows_of(known, chance=None):
    """The true boxes as answers; with random numbers, moved, mislabelled and doubled."""
    rows = []
    for one in known.truth["annotations"]:
        for _ in range(1 if chance is None else int(chance.integers(0, 4))):
            box, category, score = np.array(one["bbox"]), one["category_id"], 0.9
            if chance is not None:
                box = box + chance.normal(0, 2, 4)
                category = category if chance.random() < 0.8 else int(chance.choice([1, 2, 3]))
                score = chance.random()
            rows.append([one["image_id"], category, *box, score])
    return np.array(rows)


def by_the_file(shapes, rows, folder):
    """pycocotools' own way: the annotations' file as it is, and a file of results."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    tree = json.loads(annotation_file(shapes, "val2017").read_text())
    images, categories = (sorted(one["id"] for one in tree[part]) for part in ("images", "categories"))
    results = [
        {
            "image_id": images[int(row[0])],
            "category_id": categories[int(row[1]) - 1],
            "bbox": row[2:6].tolist(),
            "score": row[6],
        }
        for row in rows
    ]
    (folder / "results.json").write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotation_file(shapes, "val2017")))
        evaluation = COCOeval(truth, truth.loadRes(str(folder / "results.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [None if value < 0 else value for value in evaluation.stats[:6]]


@pytest.mark.parametrize("seed", range(3))
def test_it_is_that_of_pycocotools_on_files(shapes, known, tmp_path, seed, capsys):
    rows = rows_of(known, np.random.default_rng(seed))
    found = average_precision(known.truth, rows)
    assert list(found.values()) == by_the_file(shapes, rows, tmp_path)
    assert 0 < found["ap"] < 1
    assert capsys.readouterr().out == ""


def test_all_right_is_1_and_nothing_is_0(known):
    found = average_precision(known.truth, rows_of(known))
    assert found["ap"] == found["ap50"] == pytest.approx(1)
    assert found["ap_large"] is None  # no object has 96 x 96 pixels: there is nothing to be right about
    nothing = average_precision(known.truth, np.zeros((0, 7)))
    assert {name: None if value is None else 0 for name, value in found.items()} == nothing


def test_boxes_go_back_to_the_size_of_the_file(known):
    """Boxes of an image shown at twice its width and half its height: the perfect answer again."""
    scores = AveragePrecision(known.truth)
    scale = torch.tensor([2.0, 0.5], dtype=torch.float64)
    for place in range(len(known.images)):
        boxes, labels = known.of(place)
        output = {"boxes": torch.tensor(boxes).float() * scale.repeat(2).float(), "labels": torch.tensor(labels),
                  "scores": torch.ones(len(labels))}  # fmt: skip
        scores.add([output], [{"image_id": torch.tensor(place), "scale": scale}])
    found = scores.result(Process())
    assert found["ap"] == pytest.approx(1) and found["n"] == len(known.images)
    assert set(found) == {*NAMES, "n"}
    wrong = AveragePrecision(known.truth)
    wrong._rows, wrong._images = [row.clone() for row in scores._rows], 1
    for row in wrong._rows:
        row[:, 1] = 1
    assert wrong.result(Process())["ap"] < 0.6


@pytest.mark.parametrize("factor", [1, 2**53 + 1, 2**70], ids=["small", "53 bits", "70 bits"])
def test_ids_may_be_any_integers(shapes, tmp_path, factor):
    """Neighbours beyond 2^53 are one number in float64."""
    tree = json.loads(annotation_file(shapes, "val2017").read_text())
    for kind, keys in (
        ("images", ("id",)),
        ("categories", ("id",)),
        ("annotations", ("id", "image_id", "category_id")),
    ):
        for one in tree[kind]:
            one.update({key: one[key] + factor for key in keys})
    (tmp_path / "other.json").write_text(json.dumps(tree))
    known = read_annotations(tmp_path / "other.json")
    scores = AveragePrecision(known.truth)
    for place in range(len(known.images)):
        boxes, labels = (torch.tensor(one) for one in known.of(place))
        output = {"boxes": boxes.float(), "labels": labels, "scores": torch.ones(len(labels))}
        scores.add([output], [{"image_id": torch.tensor(place), "scale": torch.ones(2, dtype=torch.float64)}])
    assert scores.result(Process())["ap"] == pytest.approx(1)


def test_it_has_to_be_installed(monkeypatch):
    monkeypatch.setattr("madnas.tasks.average_precision.find_spec", lambda name: None)
    with pytest.raises(UsageError) as error:
        check_installed()
    assert error.value.hint == "pip install 'madnas[detection]'"
