"""COCO's layout: what is read of it, how it is shown, and everything that may be wrong with it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from madnas.data.annotations import annotation_file, read_annotations
from madnas.data.coco import CocoReader, CocoSamples, Views, open_coco
from madnas.data.order import Order
from madnas.data.source import Process
from madnas.errors import DataError

SPLITS = ("train2017", "val2017")
SIZE = (60, 40)


def tree(boxes=((10, 5, 20, 30),), **changes):
    """A split of one image with boxes of the second category."""
    found = {
        "images": [{"id": 7, "file_name": "a.png", "width": SIZE[0], "height": SIZE[1]}],
        "annotations": [
            {"id": 5 + number, "image_id": 7, "category_id": 9, "bbox": list(box), "area": box[2] * box[3],
             "iscrowd": 0}
            for number, box in enumerate(boxes)
        ],
        "categories": [{"id": 9, "name": "cat"}, {"id": 4, "name": "dog"}],
    }  # fmt: skip
    return found | changes


def write(folder: Path, train=None, val=None) -> Path:
    """A set of a black image with a white rectangle in each split."""
    (folder / "annotations").mkdir(parents=True)
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    pixels[5:35, 10:30] = 255
    for split, found in zip(SPLITS, (train, val), strict=True):
        (folder / split).mkdir()
        Image.fromarray(pixels).save(folder / split / "a.png")
        text = found if isinstance(found, str) else json.dumps(found or tree())
        annotation_file(folder, split).write_text(text)
    return folder


def source(folder, short=(40, 40), longest=600, hflip=0.0, most=1.0):
    return open_coco(folder, SPLITS, Views(short, longest, hflip), most, 0, 0)


def first(found):
    return next(found.train(Order(1, 1, 0), 0, 1, Process()))


def test_ids_with_gaps_become_labels_and_the_box_lies_where_the_rectangle_does(tmp_path):
    found = source(write(tmp_path / "set"))
    assert found.facts.categories == ((4, "dog"), (9, "cat")) and found.facts.classes == 2
    batch = first(found)
    assert batch.labels[0]["labels"].tolist() == [2]  # 9 is the second id
    assert batch.labels[0]["boxes"].tolist() == [[10, 5, 30, 35]]
    assert batch.images[0].shape == (3, *SIZE[::-1]) and batch.images[0].dtype == torch.float32
    assert int(batch.labels[0]["image_id"]) == 0  # its place


@pytest.mark.parametrize(("short", "longest", "size"), [((80, 80), 600, (120, 80)), ((80, 80), 90, (90, 60))])
@pytest.mark.parametrize("hflip", [0.0, 1.0])
def test_boxes_follow_their_pixels(tmp_path, short, longest, size, hflip):
    batch = first(source(write(tmp_path / "set"), short, longest, hflip))
    image, (box,) = batch.images[0][0], batch.labels[0]["boxes"]
    assert image.shape == size[::-1]
    rows, columns = (torch.nonzero((image > 127).any(axis)).flatten() for axis in (1, 0))
    pixels = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
    assert box.tolist() == pytest.approx(pixels, abs=0.51)
    assert batch.labels[0]["scale"].tolist() == [size[0] / SIZE[0], size[1] / SIZE[1]]


def test_what_is_drawn_depends_on_seed_epoch_and_index_alone(tmp_path):
    found = source(write(tmp_path / "set"), (20, 80), 600, 0.5)
    sizes = [first_of.images[0].shape for first_of in found.train(Order(1, 1, 0), 0, 12, Process())]
    again = [batch.images[0].shape for batch in found.train(Order(1, 1, 0), 5, 12, Process())]
    assert sizes[5:] == again and len(set(sizes)) > 6
    assert min(size[1] for size in sizes) >= 20 and max(size[1] for size in sizes) <= 80
    tested = next(found.test(1, Process()))
    assert tested[0][0].shape[1] == 80


def test_crowds_and_boxes_without_use_are_not_trained_on_and_stay_in_the_truth(tmp_path):
    train = tree([(10, 5, 20, 30), (1, 1, 0, 5), (70, 5, 10, 10), (50, 30, 30, 30)])
    train["annotations"].append({"id": 99, "image_id": 7, "category_id": 4, "bbox": [0, 0, 60, 40], "area": 9.0,
                                 "iscrowd": 1})  # fmt: skip
    found = source(write(tmp_path / "set", train, train))
    assert first(found).labels[0]["boxes"].tolist() == [[10, 5, 30, 35], [50, 30, 60, 40]]  # the last one is clipped
    left_out = [(one["split"], one["annotation"]) for one in found.facts.left_out]
    assert left_out == [("train2017", 6), ("train2017", 7), ("val2017", 6), ("val2017", 7)]
    assert "no area" in found.facts.left_out[0]["error"] and "outside" in found.facts.left_out[1]["error"]
    assert found.facts.notes[0].startswith("train2017: 2 boxes without use")
    assert found.facts.notes[1].startswith("val2017: 2 boxes without use; as pycocotools has it they count as objects")
    assert [one["iscrowd"] for one in found.truth["annotations"]] == [0, 0, 0, 0, 1]
    with pytest.raises(DataError, match=r"2 of 4 boxes are without use, such as box \[1.0, 1.0, 0.0, 5.0\]: no area"):
        source(tmp_path / "set", most=0.1)


def test_too_many_test_boxes_without_use_are_refused(tmp_path):
    folder = write(tmp_path / "set", val=tree([(10, 5, 20, 30), (70, 5, 10, 10)]))
    assert [one["split"] for one in source(folder).facts.left_out] == ["val2017"]
    with pytest.raises(DataError, match=r"instances_val2017.json: 1 of 2 boxes are without use.*outside its image"):
        source(folder, most=0.1)


@pytest.mark.parametrize("box", [(30, 20, 1e-6, 5), (59.99999, 10, 10, 10), (-10, 10, 10.00001, 20), (5, 39.999, 9, 9)])
def test_slivers_are_no_boxes(tmp_path, box):
    found = source(write(tmp_path / "set", tree([(10, 5, 20, 30), box])))
    (left_out,) = found.facts.left_out
    assert left_out["annotation"] == 6 and left_out["error"].endswith("no area")
    assert first(found).labels[0]["boxes"].tolist() == [[10, 5, 30, 35]]


@pytest.mark.parametrize("hflip", [0.0, 1.0])
def test_boxes_that_rounding_makes_lines_are_not_shown(tmp_path, hflip):
    """float32 has steps of 4e-6 at 59."""
    found = read_annotations(annotation_file(write(tmp_path / "set"), "val2017"))
    samples = CocoSamples(CocoReader(tmp_path, found, [0]), (40, 40), 60, hflip, 0)
    image, line, box = Image.new("RGB", SIZE), [58 * (1 - hflip) + 1, 3, 58 * (1 - hflip) + 1 + 1e-7, 9], [9, 9, 19, 20]
    _, target = samples.finish((image, np.array([line, box], dtype=float), np.array([1, 2]), 0))
    assert target["labels"].tolist() == [2] and target["boxes"].shape == (1, 4)
    _, target = samples.finish((image, np.array([line], dtype=float), np.array([1]), 0))
    assert target["labels"].shape == (0,) and target["boxes"].shape == (0, 4)


def test_images_without_boxes_are_tested_and_not_trained_on(tmp_path):
    both = tree()
    both["images"].append({"id": 8, "file_name": "a.png", "width": SIZE[0], "height": SIZE[1]})
    found = source(write(tmp_path / "set", both, both))
    assert (found.facts.train, found.facts.test) == (1, 2)
    assert found.facts.notes == ("train2017: 1 of 2 images have no boxes, and are not trained on",)


def without(key):
    return {name: value for name, value in tree().items() if name != key}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("{", "not json"),
        ("[" * 100_000, "not json"),
        ("[]", "no list of images"),
        (without("categories"), "no list of categories"),
        (tree(images=[]), "no images"),
        (tree(images=[{"id": 7}]), r"images\[0\]: expected id, file_name, width and height"),
        (tree(images=[tree()["images"][0]] * 2), "1 images have the id of another"),
        (tree(categories=[]), "no categories"),
        (tree(categories=[{"id": 9}, {"id": 9}]), "id 9 is there already"),
        (tree(categories=[{"id": 1}]), r"annotations\[0\]: category_id 9: no such category"),
        (tree(images=[{**tree()["images"][0], "id": 1}]), r"annotations\[0\]: image_id 7: no such image"),
        (tree([(1, 2, float("nan"), 4)]), r"annotations\[0\]: bbox .*: expected four finite numbers"),
        (tree([(1, 2, float("inf"), 4)]), "expected four finite numbers"),
        (tree(annotations=[{**tree()["annotations"][0], "bbox": [1, 2, "3", 4]}]), "expected four finite numbers"),
        (tree(annotations=[{**tree()["annotations"][0], "bbox": [1, 2, 3]}]), "expected four finite numbers"),
        (tree(annotations=[{**tree()["annotations"][0], "iscrowd": 2}]), "iscrowd: 0 or 1"),
        (tree(annotations=[{**tree()["annotations"][0], "area": -5}]), r"annotations\[0\]: area -5: expected"),
        (tree(annotations=[{**tree()["annotations"][0], "area": 10**400}]), r"annotations\[0\]: area 1000"),
        (tree([(1, 2, 10**400, 4)]), r"annotations\[0\]: bbox .*: expected four finite numbers"),
        (tree(images=[{**tree()["images"][0], "width": 10**400}]), r"images\[0\]: expected"),
        (tree(annotations=[5]), r"annotations\[0\]: expected a mapping"),
        (tree(annotations=[]), "no boxes to train on"),
        (tree([(1, 1, 0, 0)]), "1 of 1 boxes are without use"),
        (tree(images=[{**tree()["images"][0], "file_name": "b.png"}]), r"b.png: no such file, and 1 of 1 images"),
    ],
)
def test_annotations_that_make_no_sense(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        source(write(tmp_path / "set", content))


def test_what_is_missing(tmp_path):
    folder = write(tmp_path / "set", val=tree(categories=[{"id": 9, "name": "cat"}]))
    with pytest.raises(DataError, match="other categories than in training: ids 4"):
        source(folder)
    annotation_file(folder, "val2017").write_text(json.dumps(tree(categories=[{"id": 9, "name": "dog"},
                                                                              {"id": 4, "name": "cat"}])))  # fmt: skip
    with pytest.raises(DataError, match=r"ids 4 \('dog', here 'cat'\), 9 \('cat', here 'dog'\)"):
        source(folder)
    shutil.rmtree(folder / "val2017")
    annotation_file(folder, "val2017").write_text(json.dumps(tree()))
    with pytest.raises(DataError, match="val2017: no such folder"):
        source(folder)
    annotation_file(folder, "val2017").write_text(json.dumps(tree(annotations=[])))
    (folder / "val2017").mkdir()
    shutil.copy(folder / "train2017" / "a.png", folder / "val2017")
    with pytest.raises(DataError, match="no boxes to test with"):
        source(folder)
    for change in ({"iscrowd": 1}, {"area": 1.1e10}):  # neither counts
        annotation_file(folder, "val2017").write_text(json.dumps(tree(annotations=[tree()["annotations"][0] | change])))
        with pytest.raises(DataError, match="no boxes to test with, so that average precision is undefined"):
            source(folder)
    annotation_file(folder, "train2017").unlink()
    with pytest.raises(DataError, match=r"instances_train2017.json: no such file") as error:
        source(folder)
    assert "python -m madnas.data.shapes" in error.value.hint


def test_an_image_of_another_size_is_a_broken_one(tmp_path):
    """Its boxes would be those of other pixels."""
    train = tree(images=[{**tree()["images"][0], "width": 61}])
    folder = write(tmp_path / "set", train)
    found = read_annotations(annotation_file(folder, "train2017"))
    reader = CocoReader(folder / "train2017", found, [0])
    with pytest.raises(ValueError, match="60 x 40 pixels, and the annotations say 61 x 40"):
        CocoSamples(reader, (40, 40), 60, None, 0).load(0)
