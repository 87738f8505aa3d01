"""``madnas design``: its documents, tables, files, and what its flags mean."""

import csv
import json
import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from madnas.cli.design_request import Request, problems
from madnas.cli.main import run
from madnas.errors import UsageError
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.named import get
from madnas.network.specfile import dump_spec, load_spec, parse_spec
from madnas.program.space import load_space
from madnas.units import format_quantity
from tests.cli.shell import QUICK, SWEEP, document, refused
from tests.measure.latency_table.test_table import table_of

DESIGN = {
    *("schema", "madnas", "spec", "budgets", "counts", "rho", "rho_limit", "width", "entropy", "stages"),
    *("objective", "bound", "gap", "binding", "space_limits", "solver", "seconds"),
}
COUNTS = {"params", "macs", "activations", "layers"}
STAGE = {"resolution", "out", "layers", "rho", "entropy", "weight"}
BINDING = {"limit", "used", "gain_per_percent", "gain_per_percent_relative"}
SOLVER = {
    *("name", "relaxation", "basis", "nodes", "starts", "agreed_nodes", "checked_nodes", "infeasible_nodes"),
    *("unsolved_nodes", "candidates"),
}
SPEC = {"schema", "name", "input", "groups", "head", "provenance"}


def numbers(tree):
    """Every number of a document."""
    if isinstance(tree, dict):
        return [n for item in tree.values() for n in numbers(item)]
    if isinstance(tree, list):
        return [n for item in tree for n in numbers(item)]
    return [tree] if isinstance(tree, int | float) and not isinstance(tree, bool) else []


@pytest.fixture
def latency_table(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps(table_of("mlp").document()))
    return path


class TestLatency:
    def test_document_table_and_file(self, capsys, tmp_path, latency_table):
        words = ["design", "--space", "mlp", "--params", "100K", "--latency", f"90us@{latency_table}"]
        found = document(capsys, *words)
        assert found["budgets"]["latency"]["limit"] == pytest.approx(90e-6)
        assert 85e-6 < found["budgets"]["latency"]["value"] <= 90e-6
        assert found["spec"]["provenance"]["latency_table"]["device"] == "imagined"
        assert run([*words, "--csv", str(tmp_path / "t.csv"), "--plot", str(tmp_path / "t.svg")]) == 0
        out = capsys.readouterr().out
        assert "0.09 ms" in out and "networks held out" in out
        [row] = csv.DictReader((tmp_path / "t.csv").read_text().splitlines())
        assert float(row["latency"]) == found["budgets"]["latency"]["value"]

    def test_a_budget_beyond_the_table_is_told_in_a_line(self, capsys, latency_table):
        words = ["design", "--space", "mlp", "--latency", f"90us@{latency_table}", "--macs"]
        assert run([*words, "1G"]) == 0
        assert "--macs 1G: the latency table was measured with networks of up to" in capsys.readouterr().err
        assert run([*words, "10K"]) == 0
        assert capsys.readouterr().err == ""

    def test_mistakes(self, capsys, latency_table):
        mlp = ["design", "--space", "mlp"]
        assert "a table without a limit" in refused(capsys, *mlp, "--latency", f"@{latency_table}")
        assert "names no table" in refused(capsys, *mlp, "--latency", "3ms")
        assert "--latency 0." in refused(capsys, *mlp, "--latency", f"1us@{latency_table}", code=3)


