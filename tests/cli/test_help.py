"""Help is instant, complete, and its examples run."""

import re
import shlex
from pathlib import Path

import pytest
from safetensors.torch import save_file

import madnas
from madnas.cli.main import app, run
from madnas.data.shapes.write import write_shapes
from madnas.models import build
from madnas.network.named import get
from madnas.network.specfile import dump_spec
from tests.cli.shell import madnas as process

CALLBACKS = {command.callback.__name__: command.callback for command in app.registered_commands} | {
    f"{group.typer_instance.info.name} {command.name or command.callback.__name__}": command.callback
    for group in app.registered_groups
    for command in group.typer_instance.registered_commands
}
VERBS = ("design", "scale", "score", "experiment", "train", "restructure search", "restructure collapse",
         "restructure split", "restructure edit", "benchmark networks", "benchmark latency-table", "benchmark paper",
         "export", "report")  # fmt: skip


def examples(verb):
    """The commands in the help of a verb."""
    lines = [line.strip(" -`") for line in CALLBACKS[verb].__doc__.splitlines()]
    return [line for line in lines if line.startswith("madnas ")]


LONG = (
    "0.1,0.3",
    "--recipe",
    "--verify",
    "--quick",
    "--metrics",
    "train resnet20",
    "--task detection",
    "--lambda",
    "--score zen",
    "--selftest",
    "convnext-t --only",
    "convnext-t --fraction",
    "--activation",
    "benchmark net.yaml",
    "benchmark paper",
    "--batch-size auto",
    "deepmad-r18 --threads",
    "collapsed/network.yaml",
    "report runs/",
    "runs/resnet20-digits-quick-0 -o digits.onnx",
    "effectiveness --no-train",
    "latency-table --space zen-residual",
    "collapse repvgg-a0",
    "collapse timm/mobileone_s0",
    "collapse runs/resnet20",
)
"""Words of examples that take more than a few seconds."""

EXAMPLES = [
    pytest.param(
        verb,
        example,
        id=example.removeprefix("madnas ")[:40],
        marks=pytest.mark.gpu
        if "cuda" in example
        else pytest.mark.slow
        if any(word in example for word in LONG)
        else (),
    )
    for verb in VERBS
    for example in examples(verb)
]


def test_every_verb_has_examples():
    assert set(CALLBACKS) == set(VERBS)
    assert all(len(examples(verb)) >= 2 for verb in VERBS)


@pytest.mark.parametrize("verb", ["", *VERBS])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_every_verb(verb, flag, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run([*verb.split(), flag]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"Usage: madnas {verb}".strip() in out
    if verb:
        for example in examples(verb):
            assert example in " ".join(out.split())


def test_help_names_every_flag_of_the_issue(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["design", "--help"]) == 0
    flags = set(re.findall(r"--[a-z-]+|(?<!-)-o\b", capsys.readouterr().out))
    wanted = "flops macs params rho space resolution stage-weights depth-penalty max-layers classes input like kernel"
    wanted += " channel-multiple json plot recipe activations csv force name head without-guideline list"
    assert {f"--{flag}" for flag in wanted.split()} | {"-o"} <= flags


@pytest.mark.parametrize(("verb", "example"), EXAMPLES)
def test_examples_of_the_help_run(verb, example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("madnas.scores.batch.process_count", lambda *_: 1)  # others take seconds to start
    for file in ("net.yaml", "mlp.yaml"):
        if file in example and f"-o {file}" not in example:
            space = ["--space", "basic-cifar", "--macs", "8M"] if verb == "train" else ["--space", "mlp"]
            assert run(["design", *space, "--params", "100K", "-o", file]) == 0
            capsys.readouterr()
    if "edit a.yaml" in example or "edit b.yaml" in example:
        Path(example.split()[3]).write_text(dump_spec(get("ran-e-a")))
    if "--data shapes" in example:
        write_shapes("detection", Path("shapes"), 16, 4)
    if "runs/resnet20" in example:
        quick = ["--set", "epochs=1", "--set", "warmup_epochs=0", "--set", "image_size=8"]
        assert run(["train", "resnet20", *quick]) == 0
        capsys.readouterr()
    if "collapsed/network.yaml" in example:
        weights = ["--checkpoint", "digits.safetensors"]
        Path("net.yaml").write_text(dump_spec(get("ran-e-digits")))
        save_file(build(get("ran-e-digits")).state_dict(), "digits.safetensors")
        assert run(["restructure", "collapse", "net.yaml", *weights, "-o", "collapsed", "--untimed"]) == 0
        Path("net.yaml").unlink()
    if "scores.csv" in example and verb == "report":
        Path("scores.csv").write_text("network,zen\nresnet20,51.2\n")
    if "accuracies.csv" in example:
        Path("accuracies.csv").write_text("network,accuracy\nresnet20,91.3\nresnet18,70.9\nresnet34,74.4\n")
    if "nets/*.yaml" in example:  # which a shell would expand
        Path("nets").mkdir()
        for name in ("resnet20", "resnet18"):
            Path("nets", f"{name}.yaml").write_text(dump_spec(get(name)))
        example = example.replace("nets/*.yaml", "nets/resnet18.yaml nets/resnet20.yaml")
    words = shlex.split(example)
    assert words[0] == "madnas" and " ".join(words[1:]).startswith(verb.removesuffix(" networks"))
    assert run(words[1:]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) >= (1 if "--eval" in words else 3)
    assert "Traceback" not in err
    for flag in ("-o", "--plot", "--csv"):
        if flag in words and not Path(words[words.index(flag) + 1]).is_dir():
            assert Path(words[words.index(flag) + 1]).stat().st_size > 100


@pytest.mark.parametrize("arguments", [[], ["restructure"], *(verb.split() for verb in VERBS)], ids=" ".join)
def test_nothing_to_do_shows_help(arguments, capsys):
    assert run(arguments) in (0, 2)
    out, err = capsys.readouterr()
    assert "Usage: madnas" in out + err
    assert "madnas: \n" not in err  # no message without words


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"madnas {madnas.__version__}\n"
    assert process("--version").stdout == f"madnas {madnas.__version__}\n"
