"""``madnas train``: what it prints, its files, its exit codes."""

import json
import subprocess
import sys
from itertools import groupby

import pytest
import timm
import torch
import yaml
from safetensors.torch import load_file, save_file

from madnas.cli.main import run
from madnas.train.recipe import recipe_files
from tests.train.shell import SMALL, TINY, network

FILES = {
    "run.json", "environment.json", "network.yaml", "metrics.jsonl", "timing.jsonl", "summary.csv", "checkpoints",
    "weights", "recipe.yaml", "best.safetensors", "last.safetensors", "result.json", "report.md", "curves.png", ".lock",
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
    assert run(["train", "--eval", "run", "--json"]) == 0  # the run knows its network, recipe and seed
    found = json.loads(capsys.readouterr().out)
    assert (found["top1"], found["dataset"], found["n"]) == (pytest.approx(best["top1"]), "digits", 449)
    last = tmp_path / "run" / "checkpoints"
    for path in (last / "last", last / (last / "last").read_text().strip()):
        assert run(["train", "--eval", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["weights"].endswith("model.safetensors")
    assert run(["train", "--eval", "run"]) == 0
    assert "449 test samples of digits" in capsys.readouterr().out
    assert run(["train", "resnet20", "--eval", "run", "--set", "image_size=8"]) == 2
    assert "weights of another network" in capsys.readouterr().err
    (tmp_path / "run" / "best.safetensors").unlink()
    assert run(["train", "--eval", "run"]) == 2
    assert "the run has no test yet" in capsys.readouterr().err
    assert run(["train", "--eval", str(tmp_path)]) == 2
    assert "not the folder of a run of madnas train" in capsys.readouterr().err


def test_the_recipe_of_a_run_repeats_it(command, capsys):
    assert run([*command, "-o", "run", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert run(["train", command[1], "--recipe", "run/recipe.yaml", "-o", "again", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["best"] == first["best"] and again["last"] == first["last"]


def test_weights_that_cannot_be_used(command, tmp_path, capsys):
    assert run([*command, "-o", "run"]) == 0
    weights = load_file(tmp_path / "run" / "best.safetensors")
    save_file(weights | {"head.fc.bias": torch.full((10,), float("nan"))}, tmp_path / "nan.safetensors")
    save_file({"head.fc.bias": weights["head.fc.bias"]}, tmp_path / "few.safetensors")
    (tmp_path / "text.pth").write_text("no weights")
    messages = {"nan.safetensors": "weights are not finite, such as head.fc.bias",
                "few.safetensors": "weights of another network: 1 of its 1 tensors fit",
                "text.pth": "no weights can be read", "tiny.yaml": "no weights can be read"}  # fmt: skip
    capsys.readouterr()
    for name, message in messages.items():
        for arguments in (["--eval", name], ["--initial-checkpoint", name, "-o", "other"]):
            assert run([*command, *arguments]) == 2
            assert message in capsys.readouterr().err
    assert not (tmp_path / "other").exists()  # what cannot begin claims no folder


def test_weights_to_start_from(command, tmp_path, capsys):
    assert run([*command, "-o", "run"]) == 0
    capsys.readouterr()
    start = [
        "--initial-checkpoint",
        "run/best.safetensors",
        "-o",
        "more",
        "--set",
        "lr=1e-12",
        "--set",
        "weight_decay=0",
    ]
    assert run([*command, *start]) == 0
    one, other = (load_file(tmp_path / folder / "last.safetensors") for folder in ("run", "more"))
    best = load_file(tmp_path / "run" / "best.safetensors")
    assert torch.equal(other["head.fc.weight"], best["head.fc.weight"])
    assert one.keys() == other.keys()


@pytest.mark.parametrize("name", ["mobilenetv2_035", "test_resnet"])
def test_weights_of_timms_models_whether_they_have_a_description_or_not(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    theirs = timm.create_model(name, in_chans=1, num_classes=10)
    save_file({key: value.clone() for key, value in theirs.state_dict().items()}, "theirs.safetensors")
    words = ["train", f"timm/{name}", "--recipe", "digits/quick", "--set", "image_size=16", "--set", "lr=1e-12",
             "--set", "weight_decay=0", "--set", "epochs=1", "--set", "warmup_epochs=0", "-o", "run"]  # fmt: skip
    assert run([*words, "--initial-checkpoint", "theirs.safetensors"]) == 0
    ours = load_file("run/last.safetensors")
    for key, value in theirs.named_parameters():
        assert torch.allclose(ours[key], value, atol=1e-6), key
    timm.create_model(name, in_chans=1, num_classes=10).load_state_dict(ours)
    capsys.readouterr()
    assert run(["train", "--eval", "run", "--json"]) == 0
    top1 = json.loads(capsys.readouterr().out)["top1"]
    assert run([*words[:-2], "--eval", "run/best.safetensors", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["top1"] == top1
    assert run([*words, "--initial-checkpoint", "theirs.safetensors"]) == 0  # is done already


def test_default_folder_and_no_second_run(command, tmp_path, capsys):
    assert run(command) == 0
    assert (tmp_path / "runs" / "tiny-digits-quick-0" / "result.json").exists()
    capsys.readouterr()
    assert run(command) == 0
    assert "was finished before; --restart trains anew" in capsys.readouterr().out
    assert run([*command, "--resume", "never"]) == 2
    assert "a run was begun there" in capsys.readouterr().err
    assert run([*command, "--restart"]) == 0


def test_resume_may_name_a_run(command, tmp_path, capsys):
    assert run([*command, "-o", "run"]) == 0
    (tmp_path / "run" / "result.json").unlink()
    for place in ("run", "run/checkpoints/last"):
        assert run([*command, "--resume", place]) == 0
    assert "goes on after update 20 of 20" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    for place in ("nowhere", "run/checkpoints/step-000000020", "run/best.safetensors"):
        assert run([*command, "--resume", place]) == 2
        assert "neither auto nor never, nor the folder of a run" in capsys.readouterr().err
    assert run([*command, "--resume", "run", "-o", "other"]) == 2
    assert "--output another folder" in capsys.readouterr().err


def test_list_and_show(capsys):
    assert run(["train", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["recipes"]
    assert sorted(one["name"] for one in listed) == sorted(recipe_files())
    tasks = [one["task"] for one in listed]
    assert [task for task, _ in groupby(tasks)] == list(dict.fromkeys(tasks)), "those of a task stand together"
    assert run(["train", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in recipe_files())
    assert run(["train", "--show", "cifar/deepmad"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["epochs"] == 1440
    assert run(["train", "--show", "cifar/deepmad", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"]["epochs"] == 1440


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
    (tmp_path / "net 1.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["madnas", "train", "net 1.yaml", "--recipe", "cifar/deepmad", "--slurm"])
    assert run(sys.argv[1:]) == 0
    script, err = capsys.readouterr()
    assert "add --device cuda" in err
    assert "srun --kill-on-bad-exit=0 --wait=60 madnas train 'net 1.yaml' --recipe cifar/deepmad\n" in script
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
        (["resnet20", "--restart", "--resume", "runs/a"], 2, "throws away the run that --resume names"),
        (["resnet20", "--eval", "best.safetensors", "--resume", "never"], 2, "--eval trains nothing"),
        (["resnet20", "-o", "/nowhere/at/all"], 2, "no folder"),
        (["resnet20", "--set", "aa=nonsense"], 2, "timm knows no policy"),
        (["resnet20", "--set", "opt=nonsense"], 2, "cannot be made"),
        (["resnet20", "--recipe", "synthetic/seg20"], 2, "takes images, and the data are 2 features"),
        (["timm/vit_tiny_patch16_224", "--set", "image_size=8"], 2, "--set image_size=224"),
        (["resnet20", "--dry-run", "--eval", "x"], 2, "--dry-run and --eval: each is done instead of training"),
        (["nonsense", "--slurm"], 2, "unknown network"),
        (["resnet20", "--set", "opt=adam"], 2, "opt: adam has no momentum"),
        (["resnet20", "--set", "opt_betas=[0.9, 0.99]"], 2, "opt: sgd has no betas"),
        (["resnet20", "--set", "lr=0.1\nepochs: 3"], 2, "more than one setting"),
        (["resnet20", "--seed", "99999999999999999999"], 2, "--seed"),
        (["resnet20", "--set", "batch_size=2", "--set", "grad_accum_steps=2", "--set", "image_size=4", "--dry-run"], 2,
         "a batch norm sees a single value per channel"),
    ],
)  # fmt: skip
def test_mistakes(arguments, code, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["train", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


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
