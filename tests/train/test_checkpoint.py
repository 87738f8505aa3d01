"""Checkpoints: broken ones, full disks, strangers' files, crashes at every place."""

import argparse
import hashlib
import json
import os
import pickle

import pytest
import timm
import torch
from timm.utils import CheckpointSaver

from madnas.errors import UsageError
from madnas.models.weights import load_initial
from madnas.train.checkpoint import newest, open_checkpoint
from madnas.train.run import train
from tests.train.shell import (
    Crash,
    assert_equal_runs,
    crash_at,
    finish,
    job,
    start,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    finish(job(folder, recovery_interval=3))
    return folder / "run"


def folders(run):
    return sorted((run / "checkpoints").glob("step-*"))


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "manifest", "names"])
def test_a_broken_newest_checkpoint_is_told_and_the_one_before_taken(tmp_path, whole, damage):
    one = job(tmp_path, recovery_interval=3)
    crash_at(one, 8)
    before, last = folders(tmp_path / "run")
    assert [before.name[-1], last.name[-1]] == ["3", "6"]
    file = last / ("manifest.json" if damage == "manifest" else "training.pt")
    data = bytearray(file.read_bytes())
    if damage == "remove":
        file.unlink()
    elif damage == "names":  # a manifest of nothing
        (last / "manifest.json").write_text("{}")
    else:
        data[len(data) // 2] ^= 1
        file.write_bytes(data if damage == "flip" else data[: len(data) // 2])
    told = []
    train(one, lambda progress: None, told.append)
    assert "trying the checkpoint before" in told[0] and last.name in told[0]
    assert told[1] == "goes on after update 3 of 20"
    assert_equal_runs(tmp_path / "run", whole)


def test_no_whole_checkpoint_is_an_error_and_not_a_new_start(tmp_path):
    one = job(tmp_path, recovery_interval=3)
    crash_at(one, 5)
    for folder in folders(tmp_path / "run"):
        (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match="no checkpoint is whole"):
        finish(one)
    assert finish(job(tmp_path, recovery_interval=3, restart=True))["updates"] == 20


def test_a_full_disk_stops_the_run_and_leaves_the_last_checkpoint(tmp_path):
    """A limit on the size of files is as real an error as a full disk: the third checkpoint does not fit."""
    one = job(tmp_path, recovery_interval=3)
    crash_at(one, 4)
    size = max(file.stat().st_size for file in folders(tmp_path / "run")[-1].iterdir())

    process = start(tmp_path, "-o", "run", largest_file=size - 1)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "cannot be written: File too large" in err
    assert "Traceback" not in err
    checkpoint = newest(tmp_path / "run", lambda text: None)
    assert checkpoint is not None and checkpoint.state["step"] == 3
    assert finish(one)["updates"] == 20


class Evil:
    def __reduce__(self):

        return os.system, ("touch pwned",)


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "weights.safetensors"])
def test_a_strangers_weights_run_nothing(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UsageError, match="no weights can be read"):
        load_initial(torch.nn.Linear(1, 1), tmp_path / name)
    torch.save({"state_dict": Evil()}, tmp_path / "saved.pth")
    with pytest.raises(UsageError, match="no weights can be read"):
        load_initial(torch.nn.Linear(1, 1), tmp_path / "saved.pth")
    assert not (tmp_path / "pwned").exists()


def test_a_strangers_checkpoint_runs_nothing(tmp_path, monkeypatch):
    """Even one whose hashes are right."""
    import hashlib

    monkeypatch.chdir(tmp_path)
    one = job(tmp_path, recovery_interval=3)
    crash_at(one, 4)
    folder = folders(tmp_path / "run")[-1]
    (folder / "training.pt").write_bytes(pickle.dumps(Evil(), protocol=2))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["training.pt"] = hashlib.sha256((folder / "training.pt").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    open_checkpoint(folder)
    with pytest.raises(UsageError, match=r"cannot be loaded: it holds more than tensors and numbers, .*could run code"):
        finish(one)
    assert not (tmp_path / "pwned").exists()


def test_timms_own_checkpoints_are_read(tmp_path):
    """They have its options in them, of a class that only holds names and values."""
    model = timm.create_model("test_efficientnet", num_classes=10)
    options = argparse.Namespace(model="test_efficientnet", lr=0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    folder = str(tmp_path)
    CheckpointSaver(model, optimizer, options, checkpoint_dir=folder, recovery_dir=folder).save_checkpoint(0, 0.5)
    other = timm.create_model("test_efficientnet", num_classes=10)
    assert load_initial(other, tmp_path / "last.pth.tar") == []
    assert all(torch.equal(one, its) for one, its in zip(model.parameters(), other.parameters(), strict=True))


def test_a_checkpoint_that_is_whole_and_of_another_network_is_an_error(tmp_path):
    """Hashes that are right say that nothing was damaged, and not that it fits."""
    one = job(tmp_path, recovery_interval=3)
    crash_at(one, 4)
    folder = folders(tmp_path / "run")[-1]
    training = torch.load(folder / "training.pt", weights_only=True)
    for change, value in (("optimizer", {"state": {}, "param_groups": []}), ("own", torch.zeros(1, 1)), ("losses", 3)):
        torch.save(training | {change: value}, folder / "training.pt")
        rehash(folder)
        with pytest.raises(UsageError, match="cannot be loaded"):
            finish(one)
    torch.save(training, folder / "training.pt")
    for state in ('{"step": 3, "speed": 1}', '{"step": 3, "kept": [{"epoch": "../x", "top1": 1}]}',
                  '{"step": 3, "metrics_bytes": "many"}'):  # fmt: skip
        (folder / "state.json").write_text(state)
        rehash(folder)
        with pytest.raises(UsageError, match="cannot be loaded"):
            finish(one)


def rehash(folder):
    manifest = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()
                if path.name != "manifest.json"}  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("place", ["write", "replace", "last", "delete"])
def test_a_crash_in_the_middle_of_a_checkpoint_changes_nothing(tmp_path, whole, monkeypatch, place):
    """Dead while files are written, before and after the folder gets its name, and while old ones are deleted."""
    one = job(tmp_path, recovery_interval=3)
    crash_at(one, 4)
    calls = {"write": "write_bytes_atomic", "replace": "os.replace", "last": "write_text_atomic", "delete": "_all"}

    def dead(*arguments, **settings):
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(f"madnas.train.checkpoint.{calls[place]}", dead if place != "delete" else dead_after(folders))
        with pytest.raises(Crash):
            finish(one)
    finish(one)
    assert_equal_runs(tmp_path / "run", whole)


def dead_after(folders):
    """The newest checkpoint is looked for first; the call after it is that which deletes."""
    calls = []

    def look(folder):
        calls.append(folder)
        if len(calls) > 1:
            raise Crash
        return folders(folder)[::-1]

    return look


def test_a_crash_while_a_checkpoint_of_the_same_step_is_replaced(tmp_path, whole):
    """There may be only one, as when the first batch is not finite and is taken back."""
    one = job(tmp_path, recovery_interval=3)
    crash_at(one, 1)
    (only,) = folders(tmp_path / "run")
    only.rename(only.with_name(f".replaced-{only.name}"))  # as a kill between the two renamings leaves it
    finish(one)
    assert_equal_runs(tmp_path / "run", whole)
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))


def test_leftovers_of_kills_go_with_the_next_start(tmp_path):
    one = job(tmp_path, recovery_interval=3)
    crash_at(one, 13)
    for name in ("checkpoints/.unfinished-step-000000099", "weights/.madnas-abc.tmp"):
        (tmp_path / "run" / name).mkdir()
    finish(one)
    assert not list((tmp_path / "run").glob("*/.*"))


def test_a_step_that_is_broken_twice(tmp_path):
    one = job(tmp_path, recovery_interval=3)
    for _ in range(2):
        crash_at(one, 8)
        (folders(tmp_path / "run")[-1] / "training.pt").write_bytes(b"")
    assert finish(one)["updates"] == 20


def test_a_crash_behind_the_last_checkpoint_leaves_the_best(tmp_path, whole, monkeypatch):
    one = job(tmp_path)
    steps = []

    def dead(run, kept):
        steps.append(kept)
        if len(steps) == 2:  # the first is that of the run's begin
            raise Crash

    with monkeypatch.context() as patch:
        patch.setattr("madnas.train.run.tidy_weights", dead)
        with pytest.raises(Crash):
            finish(one)
    finish(one)
    assert_equal_runs(tmp_path / "run", whole)
