"""``madnas design --method evolution``: its documents, files, refusals and exit codes."""

import csv
import json
import math

import pytest

from madnas.cli.main import run
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.specfile import load_spec, parse_spec
from tests.cli.shell import document, madnas, refused

SMALL = ["--params", "60K", "--input", "3x16x16", "--classes", "10", "--candidates", "3000", "--proposals", "512"]
ZEN = ["design", "--method", "evolution", "--score", "zen-closed", *SMALL]
MLP = ["design", "--method", "evolution", "--space", "mlp", "--params", "100K", "--candidates", "30000",
       "--proposals", "512"]  # fmt: skip
KEYS = {
    *("schema", "madnas", "method", "score", "spec", "fitness", "scores", "budgets", "costs", "counts", "rho"),
    *("width", "entropy", "front", "program", "program_failure", "search", "failed", "history", "members"),
    *("interrupted", "rates"),
}


def test_document_has_exactly_these_keys_and_the_numbers_of_its_spec(capsys):
    found = document(capsys, *ZEN)
    assert found["schema"] == "madnas/search/1" and set(found) == KEYS
    spec = parse_spec(found["spec"], "json")
    counts = count(spec)
    assert found["counts"] == counts.tree()
    assert found["budgets"] == {"params": {"value": counts.params, "limit": 60_000}}
    assert counts.params <= 60_000
    assert found["rho"] == pytest.approx(analyse(spec).rho)
    assert found["program"] is None and not found["interrupted"] and found["front"] == []
    assert found["search"]["proposed"] >= 3000 > found["search"]["rounds"]
    assert [row["best"] for row in found["history"]] == sorted(row["best"] for row in found["history"])


def test_the_program_is_asked_too_where_it_knows_the_score(capsys):
    for score in ("objective", "entropy"):
        found = document(capsys, *MLP, "--score", score)
        assert found["program"]["objective"] <= found["program"]["bound"]
        assert found["fitness"]["value"] <= found["program"]["bound"]
        assert found["fitness"]["value"] > 0.95 * found["program"]["objective"]


def test_text_names_score_budgets_and_work(capsys):
    assert run(ZEN) == 0
    out, _ = capsys.readouterr()
    assert "zen-closed: " in out and "3,072 candidates proposed" in out and "60K" in out


def test_writes_network_table_picture_and_journal_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [*ZEN, "-o", "net.yaml", "--csv", "net.csv", "--plot", "net.png"]
    first = document(capsys, *arguments)
    spec = load_spec("net.yaml")
    assert spec.provenance["score"] == "zen-closed" and spec.provenance["search"] == "evolution"
    assert first["spec"]["provenance"]["fitness"] == spec.provenance["fitness"]
    with open("net.csv") as file:
        (row,) = csv.DictReader(file)
    assert int(row["params"]) == count(spec).params
    assert (tmp_path / "net.png").read_bytes().startswith(b"\x89PNG")
    lines = (tmp_path / "net.yaml.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["request"]["score"] == "zen-closed" and len(lines) == 1 + first["search"]["rounds"]
    again = document(capsys, *arguments)
    assert again | {"rates": None} == first | {"rates": None}
    assert "another search (score" in refused(capsys, *[*arguments, "--score", "entropy"])
    other = [*arguments[:-6], "--seed", "5", "-o", "net.yaml", "--restart"]
    assert run(other) == 0


def test_a_journal_of_its_own_name_does_not_let_a_search_replace_other_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run([*ZEN, "--journal", "kept.jsonl"]) == 0
    (tmp_path / "precious.yaml").write_text("precious")
    capsys.readouterr()
    assert "--force" in refused(capsys, *ZEN, "--journal", "kept.jsonl", "-o", "precious.yaml")
    assert (tmp_path / "precious.yaml").read_text() == "precious"
    assert run([*ZEN, "--journal", "kept.jsonl", "-o", "precious.yaml", "--force"]) == 0


def test_a_front_goes_into_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = document(capsys, *ZEN, "--pareto", "macs", "-o", "front")
    networks = [load_spec(str(path)) for path in sorted((tmp_path / "front").glob("design-*.yaml"))]
    assert len(networks) == len(found["front"]) > 3
    macs = [one["costs"]["macs"] for one in found["front"]]
    values = [one["fitness"]["value"] for one in found["front"]]
    assert macs == sorted(macs, reverse=True) and values == sorted(values, reverse=True)
    assert sorted(macs) == sorted(count(spec).macs for spec in networks)
    with open("front/front.csv") as file:
        assert len(list(csv.DictReader(file))) == len(networks)


def test_random_search_is_a_method(capsys):
    found = document(capsys, "design", "--method", "random", *ZEN[3:])
    assert found["method"] == "random" and math.isfinite(found["fitness"]["value"])


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["--score", "zan"], "did you mean 'zen'"),
        (["--score", "zen - "], "is no arithmetic expression"),
        (["--score", "objective", "--space", "zen-mobile"], "has no objective"),
        (["--gap", "1"], "--gap does nothing with --method evolution"),
        (["--solver", "casadi"], "--solver does nothing with --method evolution"),
        (["--survivors", "8"], "--survivors does nothing: the score is in closed form"),
        (["--pareto", "mac"], "did you mean 'macs'"),
        (["--pareto", "latency"], "latency needs a table"),
        (["--latency", "3"], "names no table"),
        (["--latency", "3@no.json"], "no such file"),
        (["--population", "1"], "--population: from 2"),
        (["--mutation", "wild"], "mixed or zen-nas"),
        (["--restart"], "--restart is for a journal"),
        (["--head", "64"], "--head is for DeepMAD's spaces"),
        (["--max-depth", "3"], "max_depth"),
        (["--params", "60K,70K"], "--params"),
        (["--space", "zen-residul"], "zen-residul"),
        (["-o", "missing/net.yaml"], "no folder"),
    ],
)
def test_refused(arguments, part, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert part in " ".join(refused(capsys, *ZEN, *arguments).split())


def test_options_of_a_search_are_refused_by_the_program(capsys):
    assert "--seed does nothing with --method program" in refused(capsys, "design", "--params", "1M", "--seed", "3")
    assert "did you mean 'evolution'" in refused(capsys, "design", "--params", "1M", "--method", "evolutoin")
    assert "at least one budget" in refused(capsys, "design", "--method", "evolution", "--score", "zen")


def test_infeasible_is_3_and_says_what_the_nearest_needs(capsys, monkeypatch):
    monkeypatch.setattr("madnas.search.closed.PATIENCE", 5)
    message = refused(capsys, *ZEN[:-8], "--params", "1K", "--input", "3x16x16", code=3)
    assert "the nearest needs params" in message and "of 1K" in message


def test_a_file_of_somebody_else_is_not_replaced(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text("mine\n")
    assert "exists already" in refused(capsys, *ZEN, "-o", "net.yaml")
    assert (tmp_path / "net.yaml").read_text() == "mine\n"


def test_a_score_in_closed_form_loads_no_torch(tmp_path):
    code = "import sys; from madnas.cli.main import run; run(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code, *ZEN, "-o", "net.yaml"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_a_full_disk_is_an_error_and_nothing_is_lost(tmp_path):
    done = madnas(*ZEN, "--journal", "/dev/full", cwd=tmp_path)
    assert done.returncode == 2 and "not a regular file" in done.stderr
