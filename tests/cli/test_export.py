"""``madnas export`` as a command."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from madnas.cli.main import run
from madnas.models import build
from madnas.network.named import get
from madnas.network.specfile import dump_spec
from tests.cli.shell import document, refused
from tests.export.test_export import TINY


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A spec file and weights of it."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(dump_spec(TINY))
    torch.manual_seed(3)
    module = build(TINY).eval()
    save_file(module.state_dict(), "tiny.safetensors")
    return module


def test_a_spec_and_weights_in_one_file_out(network, capsys):
    words = ["export", "tiny.yaml", "--weights", "tiny.safetensors", "-o", "tiny.pt2"]
    found = document(capsys, *words)
    assert found["format"] == "torch-export" and found["weights"] == "tiny.safetensors"
    assert found["bytes"] == Path("tiny.pt2").stat().st_size and found["input"] == ["any", 3, 16, 16]
    x = torch.randn(7, 3, 16, 16)
    loaded = torch.export.load("tiny.pt2").module()
    with torch.no_grad():
        assert torch.allclose(loaded(x), network(x), atol=1e-6)
    assert "exists already" in refused(capsys, *words)


def test_what_madnas_wrote_other_programs_run(network, capsys):
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra export")
    assert run(["export", "tiny.yaml", "--weights", "tiny.safetensors", "-o", "tiny.onnx"]) == 0
    assert "largest difference" in capsys.readouterr().out
    x = torch.randn(4, 3, 16, 16)
    [got] = runtime.InferenceSession("tiny.onnx").run(None, {"images": x.numpy()})
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(got), network(x), atol=1e-6)


@pytest.mark.slow
def test_the_collapsed_form_of_a_restructured_network(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    monkeypatch.chdir(tmp_path)
    module = build(get("repvgg-a0")).eval()
    save_file(module.state_dict(), "a0.safetensors")
    assert (
        run(["restructure", "collapse", "repvgg-a0", "--checkpoint", "a0.safetensors", "-o", "out", "--untimed"]) == 0
    )
    words = ["export", "out/network.yaml", "--weights", "out/weights.safetensors", "-o", "a0.onnx"]
    capsys.readouterr()
    assert document(capsys, *words)["agreement"][0]["relative"] < 1e-5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tiny.yaml", "-o", "tiny.h5"], "--format"),
        (["tiny.yaml", "-o", "tiny.onnx", "--format", "tflite"], "tflite"),
        (["tiny.yaml", "-o", "nowhere/tiny.onnx"], "no folder"),
        (["tiny.yaml", "-o", "tiny.onnx", "--batch-size", "0"], "--batch-size"),
        (["tiny.yaml", "-o", "tiny.onnx", "--weights", "none.safetensors"], "none.safetensors"),
        (["resnet20", "-o", "tiny.pt2", "--weights", "tiny.safetensors"], "weights of another network"),
        (["tiny2.yaml", "-o", "tiny.onnx"], "tiny2.yaml"),
    ],
)
def test_mistakes_are_one_clear_line(network, capsys, words, message):
    assert message in refused(capsys, "export", *words)
    assert not Path("tiny.onnx").exists() and not Path("tiny.pt2").exists()
