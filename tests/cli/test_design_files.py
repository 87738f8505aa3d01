"""``madnas design``: tables, pictures and networks as files."""

import csv
import json
import xml.etree.ElementTree as ElementTree

import pytest

from madnas.cli.main import run
from madnas.network.specfile import dump_spec, load_spec
from tests.cli.shell import COUNTS, QUICK, SWEEP, document, refused


class TestCsv:
    def test_numbers_are_those_of_the_document(self, capsys, tmp_path):
        path = tmp_path / "sweep.csv"
        results = document(capsys, *SWEEP, "--csv", str(path))["results"]
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(results) == 4
        for row, result in zip(rows, results, strict=True):
            assert None not in row and None not in row.values()
            assert row["name"] == result["spec"]["name"]
            assert row["space"] == "mlp"
            for name in COUNTS:
                assert int(row[name]) == result["counts"][name]
            assert int(row["params_limit"]) == result["budgets"]["params"]["limit"]
            assert float(row["rho_limit"]) == result["rho_limit"]
            for name in ("rho", "width", "entropy", "objective", "bound", "gap"):
                assert float(row[name]) == pytest.approx(result[name], rel=1e-12)
            assert row["pareto"] == str(result["pareto"])
            assert [int(depth) for depth in row["depths"].split()] == [g["depth"] for g in result["spec"]["groups"]]
            assert [int(out) for out in row["outs"].split()] == [g["out"] for g in result["spec"]["groups"]]

    def test_without_a_limit_of_rho_the_cell_is_empty(self, tmp_path):
        path = tmp_path / "net.csv"
        assert run([*QUICK, "--rho", "none", "--csv", str(path)]) == 0
        with open(path, newline="") as file:
            (row,) = csv.DictReader(file)
        assert row["rho_limit"] == ""


class TestPlot:
    @pytest.mark.parametrize("arguments", [QUICK, SWEEP, [*QUICK, "--rho", "0.1,none"]], ids=["one", "sweep", "none"])
    def test_png_is_a_png(self, arguments, tmp_path):
        path = tmp_path / "plot.png"
        assert run([*arguments, "--plot", str(path)]) == 0
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        assert data.rstrip().endswith(b"IEND\xaeB`\x82")
        width, height = (int.from_bytes(data[start : start + 4]) for start in (16, 20))
        assert width > 600 and height > 600

    def test_svg_names_what_it_shows(self, tmp_path):
        path = tmp_path / "plot.SVG"
        assert run([*QUICK, "--name", "mine", "--plot", str(path)]) == 0
        root = ElementTree.fromstring(path.read_bytes())
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(list(root.iter())) > 50