class TestJson:
    def test_document_has_exactly_these_keys(self, capsys):
        found = document(capsys, *QUICK)
        assert found["schema"] == "madnas/design/1"
        assert set(found) == DESIGN
        assert set(found["counts"]) == COUNTS
        assert found["budgets"] == {"params": {"value": found["counts"]["params"], "limit": 100_000}}
        assert [set(stage) for stage in found["stages"]] == [STAGE]
        assert found["binding"] and all(set(binding) == BINDING for binding in found["binding"])
        assert set(found["solver"]) == SOLVER
        assert set(found["spec"]) == SPEC
        assert found["seconds"] > 0

    def test_convolutional_document(self, capsys):
        arguments = ["--space", "basic-cifar", "--macs", "20M", "--params", "200K", "--max-layers", "40"]
        found = document(capsys, "design", *arguments)
        assert set(found) == DESIGN
        assert set(found["spec"]) == SPEC | {"stem"}
        assert set(found["budgets"]) == {"macs", "params", "layers"}
        assert [stage["weight"] for stage in found["stages"]] == [1, 1, 8]
        assert all(math.isfinite(number) for number in numbers(found))
        assert {binding["limit"] for binding in found["binding"]} <= {"macs", "params", "layers", "rho"}

    def test_numbers_are_those_of_the_spec(self, capsys):
        found = document(capsys, "design", "--space", "basic-cifar", "--macs", "20M", "--params", "200K")
        spec = parse_spec(found["spec"], "json")
        structure = analyse(spec)
        assert found["counts"] == {name: getattr(count(spec), name) for name in COUNTS}
        assert found["objective"] == pytest.approx(structure.objective())
        assert found["entropy"] == pytest.approx(structure.weighted_entropy())
        assert found["width"] == pytest.approx(structure.width)
        assert found["rho"] == pytest.approx(structure.rho)
        assert found["rho"] <= found["rho_limit"] == 0.3
        assert found["gap"] == pytest.approx((found["bound"] - found["objective"]) / found["bound"])
        assert [stage["entropy"] for stage in found["stages"]] == pytest.approx(list(structure.entropies))
        assert sum(stage["layers"] for stage in found["stages"]) == count(spec).layers

    def test_sweep_has_a_document_for_each_point(self, capsys):
        found = document(capsys, *SWEEP)
        assert set(found) == {"schema", "results", "missed"}
        assert found["missed"] == []
        assert found["schema"] == "madnas/design-sweep/1"
        assert all(set(result) == DESIGN | {"swept", "pareto"} for result in found["results"])
        assert [result["swept"] for result in found["results"]] == [
            {"params": 60_000, "rho": 0.1},
            {"params": 60_000, "rho": 0.2},
            {"params": 100_000, "rho": 0.1},
            {"params": 100_000, "rho": 0.2},
        ]
        assert [result["spec"]["name"] for result in found["results"]] == [
            "design-params60K-rho0.1", "design-params60K-rho0.2",
            "design-params100K-rho0.1", "design-params100K-rho0.2",
        ]  # fmt: skip
        points = [(result["counts"]["params"], -result["objective"]) for result in found["results"]]
        beaten = [any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points) for p in points]
        assert [result["pareto"] for result in found["results"]] == [not other for other in beaten]
        assert beaten.count(True) > 0

    def test_files_are_written_all_the_same(self, capsys, tmp_path):
        found = document(capsys, *QUICK, "-o", str(tmp_path / "net.yaml"), "--csv", str(tmp_path / "net.csv"))
        assert load_spec(tmp_path / "net.yaml") == parse_spec(found["spec"], "json")
        assert (tmp_path / "net.csv").exists()


def cells(line):
    """Words of a table's row."""
    return line.split()


