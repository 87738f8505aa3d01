"""The contract of the command line: exit codes, streams, files; through the real process where it matters."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from madnas.cli.main import run
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.named import get
from madnas.network.specfile import load_spec, parse_spec

MADNAS = [sys.executable, "-m", "madnas"]
QUICK = ["design", "--space", "mlp", "--input", "784", "--params", "200K"]
"""A design that takes a few hundredths of a second."""


def madnas(*arguments: str, cwd: Path | None = None, **options) -> subprocess.CompletedProcess:
    return subprocess.run([*MADNAS, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, **options)


class TestDesign:
    def test_json_is_one_document_in_the_documented_form(self, capsys):
        assert run([*QUICK, "--json"]) == 0
        out, err = capsys.readouterr()
        document = json.loads(out)
        assert err == ""
        assert {
            "schema",
            "spec",
            "budgets",
            "rho",
            "entropy",
            "objective",
            "bound",
            "gap",
            "binding",
            "solver",
            "seconds",
        } <= set(document)
        spec = parse_spec(document["spec"], "json")
        assert document["budgets"]["params"] == {"value": count(spec).params, "limit": 200_000}
        assert document["rho"] == pytest.approx(analyse(spec).rho) and document["rho"] <= 0.1
        assert document["entropy"] == pytest.approx(analyse(spec).weighted_entropy())
        assert document["objective"] <= document["bound"]

    def test_the_file_is_the_network_that_was_shown(self, tmp_path, capsys):
        assert run([*QUICK, "-o", str(tmp_path / "net.yaml"), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        spec = load_spec(tmp_path / "net.yaml")
        assert spec == parse_spec(document["spec"], "json")
        assert spec.provenance["budgets"] == {"params": 200_000}
        (tmp_path / "design.json").write_text(json.dumps(document))
        for target in ("net.yaml", "design.json"):
            assert run(["score", str(tmp_path / target), "--json"]) == 0
            scores = json.loads(capsys.readouterr().out)["results"][0]["scores"]
            assert scores["params"]["value"] == document["budgets"]["params"]["value"]
            assert scores["entropy"]["value"] == pytest.approx(document["entropy"])

    def test_a_list_sweeps_and_writes_a_folder(self, tmp_path, capsys):
        folder = tmp_path / "sweep"
        assert run([*QUICK, "--rho", "0.05,0.1,0.2", "-o", str(folder)]) == 0
        assert sorted(path.name for path in folder.iterdir()) == [
            "design-rho0.05.yaml", "design-rho0.1.yaml", "design-rho0.2.yaml", "sweep.csv", "sweep.png",
        ]  # fmt: skip
        assert (folder / "sweep.png").read_bytes().startswith(b"\x89PNG")
        rows = (folder / "sweep.csv").read_text().splitlines()
        assert len(rows) == 4 and rows[0].startswith("name,space,params_limit,rho_limit")
        assert "front" in capsys.readouterr().out

    @pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
    def test_pictures(self, tmp_path, suffix):
        path = tmp_path / f"net.{suffix}"
        assert run([*QUICK, "--plot", str(path)]) == 0
        assert path.read_bytes()[:4] in (b"\x89PNG", b"<?xm", b"%PDF")

    def test_like_takes_the_budgets_of_a_network(self, capsys):
        assert run(["design", "--space", "basic-cifar", "--like", "resnet20", "--rho", "0.1", "--json"]) == 0
        budgets = json.loads(capsys.readouterr().out)["budgets"]
        assert budgets["macs"]["limit"] == count(get("resnet20")).macs
        assert budgets["params"]["limit"] == count(get("resnet20")).params

    def test_same_command_same_bytes(self, tmp_path):
        texts = []
        for seed in ("0", "1"):
            environment = os.environ | {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": str(1 + int(seed))}
            path = tmp_path / f"{seed}.yaml"
            command = ["design", "--space", "basic-cifar", "--macs", "20M", "--params", "200K", "-o", str(path)]
            done = madnas(*command, env=environment)
            assert done.returncode == 0
            texts.append(path.read_bytes())
        assert texts[0] == texts[1]

    def test_list_names_every_space_and_recipe(self, capsys):
        assert run(["design", "--list"]) == 0
        out = capsys.readouterr().out
        assert "mobilenet-se" in out and "r18-rho0.3" in out and "\x1b" not in out


MISTAKES = {
    "no budget": (["design", "--rho", "0.5"], 2, "at least one budget"),
    "unknown space": (["design", "--macs", "1G", "--space", "mobilnet"], 2, "did you mean 'mobilenet'"),
    "unknown recipe": (["design", "--recipe", "r18-rho3"], 2, "unknown recipe"),
    "unknown network": (["design", "--like", "resnet19"], 2, "unknown network"),
    "unknown option": (["design", "--flop", "1G"], 2, "--flop"),
    "unknown verb": (["desing"], 2, "desing"),
    "negative budget": (["design", "--params", "-5M"], 2, "must be above 0"),
    "zero budget": (["design", "--macs", "0"], 2, "must be above 0"),
    "wrong suffix": (["design", "--macs", "4.5B"], 2, "4.5G"),
    "lower case suffix": (["design", "--macs", "4.5g"], 2, "4.5G"),
    "no number": (["design", "--macs", "many"], 2, "cannot read 'many'"),
    "nan": (["design", "--macs", "nan"], 2, "cannot read"),
    "huge": (["design", "--macs", "1e400"], 2, "--macs"),
    "rho 0": (["design", "--macs", "1G", "--rho", "0"], 2, "above 0"),
    "rho negative": (["design", "--macs", "1G", "--rho=-1"], 2, "above 0"),
    "rho nan": (["design", "--macs", "1G", "--rho", "nan"], 2, "above 0"),
    "empty in a list": (["design", "--macs", "1G", "--rho", "0.1,,0.3"], 2, "empty value"),
    "weights of wrong number": (["design", "--macs", "1G", "--stage-weights", "1,8"], 2, "2 stage weights for the 5"),
    "weights zero": (["design", "--macs", "1G", "--stage-weights", "0,0,0,0,0"], 2, "not all 0"),
    "guideline 4": (["design", "--macs", "1G", "--without-guideline", "4"], 2, "not one of 1, 2, 3"),
    "even kernel": (["design", "--macs", "1G", "--kernel", "4"], 2, "kernels"),
    "kernel of an MLP": (["design", "--params", "1M", "--space", "mlp", "--kernel", "3"], 2, "linear has no kernel"),
    "kernel twice": (["design", "--macs", "1G", "--kernel", "3,3"], 2, "each once"),
    "idle weights": (
        ["design", "--macs", "1G", "--stage-weights", "1,1,1,1,8", "--without-guideline", "1"],
        2,
        "do nothing without Guideline 1",
    ),
    "idle penalty": (
        ["design", "--macs", "1G", "--depth-penalty", "5", "--without-guideline", "2"],
        2,
        "does nothing without Guideline 2",
    ),
    "multiple 0": (["design", "--macs", "1G", "--channel-multiple", "0"], 2, "multiple"),
    "input of two numbers": (["design", "--macs", "1G", "--input", "3x224"], 2, "3x224x224"),
    "classes 0": (["design", "--macs", "1G", "--classes", "0"], 2, "classes"),
    "gap": (["design", "--macs", "1G", "--gap", "200"], 2, "--gap"),
    "nodes": (["design", "--macs", "1G", "--max-nodes", "0"], 2, "--max-nodes"),
    "picture format": (["design", "--macs", "1G", "--plot", "x.txt"], 2, ".png"),
    "infeasible": (["design", "--macs", "1M", "--params", "29M"], 3, "macs blocks"),
    "unknown solver": (["design", "--macs", "1G", "--solver", "scip"], 2, "--solver: unknown 'scip'"),
    "score nothing known": (["score", "resnet19"], 2, "unknown network"),
    "score missing file": (["score", "nowhere.yaml"], 2, "nowhere.yaml"),
    "score resolution": (["score", "resnet18", "--resolution", "0"], 2, "--resolution"),
}


@pytest.mark.parametrize(("arguments", "code", "says"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_gets_one_clear_message_and_its_code(arguments, code, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.startswith("madnas: ") and "Traceback" not in err
    assert not list(tmp_path.iterdir())


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    return "\n".join(lines)


FILES = {
    "empty": (b"", "empty"),
    "binary": (bytes(range(256)), "UTF-8"),
    "alias bomb": (bomb().encode(), "alias"),
    "typo": (
        b"schema: madnas/network/1\nname: x\ninput: [3, 8, 8]\nstem: {out: 4}\ngruops: []\nhead: {classes: 2}\n",
        "gruops",
    ),
    "not a spec": (b"hello: world\n", "schema"),
    "deep": (b"a: " + b"[" * 5000, ""),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_an_error_of_the_user(name, tmp_path, capsys):
    content, says = FILES[name]
    path = tmp_path / "net.yaml"
    path.write_bytes(content)
    assert run(["score", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and str(path) in err and says in err
    assert path.read_bytes() == content


def test_a_file_of_100_mb_is_not_read(tmp_path, capsys):
    path = tmp_path / "net.yaml"
    with open(path, "wb") as file:
        file.truncate(100_000_000)
    assert run(["score", str(path)]) == 2
    assert "too large" in capsys.readouterr().err


class TestOutput:
    def test_nothing_is_replaced_unasked(self, tmp_path, capsys):
        path = tmp_path / "net.yaml"
        path.write_text("mine")
        for option in ("-o", "--csv"):
            assert run([*QUICK, option, str(path)]) == 2
            assert "exists already" in capsys.readouterr().err
        assert path.read_text() == "mine"
        assert run([*QUICK, "-o", str(path), "--force"]) == 0
        assert load_spec(path).name == "design"
        assert [entry.name for entry in tmp_path.iterdir()] == ["net.yaml"]

    @pytest.mark.parametrize("place", ["missing/net.yaml", "file/net.yaml", "."], ids=["no folder", "file", "a folder"])
    def test_what_cannot_be_written_is_said_before_solving(self, place, tmp_path, capsys):
        (tmp_path / "file").write_text("")
        assert run([*QUICK, "-o", str(tmp_path / place)]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("madnas: ")

    def test_a_sweep_wants_an_empty_folder(self, tmp_path, capsys):
        (tmp_path / "old").write_text("")
        assert run([*QUICK, "--rho", "0.1,0.2", "-o", str(tmp_path)]) == 2
        assert "not empty" in capsys.readouterr().err


class TestProcess:
    @pytest.mark.parametrize(
        ("arguments", "absent"),
        [
            (["design", "--list"], ["torch", "timm", "pyomo", "casadi", "numpy", "matplotlib"]),
            (["design", "--list", "--json"], ["torch", "timm", "pyomo", "casadi", "numpy", "matplotlib"]),
            (["restructure", "edit", "ran-e-supernet", "--collapse-blocks", "2"], ["torch", "timm", "pyomo", "casadi"]),
        ],
        ids=["list", "list as JSON", "edit"],
    )
    def test_light_paths_stay_light(self, arguments, absent):
        code = f"import sys; from madnas.cli.main import run; run({arguments!r}); "
        code += f"print([name for name in {absent!r} if name in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_verify_recounts_on_the_built_module(capsys):
    assert run(["score", "resnet20", "mobilenetv2-0.5", "--verify", "--json"]) == 0
    for result in json.loads(capsys.readouterr().out)["results"]:
        assert result["verified"] == {"matches": True, "mismatches": []}
