"""Whatever ends a run, the same command goes on to the same result, bit for bit."""

import shutil
from dataclasses import replace

import pytest
import torch

from madnas.data.order import Order
from madnas.errors import UsageError
from madnas.targets import find
from madnas.train.checkpoint import newest
from madnas.train.run import train
from tests.train.shell import (
    MADNAS,
    TINY,
    assert_equal_runs,
    crash_at,
    finish,
    job,
    kill_all,
    metrics,
    start,
    steps_logged,
    when,
)

EVERYTHING = ("model_ema_decay=0.9", "mixup=0.2", "reprob=0.5", "drop_path=0.2", "aa=rand-m9-mstd0.5", "smoothing=0.1")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    finish(job(folder, *EVERYTHING, recovery_interval=3))
    return folder / "run"


@pytest.mark.parametrize("crashes", [(1, 2, 4), (5, 11, 12), (9, 10, 19), (3,), (20,)])
def test_crashes_in_a_row_change_nothing(tmp_path, uninterrupted, crashes):
    one = job(tmp_path, *EVERYTHING, recovery_interval=3)
    for step in crashes:
        crash_at(one, step)
    result = finish(one)
    assert result["updates"] == 20
    assert_equal_runs(tmp_path / "run", uninterrupted)


def test_checkpoints_change_nothing(tmp_path, uninterrupted):
    finish(job(tmp_path, *EVERYTHING))
    for name in ("metrics.jsonl", "best.safetensors", "last.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (uninterrupted / name).read_bytes()


def test_another_seed_changes_everything(tmp_path, uninterrupted):
    finish(replace(job(tmp_path, *EVERYTHING), seed=1))
    assert (tmp_path / "run" / "metrics.jsonl").read_text() != (uninterrupted / "metrics.jsonl").read_text()


def test_what_a_killed_process_logged_too_much_is_cut_off(tmp_path, uninterrupted):
    one = job(tmp_path, *EVERYTHING, recovery_interval=3)
    crash_at(one, 8)
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write('{"event": "train", "step"')
    finish(one)
    assert_equal_runs(tmp_path / "run", uninterrupted)


def test_tensorboards_events_have_every_update_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    one = job(tmp_path, recovery_interval=3)
    crash_at(one, 8)
    finish(one)
    events = EventAccumulator(str(tmp_path / "run" / "events"))
    events.Reload()
    lines = metrics(tmp_path / "run")
    losses = {line["step"]: line["loss"] for line in lines if line["event"] == "train"}
    assert {one.step: one.value for one in events.Scalars("train/loss")} == pytest.approx(losses)
    assert [one.step for one in events.Scalars("train/loss")] == sorted(losses)
    tests = [line for line in lines if line["event"] == "eval"]
    assert [one.value for one in events.Scalars("eval/top1")] == pytest.approx([line["top1"] for line in tests])


def test_a_finished_run_is_told_and_not_repeated(tmp_path):
    one = job(tmp_path)
    result = finish(one)
    before = (tmp_path / "run" / "best.safetensors").stat().st_mtime_ns
    again = finish(one)
    assert again["was_finished"] and again["best"] == result["best"]
    assert (tmp_path / "run" / "best.safetensors").stat().st_mtime_ns == before


def test_a_finished_run_may_be_moved(tmp_path):
    finish(job(tmp_path))
    (tmp_path / "run").rename(tmp_path / "moved")
    assert finish(job(tmp_path, name="moved"))["folder"] == str(tmp_path / "moved")


def test_what_a_run_tolerates_may_change(tmp_path):
    """Else the hints of the errors could not be followed."""
    crash_at(job(tmp_path, recovery_interval=3), 7)
    finish(job(tmp_path, "nonfinite_retries=3", "bad_data_rate=0.5", recovery_interval=3))
    finish(job(tmp_path, recovery_interval=3, name="whole"))
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("damage", ["metrics", "shorter", "weights", "result"])
def test_a_folder_that_was_tidied_up_costs_no_training(tmp_path, damage):
    one = job(tmp_path, recovery_interval=3)
    crash_at(one, 13)
    folder, told = tmp_path / "run", []
    if damage == "metrics":
        (folder / "metrics.jsonl").unlink()
    elif damage == "shorter":
        data = (folder / "metrics.jsonl").read_bytes()
        (folder / "metrics.jsonl").write_bytes(data[: len(data) // 2])
    elif damage == "weights":
        shutil.rmtree(folder / "weights")
    else:
        (folder / "result.json").write_text("{")
    assert train(one, lambda progress: None, told.append)["updates"] == 20
    assert any("missing" in text for text in told) == (damage != "result")
    assert all(isinstance(line, dict) for line in metrics(folder))


def test_another_run_does_not_go_on_there(tmp_path):
    crash_at(job(tmp_path), 3)
    with pytest.raises(UsageError, match=r"lr 0\.05 there, 0\.1 here"):
        finish(job(tmp_path, "lr=0.1"))
    assert finish(job(tmp_path, "lr=0.1", restart=True))["updates"] == 20


def test_another_network_of_the_same_name_does_not_go_on_there(tmp_path):
    crash_at(job(tmp_path), 3)
    other = job(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY.replace("out: 16", "out: 24"))
    other = replace(other, target=find(str(tmp_path / "tiny.yaml")))
    with pytest.raises(UsageError, match="holds results of another run: groups"):
        finish(other)


def test_a_checkpoint_that_is_old_is_renewed_in_the_middle_of_an_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr("madnas.train.run.LONGEST", 0.0)
    one = job(tmp_path)
    crash_at(one, 7)
    assert newest(tmp_path / "run", lambda text: None).state["step"] == 7


def test_kill_9_three_times_in_a_row(tmp_path):
    """The real thing: SIGKILL to a process, wherever it is; what was not killed had an interpreter of its own."""
    whole = start(tmp_path, "-o", "whole", launcher=MADNAS)
    for steps in (2, 9, 15):
        process = start(tmp_path, "-o", "killed")
        when(lambda steps=steps: steps_logged(tmp_path / "killed") >= steps, process)
        kill_all(process)
    process = start(tmp_path, "-o", "killed")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "goes on after update" in err
    _, err = whole.communicate(timeout=300)
    assert whole.returncode == 0, err
    assert_equal_runs(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_order_is_that_of_one_process(world):
    order = Order(samples=100, batch_size=12, seed=3)
    for step in (0, 7, 8, 30):
        parts = [order.batch(step, one, world) for one in range(world)]
        assert torch.equal(torch.cat(parts), order.batch(step))
    epoch = torch.cat([order.batch(step) for step in range(order.steps_per_epoch)])
    assert len(epoch) == 96 == len(set(epoch.tolist()))
    assert not torch.equal(order.batch(0), order.batch(order.steps_per_epoch))