class TestTable:
    def test_shows_the_numbers_of_the_document(self, capsys):
        arguments = ["design", "--space", "basic-cifar", "--macs", "20M", "--params", "200K"]
        found = document(capsys, *arguments)
        assert run(arguments) == 0
        out, err = capsys.readouterr()
        assert err == ""
        lines = out.splitlines()
        for name, shown in (("macs", "MACs"), ("params", "params")):
            (line,) = [line for line in lines if line.startswith(f" {shown} ") or line.startswith(f"{shown} ")]
            share = 100 * found["budgets"][name]["value"] / found["budgets"][name]["limit"]
            assert format_quantity(found["budgets"][name]["limit"]) in cells(line)
            assert f"{math.floor(share * 100) / 100:.2f}" in cells(line)
        groups = [cells(line) for line in lines if line.strip().startswith("group ")]
        spec = found["spec"]["groups"]
        assert [(int(g[-2]), int(g[-1])) for g in groups] == [(group["out"], group["depth"]) for group in spec]
        (summary,) = [line for line in lines if "objective" in line and "bound" in line]
        assert f"{found['objective']:,.1f}" in summary and f"{found['bound']:,.1f}" in summary
        assert f"gap {100 * found['gap']:.3f} %" in summary
        assert found["solver"]["basis"] in " ".join(out.split())

    def test_is_plain_text_when_it_is_not_a_terminal(self, capsys):
        for arguments in (QUICK, SWEEP, ["design", "--list"]):
            assert run(arguments) == 0
            out, err = capsys.readouterr()
            assert "\x1b" not in out
            assert "\r" not in out
            assert err == ""

    def test_sweep_has_a_row_for_each_point(self, capsys):
        front = [result["pareto"] for result in document(capsys, *SWEEP)["results"]]
        assert run(SWEEP) == 0
        out = capsys.readouterr().out
        rows = [cells(line) for line in out.splitlines() if re.match(r" *(60K|100K) ", line)]
        assert [row[:2] for row in rows] == [["60K", "0.1"], ["60K", "0.2"], ["100K", "0.1"], ["100K", "0.2"]]
        assert [("*" in row) for row in rows] == front

    def test_narrow_terminals_cut_nothing_off(self, capsys, monkeypatch):
        """80 columns are what a terminal has; names and numbers that end in dots are of no use."""
        monkeypatch.setenv("COLUMNS", "80")
        for arguments in (QUICK, SWEEP, ["design", "--list"]):
            assert run(arguments) == 0
            assert "…" not in capsys.readouterr().out

    def test_shares_are_never_rounded_up(self, capsys):
        """One parameter less than all is not 100 %, and all is."""
        exact = document(capsys, *QUICK)["counts"]["params"]
        for limit, shown in ((exact, "100.00"), (exact + 1, "99.99")):
            assert run(["design", "--space", "mlp", "--params", str(limit), "--rho", "0.1"]) == 0
            line = next(line for line in capsys.readouterr().out.splitlines() if "params" in line)
            assert shown in cells(line)


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


def asked(**flags):
    """The problems of some flags."""
    return [problem for _, problem in problems(Request(**flags))]


def one(**flags):
    (problem,) = asked(**flags)
    return problem


def test_what_the_space_itself_limits_is_said(capsys):
    found = document(capsys, "design", "--space", "mlp", "--params", "1G", "--max-layers", "4")
    assert set(found["space_limits"].values()) <= {max(load_space("mlp").out)}
    assert found["space_limits"]
    assert run(["design", "--space", "mlp", "--params", "1G", "--max-layers", "4"]) == 0
    assert "at the largest that space mlp allows: out1" in capsys.readouterr().out