class TestOutput:
    def test_file_round_trips_and_scores_the_same(self, capsys, tmp_path):
        path = tmp_path / "net.yaml"
        arguments = ["--space", "basic-cifar", "--macs", "20M", "--params", "200K", "--name", "mine"]
        found = document(capsys, "design", *arguments, "-o", str(path))
        spec = load_spec(path)
        assert dump_spec(spec) == path.read_text()
        assert spec.name == "mine"
        assert spec.provenance["objective"] == pytest.approx(found["objective"], abs=1e-3)
        (scored,) = document(capsys, "score", str(path))["results"]
        scores = {name: score["value"] for name, score in scored["scores"].items()}
        assert {name: scores[name] for name in COUNTS} == found["counts"]
        for name in ("rho", "width", "entropy", "objective"):
            assert scores[name] == pytest.approx(found[name], rel=1e-12)

    def test_existing_file_stays_as_it_is(self, capsys, tmp_path):
        for option, name in (("-o", "net.yaml"), ("--csv", "net.csv"), ("--plot", "net.png")):
            path = tmp_path / name
            path.write_text("mine")
            before = path.stat()
            message = refused(capsys, *QUICK, option, str(path))
            assert f"{path}: exists already" in message
            assert "--force" in message
            after = path.stat()
            assert path.read_text() == "mine"
            assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
        assert run([*QUICK, "-o", str(tmp_path / "net.yaml"), "--csv", str(tmp_path / "net.csv"), "--force"]) == 0
        assert load_spec(tmp_path / "net.yaml").name == "design"
        assert (tmp_path / "net.csv").read_text().startswith("name,space,")

    def test_one_file_that_exists_keeps_all_others_from_being_written(self, capsys, tmp_path):
        (tmp_path / "net.csv").write_text("mine")
        refused(capsys, *QUICK, "-o", str(tmp_path / "net.yaml"), "--csv", str(tmp_path / "net.csv"))
        assert [path.name for path in tmp_path.iterdir()] == ["net.csv"]

    def test_two_results_do_not_go_to_one_file(self, capsys, tmp_path):
        path = str(tmp_path / "net")
        refused(capsys, *QUICK, "-o", path, "--csv", path)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        "place",
        ["/proc/net.yaml", "/dev/null", "/dev/full", "{}/file/net.yaml", "{}/" + "x" * 300],
        ids=["read-only folder", "device", "full device", "inside a file", "long name"],
    )
    def test_unwritable_places(self, place, capsys, tmp_path):
        (tmp_path / "file").write_text("")
        place = place.format(tmp_path)
        for option in ("-o", "--csv"):
            assert place in refused(capsys, *QUICK, option, place)
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    @pytest.mark.parametrize(
        "place",
        ["/proc/sweep", "{}/file", "{}/file/sweep", "{}/missing/sweep", "{}/" + "x" * 300],
        ids=["read-only folder", "file", "inside a file", "no folder", "long name"],
    )
    def test_unwritable_folders_of_a_sweep(self, place, capsys, tmp_path):
        (tmp_path / "file").write_text("")
        assert place.format(tmp_path) in refused(capsys, *SWEEP, "-o", place.format(tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def test_sweep_into_an_empty_folder_and_again_with_force(self, tmp_path):
        folder = tmp_path / "sweep"
        folder.mkdir()
        assert run([*SWEEP, "-o", str(folder)]) == 0
        names = {path.name for path in folder.iterdir()}
        assert names == {"sweep.csv", "sweep.png"} | {
            f"design-params{params}-rho{rho}.yaml" for params in ("60K", "100K") for rho in ("0.1", "0.2")
        }
        assert all(load_spec(path).name == path.stem for path in folder.glob("*.yaml"))
        before = {path.name: path.read_bytes() for path in folder.glob("*.yaml")}
        assert run([*SWEEP, "-o", str(folder), "--force"]) == 0
        assert {path.name: path.read_bytes() for path in folder.glob("*.yaml")} == before
        assert {path.name for path in folder.iterdir()} == names

    @pytest.mark.parametrize("values", ["0.1,0.1", "0.1,0.10", "0.1,0.1000000001"])
    def test_values_that_would_share_a_file_are_refused_or_told_apart(self, values, capsys, tmp_path):
        code = run([*QUICK, "--rho", values, "-o", str(tmp_path / "sweep")])
        capsys.readouterr()
        if code == 0:
            assert len(list((tmp_path / "sweep").glob("*.yaml"))) == 2
        else:
            assert code == 2
            assert not (tmp_path / "sweep").exists()

    @pytest.mark.parametrize(
        "name",
        ["../evil", "a/b", "", "x" * 300, "nu\0ll", "two\nlines"],
        ids=["elsewhere", "folder", "empty", "long", "null", "two lines"],
    )
    def test_names_that_no_file_can_have(self, name, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        refused(capsys, *SWEEP, "--name", name, "-o", "sweep")
        assert not list(tmp_path.iterdir())

    def test_sweep_without_any_network_writes_nothing(self, capsys, tmp_path):
        message = refused(capsys, *QUICK[:-1], "10,20", "-o", str(tmp_path / "sweep"), code=3)
        assert "no network of space mlp has params 10" in message
        assert not list(tmp_path.iterdir())

    def test_infeasible_point_of_a_sweep_loses_no_other(self, capsys, tmp_path):
        assert run([*QUICK[:-1], "100K,10", "-o", str(tmp_path / "sweep"), "--json"]) == 3
        captured = capsys.readouterr()
        document = json.loads(captured.out)
        assert [result["swept"] for result in document["results"]] == [{"params": 100_000}]
        assert [miss["swept"] for miss in document["missed"]] == [{"params": 10}]
        assert "no network of space mlp has params 10" in captured.err
        assert (tmp_path / "sweep" / "design-params100K.yaml").exists()
