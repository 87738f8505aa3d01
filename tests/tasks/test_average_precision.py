"""Average precision: that of pycocotools on files, and what it has to be for answers that are known."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch

from madnas.data.coco import annotation_file, read_annotations
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
                category = category if chance.random() < 0.8 else int(chance.choice(known.categories))
                score = chance.random()
            rows.append([one["image_id"], category, *box, score])
    return np.array(rows)


def by_the_file(shapes, rows, folder):
    """pycocotools' own way: the annotations' file as it is, and a file of results."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    results = [{"image_id": int(row[0]), "category_id": int(row[1]), "bbox": row[2:6].tolist(), "score": row[6]}
               for row in rows]  # fmt: skip
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


def test_boxes_go_back_to_the_size_and_the_ids_of_the_file(known):
    """Boxes of an image shown at twice its size, labels from 1: the perfect answer again."""
    scores = AveragePrecision(known.truth, known.categories)
    scale = torch.tensor([2.0, 0.5], dtype=torch.float64)
    for place, (key, *_) in enumerate(known.images):
        boxes, labels = known.of(place)
        output = {"boxes": torch.tensor(boxes).float() * scale.repeat(2).float(), "labels": torch.tensor(labels),
                  "scores": torch.ones(len(labels))}  # fmt: skip
        scores.add([output], [{"image_id": torch.tensor(key), "scale": scale}])
    found = scores.result(Process())
    assert found["ap"] == pytest.approx(1) and found["n"] == len(known.images)
    assert set(found) == {*NAMES, "n"}
    wrong = AveragePrecision(known.truth, known.categories[::-1])
    wrong._rows, wrong._images = [row.clone() for row in scores._rows], 1
    for row in wrong._rows:
        row[:, 1] = known.categories[0]
    assert wrong.result(Process())["ap"] < 0.6


def test_it_has_to_be_installed(monkeypatch):
    monkeypatch.setattr("madnas.tasks.average_precision.find_spec", lambda name: None)
    with pytest.raises(UsageError) as error:
        check_installed()
    assert error.value.hint == "pip install 'madnas[detection]'"