class TestFlags:
    def test_one_number_is_no_image(self):
        with pytest.raises(UsageError, match="224x1x1 is no image"):
            asked(params="29M", input_shape="224")
        assert one(space="mlp", params="1M", input_shape="784").space.input == (784, 1, 1)

    @pytest.mark.parametrize("text", ["4,5G", "29,5M", "1,25g"])
    def test_a_decimal_comma_is_no_list(self, text):
        with pytest.raises(UsageError, match="decimal comma"):
            asked(macs=text, params="29M")

    def test_budgets_are_parsed_exactly(self):
        problem = one(macs="4.5G", params="29M", activations="0.1M", max_layers=70)
        assert problem.budgets == {
            "macs": 4_500_000_000,
            "params": 29_000_000,
            "activations": 100_000,
            "layers": 70,
        }

    def test_defaults_are_those_of_the_space(self):
        problem = one(macs="1G")
        assert (problem.space.name, problem.rho, problem.beta) == ("mobilenet-se", 0.5, 10.0)
        assert one(macs="1G", space="bottleneck").rho == 0.3
        assert problem.weights == (1, 1, 1, 1, 8)
        assert problem.guidelines == {1, 2, 3}

    def test_space_can_be_changed(self):
        problem = one(
            macs="1G",
            space="mobilenet-se",
            input_shape="1x32x64",
            classes=7,
            kernel="3,5",
            channel_multiple=16,
            head=640,
        )
        space = problem.space
        assert (space.input, space.classes, space.kernels, space.multiple) == ((1, 32, 64), 7, (3, 5), 16)
        assert space.head.conv == 640
        assert one(macs="1G", resolution=160).space.input == (3, 160, 160)
        assert one(macs="1G", input_shape="1x8x8", resolution=160).space.input == (1, 160, 160)
        assert one(params="1M", space="mlp", input_shape="784").space.input == (784, 1, 1)
        assert one(macs="1G", input_shape="3X64,32").space.input == (3, 64, 32)

    def test_objective_can_be_changed(self):
        problem = one(macs="1G", stage_weights=("1,0,2,3.5,8",), depth_penalty=3.0, without_guideline=(3,))
        assert (problem.weights, problem.beta, problem.guidelines) == ((1, 0, 2, 3.5, 8), 3.0, {1, 2})
        assert one(macs="1G", without_guideline=(1, 2)).weights == (0, 0, 0, 0, 1)

    def test_rho_can_be_switched_off(self):
        assert one(macs="1G", rho="none").rho is None
        assert one(macs="1G", rho="NONE").rho is None

    def test_like_takes_both_budgets_and_options_replace_them(self):
        costs = count(get("resnet50"))
        assert one(like="resnet50").budgets == {"macs": costs.macs, "params": costs.params}
        assert one(like="resnet50", params="10M").budgets == {"macs": costs.macs, "params": 10_000_000}
        assert one(like="resnet50", max_layers=50).budgets["layers"] == 50

    def test_recipe_and_what_replaces_its_values(self):
        problem = one(recipe="r18-alpha16")
        assert (problem.space.name, problem.rho, problem.weights[-1]) == ("bottleneck", 0.3, 16)
        assert problem.budgets == {"macs": 1_820_000_000, "params": 11_690_000}
        changed = one(recipe="r18-alpha16", macs="1G", rho="0.7", stage_weights=("1,1,1,1,2",), resolution=192)
        assert changed.budgets == {"macs": 1_000_000_000, "params": 11_690_000}
        assert (changed.rho, changed.weights[-1], changed.space.input) == (0.7, 2, (3, 192, 192))
        assert one(recipe="b0-without-guideline2").guidelines == {1, 3}
        assert one(recipe="b0-without-guideline2", without_guideline=(3,)).guidelines == {1, 2}
        assert one(recipe="29m-288").space.strides == (2, 2, 2, 1, 2)

    def recipe(self, folder, text):
        """Path of a recipe file with a row, the CIFAR space and some more lines."""
        path = folder / "recipe.yaml"
        path.write_text(f"schema: madnas/design-recipe/1\nrow: mine\nspace: basic-cifar\n{text}")
        return str(path)

    def test_flags_complete_a_recipe_without_budgets(self, tmp_path):
        path = self.recipe(tmp_path, "rho: 0.2\n")
        problem = one(recipe=path, params="200K")
        assert (problem.space.name, problem.budgets, problem.rho) == ("basic-cifar", {"params": 200_000}, 0.2)
        costs = count(get("resnet20"))
        assert one(recipe=path, like="resnet20").budgets == {"macs": costs.macs, "params": costs.params}
        with pytest.raises(UsageError, match="at least one budget"):
            one(recipe=path)

    def test_like_replaces_the_recipes_macs_and_params_and_flags_replace_those(self):
        costs = count(get("resnet50"))
        assert one(recipe="r18-rho0.3", like="resnet50").budgets == {"macs": costs.macs, "params": costs.params}
        assert one(recipe="r18-rho0.3", like="resnet50", max_layers=99, macs="1G").budgets == {
            "macs": 10**9,
            "params": costs.params,
            "layers": 99,
        }

    def test_recipe_without_rho_has_the_spaces_as_a_command_without_it(self, tmp_path):
        path = self.recipe(tmp_path, "params: 200K\n")
        assert one(recipe=path).rho == one(space="basic-cifar", params="200K").rho == 0.3
        assert one(recipe=path, space="mobilenet-se").rho == 0.5
        assert one(recipe=path, rho="none").rho is None
        assert one(recipe=self.recipe(tmp_path, "params: 200K\nrho: none\n")).rho is None
        assert one(recipe=self.recipe(tmp_path, "params: 200K\nrho: none\n"), rho="0.4").rho == 0.4

    def test_recipe_and_flags_that_say_the_same_are_the_same_problem(self, tmp_path):
        path = self.recipe(
            tmp_path,
            "macs: 2e7\nparams: 200K\nactivations: 1M\nmax_layers: 40\nrho: 0.2\nresolution: 48\nkernels: [3]\n"
            "multiple: 8\nhead_conv: 64\nclasses: 10\nstage_weights: [1, 2, 4]\ndepth_penalty: 5\n"
            "without_guidelines: [3]\n",
        )
        flags = one(
            macs="20M", params="200K", activations="1M", max_layers=40, rho="0.2", resolution=48, kernel="3",
            channel_multiple=8, head=64, classes=10, stage_weights=("1,2,4",), depth_penalty=5.0,
            without_guideline=(3,), space="basic-cifar",
        )  # fmt: skip
        assert one(recipe=path) == flags

    def test_input_replaces_the_recipes_resolution(self):
        assert one(recipe="29m-288", input_shape="1x96x64").space.input == (1, 96, 64)
        assert one(recipe="29m-288", resolution=96).space.input == (3, 96, 96)

    def test_another_space_keeps_the_recipes_other_values(self):
        problem = one(recipe="29m-288", space="mobilenet")
        assert (problem.space.name, problem.space.strides) == ("mobilenet", (2, 2, 2, 1, 2))
        assert (problem.space.input, problem.space.head.conv) == ((3, 288, 288), 1792)
        assert one(recipe="r18-alpha16", space="mobilenet").weights == (1, 1, 1, 1, 16)
        assert one(recipe="r18-alpha16", space="basic-cifar", stage_weights=("1,2,4",)).weights == (1, 2, 4)

    @pytest.mark.parametrize(
        ("recipe", "message"),
        [
            ("29m-288", "--space: recipe 29m-288 has strides for 5 groups, basic-cifar has 3"),
            ("r18-alpha16", "--space: recipe r18-alpha16 has 5 stage weights, basic-cifar has 3 stages"),
        ],
    )
    def test_another_space_that_the_recipes_values_do_not_fit(self, recipe, message):
        with pytest.raises(UsageError, match=message):
            one(recipe=recipe, space="basic-cifar")

    def test_lists_sweep_in_the_order_of_the_flags(self):
        points = problems(Request(macs="1G,2G", rho="0.3,none", params="9M"))
        assert [swept for swept, _ in points] == [
            {"macs": 10**9, "rho": 0.3},
            {"macs": 10**9, "rho": None},
            {"macs": 2 * 10**9, "rho": 0.3},
            {"macs": 2 * 10**9, "rho": None},
        ]
        for swept, problem in points:
            assert (problem.budgets, problem.rho) == (
                {"macs": swept["macs"], "params": 9_000_000},
                swept["rho"],
            )

    def test_stage_weights_sweep_when_repeated(self):
        points = problems(Request(macs="1G", stage_weights=("1,1,1,1,1", "1,1,1,1,8")))
        assert [swept["stage_weights"][-1] for swept, _ in points] == [1, 8]
        assert [problem.weights[-1] for _, problem in points] == [1, 8]

    def test_a_list_of_one_is_no_sweep(self):
        assert problems(Request(macs="1G", rho="0.3"))[0][0] == {}

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            ({}, "at least one budget"),
            ({"rho": "0.3"}, "at least one budget"),
            ({"macs": "1G,"}, "--macs: an empty value in '1G,'"),
            ({"macs": ""}, "--macs: an empty value"),
            ({"macs": "1G,0"}, "--macs: must be above 0"),
            ({"macs": "1G", "rho": "0.1,nine"}, "--rho: 'nine' is not a number"),
            ({"macs": "1G", "rho": "1e400"}, "--rho: must be above 0"),
            ({"macs": "1G", "max_layers": 0}, "--max-layers: must be above 0, got 0"),
            ({"macs": "1G", "kernel": "3,x"}, "--kernel: 'x' is not a whole number"),
            ({"macs": "1G", "kernel": "3,5.0"}, "--kernel: '5.0' is not a whole number"),
            ({"macs": "1G", "input_shape": "3x2x2x2"}, "--input: cannot read '3x2x2x2'"),
            ({"macs": "1G", "input_shape": "axbxc"}, "--input: 'a' is not a whole number"),
            ({"macs": "1G", "input_shape": "3x-1x5"}, "input: "),
            ({"macs": "1G", "stage_weights": ("1,1,x,1,8",)}, "--stage-weights: 'x' is not a number"),
            ({"macs": "1G", "without_guideline": (0,)}, "--without-guideline: 0 is not one of 1, 2, 3"),
            ({"macs": "1G", "kernel": "3", "space": "mlp"}, "kernels: linear has no kernel"),
            ({"macs": "1G", "kernel": "3,3"}, "kernels: each once, found 3, 3"),
            (
                {"macs": "1G", "stage_weights": ("1,1,1,1,8",), "without_guideline": (1,)},
                "stage weights do nothing without Guideline 1",
            ),
            (
                {"recipe": "r18-alpha16", "without_guideline": (1,)},
                "stage weights do nothing without Guideline 1",
            ),
            (
                {"recipe": "b0-without-guideline1", "stage_weights": ("1,1,1,1,8", "1,1,1,1,9")},
                "stage weights do nothing without Guideline 1",
            ),
            (
                {"macs": "1G", "depth_penalty": 3.0, "without_guideline": (3, 2)},
                "depth penalty does nothing without Guideline 2",
            ),
            ({"macs": ",".join(["1G"] * 40), "rho": ",".join(["0.1"] * 40)}, "more than 1000 designs|twice|same"),
            ({"macs": "1G", "head": 10**20}, "head"),
            ({"macs": "1G", "classes": 10**20}, "classes"),
            ({"macs": "1G", "channel_multiple": 10**20}, "multiple"),
        ],
        ids=str,
    )
    def test_mistakes_name_the_flag(self, flags, message):
        from madnas.errors import MadnasError

        with pytest.raises(MadnasError, match=message) as caught:
            problems(Request(**flags))
        assert caught.value.exit_code == 2

    def test_flags_of_the_command_reach_the_problem(self, capsys):
        """Each flag once, from the shell's side."""
        found = document(
            capsys, "design", "--flops", "20M", "--params", "250K", "--activations", "1M", "--max-layers", "30",
            "--rho", "0.4", "--space", "basic-cifar", "--input", "1x28x28", "--classes", "10", "--kernel", "3",
            "--channel-multiple", "8", "--head", "128", "--stage-weights", "1,2,4", "--depth-penalty", "5",
            "--without-guideline", "3", "--name", "mine", "--gap", "1", "--max-nodes", "50", "--solver", "casadi",
        )  # fmt: skip
        provenance, spec = found["spec"]["provenance"], parse_spec(found["spec"], "json")
        assert found["budgets"].keys() == {"macs", "params", "activations", "layers"}
        assert (found["rho_limit"], provenance["stage_weights"], provenance["depth_penalty"]) == (0.4, [1, 2, 4], 5)
        assert provenance["guidelines"] == [1, 2]
        assert (spec.name, spec.input, spec.head.classes, spec.head.conv) == ("mine", (1, 28, 28), 10, 128)
        assert all(group.out % 8 == 0 for group in spec.groups)
        assert found["solver"]["name"].startswith("IPOPT (CasADi")


