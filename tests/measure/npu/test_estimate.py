"""Estimates: what Vela reports has to agree with what we count, and what it cannot do has to be said."""

import csv
import io
import subprocess
import sys
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest
import timm
from torch import nn

pytest.importorskip("ethosu.vela", reason="needs the extra npu")

from madnas.errors import UsageError
from madnas.measure.npu import vela
from madnas.measure.npu.accelerators import ACCELERATORS, MEMORY_MODES, SYSTEMS, accelerator
from madnas.measure.npu.compare import NoEstimate, NpuChange, check_npu, npu_change
from madnas.measure.npu.convert import convert
from madnas.measure.npu.estimate import estimate, estimate_graph
from madnas.models import build
from madnas.network.count import count
from madnas.network.named import get
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.report.restructure_search import front_csv, search_report
from madnas.train.supernet import Found
from tests.models.examples import EXAMPLES

DIGITS = get("ran-e-digits")
TINY = NetworkSpec("tiny", (3, 16, 16), (Group("conv", 8, 1, kernel=3),), Head(4), Stem(8))
RAN = ("ran-e-supernet", "ran-e-a", "ran-e-b", "ran-e-c", "ran-e-gt")


def pooling_macs(graph):
    """What the NPU's multiply-add units do in poolings and means: every window, for every output."""
    found = 0
    for one in graph.operations:
        if one.kind in ("MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D"):
            outputs = prod(one.output.shape)
            window = (
                prod(one.inputs[0].shape) // outputs
                if one.kind == "MEAN"
                else one.options["FilterHeight"] * one.options["FilterWidth"]
            )
            found += outputs * window
    return found


@pytest.fixture(scope="module")
def digits():
    return {activations: estimate(DIGITS, activations=activations) for activations in ("as-is", "relu6")}


def test_multiply_adds_are_those_of_the_description(digits):
    for activations, found in digits.items():
        graph = convert(build(DIGITS), DIGITS.input, activations == "relu6")
        assert found.macs == int(count(DIGITS).macs)
        assert found.npu_macs == found.macs + pooling_macs(graph)
        assert found.npu_share == 1
        assert found.cpu_operators == {}
        assert found.operators == len(graph.operations)


def test_a_result_says_what_it_depends_on(digits):
    found = digits["relu6"]
    assert found.npu == "ethos-u55-256"
    assert found.conditions == (
        "ethos-u55-256 at 500 MHz, Ethos_U55_High_End_Embedded, Shared_Sram, ReLU6 for all activations; "
        f"Vela {found.vela}"
    )
    tree = found.document()
    assert tree["seconds"] == pytest.approx(1 / tree["inferences_per_second"])
    assert tree["seconds"] == pytest.approx(tree["cycles"]["total"] / tree["core_clock"])
    assert 0 < tree["utilisation"] < 1
    assert tree["memory"]["sram"] >= 2 * 16 * 16 * 16  # stem's map and another one, an octet a number
    assert tree["memory"]["off_chip_flash"] > 0.8 * count(DIGITS).params


def test_h_swish_costs_cycles(digits):
    assert digits["as-is"].cycles["total"] > digits["relu6"].cycles["total"]


def test_an_estimate_is_the_same_every_time(digits):
    assert estimate(DIGITS) == digits["as-is"]


def test_more_multiply_add_units_are_faster():
    graph = convert(build(DIGITS), DIGITS.input, relu6=True, name="digits")
    slow, fast = (estimate_graph(graph, DIGITS.input, npu) for npu in ("ethos-u55-32", "ethos-u85-512"))
    assert slow.inferences_per_second < fast.inferences_per_second
    assert (slow.macs, slow.network) == (fast.macs, fast.network)
    assert (fast.system_config, fast.memory_mode) == ("Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB")


def test_what_stays_on_the_cpu_is_said():
    spec = replace(EXAMPLES["convnext"], groups=EXAMPLES["convnext"].groups[:1])
    found = estimate(spec)
    assert found.cpu_operators == {"MEAN": 6}  # two for each norm over maps, of the stem and two blocks
    assert found.npu_share == 1 - 6 / found.operators


def test_a_network_that_does_not_fit_is_refused():
    assert estimate(TINY, sram=10_000).memory["sram"] <= 10_000
    with pytest.raises(UsageError, match=r"tiny: does not fit ethos-u55-256: it needs [\d,]+ bytes of SRAM, of 1,000"):
        estimate(TINY, sram=1_000)


def test_a_network_without_anything_for_the_npu_is_refused():
    class Root(nn.Module):
        def forward(self, x):
            return x.sqrt()

    with pytest.raises(UsageError, match="Root: no operator of it runs on ethos-u55-256"):
        estimate(Root(), (3, 8, 8))


def test_what_vela_refuses_is_an_error_of_one_line(monkeypatch):
    monkeypatch.setattr(vela, "CONFIG", "no-such-file.ini")
    with pytest.raises(UsageError, match=r"Vela refuses the network for ethos-u55-256: .*no-such-file") as caught:
        estimate(TINY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["ethosu.vela", "tflite", "flatbuffers"])
def test_without_the_extra_it_says_what_to_install(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UsageError, match="not installed") as caught:
        estimate(TINY)
    assert caught.value.hint == "pip install 'madnas[npu]'"
    with pytest.raises(UsageError):
        check_npu("ethos-u55-256")
    check_npu(None)
    check_npu("none")
    found = npu_change(TINY, TINY)
    assert isinstance(found, NoEstimate)
    assert str(found).endswith("is not installed: pip install 'madnas[npu]'")
    assert found.document()["failed"]


