"""What can go wrong: broken checkpoints, full disks, strangers' files, numbers that are not finite, signals."""

import argparse
import hashlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file
from timm.utils import CheckpointSaver

from madnas.cli.main import run
from madnas.data.order import Order
from madnas.data.resident import ResidentSource
from madnas.data.seeds import generator
from madnas.errors import DivergedError, RequeueError, UsageError
from madnas.train import distributed
from madnas.train.checkpoint import load_initial, newest, open_checkpoint
from madnas.train.distributed import processes
from madnas.train.engine import Engine
from madnas.train.run import train
from madnas.train.signals import ENDING, wishes
from tests.train.shell import (
    MADNAS,
    Crash,
    assert_equal_runs,
    crash_at,
    finish,
    job,
    metrics,
    one_fails,
    small,
    start,
    steps_logged,
    together,
    when,
)


def folders(run):
    return sorted((run / "checkpoints").glob("step-*"))


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "manifest", "names"])
def test_a_broken_newest_checkpoint_is_told_and_the_one_before_taken(tmp_path, damage):
    whole = job(tmp_path, recovery_interval=3, name="whole")
    finish(whole)
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
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")


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
        import os

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
    (folder / "training.pt").write_bytes(pickle.dumps(Evil()))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["training.pt"] = hashlib.sha256((folder / "training.pt").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    open_checkpoint(folder)
    with pytest.raises(UsageError, match="cannot be loaded"):
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


@pytest.fixture
def poisoned(monkeypatch):
    """Updates whose images, or gradients, are not finite."""

    def poison(steps, what="loss"):
        prepare = Engine._prepare

        def broken(self, batch, epoch, step, seed):
            images, targets = prepare(self, batch, epoch, step, seed)
            if step in steps:
                images = images * float("nan")
            return images, targets

        backward = Engine._backward

        def blown_up(self, images, targets):
            loss = backward(self, images, targets)
            if images.isnan().any():
                next(self.student.parameters()).grad.fill_(float("inf"))
            return loss if what == "loss" else torch.zeros(())

        monkeypatch.setattr(Engine, "_prepare", broken)
        if what == "gradient":
            monkeypatch.setattr(Engine, "_backward", blown_up)

    return poison


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_stops_before_the_update(tmp_path, poisoned, what):
    crash_at(job(tmp_path, name="before", recovery_interval=1), 7)
    poisoned({7}, what)
    one = job(tmp_path)
    with pytest.raises(DivergedError, match=rf"the {what} is not finite in update 7 \(epoch 0\)"):
        finish(one)
    evidence = tmp_path / "run" / "nonfinite" / "step-000000007"
    saved = load_file(evidence / "model.safetensors")
    last = newest(tmp_path / "before", lambda text: None)
    sound = load_file(last.path / "model.safetensors")
    for name, value in saved.items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(value, sound[name]), name
    info = json.loads((evidence / "info.json").read_text())
    assert (info["what"], info["step"]) == (what, 7)
    batch = load_file(evidence / "batch-0.safetensors")
    assert batch["indices"].tolist() == info["indices"]
    assert batch["images"].shape == (128, 1, 8, 8)
    torch.manual_seed(generator(0, "update", 7, 0).initial_seed())  # the random state is that of the update's begin
    assert torch.equal(batch["torch_rng"], torch.get_rng_state())


def test_batches_that_are_not_finite_are_left_out_as_often_as_the_recipe_says(tmp_path, poisoned):
    poisoned({4, 13})
    one = job(tmp_path, "nonfinite_retries=2", recovery_interval=3)
    result = finish(one)
    assert result["skipped_updates"] == [4, 13]
    lines = metrics(tmp_path / "run")
    assert [line["step"] for line in lines if line["event"] == "skipped"] == [5, 14]  # counted as updates done
    assert all(torch.isfinite(value).all() for value in load_file(tmp_path / "run" / "last.safetensors").values())
    interrupted = job(tmp_path, "nonfinite_retries=2", recovery_interval=3, name="interrupted")
    for step in (2, 7, 15):
        crash_at(interrupted, step)
    finish(interrupted)
    assert_equal_runs(tmp_path / "interrupted", tmp_path / "run")
    with pytest.raises(DivergedError, match="after 1 batches that were left out"):
        finish(job(tmp_path, "nonfinite_retries=1", name="other"))


@pytest.fixture
def overflowing(monkeypatch):
    """A weight is infinite behind update 5, which was finite."""
    accept = Engine.accept

    def overflow(self, step):
        found = accept(self, step)
        if step == 5:
            next(self.model.parameters()).data.fill_(float("inf"))
        return found

    monkeypatch.setattr(Engine, "accept", overflow)


def test_weights_that_are_not_finite_are_never_saved(tmp_path, overflowing):
    """Infinite weights behind an update that was finite: exit code 6, and the last checkpoint is sound."""
    with pytest.raises(DivergedError, match="the weight is not finite in update 5 ") as error:
        finish(job(tmp_path, recovery_interval=1))
    assert error.value.exit_code == 6
    last = newest(tmp_path / "run", lambda text: None)
    assert last.state["step"] == 5
    assert all(torch.isfinite(value).all() for value in load_file(last.path / "model.safetensors").values())


def test_what_an_optimiser_remembers_is_finite_or_not_saved(tmp_path, monkeypatch):
    """Adam's mean square may overflow with weights that stay finite, and never move again."""
    accept = Engine.accept

    def overflow(self, step):
        found = accept(self, step)
        if step == 5:
            next(iter(self.optimizer.state.values()))["exp_avg_sq"].fill_(float("inf"))
        return found

    monkeypatch.setattr(Engine, "accept", overflow)
    settings = ("opt=adamw", "momentum=null", "lr=0.001", "nonfinite_retries=1")
    assert finish(job(tmp_path, *settings, recovery_interval=1))["skipped_updates"] == [5]


def test_weights_that_are_not_finite_are_no_best(tmp_path, monkeypatch):
    """Looked at before the test, so that they never get the name of the best."""
    end = Engine.end_epoch

    def overflow(self):
        end(self)
        next(self.result.parameters()).data.fill_(float("nan"))

    monkeypatch.setattr(Engine, "end_epoch", overflow)
    with pytest.raises(DivergedError, match="the weight is not finite in update 9 "):
        finish(job(tmp_path, "model_ema_decay=0.9"))
    assert not (tmp_path / "run" / "best.safetensors").exists() and not (tmp_path / "run" / "weights").exists()


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
def test_a_crash_in_the_middle_of_a_checkpoint_changes_nothing(tmp_path, monkeypatch, place):
    """Dead while files are written, before and after the folder gets its name, and while old ones are deleted."""
    finish(job(tmp_path, recovery_interval=3, name="whole"))
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
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")


def dead_after(folders):
    """The newest checkpoint is looked for first; the call after it is that which deletes."""
    calls = []

    def look(folder):
        calls.append(folder)
        if len(calls) > 1:
            raise Crash
        return folders(folder)[::-1]

    return look


def test_a_crash_while_a_checkpoint_of_the_same_step_is_replaced(tmp_path):
    """There may be only one, as when the first batch is not finite and is taken back."""
    one = job(tmp_path, recovery_interval=3)
    finish(job(tmp_path, recovery_interval=3, name="whole"))
    crash_at(one, 1)
    (only,) = folders(tmp_path / "run")
    only.rename(only.with_name(f".replaced-{only.name}"))  # as a kill between the two renamings leaves it
    finish(one)
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")
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


def test_a_crash_behind_the_last_checkpoint_leaves_the_best(tmp_path, monkeypatch):
    finish(job(tmp_path, name="whole"))
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
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")


def test_a_loss_that_is_not_finite_in_a_test_is_reported(tmp_path, monkeypatch):
    test = Engine.test
    monkeypatch.setattr(Engine, "test", lambda *given: test(*given) | {"loss": float("inf")})
    result = finish(job(tmp_path))
    assert result["last"]["loss"] is None
    assert "loss - on 449 test samples" in (tmp_path / "run" / "report.md").read_text()


@pytest.mark.parametrize("interval", [1, 3, None], ids=["found when it is saved", "found then too", "found next"])
def test_a_weight_that_overflows_is_the_fault_of_the_update_before(tmp_path, overflowing, interval):
    result = finish(job(tmp_path, "nonfinite_retries=1", recovery_interval=interval))
    assert result["skipped_updates"] == [5]
    info = json.loads((tmp_path / "run" / "nonfinite" / "step-000000005" / "info.json").read_text())
    assert info["what"] == "weight"
    assert info["indices"] == Order(1348, 128, 0).batch(5).tolist()


def test_updates_that_float16_leaves_out_are_counted(tmp_path):
    result = finish(job(tmp_path, "amp_dtype=float16"))
    assert result["overflowed_updates"] >= 0
    text = (tmp_path / "run" / "report.md").read_text()
    assert f"because float16 overflowed: {result['overflowed_updates']};" in text


def test_who_was_told_to_end_hears_nothing_any_more():
    """A launcher that sees one process end signals the others, and would spoil their exit codes."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        with wishes(until_exit=True) as wish:
            wish.waits = True
            os.kill(os.getpid(), signal.SIGUSR1)
        assert [signal.getsignal(number) for number in ENDING] == [signal.SIG_IGN] * 3
    finally:
        for number in ENDING:
            signal.signal(number, before)
    with wishes(until_exit=True):
        pass
    assert signal.getsignal(signal.SIGTERM) == before


def test_nohup_is_respected(tmp_path):
    signals = subprocess.run([sys.executable, "-c", NOHUP], text=True, capture_output=True, timeout=60, check=False)
    assert signals.stdout.split() == ["True", "False"], signals.stderr


NOHUP = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from madnas.train.signals import wishes
with wishes():
    for number in (signal.SIGHUP, signal.SIGTERM):
        print(signal.getsignal(number) is signal.SIG_IGN)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_a_test_puts_the_test_off(tmp_path, monkeypatch, number):
    finish(job(tmp_path, name="whole"))
    one = job(tmp_path)
    test = ResidentSource.test
    calls = []

    def told_to_end(self, batch_size, process):
        for count, batch in enumerate(test(self, 100, process)):
            calls.append(count)
            if count == 1 and len(calls) == 2:
                os.kill(os.getpid(), number)
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(ResidentSource, "test", told_to_end)
        patch.setattr("madnas.train.run.TEST_BATCH", 100)
        with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else RequeueError):
            finish(one)
    assert calls == [0, 1]
    found = newest(tmp_path / "run", lambda text: None)
    assert found.state["step"] == 10 and found.state["pending"]["epoch"] == 0
    assert not [line for line in metrics(tmp_path / "run") if line["event"] == "eval"]
    finish(one)
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")


def test_an_error_in_one_process_ends_the_others(tmp_path):
    """Without a launcher that ends them; the one that knows says why."""
    tasks = together(tmp_path, 2, one_fails, tmp_path)
    errors = [task.communicate(timeout=120)[1] for task in tasks]
    assert [task.returncode for task in tasks] == [1, 5], errors
    assert "process 0 of 2 ends because another one did" in errors[0]
    assert "sample 17 is broken" in errors[1]


@pytest.mark.parametrize(("seen", "launcher", "expected"), [(8, "RANK", 3), (8, "", 3), (1, "", 0), (1, "RANK", 3)])
def test_each_process_takes_its_own_gpu(monkeypatch, seen, launcher, expected):
    """SLURM may show a task no other; torchrun's processes see all, and one too many is refused elsewhere."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
    if launcher:
        monkeypatch.setenv(launcher, "3")
    assert distributed._gpu(3) == expected


def test_processes_that_cannot_meet_say_where(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
                            "MASTER_PORT": port}.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        with pytest.raises(UsageError, match=f"does not find the others at 127.0.0.1:{port}"), processes("cpu"):
            pass


def test_a_learning_rate_beyond_all_bounds_ends_with_6(tmp_path, capsys):
    changes = ("lr=1000", "opt=momentum", "momentum=1", "clip_grad=null", "weight_decay=10")
    settings = [part for change in changes for part in ("--set", change)]
    assert run(["train", *small(tmp_path, *settings, "-o", str(tmp_path / "run"))]) == 6
    assert "not finite" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGHUP, 75),
                                              (signal.SIGINT, 130)])  # fmt: skip
