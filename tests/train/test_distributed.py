"""Several processes: how they find each other, learn together, and end together."""

import json
import signal
import socket

import pytest
import torch
from safetensors.torch import load_file

from madnas.cli.main import run
from madnas.data.order import Order
from madnas.data.source import Facts
from madnas.errors import UsageError
from madnas.experiments.skip_mlp import SkipMLPSpec
from madnas.network.specfile import dump_spec
from madnas.targets import find
from madnas.train import distributed
from madnas.train.distributed import processes
from madnas.train.model import build_model, fitted
from madnas.train.recipe import load_recipe
from tests.train.shell import (
    SMALL,
    TORCHRUN,
    assert_equal_runs,
    crash_at,
    ended,
    finish,
    job,
    kill_all,
    madnas,
    metrics,
    network,
    one_fails,
    recorded,
    recorded_run,
    small,
    start,
    steps_logged,
    together,
    when,
)


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


def test_an_error_in_one_process_ends_the_others(tmp_path):
    """Without a launcher that ends them; the one that knows says why."""
    tasks = together(tmp_path, 2, one_fails, tmp_path)
    errors = [task.communicate(timeout=120)[1] for task in tasks]
    assert [task.returncode for task in tasks] == [1, 5], errors
    assert "process 0 of 2 ends because another one did" in errors[0]
    assert "sample 17 is broken" in errors[1]


def test_two_processes_share_a_batch_or_say_why_not(tmp_path):
    tasks = together(tmp_path, 2, madnas, *small(tmp_path, "--set", "batch_size=27"))
    errors = [task.communicate(timeout=120)[1] for task in tasks]
    assert [task.returncode for task in tasks] == [2, 2], errors
    assert all("a batch of 27 does not fall into 2 equal parts" in text for text in errors)


def test_two_processes_killed_and_signalled(tmp_path):
    """Two gloo ranks: killed, then SIGUSR1 to one of them alone, then to the end; as without any of it.

    When told to end, both end with 75, although a launcher that sees one of them end signals the other.
    """
    process = start(tmp_path, "-o", "killed", launcher=TORCHRUN)
    when(lambda: steps_logged(tmp_path / "killed") >= 5, process)
    kill_all(process)
    tasks = together(tmp_path, 2, madnas, *small(tmp_path, "-o", "killed"))
    when(lambda: steps_logged(tmp_path / "killed") >= 9, tasks[0])
    tasks[1].send_signal(signal.SIGUSR1)
    (code, err), (its_code, _) = ended(tasks)
    assert (code, its_code) == (75, 75), err
    assert "told to end; update" in err
    for name in ("killed", "whole"):
        found = ended(together(tmp_path, 2, madnas, *small(tmp_path, "-o", name)))
        assert [code for code, _ in found] == [0, 0], found
    assert_equal_runs(tmp_path / "killed", tmp_path / "whole")


def test_one_process_then_two_then_one(tmp_path):
    """The number of processes may change between stops; every update still sees the same samples."""
    first = job(tmp_path, recovery_interval=3)
    with recorded(tmp_path):
        crash_at(first, 6)
    tasks = together(tmp_path, 2, recorded_run, tmp_path)
    when(lambda: steps_logged(tmp_path / "run") >= 12, tasks[0])
    kill_all(*tasks)
    with recorded(tmp_path):
        assert finish(first)["updates"] == 20
    assert [line["step"] for line in metrics(tmp_path / "run") if line["event"] == "train"] == list(range(1, 21))
    seen = [json.loads(line) for line in (tmp_path / "seen.jsonl").read_text().splitlines()]
    order, worlds = Order(1348, 128, 0), {}
    for step, place, world, indices in seen:
        assert indices == order.batch(step).tolist()[place * 128 // world : (place + 1) * 128 // world]
        worlds.setdefault(world, set()).add((step, place))
    assert {step for step, _ in worlds[1]} >= {*range(6), *range(13, 20)}
    assert worlds[2] >= {(step, place) for step in range(6, 11) for place in (0, 1)}


def test_several_processes_learn_what_one_learns(tmp_path):
    """Without batch norms, whose statistics are each process' own: the same weights but for the last bits."""
    changes = ("epochs=1", "lr=0.01", "crop=none")  # what is random is each process' own too
    (tmp_path / "mlp.yaml").write_text(dump_spec(SkipMLPSpec(2, 2, 5, 3).network("mlp")))
    settings = [part for change in (*(one for one in SMALL if one != "pad=1"), *changes, "batch_size=120")
                for part in ("--set", change)]  # fmt: skip
    for world in (1, 2, 3):
        found = ended(together(tmp_path, world, madnas, "mlp.yaml", "-o", f"run{world}", *settings))
        assert [code for code, _ in found] == [0] * world, found
    one, *others = (load_file(tmp_path / f"run{world}" / "last.safetensors") for world in (1, 2, 3))
    fresh = build_model(fitted(find(str(tmp_path / "mlp.yaml")), Facts(8, 8, 10, (1, 8, 8), (0.5,), (0.5,))),
                        Facts(8, 8, 10, (1, 8, 8), (0.5,), (0.5,)), load_recipe("digits/quick"), 0)  # fmt: skip
    for other in others:
        for name, value in one.items():
            assert torch.allclose(value, other[name], rtol=1e-4, atol=1e-5), name
    assert any(not torch.allclose(value, one[name], atol=1e-3) for name, value in fresh.state_dict().items())


def test_three_processes_killed(tmp_path):
    """Means over three are not exact in binary: nothing may be averaged once more when a run goes on."""
    killed, whole = (small(tmp_path, "-o", name, "--set", "batch_size=120") for name in ("killed", "whole"))
    tasks = together(tmp_path, 3, madnas, *killed)
    when(lambda: steps_logged(tmp_path / "killed") >= 11, tasks[0])  # after the first epoch's test
    kill_all(*tasks)
    for arguments in (killed, whole):
        found = ended(together(tmp_path, 3, madnas, *arguments))
        assert [code for code, _ in found] == [0, 0, 0], found
    assert_equal_runs(tmp_path / "killed", tmp_path / "whole")


def test_slurms_tasks_find_each_other(tmp_path):
    """As ``srun`` starts them: no launcher, SLURM's variables and an address."""
    tasks = together(tmp_path, 2, madnas, *small(tmp_path, "-o", "run", "--json"), slurm=True)
    outputs = [task.communicate(timeout=120) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], outputs
    assert outputs[1][0] == "" and json.loads(outputs[0][0])["updates"] == 20
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["processes"] == 2


def test_slurm_without_an_address(tmp_path, monkeypatch, capsys):
    for name, value in {"SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}.items():
        monkeypatch.setenv(name, value)
    assert run(["train", network(tmp_path), "-o", str(tmp_path / "run")]) == 2
    assert "MASTER_ADDR is not set" in capsys.readouterr().err
