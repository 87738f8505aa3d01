"""``madnas benchmark`` as a command."""

import csv
import io
import json
from dataclasses import replace

import pytest

from madnas.cli.main import run
from madnas.measure.benchmark import run as runs
from madnas.measure.latency_table import load_table
from madnas.network.specfile import dump_spec
from tests.cli.shell import document, refused
from tests.models.examples import EXAMPLES

QUICK = ["benchmark", "resnet20", "--threads", "1", "--rounds", "4"]


def test_json_has_every_rows_evidence(capsys):
    found = document(capsys, *QUICK, "mobilenetv2-0.5", "--resolution", "32")
    assert found["schema"] == "madnas/benchmark/1"
    assert [row["name"] for row in found["results"]] == ["resnet20", "mobilenetv2-0.5"]
    for row in found["results"]:
        assert {"hardware", "driver", "versions", "command", "commit"} <= set(row["environment"])
        assert row["latency_seconds"]["n"] == len(row["rounds_seconds"]) == 4
        assert row["flops_share_of_peak"] == pytest.approx(row["flops_per_second"] / found["peak"]["flops_per_second"])


def test_table_csv_and_picture(capsys, tmp_path):
    table, picture = tmp_path / "t.csv", tmp_path / "t.png"
    assert run([*QUICK, "--csv", str(table), "--plot", str(picture)]) == 0
    out, _ = capsys.readouterr()
    assert "resnet20" in out and "images/s" in out and "commit" in out
    [row] = csv.DictReader(io.StringIO(table.read_text()))
    assert row["target"] == "resnet20" and float(row["p50_seconds"]) > 0
    assert all(row[name] for name in ("hardware", "driver", "versions", "command", "commit"))
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_compiled_networks_say_so_and_compiling_is_not_timed(capsys, tmp_path):
    table = tmp_path / "t.csv"
    assert run([*QUICK, "--compile", "--csv", str(table)]) == 0
    assert "compiled" in capsys.readouterr().out
    [row] = csv.DictReader(io.StringIO(table.read_text()))
    assert row["compiled"] == "True"
    assert float(row["p95_seconds"]) < 0.5  # compiling it takes ten seconds and more


@pytest.mark.parametrize(
    ("words", "clock"),
    [
        ((), "wall"),
        (("--threads", "1"), "thread"),
        (("--threads", "2"), "wall"),
        (("--threads", "1", "--clock", "wall"), "wall"),
    ],
)
def test_one_thread_counts_its_own_time(capsys, words, clock):
    found = document(capsys, "benchmark", "resnet20", "--rounds", "4", *words)
    assert found["setting"]["clock"] == clock