def test_signals_end_with_a_checkpoint(tmp_path, number, code):
    process = start(tmp_path, "-o", "run", "--set", "epochs=200")
    when(lambda: steps_logged(tmp_path / "run") >= 5, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, ""), err
    assert "of 2000 is saved in run" in err
    found = newest(tmp_path / "run", lambda text: None)
    assert found is not None
    logged = [line["step"] for line in metrics(tmp_path / "run")]
    assert found.state["step"] == logged[-1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_signals_before_the_first_update_end_at_once(tmp_path, number, code):
    """While data is listed and modules are built: there is nothing to save, and the scheduler is to ask again."""
    process = start(tmp_path, "-o", "run", "--set", "epochs=200", launcher=MADNAS)
    when(lambda: caught(process.pid, signal.SIGUSR1), process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, ""), err
    assert "Traceback" not in err


def caught(pid, number):
    """Whether a process has a handler for a signal."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return int(line.split()[1], 16) >> (number - 1) & 1


def test_a_run_that_is_worked_on_is_not_touched(tmp_path):
    first = start(tmp_path, "-o", "run", "--set", "epochs=200")
    when(lambda: steps_logged(tmp_path / "run") >= 2, first)
    second = start(tmp_path, "-o", "run", "--set", "epochs=200")
    _, err = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "another process is working in it" in err
    first.kill()
    first.communicate()
