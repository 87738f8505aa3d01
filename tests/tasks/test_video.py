"""What is video's own: lists, files, frames that are missing, and the mean over a video's views."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from madnas.cli.main import run
from madnas.data.segments import central
from madnas.data.shapes.write import write_shapes
from madnas.data.source import IMAGENET_MEAN, IMAGENET_STD
from madnas.errors import DataError
from madnas.tasks.tsn import TSN
from madnas.tasks.video import TASK
from madnas.train.model import build_model, fitted
from madnas.train.run import train
from tests.tasks.runs import TEST, TRAIN, task_job, words
from tests.train.shell import finish

LISTS = {part: f"shapes_{part}_split_1_rawframes.txt" for part in ("train", "val")}


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos") / "set"
    write_shapes("video", folder, TRAIN, TEST)
    return folder


def test_a_consensus_is_the_mean_of_the_frames() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    videos = torch.randn(3, 5, 3, 2, 2)
    expected = torch.stack([model(one).mean(0) for one in videos])
    assert torch.allclose(TSN(model)(videos), expected, atol=1e-6)
    assert torch.allclose(TSN(model, channels_last=True)(videos.flip(1)), expected, atol=1e-6)  # no order


def test_the_figure_is_that_of_the_middle_frames(tmp_path: Path, frames: Path) -> None:
    """Frames as a user would prepare them; each video once."""
    job = task_job("video", tmp_path, frames, "epochs=3", "lr=0.1")
    result = finish(job)
    facts = TASK.open_data(job.recipe, frames, 0, job.target, 0, torch.device("cpu")).facts
    model = build_model(fitted(job.target, facts), facts, job.recipe, 0).eval()
    model.load_state_dict(load_file(tmp_path / "run" / "last.safetensors"))  # weights of the network, as of any run
    mean, std = (torch.tensor(one).view(3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_STD))
    right, losses = [], []
    for line in (frames / LISTS["val"]).read_text().splitlines():
        path, number, label = line.split()
        views = []
        for index in central(int(number), 4):
            with Image.open(frames / "rawframes" / path / f"img_{index + 1:05d}.jpg") as file:
                image = file.resize((36, 36), Image.Resampling.BILINEAR)
            pixels = torch.from_numpy(np.asarray(image).copy()).movedim(-1, 0)[:, 2:34, 2:34]
            views.append((pixels / 255 - mean) / std)
        with torch.no_grad():
            outputs = model(torch.stack(views)).mean(0)
        right.append(int(outputs.argmax()) == int(label))
        losses.append(float(nn.functional.cross_entropy(outputs, torch.tensor(int(label)))))
    assert result["last"]["top1"] == pytest.approx(np.mean(right))
    assert result["last"]["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert result["last"]["n"] == len(right) == TEST


def test_more_crops_are_another_test_of_the_same_videos(
    tmp_path: Path, frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(task_job("video", tmp_path, frames))
    found = []
    for crops in (1, 3, 10):
        words = ["train", "--eval", str(tmp_path / "run"), "--data", str(frames), "-j", "0", "--json"]
        assert run([*words, "--set", f"test_crops={crops}"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [one["n"] for one in found] == [TEST] * 3 and len({one["loss"] for one in found}) == 3


def files(frames: Path, folder: Path) -> Path:
    """The same videos as files, with their lists."""
    av = pytest.importorskip("av", reason="decodes video files, an extra")
    for part, name in LISTS.items():
        lines = []
        for line in (frames / name).read_text().splitlines():
            path, number, label = line.split()
            (folder / "videos" / path).parent.mkdir(parents=True, exist_ok=True)
            with av.open(str(folder / "videos" / f"{path}.mp4"), "w") as container:
                stream = container.add_stream("mpeg4", rate=12)
                stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 64, "yuv420p", 2_000_000
                for index in range(1, int(number) + 1):
                    with Image.open(frames / "rawframes" / path / f"img_{index:05d}.jpg") as image:
                        container.mux(stream.encode(av.VideoFrame.from_image(image)))
                container.mux(stream.encode())
            lines.append(f"{path}.mp4 {label}\n")
        (folder / f"{part}.txt").write_text("".join(lines))
    return folder


def test_video_files_are_the_same_videos(tmp_path: Path, frames: Path) -> None:
    data = files(frames, tmp_path / "files")
    job = task_job("video", tmp_path, data, "train_split=train.txt", "val_split=val.txt", "epochs=1")
    source = TASK.open_data(job.recipe, data, 0, job.target, 0, torch.device("cpu"))
    other = TASK.open_data(task_job("video", tmp_path, frames).recipe, frames, 0, job.target, 0, torch.device("cpu"))
    from madnas.data.source import Process

    (images, labels), (theirs, their_labels) = (next(iter(one.test(5, Process()))) for one in (source, other))
    assert torch.equal(labels, their_labels) and images.shape == theirs.shape == (5, 4, 3, 32, 32)
    assert float((images - theirs).abs().mean()) < 8  # of 255: compression
    broken = next((data / "videos").rglob("*train*.mp4"))
    broken.write_bytes(broken.read_bytes()[:300])
    told: list[str] = []
    given = ("train_split=train.txt", "val_split=val.txt", "epochs=1", "bad_data_rate=0.2")
    result = train(task_job("video", tmp_path, data, *given), print, told.append)
    assert result["unreadable_samples"] == 1 and broken.name in " ".join(told)


def test_without_a_decoder_files_are_refused_and_folders_work(
    tmp_path: Path, frames: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = files(frames, tmp_path / "files")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    more = ["--set", "train_split=train.txt", "--set", "val_split=val.txt", "-o", str(tmp_path / "run")]
    assert run(["train", *words("video", tmp_path, data, *more)]) == 2
    assert "pip install 'madnas[video]'" in capsys.readouterr().err
    finish(task_job("video", tmp_path, frames, "epochs=1", name="folders"))


def test_frames_that_the_list_has_and_the_disk_has_not(tmp_path: Path, frames: Path) -> None:
    data = tmp_path / "set"
    shutil.copytree(frames, data)
    path = data / LISTS["train"]
    words = path.read_text().split()
    shutil.rmtree(data / "rawframes" / words[0])
    (data / "rawframes" / words[0]).mkdir()
    job = task_job("video", tmp_path, data, "epochs=1", "bad_data_rate=0.2")
    result = finish(job)
    (line,) = [json.loads(one) for one in (tmp_path / "run" / "ledger.jsonl").read_text().splitlines()]
    assert result["unreadable_samples"] == 1 and "No such file" in line["error"] and words[0] in line["file"]
    shutil.rmtree(data / "rawframes" / "circle" / "v_circle_val_00001")
    with pytest.raises(DataError, match="no such folder"):
        finish(task_job("video", tmp_path, data, name="test"))


def test_videos_of_fewer_frames_than_segments_repeat_them(tmp_path: Path, frames: Path) -> None:
    data = tmp_path / "set"
    shutil.copytree(frames, data)
    for name in LISTS.values():
        lines = [line.split() for line in (data / name).read_text().splitlines()]
        (data / name).write_text("".join(f"{path} 2 {label}\n" for path, _, label in lines))
    assert finish(task_job("video", tmp_path, data, "epochs=1"))["last"]["n"] == TEST


@pytest.mark.parametrize(
    ("part", "text", "told"),
    [
        ("train", "", "an empty list"),
        ("train", None, "no such file"),
        ("val", "circle/v_circle_val_00001 12 3\n", "line 1: the label 3, and there are 3 classes"),
        ("val", "circle/v_circle_train_00001 12 0\n", "1 videos in common, such as circle/v_circle_train_00001"),
    ],
)
def test_lists_that_make_no_sense_end_with_5(
    tmp_path: Path, frames: Path, part: str, text: Any, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "set"
    shutil.copytree(frames, data)
    (data / LISTS[part]).unlink()
    if text is not None:
        (data / LISTS[part]).write_text(text)
    assert run(["train", *words("video", tmp_path, data, "-o", str(tmp_path / "run"))]) == 5
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_classifier_goes_on_with_other_classes(tmp_path: Path, frames: Path) -> None:
    from madnas.models.weights import weights

    job = task_job("video", tmp_path, frames, "epochs=1", initial_checkpoint=tmp_path / "best.safetensors")
    from dataclasses import replace

    facts = TASK.open_data(job.recipe, frames, 0, job.target, 0, torch.device("cpu")).facts
    facts = replace(facts, classes=10)
    (tmp_path / "best.safetensors").write_bytes(weights(build_model(fitted(job.target, facts), facts, job.recipe, 5)))
    told: list[str] = []
    train(job, lambda progress: None, told.append)
    assert any("2 of the network's tensors begin anew" in text for text in told)


@pytest.mark.slow
def test_it_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The recipe as users run it; a constant answer is right for a third."""
    write_shapes("video", tmp_path / "set")
    given = ["resnet20", "--task", "video", "--data", str(tmp_path / "set"), "-o", str(tmp_path / "run"), "--json"]
    assert run(["train", *given]) == 0
    assert json.loads(capsys.readouterr().out)["best"]["top1"] > 0.85
