"""Numbers that are not finite: in losses, gradients, weights, the moving average, the optimiser."""

import json

import pytest
import torch
from safetensors.torch import load_file

from madnas.cli.main import run
from madnas.data.order import Order
from madnas.data.seeds import generator
from madnas.errors import DivergedError
from madnas.train.checkpoint import newest
from madnas.train.engine import Engine
from tests.train.shell import (
    assert_equal_runs,
    crash_at,
    finish,
    job,
    metrics,
    small,
)


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


def test_a_loss_that_is_not_finite_in_a_test_is_reported(tmp_path, monkeypatch):
    test = Engine.test
    monkeypatch.setattr(Engine, "test", lambda *given: test(*given) | {"loss": float("inf")})
    result = finish(job(tmp_path))
    assert result["last"]["loss"] is None
    assert "loss - on 449 test samples" in (tmp_path / "run" / "report.md").read_text()


def test_a_learning_rate_beyond_all_bounds_ends_with_6(tmp_path, capsys):
    changes = ("lr=1000", "opt=momentum", "momentum=1", "clip_grad=null", "weight_decay=10")
    settings = [part for change in changes for part in ("--set", change)]
    assert run(["train", *small(tmp_path, *settings, "-o", str(tmp_path / "run"))]) == 6
    assert "not finite" in capsys.readouterr().err