def test_unknown_request_is_a_usage_error():
    with pytest.raises(UsageError, match="unknown space"):
        problems(Request(macs="1G", space="nowhere"))


def test_list_has_every_space_and_recipe(capsys):
    from madnas.program.recipe import recipe_files
    from madnas.program.space import space_files

    assert run(["design", "--list"]) == 0
    words = capsys.readouterr().out.split()
    assert {*space_files(), *recipe_files()} <= set(words)


def test_list_as_a_document(capsys):
    from madnas.program.recipe import load_recipe, recipe_files
    from madnas.program.space import space_files

    found = document(capsys, "design", "--list")
    assert (found["schema"], set(found)) == (
        "madnas/list/1",
        {"schema", "madnas", "spaces", "recipes", "evolution_spaces"},
    )
    assert [space["name"] for space in found["spaces"]] == list(space_files())
    assert [recipe["name"] for recipe in found["recipes"]] == list(recipe_files())
    assert [space["name"] for space in found["evolution_spaces"]] == ["zen-mobile", "zen-residual"]
    for recipe in found["recipes"]:
        assert recipe["budgets"] == load_recipe(recipe["name"]).problem().budgets
        assert {"row", "space", "rho", "published", "file"} <= set(recipe)


def test_weights_that_are_swept_have_no_front(capsys, tmp_path):
    """Objectives under other weights are other quantities: none of these designs beats another."""
    path = tmp_path / "sweep.csv"
    arguments = ["design", "--space", "basic-cifar", "--params", "100K", "--max-nodes", "1", "--gap", "50"]
    arguments += ["--stage-weights", "1,1,1", "--stage-weights", "1,1,8"]
    found = document(capsys, *arguments, "--csv", str(path))
    assert [result["pareto"] for result in found["results"]] == [None, None]
    assert "pareto" not in path.read_text().splitlines()[0].split(",")
    assert run(arguments) == 0
    out = capsys.readouterr().out
    assert "front" not in out and "*" not in out
    assert "compare between rows of the same stage weights only" in out


