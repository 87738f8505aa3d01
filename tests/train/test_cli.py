"""``madnas train``: what it prints, its files, its exit codes."""

import json
import subprocess
import sys

import pytest
import torch
import yaml
from safetensors.torch import load_file

from madnas.cli.main import run
from madnas.train.recipe import recipe_files
from tests.train.shell import SMALL, TORCHRUN, environment, network

FILES = {
    "run.json", "environment.json", "network.yaml", "metrics.jsonl", "timing.jsonl", "summary.csv", "checkpoints",
    "weights", "best.safetensors", "last.safetensors", "result.json", "report.md", "curves.png", ".lock",
}  # fmt: skip


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["train", network(tmp_path)]
    for change in SMALL:
        arguments += ["--set", change]
    return arguments


def test_a_run_and_its_files(command, tmp_path, capsys):
    assert run([*command, "-o", "run", "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert err == ""
    assert result["schema"] == "madnas/train/1"
    assert (result["epochs"], result["updates"], result["last"]["n"]) == (2, 20, 449)
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files - {"events"} == FILES
    rows = (tmp_path / "run" / "summary.csv").read_text().splitlines()
    assert rows[0] == "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr"
    assert len(rows) == 3
    assert float(rows[2].split(",")[3]) == pytest.approx(100 * result["last"]["top1"])
    assert "best top-1" in (tmp_path / "run" / "report.md").read_text()
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["torch"] == torch.__version__


def test_weights_are_tested_again(command, tmp_path, capsys):
    assert run([*command, "-o", "run", "--checkpoint-hist", "2", "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["best"]
    assert len(list((tmp_path / "run" / "weights").iterdir())) == 2
    for weights in ("run", "run/best.safetensors", f"run/weights/epoch-{best['epoch']:05d}.safetensors"):
        assert run([*command, "--eval", weights, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["top1"] == pytest.approx(best["top1"])
    assert run(["train", "resnet20", "--eval", "run", "--set", "image_size=8"]) == 2
    assert "not the weights of resnet20 for 10 classes" in capsys.readouterr().err


def test_weights_to_start_from(command, tmp_path, capsys):
    assert run([*command, "-o", "run"]) == 0
    capsys.readouterr()
    start = ["--initial-checkpoint", "run/best.safetensors", "-o", "more", "--set", "lr=0", "--set", "weight_decay=0"]
    assert run([*command, *start]) == 0
    one, other = (load_file(tmp_path / folder / "last.safetensors") for folder in ("run", "more"))
    best = load_file(tmp_path / "run" / "best.safetensors")
    assert torch.equal(other["head.fc.weight"], best["head.fc.weight"])
    assert one.keys() == other.keys()


def test_default_folder_and_no_second_run(command, tmp_path, capsys):
    assert run(command) == 0
    assert (tmp_path / "runs" / "tiny-digits-quick-0" / "result.json").exists()
    capsys.readouterr()
    assert run(command) == 0
    assert "was finished before; --restart trains anew" in capsys.readouterr().out
    assert run([*command, "--resume", "never"]) == 2
    assert "a run was begun there" in capsys.readouterr().err
    assert run([*command, "--restart"]) == 0


def test_list_and_show(capsys):
    assert run(["train", "--list", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["recipes"]] == list(recipe_files())
    assert run(["train", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in recipe_files())
    assert run(["train", "--show", "cifar/deepmad"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["epochs"] == 1440


def test_dry_run_writes_nothing(command, tmp_path, capsys):
    before = set(tmp_path.rglob("*"))
    assert run([*command, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["updates"], plan["batch"]["at_once"], plan["data"]["train"]) == (20, 128, 1348)
    assert plan["estimate"]["seconds"] > 0 and plan["estimate"]["memory_bytes"] > 1e6
    assert set(tmp_path.rglob("*")) == before
    assert run([*command, "--dry-run"]) == 0
    assert "128 = 1 (processes) x 1 (accumulation) x 128 at once" in capsys.readouterr().out


def test_slurm_script_is_a_script(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["madnas", "train", "net 1.yaml", "--recipe", "cifar/deepmad", "--slurm"])
    assert run(sys.argv[1:]) == 0
    script = capsys.readouterr().out
    assert "srun --kill-on-bad-exit=1 madnas train 'net 1.yaml' --recipe cifar/deepmad\n" in script
    assert "#SBATCH --signal=USR1@300" in script and "scontrol requeue" in script
    (tmp_path / "job.sh").write_text(script)
    assert subprocess.run(["bash", "-n", tmp_path / "job.sh"], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--seed", "1"], 2, "which network?"),
        (["resnet21"], 2, "did you mean 'resnet20'"),
        (["resnet20", "--recipe", "digits/quik"], 2, "did you mean 'digits/quick'"),
        (["resnet20", "--set", "learning_rate=1"], 2, "did you mean"),
        (["resnet20", "--set", "lr"], 2, "expected KEY=VALUE"),
        (["resnet20", "--device", "cuda"], 2, "no CUDA device"),
        (["resnet20", "--device", "tpu"], 2, "unknown device"),
        (["resnet20", "--set", "dataset=cifar10", "--data", "nowhere"], 5, "no such file"),
        (["resnet20", "--recipe", "imagenet/deepmad", "--data", "nowhere"], 5, "no such folder"),
        (["resnet20", "--set", "dataset=imagenot"], 2, "folder, hfds/NAME or wds/FOLDER, found 'imagenot'"),
        (["resnet20", "--set", "batch_size=2000"], 2, "larger than the training set of 1348"),
        (["resnet20", "--eval", "nowhere.safetensors"], 2, "no weights can be read"),
        (["resnet20", "--initial-checkpoint", "nowhere"], 2, "no such file"),
        (["resnet20", "--kd-checkpoint", "x"], 2, "no teacher"),
        (["resnet20", "--sync-bn"], 2, "GPUs only"),
        (["resnet20", "--slurm", "--restart"], 2, "would lose its work"),
        (["resnet20", "--set", "mixup=0.2", "--set", "batch_size=63"], 2, "take images in pairs"),
        (["resnet20", "--recipe", "synthetic/seg20", "--set", "hflip=0.5"], 2, "hflip: has no effect on the features"),
        (["resnet20", "--set", "samples=10"], 2, "samples: is for synthetic data"),
        (["resnet20", "--restart", "--resume", "never"], 2, "give one of them"),
        (["resnet20", "-o", "/nowhere/at/all"], 2, "no folder"),
        (["resnet20", "--set", "aa=nonsense"], 2, "timm knows no policy"),
        (["resnet20", "--set", "opt=nonsense"], 2, "cannot be made"),
        (["resnet20", "--recipe", "synthetic/seg20"], 2, "takes images, and the data are 2 features"),
        (["timm/vit_tiny_patch16_224", "--set", "image_size=8"], 2, "does not run"),
    ],
)
def test_mistakes(arguments, code, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["train", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_two_processes_share_a_batch_or_say_why_not(tmp_path):
    command = [*TORCHRUN, network(tmp_path), "--set", "image_size=8", "--set", "batch_size=27", "--set", "epochs=3"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode != 0
    assert "a batch of 27 does not fall into 2 equal parts" in done.stderr


def test_nothing_heavy_is_loaded_to_list():
    code = "import sys; from madnas.cli.main import run; run(['train', '--list'])"
    code += "; print({'torch', 'timm'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_restart_throws_away_nothing_of_a_stranger(command, tmp_path, capsys):
    theirs = tmp_path / "theirs"
    (theirs / "weights").mkdir(parents=True)
    (theirs / "network.yaml").write_text("mine")
    (theirs / "weights" / "precious.pt").write_text("mine")
    assert run([*command, "-o", str(theirs), "--restart"]) == 2
    assert "not empty, and not a run of this kind" in capsys.readouterr().err
    (theirs / "run.json").write_text('{"schema": "another/1"}')
    assert run([*command, "-o", str(theirs), "--restart"]) == 2
    assert "not a description of a run of this kind" in capsys.readouterr().err
    assert (theirs / "weights" / "precious.pt").read_text() == "mine"
