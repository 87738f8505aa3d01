"""Exports compute what the network does, on batches that nobody traced; and what does not is never written."""

import pytest
import torch
from torch import nn

from madnas.errors import UsageError
from madnas.export import onnx as room
from madnas.export.check import DisagreementError, agreements
from madnas.export.export import export
from madnas.export.onnx import INPUT, onnx_bytes, quantised, session
from madnas.models import build
from madnas.models.norms import unsettle
from madnas.network.spec import Group, Head, NetworkSpec, Stem

TINY = NetworkSpec(
    "tiny",
    (3, 16, 16),
    (Group("inverted-residual", 8, 2, hidden=16, kernel=3, stride=2, act="silu", se="deepmad", shortcut="pool"),),
    Head(5),
    Stem(8),
)


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    made = build(TINY).eval()
    unsettle(made, 0)
    return made


@pytest.mark.parametrize("kind", ["onnx", "torch-export"])
def test_a_file_for_any_batch(module, kind):
    if kind == "onnx":
        pytest.importorskip("onnxruntime", reason="needs the extra export")
    result = export(module, TINY.input, kind, None)
    assert [one.batch for one in result.agreements] == [1, 2, 5]
    assert all(one.relative < 1e-5 for one in result.agreements)
    assert len(result.data) > 4 * sum(parameter.numel() for parameter in module.parameters())


def test_a_file_for_one_batch_takes_no_other(module):
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra export")
    data = export(module, TINY.input, "onnx", 3).data
    opened = session(data, 1)
    assert opened.get_inputs()[0].shape == [3, 3, 16, 16]
    with pytest.raises(runtime.capi.onnxruntime_pybind11_state.InvalidArgument):
        opened.run(None, {INPUT: torch.zeros(2, 3, 16, 16).numpy()})


def test_eight_bits_are_fewer_bytes_and_still_the_same_shape():
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    wide = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1)).eval()
    data = onnx_bytes(wide, (3, 8, 8), 1)
    small = quantised(data, (3, 8, 8), 1)
    assert len(small) < 0.5 * len(data)
    x = torch.randn(1, 3, 8, 8)
    [got] = session(small, 1).run(None, {INPUT: x.numpy()})
    with torch.inference_mode():
        wanted = wide(x)
    error = (torch.from_numpy(got) - wanted).abs().max() / wanted.abs().max()
    assert 1e-5 < error < 0.2  # not equal, or nothing was quantised


def test_a_wrong_file_is_found(module):
    with pytest.raises(DisagreementError, match="differ by"):
        agreements(module, lambda x: module(x) * 1.001, TINY.input, (1,))
    with pytest.raises(DisagreementError, match="differ by"):
        agreements(module, lambda x: module(x) * float("nan"), TINY.input, (1,))
    with pytest.raises(DisagreementError, match="gives"):
        agreements(module, lambda x: module(x)[:, :1], TINY.input, (1,))


class Branching(nn.Module):
    """A network whose way depends on its input, which no exporter follows."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else x


@pytest.mark.parametrize("kind", ["onnx", "torch-export"])
def test_what_cannot_be_exported_is_refused(kind):
    if kind == "onnx":
        pytest.importorskip("onnxruntime", reason="needs the extra export")
    with pytest.raises(UsageError, match="cannot be exported"):
        export(Branching().eval(), (3, 4, 4), kind, 1)


def test_a_missing_package_is_named_with_its_extra(module, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(room, "import_module", missing)
    with pytest.raises(UsageError, match="onnx is not installed") as caught:
        export(module, TINY.input, "onnx", 1)
    assert "madnas[export]" in caught.value.hint


def test_a_broken_file_is_refused():
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    with pytest.raises(UsageError, match="onnxruntime refuses"):
        session(b"no network", 1)


def test_no_gpu_in_onnxruntime_is_one_line(module):
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra export")
    if "CUDAExecutionProvider" in runtime.get_available_providers():
        pytest.skip("this onnxruntime has a GPU")
    with pytest.raises(UsageError, match=r"computes on .* alone"):
        session(b"", 1, "cuda")