def test_a_copied_mlp_is_designed_for_the_objective_that_score_shows(capsys, tmp_path):
    from tests.program.spaces import edited

    path = edited("mlp", tmp_path, {"depth_penalty": ..., "stage_weights": ...})
    designed = document(capsys, "design", "--space", path, "--params", "100K", "-o", str(tmp_path / "net.yaml"))
    (scored,) = document(capsys, "score", str(tmp_path / "net.yaml"))["results"]
    assert scored["scores"]["objective"]["value"] == pytest.approx(designed["objective"], rel=1e-12)
    assert designed["objective"] == document(capsys, *QUICK)["objective"]


def test_users_own_space_and_recipe(capsys, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "schema: madnas/space/1\nname: mine\nblock: linear\nstrides: [1]\nout: [8, 64]\ninput: [4, 1, 1]\nclasses: 2\n"
        "stage_weights: [1]\ndepth: [1, 4]\n"
    )
    found = document(capsys, "design", "--space", str(tmp_path / "mine.yaml"), "--params", "5K", "--rho", "none")
    assert "enumerated" in found["solver"]["basis"]
    assert found["solver"]["nodes"] == 0
    assert found["gap"] == 0
    assert found["spec"]["provenance"]["space"] == "mine"
    (tmp_path / "recipe.yaml").write_text(
        f"schema: madnas/design-recipe/1\nrow: mine\nspace: {json.dumps(str(tmp_path / 'mine.yaml'))}\nparams: 5K\n"
    )
    again = document(capsys, "design", "--recipe", str(tmp_path / "recipe.yaml"))
    assert again["objective"] == found["objective"]
