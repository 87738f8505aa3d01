"""``madnas design``: its documents, tables and lists."""

import csv
import json
import math
import re

import pytest

from madnas.cli.main import run
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.specfile import load_spec, parse_spec
from madnas.program.space import load_space
from madnas.units import format_quantity
from tests.cli.shell import COUNTS, QUICK, SWEEP, document, refused
from tests.measure.latency_table.test_table import table_of

DESIGN = {
    *("schema", "madnas", "spec", "budgets", "counts", "rho", "rho_limit", "width", "entropy", "stages"),
    *("objective", "bound", "gap", "binding", "space_limits", "solver", "seconds"),
}
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


def test_what_the_space_itself_limits_is_said(capsys):
    found = document(capsys, "design", "--space", "mlp", "--params", "1G", "--max-layers", "4")
    assert set(found["space_limits"].values()) <= {max(load_space("mlp").out)}
    assert found["space_limits"]
    assert run(["design", "--space", "mlp", "--params", "1G", "--max-layers", "4"]) == 0
    assert "at the largest that space mlp allows: out1" in capsys.readouterr().out


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
