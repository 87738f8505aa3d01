"""``madnas scale`` as a user meets it: tables, documents, files, wrong input."""

import csv
import json
import subprocess
import sys

import pytest

from madnas.cli.main import run
from madnas.network.count import count
from madnas.network.mass import nn_mass
from madnas.network.named import get
from madnas.network.specfile import load_spec, parse_spec
from tests.cli.shell import document, madnas, refused

SMALL = ["scale", "convnext-t", "--macs", "3.3G", "--params", "21M", "--max-depth", "30"]


class TestJson:
    def test_is_one_document_in_the_documented_form(self, capsys):
        found = document(capsys, *SMALL, "--compare")
        assert {"schema", "spec", "budgets", "rho", "entropy", "objective", "bound", "gap", "binding", "solver",
                "seconds"} <= set(found)  # fmt: skip
        spec = parse_spec(found["spec"], "json")
        assert found["schema"] == "madnas/scale/1"
        assert found["budgets"]["macs"] == {"value": count(spec).macs, "limit": 3_300_000_000}
        assert found["objective"] == found["bound"] == nn_mass(spec).mass >= nn_mass(get("ran-i-t")).mass
        assert found["gap"] == 0
        assert [limit["limit"] for limit in found["binding"]] == ["max_depth", "macs"]
        assert [rival["rule"] for rival in found["compare"]] == ["base", "width", "depth", "compound"]
        assert [one["blocks"] for one in found["front"]] == sorted(one["blocks"] for one in found["front"])

    def test_sample_prints_the_networks_near_the_budget(self, capsys):
        found = document(capsys, "scale", "convnext-t", "--macs", "4.5G", "--params", "28M", "--sample", "400")
        assert found["schema"] == "madnas/scale-sample/1"
        assert all(abs(one["scores"]["macs"] / 4.5e9 - 1) <= 0.05 for one in found["results"])
        masses = [one["scores"]["nn_mass"] for one in found["results"]]
        assert masses == sorted(masses, reverse=True) and masses

    def test_like_mass(self, capsys):
        found = document(capsys, "scale", "densenet-cifar", "--params", "5M", "--like-mass", "nnmass-cifar-5.0m")
        theirs = get("nnmass-cifar-5.0m")
        spec = parse_spec(found["spec"], "json")
        assert nn_mass(spec).mass >= nn_mass(theirs).mass - 1e-6
        assert count(spec).params < count(theirs).params


class TestTables:
    def test_say_what_decides_and_what_the_cap_costs(self, capsys):
        assert run(SMALL) == 0
        out, err = capsys.readouterr()
        assert "decides: --max-depth lifted, alone: 25.17 % more nn-mass" in out
        assert "5-5-15-5" in out and "answer" in out and "beyond --max-depth" in out
        assert err == ""

    def test_say_where_the_theory_does_not_quite_hold(self, capsys):
        assert run(["scale", "mobilenetv2", "--macs", "200M"]) == 0
        assert "not proportional to its non-linear units" in " ".join(capsys.readouterr().err.split())

    @pytest.mark.parametrize(
        "base", ["timm/convnext_tiny.fb_in1k", "convnext_tiny", "resnet50", "wrn-28-10", "densenet-121"]
    )
    def test_bases_of_many_kinds(self, capsys, base):
        assert run(["scale", base, "--params", "15M", "--depth-range", "0.8,1.2", "--width-range", "0.5,0.8"]) == 0
        assert "exact: all" in capsys.readouterr().out

    def test_compound_scaling_to_an_input_that_vanishes_is_left_out(self, capsys):
        assert run(["scale", "convnext-t", "--resolution", "32", "--macs", "60M", "--compare"]) == 0
        assert "compound" in capsys.readouterr().out

    def test_no_links_within_the_budget(self, capsys):
        assert run(["scale", "densenet-cifar", "--params", "2.2287M", "--depth-range", "0.6,0.8"]) == 0
        assert "alone: from nothing: more nn-mass" in capsys.readouterr().out