def test_importing_this_needs_no_vela():
    code = "import sys, madnas.measure.npu.compare; assert not {'tflite', 'ethosu'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        (("ethos-u55-127",), "no NPU 'ethos-u55-127'", "did you mean ethos-u55-128"),
        (("ethos-u55-256", "Ethos_U65_High_End"), "no system configuration of an ethos-u55", "Deep_Embedded"),
        (("ethos-u55-256", None, "Shared"), "no memory mode 'Shared'", "did you mean Shared_Sram"),
    ],
)
def test_unknown_hardware_is_refused_before_any_work(given, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        accelerator(*given)
    assert hint in caught.value.hint


def test_the_names_are_those_of_vela():
    text = subprocess.run([sys.executable, "-m", "ethosu.vela", "--help"], check=True, capture_output=True, text=True)
    names = text.stdout.partition("--accelerator-config {")[2].partition("}")[0]
    assert set("".join(names.split()).split(",")) == set(ACCELERATORS)
    listed = subprocess.run(
        [sys.executable, "-m", "ethosu.vela", "--list-configs", vela.CONFIG], check=True, capture_output=True, text=True
    ).stdout
    for name in (*MEMORY_MODES, *(system for systems in SYSTEMS.values() for system in systems)):
        assert name in listed


def test_a_change_is_a_ratio_under_the_same_conditions():
    larger = replace(TINY, groups=(replace(TINY.groups[0], depth=2),))
    found = npu_change(larger, TINY, npu="ethos-u55-64")
    assert isinstance(found, NpuChange)
    assert found.ratio > 1
    assert found.before.conditions == found.after.conditions
    assert npu_change(found.before, TINY, npu="ethos-u55-64") == found


class Norms(nn.Module):
    """Convolutions, and layer norms over the channels, whose means U55 leaves to the CPU."""

    def __init__(self, number):
        super().__init__()
        self.convs = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3))
        self.norms = nn.Sequential(*(nn.LayerNorm(8) for _ in range(number)))

    def forward(self, x):
        return self.norms(self.convs(x).permute(0, 2, 3, 1))


def test_a_speed_is_said_with_what_it_is_without():
    none, one, two = (estimate(Norms(number), (3, 16, 16)) for number in range(3))
    assert NpuChange(none, none).caveat == ""
    assert str(NpuChange(none, none)).endswith("(1.00 times)")
    assert str(NpuChange(one, one)).endswith("(1.00 times), without 2 operators on the CPU (2 MEAN)")
    assert NpuChange(two, none).caveat == (
        "not of the same work: before without 4 operators on the CPU (4 MEAN), after with all operators on the NPU"
    )
    more = NpuChange(one, two)
    assert more.caveat.startswith("not of the same work: before without 2 operators")
    assert "after without 4 operators" in str(more)
    spec = TINY
    found = Found(1e-3, Path("lambda-0.001"), (0,), {0: (0.5,)}, (), spec, spec, spec, 0.5)
    (row,) = csv.DictReader(io.StringIO(front_csv([found], [more])))
    assert row["npu_cpu_operators"] == "4 MEAN"
    assert f"- Lambda 0.001: speeds {more.caveat}." in search_report("net", [found], [more]).splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("name", RAN)
def test_networks_of_the_paper(name):
    spec = get(name)
    found = estimate(spec)
    assert found.npu_share == 1
    assert found.macs == int(count(spec).macs)
    # The mean over the last map; and in some a block that begins with an activation follows the stem's own: Vela cannot
    # put both into the stem's convolution, and makes a pooling of single pixels of the second one.
    twice = 16 * 112 * 112 if name in ("ran-e-b", "ran-e-c", "ran-e-gt") else 0
    assert found.npu_macs == found.macs + 1344 * 49 + twice


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "vgg"])
@pytest.mark.parametrize("npu", ["ethos-u55-64", "ethos-u65-512", "ethos-u85-256"])
def test_every_block_on_every_family(name, npu):
    spec = EXAMPLES[name]
    found = estimate(spec, npu=npu)
    assert found.macs == int(count(spec).macs)
    assert found.npu_macs >= found.macs
    assert found.inferences_per_second > 0
    assert found.npu_share > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mobilenetv3_large_100", "tf_efficientnet_lite0", "resnet50d", "regnety_002", "densenet121", "repvit_m1"]
)
def test_networks_of_timm(name):
    model = timm.create_model(name)
    found = estimate(model, (3, 224, 224), name=name)
    assert found.inferences_per_second > 0
    assert found.npu_share == 1


@pytest.mark.slow
def test_the_paper_s_ratios():
    """RAN, Table 1, of Ethos-U55: with ReLU6 for all, relative to EfficientNet-Lite-B0, by Vela 5.2 (see README)."""
    printed = {"ran-e-supernet": 0.86, "ran-e-a": 0.88, "ran-e-b": 1.10, "ran-e-c": 1.06, "resnet18": 0.46}
    base = estimate(get("efficientnet-lite0"), activations="relu6").inferences_per_second
    for name, ratio in printed.items():
        assert estimate(get(name), activations="relu6").inferences_per_second / base == pytest.approx(ratio, abs=0.02)
