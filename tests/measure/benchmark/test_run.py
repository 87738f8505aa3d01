"""Benchmarks of small networks on this machine, quickly: that the numbers are of what they say."""

import re
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch._dynamo
from torch import nn

from madnas.device import ran_out
from madnas.errors import UsageError
from madnas.measure.benchmark import contestant as room
from madnas.measure.benchmark import run as runs
from madnas.measure.benchmark.contestant import contestant, explained_memory
from madnas.measure.benchmark.memory import OutOfMemory, peak_bytes
from madnas.measure.benchmark.request import Request
from madnas.measure.benchmark.run import AGAIN, benchmark
from madnas.measure.provenance import NEEDED, missing, provenance
from madnas.measure.rounds import Pace
from madnas.measure.setting import Setting
from madnas.models import build
from madnas.network.count import count
from madnas.network.named import get
from tests.models.examples import EXAMPLES

ONE = Setting(threads=1)
SHORT = Pace(4, turn=1e-9)
CPU = torch.device("cpu")


def test_a_row_is_of_its_network():
    result = benchmark(Request(("resnet20", "timm/resnet18"), ONE, resolution=(32, 32), pace=SHORT))
    assert [row.name for row in result.rows] == ["resnet20", "timm/resnet18"]
    assert result.failed == {}
    for row in result.rows:
        assert row.latency.n == 4 and 0 < row.latency.least <= row.latency.p50 <= row.latency.p95
        assert row.throughput == 1 / row.latency.p50
        assert row.contestant.flops == 2 * row.contestant.costs.macs
    first = result.rows[0]
    assert (first.ratio.value, first.ratio.low, first.ratio.high) == (1.0, 1.0, 1.0)
    assert first.contestant.costs.params == count(get("resnet20")).params
    assert result.peak_flops > 1e8 and result.peak_bytes > 1e7
    assert result.setting["threads"] == 1 and missing(result.about) == []
    assert torch.get_num_threads() == 1 or result.setting["threads"] == 1


def test_a_module_without_description_costs_what_its_description_says():
    known, counted = (
        contestant(word, "infer", Request((word,), ONE)).costs for word in ("resnet18", "torchvision/resnet18")
    )
    assert (known.params, known.macs) == (counted.params, counted.macs)


def test_training_takes_three_times_the_operations_and_more_memory():
    request = Request(("resnet20",), Setting(threads=1, batch_size=4), modes=("infer", "train"), pace=SHORT)
    infer, train = benchmark(request).rows
    assert (infer.name, train.name) == ("resnet20, infer", "resnet20, train")
    assert 2.9 < train.contestant.flops / infer.contestant.flops <= 3.0
    assert train.contestant.memory > 2 * infer.contestant.memory
    assert train.ratio.value == 1.0  # the first of its mode


def test_memory_of_known_tensors():
    weight = torch.zeros(1000, 1000)
    x = torch.zeros(10, 1000)

    def two_at_a_time():
        y = x @ weight  # 40,000 bytes
        z = y @ weight
        del y
        return z @ weight

    with torch.inference_mode():
        assert peak_bytes(two_at_a_time, CPU) == 80_000
        assert peak_bytes(lambda: x.view(-1)[:5], CPU) == 0
        assert peak_bytes(lambda: torch.relu_(x), CPU) == 0


def test_memory_of_a_backward_pass_holds_what_it_needs():
    layers = nn.Sequential(nn.Linear(100, 100, bias=False), nn.ReLU(), nn.Linear(100, 100, bias=False))
    x = torch.ones(1000, 100)
    with torch.no_grad():
        forward = peak_bytes(lambda: layers(x), CPU)
    both = peak_bytes(lambda: layers(x).sum().backward(), CPU)
    assert forward == 2 * 400_000
    assert both > forward


def test_larger_batches_need_more_memory_and_weights_only_once():
    memory = [contestant("resnet20", "infer", Request(("resnet20",), Setting(threads=1, batch_size=size))).memory
              for size in (1, 2, 3)]  # fmt: skip
    assert memory[2] - memory[1] == memory[1] - memory[0] > 0
    assert memory[0] - (memory[1] - memory[0]) > 4 * 269_722  # weights in float32


def test_automatic_batch_is_what_the_memory_allows(monkeypatch):
    one, two = (contestant("resnet20", "infer", Request(("resnet20",), Setting(threads=1, batch_size=size))).memory
                for size in (1, 2))  # fmt: skip
    each = two - one
    monkeypatch.setattr(room, "free_bytes", lambda: (one + 36.5 * each) / room.SHARE)
    found = contestant("resnet20", "infer", Request(("resnet20",), ONE, auto_batch=True))
    assert 35 <= found.batch <= 37
    assert found.memory <= one + 36.5 * each


def test_automatic_batch_on_the_cpu_is_not_what_takes_minutes(monkeypatch):
    monkeypatch.setattr(room, "free_bytes", lambda: 2**50)
    monkeypatch.setattr(room.Runner, "seconds", lambda runner: runner.batch / 256)
    found = contestant("resnet20", "infer", Request(("resnet20",), ONE, auto_batch=True))
    assert 124 <= found.batch <= 133