def test_the_word_networks_may_be_left_out(capsys):
    assert run(["benchmark", "networks", *QUICK[1:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["name"] == "resnet20"
    assert run(["benchmark", "--rounds", "4", "--threads", "1", "resnet20", "--json"]) == 0


def test_a_failed_selftest_is_told(capsys, monkeypatch):
    real = runs.in_turns

    def biased(*arguments):
        times = real(*arguments)
        return {name: [2.0] * 4 if name.endswith(runs.AGAIN) else [1.0] * 4 for name in times}

    monkeypatch.setattr(runs, "in_turns", biased)
    assert run([*QUICK, "--selftest"]) == 2
    assert "self-test failed: the network against itself: 0.500" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resnet20", "--batch-size", "many"], "--batch-size"),
        (["resnet20", "--batch-size", "0"], "--batch-size"),
        (["resnet20", "--mode", "test"], "--mode"),
        (["resnet20", "--precision", "int8"], "onnxruntime"),
        (["resnet20", "--device", "cuda"], "CUDA"),
        (["resnet20", "--clock", "thread"], "--threads 1"),
        (["resnet20", "--batch-size", "auto", "--engine", "onnxruntime"], "auto"),
        (["resnet2O"], "did you mean"),
        (["resnet20", "--npu", "ethos-u55-256"], "--engine vela"),
        (["resnet20", "--npu-sram", "1M"], "--engine vela"),
        (["resnet20", "--engine", "vela", "--npu-sram", "many"], "--npu-sram"),
        (["resnet20", "--engine", "vela", "--precision", "bf16"], "--precision"),
        (["resnet20", "--engine", "vela", "--npu", "ethos-u99"], "ethos-u99"),
        (["resnet20", "--engine", "vela", "--npu-activations", "gelu"], "--npu-activations"),
        (["resnet20", "--engine", "vela", "--threads", "1", "--batch-size", "2"], "--batch-size, --threads"),
        (["latency-table", "--space", "mlp", "--macs", "-1"], "--macs"),
        (["latency-table", "--space", "mlp", "--macs", "1M", "--minutes", "-1"], "--minutes"),
        (["latency-table", "--space", "mlp", "--macs", "1M", "--precision", "int8"], "int8"),
        (["latency-table", "--space", "mlp", "--macs", "1M", "--device", "cuda:99"], "no CUDA device"),
        (["latency-table", "--space", "mlp", "--macs", "1M", "--device", "gpu"], "unknown device"),
        (["latency-table", "--space", "mlp", "--macs", "1M", "-o", "/nowhere/table.json"], "no folder"),
    ],
)
def test_mistakes_are_one_clear_line(capsys, words, message):
    assert message in refused(capsys, "benchmark", *words)


def test_a_range_without_networks_is_infeasible(capsys):
    assert "needed" in refused(capsys, "benchmark", "latency-table", "--space", "mlp", "--macs", "900", code=3)


def test_a_latency_table_is_measured_written_and_read(capsys, tmp_path):
    path = tmp_path / "table.json"
    words = ["benchmark", "latency-table", "--space", "basic-cifar", "--macs", "4M", "--minutes", "0"]
    words += ["--probes", "16", "--held-out", "4", "-o", str(path)]
    assert run(words) == 0
    out, _ = capsys.readouterr()
    assert "off by" in out and f"wrote {path}" in out
    table = load_table(path)
    assert table.setting["clock"] == "thread" and table.environment["command"][0] != ""
    assert table.predict(table.held_out[0].spec) > 0
    assert "exists already" in refused(capsys, *words)


def test_estimates_of_an_npu(capsys, tmp_path):
    pytest.importorskip("ethosu", reason="needs the extra npu")
    path = tmp_path / "npu.csv"
    words = ["benchmark", "ran-e-digits", "resnet20", "--engine", "vela", "--npu-activations", "relu6"]
    found = document(capsys, *words, "--csv", str(path))
    assert found["schema"] == "madnas/npu-estimate/1"
    first, second = found["results"]
    assert first["npu"] == "ethos-u55-256" and first["activations"] == "relu6" and "Vela" in first["conditions"]
    assert second["ratio"] == pytest.approx(second["inferences_per_second"] / first["inferences_per_second"])
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [row["target"] for row in rows] == ["ran-e-digits", "resnet20"]
    about = found["environment"]
    assert about["commit"] and about["command"] and about["versions"]["ethos-u-vela"]
    assert all(row["commit"] == about["commit"] and "ethos-u-vela=" in row["versions"] for row in rows)
    assert run(words) == 0
    assert "not measured" in capsys.readouterr().out


def test_a_network_that_does_not_fit_the_npu_is_refused(capsys):
    pytest.importorskip("ethosu", reason="needs the extra npu")
    words = ["benchmark", "ran-e-digits", "resnet20", "--engine", "vela", "--precision", "int8", "--json", "--npu-sram"]
    assert run([*words, "2K"]) == 2
    out, err = capsys.readouterr()
    assert "estimated: ran-e-digits: does not fit" in err and "; resnet20: does not fit" in err
    assert "does not fit ethos-u55-256" in err and set(json.loads(out)["failed"]) == {"ran-e-digits", "resnet20"}


def test_an_estimate_says_what_stays_on_the_cpu(capsys, tmp_path):
    pytest.importorskip("ethosu", reason="needs the extra npu")
    path, spec = tmp_path / "npu.csv", tmp_path / "norms.yaml"
    spec.write_text(dump_spec(replace(EXAMPLES["convnext"], groups=EXAMPLES["convnext"].groups[:1])))
    assert run(["benchmark", "ran-e-digits", str(spec), "--engine", "vela", "--csv", str(path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "norms.yaml: estimated without 6 operators on the CPU (6 MEAN)" in out
    assert "not of the same work, for other operators are on the CPU than of the first: " in out
    rows = csv.DictReader(io.StringIO(path.read_text()))
    assert [row["cpu_operators"] for row in rows] == ["", "6 MEAN"]


def test_a_network_that_the_npu_cannot_run_is_refused_and_the_others_shown(capsys):
    pytest.importorskip("ethosu", reason="needs the extra npu")
    assert run(["benchmark", "resnet20", "timm/swin_tiny_patch4_window7_224", "--engine", "vela"]) == 2
    out, err = capsys.readouterr()
    assert "resnet20" in out and "1 of 2 not estimated: timm/swin" in err and "Traceback" not in err


def test_a_papers_table_is_markdown_which_is_seen_before_it_is_computed(capsys, tmp_path):
    told = refused(capsys, "benchmark", "paper", "nn-mass", "-o", str(tmp_path / "a.csv"))
    assert "a.csv" in told and ".md" in told


def test_vela_is_one_of_the_engines(capsys):
    assert "torch, onnxruntime, vela" in refused(capsys, "benchmark", "resnet20", "--engine", "tvm")


def test_a_papers_numbers(capsys, tmp_path):
    path = tmp_path / "nn-mass.md"
    found = document(capsys, "benchmark", "paper", "nn-mass", "-o", str(path))
    assert found["schema"] == "madnas/paper-numbers/1"
    assert {row["verdict"] for row in found["results"]} == {"same", "not here"}
    assert all(row["why"] for row in found["results"] if row["verdict"] == "not here")
    assert "| NN-Mass, Table 1 | Manual model | NN-Mass | 1126 | 1126 | 0 |" in path.read_text()


def test_an_unknown_paper(capsys):
    assert "did you mean 'deepmad'" in refused(capsys, "benchmark", "paper", "deepmat")
