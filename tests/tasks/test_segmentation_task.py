"""What is segmentation's own: the figure of whole images, masks that make no sense, weights to start from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, jaccard_score

from madnas.cli.main import run
from madnas.data.augment.scene import fitted_size
from madnas.data.masks import IGNORED, read_mask
from madnas.data.shapes.write import write_shapes
from madnas.data.source import IMAGENET_MEAN, IMAGENET_STD
from madnas.errors import DataError, UsageError
from madnas.tasks.segmentation import TASK
from madnas.train.run import train
from tests.tasks.runs import TEST, TRAIN, task_job, words
from tests.train.shell import finish

pytest.importorskip("segmentation_models_pytorch", reason="segmentation's decoder, an extra")


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks") / "set"
    write_shapes("segmentation", folder, TRAIN, TEST)
    return folder


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_figure_is_that_of_whole_images_by_scikit_learn(tmp_path: Path, masks: Path, channels_last: bool) -> None:
    """Masks at their own size, images as a user would prepare them, counted by somebody else."""
    for file in sorted((masks / "annotations/validation").iterdir())[:2]:
        with Image.open(file) as opened:
            values = np.array(opened)
        values[:9] = 0  # none of the classes
        Image.fromarray(values).save(file)
    job = task_job("segmentation", tmp_path, masks, f"channels_last={channels_last}".lower(), "epochs=3", "lr=0.1")
    result = finish(job)
    facts = TASK.open_data(job.recipe, masks, 0, job.target, 0, torch.device("cpu")).facts
    model = TASK.build_model(TASK.fitted(job.target, facts), facts, job.recipe, 0).eval()
    model.load_state_dict(load_file(tmp_path / "run" / "last.safetensors"))
    mean, std = (torch.tensor(one).view(3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_STD))
    labels, found = [], []
    for path in sorted((masks / "images/validation").iterdir()):
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        resized = image.resize(fitted_size(image.size, 32), Image.Resampling.BILINEAR)
        pixels = (torch.from_numpy(np.asarray(resized).copy()).movedim(-1, 0) / 255 - mean) / std
        with torch.no_grad():
            logits = torch.nn.functional.interpolate(
                model(pixels[None]), image.size[::-1], mode="bilinear", align_corners=False
            )
        mask = read_mask(masks / "annotations/validation" / f"{path.stem}.png", 4)
        labels.append(mask[mask != IGNORED])
        found.append(logits[0].argmax(0).numpy()[mask != IGNORED])
    expected = jaccard_score(np.concatenate(labels), np.concatenate(found), average="macro", zero_division=0)
    assert result["last"]["miou"] == pytest.approx(expected, abs=1e-4)
    assert result["last"]["accuracy"] == pytest.approx(
        accuracy_score(np.concatenate(labels), np.concatenate(found)), abs=1e-4
    )


def spoiled(masks: Path, folder: Path, split: str, spoil: str) -> Path:
    data = folder / "set"
    shutil.copytree(masks, data)
    path = sorted((data / "annotations" / split).iterdir())[2]
    with Image.open(path) as file:
        mask = file.copy()
    match spoil:
        case "size":
            mask.resize((mask.width + 1, mask.height)).save(path)
        case "label":
            Image.fromarray(np.asarray(mask) + 4).save(path)
        case "colours":
            mask.convert("RGB").save(path)
        case "palette":
            mask.convert("P").save(path)
        case "cut off":
            path.write_bytes(path.read_bytes()[:50])
    return data


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        ("size", "pixels, and its image"),
        ("label", "there are 4 classes"),
        ("colours", "the channels RGB"),
        ("palette", "a palette"),
        ("cut off", "Error"),
    ],
)
def test_masks_that_make_no_sense_go_into_the_ledger_and_end_a_test(
    tmp_path: Path, masks: Path, spoil: str, text: str
) -> None:
    data = spoiled(masks, tmp_path / "one", "training", spoil)
    result = train(task_job("segmentation", tmp_path, data, "epochs=1", "bad_data_rate=0.3"), print, print)
    (line,) = [json.loads(one) for one in (tmp_path / "run" / "ledger.jsonl").read_text().splitlines()]
    assert result["unreadable_samples"] == 1 and text in line["error"]
    data = spoiled(masks, tmp_path / "other", "validation", spoil)
    with pytest.raises(DataError, match=text) as error:
        finish(task_job("segmentation", tmp_path, data, "epochs=1", name="test"))
    assert error.value.exit_code == 5


def test_what_is_missing_ends_with_5(tmp_path: Path, masks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "set"
    shutil.copytree(masks, data)
    next((data / "annotations/training").iterdir()).unlink()
    for folder, text in ((data, "images/training: 1 without mask"), (tmp_path / "none", "no such folder")):
        assert run(["train", *words("segmentation", tmp_path, folder, "-o", str(tmp_path / "run"))]) == 5
        assert text in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_test_set_without_labels_has_no_figure(tmp_path: Path, masks: Path) -> None:
    data = tmp_path / "set"
    shutil.copytree(masks, data)
    for path in (data / "annotations/validation").iterdir():
        with Image.open(path) as file:
            size = file.size
        Image.new("L", size).save(path)
    with pytest.raises(DataError, match="no pixel of the test images has a label"):
        finish(task_job("segmentation", tmp_path, data, "epochs=1"))


def test_a_mask_without_labels_teaches_nothing_and_says_so(tmp_path: Path, masks: Path) -> None:
    data = tmp_path / "set"
    shutil.copytree(masks, data)
    paths = sorted((data / "annotations/training").iterdir())

    def empty(path: Path) -> None:
        with Image.open(path) as file:
            size = file.size
        Image.new("L", size).save(path)

    empty(paths[2])
    result = train(task_job("segmentation", tmp_path, data, "epochs=1", "bad_data_rate=0.3"), print, print)
    (line,) = [json.loads(one) for one in (tmp_path / "run" / "ledger.jsonl").read_text().splitlines()]
    assert result["unreadable_samples"] == 1 and "no pixel of its mask has a label" in line["error"]
    for path in paths:
        empty(path)
    with pytest.raises(DataError, match="no pixel of its mask has a label"):
        finish(task_job("segmentation", tmp_path, data, "epochs=1", name="none"))


def test_several_sizes_and_mirror_images_are_another_test(
    tmp_path: Path, masks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(task_job("segmentation", tmp_path, masks, "lr=0.1"))
    found = []
    for more in ([], ["--set", "test_scales=[0.75, 1.0, 1.25]", "--set", "test_flip=true"]):
        words = ["train", "--eval", str(tmp_path / "run"), "--data", str(masks), "-j", "0", "--json", *more]
        assert run(words) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0]["n"] == found[1]["n"] == TEST and found[0]["loss"] != found[1]["loss"]


def test_a_classifier_of_ours_becomes_the_backbone(tmp_path: Path, masks: Path) -> None:
    """What a run of classification leaves, for images of one channel or of three."""
    from madnas.models.weights import weights
    from madnas.train.model import build_model, fitted

    job = task_job("segmentation", tmp_path, masks, "epochs=1", initial_checkpoint=tmp_path / "best.safetensors")
    facts = TASK.open_data(job.recipe, masks, 0, job.target, 0, torch.device("cpu")).facts
    model = build_model(fitted(job.target, facts), facts, job.recipe, 5)
    (tmp_path / "best.safetensors").write_bytes(weights(model))
    told: list[str] = []
    train(job, lambda progress: None, told.append)
    assert any("of the backbone's" in text and "and 0 of the" in text for text in told)


def test_networks_that_are_no_backbones(tmp_path: Path, masks: Path) -> None:
    from dataclasses import replace

    from madnas.targets import find

    job = task_job("segmentation", tmp_path, masks)
    for word, text in (("torchvision/resnet18", "torchvision networks give no maps"),
                       ("timm/vit_tiny_patch16_224", "maps|images of any size")):  # fmt: skip
        with pytest.raises(UsageError, match=text):
            finish(replace(job, target=find(word)))


@pytest.mark.slow
def test_it_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The recipe as users run it; "ground" everywhere has a mean IoU of 22 %."""
    write_shapes("segmentation", tmp_path / "set")
    given = [
        "resnet20",
        "--task",
        "segmentation",
        "--data",
        str(tmp_path / "set"),
        "-o",
        str(tmp_path / "run"),
        "--json",
    ]
    assert run(["train", *given]) == 0
    assert json.loads(capsys.readouterr().out)["best"]["miou"] > 0.7
