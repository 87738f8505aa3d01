"""``madnas design --match-throughput``: documents, files, interrupts, mistakes; speeds are known, except once."""

import csv
import json

import pytest

from madnas.cli.main import run
from madnas.measure.benchmark.bout import Bout
from madnas.measure.benchmark.duel import Duel, duel
from madnas.measure.benchmark.request import Request
from madnas.measure.intervals import Ratio
from madnas.measure.rounds import Pace
from madnas.measure.setting import Setting
from madnas.network.count import count
from madnas.network.named import get
from madnas.network.spec import Group, Head, NetworkSpec
from madnas.network.specfile import dump_spec, load_spec
from tests.cli.shell import document, refused

REFERENCE = NetworkSpec("wide", (1, 28, 28), (Group("linear", 256, 2), Group("linear", 256, 3)), Head(10))


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "wide.yaml"
    path.write_text(dump_spec(REFERENCE))
    return ["design", "--match-throughput", str(path), "--space", "mlp", "--gap", "1", "--max-nodes", "20",
            "--measurements", "8", "--threads", "1", "--batch-size", "4"]  # fmt: skip


@pytest.fixture
def measured(monkeypatch):
    """Speeds in inverse proportion to multiply-adds; the list of what was measured."""
    calls = []

    def measure(duel, spec, effort):
        calls.append((spec, effort))
        ratio = 0.8 * duel.reference.costs.macs / count(spec).macs
        return Bout(Ratio(ratio, 0.995 * ratio, 1.005 * ratio, 0.95), 100 * ratio, 100.0, 4, 4, 15 * effort)

    monkeypatch.setattr(Duel, "__call__", measure)
    return calls


def test_document_table_files_and_report(capsys, tmp_path, words, measured):
    found = document(capsys, *words)
    macs = count(REFERENCE).macs
    assert found["schema"] == "madnas/design-match/1"
    assert found["reference"]["macs"] == macs and found["reference"]["batch_size"] == 4
    assert 0.9 * 0.8 * macs < found["design"]["counts"]["macs"] <= 0.8 * macs
    assert found["ratio"]["low"] >= 1 and found["confirmed"] and not found["interrupted"]
    assert found["measurements"] == len(measured) - 1
    assert {"hardware", "driver", "versions", "command", "commit"} <= set(found["environment"])
    assert found["design"]["spec"]["provenance"]["match_throughput"]["reference"] == words[2]
    assert found["steps"][0]["budgets"] == {"macs": macs, "params": count(REFERENCE).params}

    files = {"-o": "n.yaml", "--csv": "n.csv", "--plot": "n.png"}
    places = [part for flag, name in files.items() for part in (flag, str(tmp_path / name))]
    assert run([*words, *places, "--name", "swift"]) == 0
    out = capsys.readouterr().out
    assert "times as fast" in out and "measured once more at the end" in out and "too slow" in out
    assert load_spec(tmp_path / "n.yaml").name == "swift"
    rows = list(csv.DictReader((tmp_path / "n.csv").read_text().splitlines()))
    assert len(rows) == len(found["steps"])
    assert all(row[name] for row in rows for name in ("hardware", "driver", "versions", "command", "commit", "ratio"))
    assert (tmp_path / "n.png").read_bytes().startswith(b"\x89PNG")

    (tmp_path / "n.json").write_text(json.dumps(found))
    assert run(["report", str(tmp_path / "n.json"), "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "as fast as" in page and "too slow" in page and found["environment"]["hardware"] in page


def test_an_interrupt_writes_the_best_and_the_same_command_goes_on(capsys, tmp_path, words, measured, monkeypatch):
    words = [*words, "-o", str(tmp_path / "n.yaml"), "--params", "150K", "--macs", "150K"]
    known = Duel.__call__

    def until(duel, spec, effort):
        if len(measured) == 2:
            raise KeyboardInterrupt
        return known(duel, spec, effort)

    monkeypatch.setattr(Duel, "__call__", until)
    assert run(words) == 130
    out, err = capsys.readouterr()
    assert "stopped early; the same command goes on from" in out and "interrupted" in err
    assert load_spec(tmp_path / "n.yaml").name == "design"
    monkeypatch.setattr(Duel, "__call__", known)
    before = list(measured)
    assert run(words) == 0
    assert not {spec for spec, _ in measured[2:]} & {spec for spec, _ in before}
    assert "stopped early" not in capsys.readouterr().out
    assert "another search" in refused(capsys, *words, "--rho", "0.2")
    assert run([*words, "--rho", "0.2", "--restart", "--force"]) == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--method", "evolution"], "--match-throughput scales the budgets"),
        (["--score", "zen"], "--score does nothing"),
        (["--rho", "0.1,0.2"], "a flag holds a list"),
        (["--params-per-mac", "x"], "--params-per-mac"),
        (["--params-per-mac", "1,2", "--macs", "1M"], "needs budgets of both"),
        (["--measurements", "0"], "--measurements"),
        (["--batch-size", "many"], "--batch-size"),
        (["--precision", "int8"], "8-bit"),
        (["--device", "cuda"], "CUDA"),
        (["--restart"], "--restart is for a journal"),
        (["--csv", "/nowhere/t.csv"], "no folder"),
    ],
)
def test_mistakes(capsys, words, measured, more, message):
    assert message in refused(capsys, *words, *more)


def test_without_a_reference_its_options_are_refused(capsys):
    assert "without --match-throughput" in refused(capsys, "design", "--macs", "1G", "--measurements", "3")
    assert "did you mean" in refused(capsys, "design", "--match-throughput", "resnet5O")
    assert "whole number" in refused(capsys, "design", "--method", "evolution", "--macs", "1G", "--batch-size", "auto")


def test_a_real_clock(capsys, words):
    """The whole command, from budgets so small that one measurement is enough on any machine."""
    small = ["--macs", "20K", "--params", "20K", "--measurements", "1"]
    found = document(capsys, *words[:-2], *small, "--clock", "thread", "--seconds", "0.2")
    assert found["ratio"]["low"] >= 1 and found["confirmed"] and found["measurements"] == 1
    assert found["steps"][0]["measured"]["rounds"] >= 4
    assert found["batch_size"] > 4  # the largest that fits


def test_bouts_are_measured_beside_the_reference():
    request = Request(("resnet20",), Setting(threads=1, clock="thread"), pace=Pace(6))
    with duel(request) as measure:
        small, same = measure(get("mobilenetv2-0.5"), 1), measure(get("resnet20"), 2)
    assert same.rounds == 12 and 0.7 < same.ratio.value < 1.4
    assert small.ratio.value == pytest.approx(small.images_per_second / small.reference_images_per_second, rel=0.5)