class TestFiles:
    def test_network_table_and_picture(self, capsys, tmp_path):
        net, table, plot = tmp_path / "net.yaml", tmp_path / "front.csv", tmp_path / "front.png"
        files = ["-o", str(net), "--csv", str(table), "--plot", str(plot)]
        found = document(capsys, *SMALL, "--compare", *files)
        assert load_spec(net) == parse_spec(found["spec"], "json")
        rows = list(csv.DictReader(table.read_text().splitlines()))
        assert [int(row["blocks"]) for row in rows] == [one["blocks"] for one in found["front"]]
        assert plot.read_bytes().startswith(b"\x89PNG")
        assert "exists already" in refused(capsys, *SMALL, *files)
        assert run([*SMALL, *files, "--force"]) == 0

    def test_a_scaled_network_is_a_base_again(self, capsys, tmp_path):
        assert run([*SMALL, "-o", str(tmp_path / "net.yaml"), "--name", "mine"]) == 0
        capsys.readouterr()
        assert document(capsys, "scale", str(tmp_path / "net.yaml"), "--macs", "2G")["base"] == "mine"

    def test_sample_files(self, capsys, tmp_path):
        plot = tmp_path / "sample.svg"
        arguments = ["scale", "convnext-t", "--macs", "4.5G", "--sample", "300", "--plot", str(plot)]
        assert run([*arguments, "--csv", str(tmp_path / "sample.csv")]) == 0
        assert "<svg" in plot.read_text()
        assert len((tmp_path / "sample.csv").read_text().splitlines()) > 2


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["convnext-t"], 2, "scaling needs a budget"),
    (["convnext-x", "--macs", "3G"], 2, "unknown network"),
    (["timm/swin_tiny", "--macs", "3G"], 2, "not among the 114 timm networks"),
    (["vgg16", "--macs", "3G"], 2, "without shortcuts"),
    (["convnext-t", "--macs", "1M"], 3, "no network of convnext-t's family"),
    (["convnext-t", "--macs", "lots"], 2, "--macs"),
    (["convnext-t", "--macs", "3G", "--width-range", "1,2,3"], 2, "--width-range: cannot read"),
    (["convnext-t", "--macs", "3G", "--width-range", "2,1"], 2, "--width-range"),
    (["convnext-t", "--macs", "3G", "--depth-range", "1/0,2"], 2, "--depth-range"),
    (["convnext-t", "--macs", "3G", "--tolerance", "200"], 2, "--tolerance"),
    (["convnext-t", "--macs", "3G", "--tolerance", "nan"], 2, "--tolerance"),
    (["convnext-t", "--macs", "3G", "--multiple", "0"], 2, "--multiple"),
    (["convnext-t", "--macs", "3G", "--objective", "beauty"], 2, "unknown objective"),
    (["convnext-t", "--macs", "3G", "--objective", "params"], 2, "--like-mass"),
    (["convnext-t", "--macs", "3G", "--sample", "0"], 2, "--sample"),
    (["convnext-t", "--sample", "10"], 2, "scaling needs a budget"),
    (["convnext-t", "--macs", "3G", "--sample", "5", "--compare"], 2, "--sample"),
    (["convnext-t", "--macs", "4.5G", "--params", "1M", "--sample", "50"], 3, "none of"),
    (["convnext-t", "--like-mass", "resnet50", "--objective", "units"], 2, "--like-mass"),
    (["convnext-t", "--like-mass", "resnet50", "--compare"], 2, "--compare scales to a budget"),
    (["convnext-t", "--like-mass", "vgg16"], 2, "has no NN-Mass"),
    (["convnext-t", "--macs", "3G", "--sample", "10", "--seed", "-1"], 2, "--seed"),
    (["convnext-t", "--macs", "3G", "--sample", "10", "--objective", "units"], 2, "does not go with --objective"),
    (["convnext-t", "--macs", "3G", "--width-range", "1e400,1"], 2, "--width-range: cannot read"),
    (["convnext-t", "--macs", "3G", "--name", "x" * 200], 2, "--name"),
    (["convnext-t", "--macs", "1G", "--resolution", "16"], 2, "convnext-t at 16 px"),
    (["densenet-cifar", "--params", "5M", "--width-range", "1,2"], 2, "keep their widths"),
    (["densenet-cifar", "--params", "10K"], 3, "no network of densenet-cifar's family"),
    (["densenet-cifar", "--params", "5M", "--sample", "5"], 2, "links"),
    (["convnext-t", "--macs", "3G", "--plot", "x.gif"], 2, "cannot draw"),
    (["convnext-t", "--macs", "3G", "-o", "missing/net.yaml"], 2, "no folder"),
    (["convnext-t", "--macs", "3G", "--resolution", "0"], 2, "--resolution"),
])  # fmt: skip
def test_wrong_input_is_one_clear_error(capsys, arguments, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "scale", *arguments, code=code)
    assert not list(tmp_path.iterdir())


def test_loads_no_torch_and_no_solver(tmp_path):
    heavy = ("torch", "timm", "pyomo", "casadi", "matplotlib", "sklearn")
    code = (
        "import sys; from madnas.cli.main import run; "
        f"run({[*SMALL, '--json']!r}); "
        f"print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.stderr.strip() == "[]"
    assert json.loads(done.stdout)["schema"] == "madnas/scale/1"


def test_in_a_process_of_its_own():
    done = madnas(*SMALL)
    assert done.returncode == 0
    assert done.stderr == ""


def test_seed_is_for_samples(capsys):
    assert "--seed: for --sample only" in refused(capsys, "scale", "convnext-t", "--macs", "3G", "--seed", "1")


def test_sample_says_what_was_asked(capsys):
    arguments = ["scale", "convnext-t", "--macs", "4.5G", "--sample", "60", "--seed", "3", "--tolerance", "20"]
    found = document(capsys, *arguments)
    assert (found["samples"], found["seed"], found["tolerance"]) == (60, 3, 0.2)
    assert found["budgets"] == {"macs": 4_500_000_000}
    assert found["width_range"] == ["0.25", "1.6"]