def test_many_compiled_networks_are_all_compiled(monkeypatch):
    """By default the compiler leaves the ninth network that one class makes uncompiled, in silence; here the second."""
    monkeypatch.setattr(room.torch, "compile", partial(torch.compile, backend="eager"))
    done = torch._dynamo.utils.counters["frames"]
    before, base = done["ok"], EXAMPLES["conv"]
    with torch._dynamo.config.patch(recompile_limit=1):  # monkeypatch would leave the setting deleted
        for width in (8, 16, 24):
            spec = replace(base, stem=replace(base.stem, out=width))
            runner = room.Runner(build(spec), spec.input, "infer", Setting(threads=1), compiled=True)
            runner.ready(1)
    assert done["ok"] - before == 3


def test_not_even_one_image_fits(monkeypatch):
    monkeypatch.setattr(room, "free_bytes", lambda: 1000)
    result = benchmark(Request(("resnet20",), ONE, auto_batch=True, pace=SHORT))
    assert result.rows == ()
    assert "not even one image fits" in result.failed["resnet20"]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
                                   RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")])  # fmt: skip
def test_a_network_that_does_not_fit_is_told_and_the_others_measured(monkeypatch, error):
    build = room.module_of

    def heavy(target, *rest):
        module = build(target, *rest)
        if target.spec.name == "resnet18":
            module.forward = lambda x: (_ for _ in ()).throw(error)
        return module

    monkeypatch.setattr(room, "module_of", heavy)
    result = benchmark(Request(("resnet18", "resnet20"), ONE, resolution=(32, 32), pace=SHORT))
    assert [row.name for row in result.rows] == ["resnet20"]
    assert result.rows[0].ratio.value == 1.0
    assert re.search("resnet18: the memory does not suffice; a smaller --batch-size", result.failed["resnet18"])


@pytest.mark.parametrize(
    ("word", "mode", "reason"),
    [
        ("timm/vit_tiny_patch16_224", "infer", "cannot be run on an input of 3 x 32 x 32: Input height (32)"),
        ("torchvision/resnet18", "train", "cannot be trained on an input of 3 x 32 x 32: Expected more than 1 value"),
        ("resnet18", "train", "cannot be trained on an input of 3 x 32 x 32: Expected more than 1 value"),
    ],
)
def test_what_refuses_its_input_is_told_and_the_others_measured(word, mode, reason):
    result = benchmark(Request((word, "resnet20"), ONE, modes=(mode,), resolution=(32, 32), pace=SHORT))
    assert result.failed[word].startswith(f"{word}: {reason}")
    assert [row.name for row in result.rows] == ["resnet20"]


def test_other_errors_are_not_called_a_lack_of_memory():
    assert not ran_out(RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"), explained_memory("net"):
        raise RuntimeError("shapes do not match")
    with pytest.raises(OutOfMemory, match="net"), explained_memory("net"):
        raise MemoryError


def test_selftest_is_the_same_network_in_the_same_rounds():
    result = benchmark(Request(("resnet20", "resnet20"), ONE, pace=SHORT, selftest=True))
    assert [row.name for row in result.rows] == ["resnet20", "resnet20 (2)", "resnet20" + AGAIN]
    first, other, again = result.rows
    assert again.contestant is first.contestant and other.contestant is not first.contestant


@pytest.mark.parametrize("name", NEEDED)
def test_without_evidence_there_is_no_result(monkeypatch, name):
    monkeypatch.setattr(runs, "provenance", lambda *_: provenance("cpu") | {name: ""})
    with pytest.raises(UsageError, match=f"no result: {name}"):
        benchmark(Request(("resnet20",), ONE, pace=SHORT))


def test_evidence_is_complete_here():
    about = provenance("cpu", ("onnxruntime",))
    assert missing(about) == []
    assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?|release .*", about["commit"])
    assert {"python", "torch", "madnas", "timm"} <= set(about["versions"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": "vela"}, "--engine"),
        ({"modes": ("test",)}, "--mode"),
        ({"setting": Setting(precision="int8")}, "8-bit"),
        ({"engine": "onnxruntime", "modes": ("train",)}, "does not train"),
        ({"engine": "onnxruntime", "compiled": True}, "--compile"),
        ({"engine": "onnxruntime", "setting": Setting(precision="bf16")}, "fp32 or int8"),
        ({"engine": "onnxruntime", "setting": Setting(layout="channels-last")}, "--layout"),
        ({"pace": Pace(3)}, "--rounds"),
        ({"pace": Pace(seconds=0)}, "--seconds"),
        ({"modes": ("train",), "setting": Setting(precision="fp16")}, "no training"),
        ({"targets": ("resnet20", "resnet99")}, "resnet99"),
        ({"setting": Setting(device="cuda:7")}, "CUDA"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(changes, words):
    with pytest.raises(UsageError, match=words):
        benchmark(Request(**({"targets": ("resnet20",)} | changes)))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("layout", ["channels-first", "channels-last"])
def test_precision_and_layout_are_those_of_the_weights(precision, layout):
    setting = Setting(precision=precision, layout=layout, threads=1)
    runner = room.Runner(room.module_of(room.find("resnet20")), (3, 32, 32), "infer", setting, False)
    output = runner.ready(1)()
    assert output.dtype == {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    weight = runner.module.groups[1][0].conv1.conv.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) == (layout == "channels-last")


@pytest.mark.gpu
def test_on_a_gpu():
    result = benchmark(Request(("resnet18", "resnet50"), Setting("cuda", "bf16", 32), modes=("infer", "train")))
    assert not result.failed and all(row.contestant.memory > 0 for row in result.rows)
    largest = benchmark(Request(("resnet18",), Setting("cuda"), auto_batch=True, pace=Pace(4)))
    assert largest.rows[0].contestant.batch >= 64
