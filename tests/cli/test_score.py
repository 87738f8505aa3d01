"""``madnas score``: one document or table for any number of targets, in closed form."""

import json
from dataclasses import replace

import pytest

from madnas.cli.main import run
from madnas.network.analyse import analyse
from madnas.network.count import Counts, count, count_backbone
from madnas.network.expand import at_resolution
from madnas.network.named import get
from madnas.network.specfile import dump_spec
from madnas.theory.nn_mass import bottleneck_mass
from tests.cli.shell import document, madnas, refused

HERE = ("--workers", "1")
"""In this process: others would take longer to start than what they do."""

SCORES = {
    "params",
    "macs",
    "activations",
    "layers",
    "width",
    "rho",
    "entropy",
    "objective",
    "nn-mass",
    "density",
    "units",
}
STAGE = {"resolution", "out", "layers", "rho", "entropy"}


class TestJson:
    def test_document_has_exactly_these_keys(self, capsys):
        found = document(capsys, "score", "resnet18")
        assert set(found) == {"schema", "results"}
        assert found["schema"] == "madnas/score/1"
        (result,) = found["results"]
        assert set(result) == {"target", "name", "input", "scores", "stages", "failed", "nn_mass_policies"}
        assert set(result["scores"]) == SCORES
        assert all(set(score) == {"value", "std", "n"} for score in result["scores"].values())
        assert all((score["std"], score["n"]) == (0.0, 1) for score in result["scores"].values())
        assert [set(stage) for stage in result["stages"]] == [STAGE] * 5
        assert result["failed"] == {}

    def test_targets_keep_their_order(self, capsys):
        targets = ["resnet50", "deepmad-r18", "resnet50", "ResNet_18"]
        results = document(capsys, "score", *targets)["results"]
        assert [result["target"] for result in results] == targets
        assert [result["name"] for result in results] == ["resnet50", "deepmad-r18", "resnet50", "resnet18"]
        assert results[0] == results[2]

    def test_papers_figures_of_r18(self, capsys):
        """Table of published structures: 11.826 M, 1.812 G, 115 layers, rho .2991, entropy 64240.4."""
        (result,) = document(capsys, "score", "deepmad-r18")["results"]
        scores = {name: score["value"] for name, score in result["scores"].items()}
        assert round(scores["params"] / 1e6, 3) == 11.826
        assert round(scores["macs"] / 1e9, 3) == 1.812
        assert scores["layers"] == 115
        assert round(scores["rho"], 4) == 0.2991
        assert round(scores["entropy"], 1) == 64240.4
        assert [round(stage["entropy"], 2) for stage in result["stages"]] == [42.53, 218.97, 1453.96, 5565.56, 7119.92]

    def test_resolution(self, capsys):
        (result,) = document(capsys, "score", "deepmad-r18", "--resolution", "288")["results"]
        spec = at_resolution(get("deepmad-r18"), 288)
        assert result["input"] == [3, 288, 288]
        assert result["scores"]["macs"]["value"] == count(spec).macs
        assert result["scores"]["entropy"]["value"] == pytest.approx(analyse(spec).weighted_entropy())
        assert result["scores"]["params"]["value"] == count(get("deepmad-r18")).params

    def test_resolution_that_is_no_square(self, capsys):
        (result,) = document(capsys, "score", "deepmad-r18", "--resolution", "800x1333")["results"]
        assert result["input"] == [3, 800, 1333]
        assert result["scores"]["macs"]["value"] == count(at_resolution(get("deepmad-r18"), 800, 1333)).macs

    @pytest.mark.parametrize("text", ["3x", "x3", "3x4x5", "", "big", "1.5"])
    def test_resolution_that_cannot_be_read(self, capsys, text):
        assert "--resolution: cannot read" in refused(capsys, "score", "resnet18", "--resolution", text)


class TestBackbone:
    def test_costs_without_the_classifier(self, capsys):
        (ours,) = document(capsys, "score", "resnet18", "--backbone", "--resolution", "64x96")["results"]
        costs = count_backbone(at_resolution(get("resnet18"), 64, 96))
        assert ours["scores"]["backbone-params"]["value"] == costs.params == ours["scores"]["params"]["value"] - 513000
        assert ours["scores"]["backbone-macs"]["value"] == costs.macs == ours["scores"]["macs"]["value"] - 512000

    def test_only_on_request(self, capsys):
        (result,) = document(capsys, "score", "resnet18")["results"]
        assert not any("backbone" in name for name in (*result["scores"], *result["failed"]))

    def test_recount(self, capsys):
        found = document(capsys, "score", "resnet20", "--backbone", "--verify", "--resolution", "33x40")["results"][0]
        assert found["verified"] == {"matches": True, "mismatches": []}

    def test_recount_that_differs_is_told(self, capsys, monkeypatch):
        wrong = Counts(1, 2, 3, 4)
        monkeypatch.setattr("madnas.scores.evaluate.count_backbone", lambda spec: wrong)
        assert run(["score", "resnet20", "--backbone", "--verify", "--resolution", "32"]) == 1
        assert "backbone macs: 2 in closed form" in " ".join(capsys.readouterr().err.split())

    def test_table(self, capsys):
        assert run(["score", "deepmad-r50", "--backbone", "--resolution", "800x1280"]) == 0
        rows = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert ["deepmad-r50", "24.21M", "82.48G", "100.0%"] in rows

    def test_mlp(self, capsys, tmp_path):
        run(["design", "--space", "mlp", "--params", "50K", "-o", str(tmp_path / "net.yaml")])
        capsys.readouterr()
        (result,) = document(capsys, "score", str(tmp_path / "net.yaml"), "--backbone")["results"]
        assert "no backbone" in result["failed"]["backbone-macs"]


class TestTable:
    def test_shows_every_target_and_stage(self, capsys):
        assert run(["score", "resnet18", "deepmad-r18"]) == 0
        out, err = capsys.readouterr()
        assert err == "" and "\x1b" not in out
        rows = {words[0]: words[1:] for line in out.splitlines() if len(words := line.split()) == 11}
        assert rows["deepmad-r18"][:6] == ["11.83M", "1.812G", "115", "384.5", "0.2991", "64,240.4"]
        assert rows["resnet18"][:3] == ["11.69M", "1.814G", "17"]
        stages = [line.split() for line in out.splitlines() if line.strip()[:2] in {"1 ", "2 ", "3 ", "4 ", "5 "}]
        assert len(stages) == 10
        assert stages[9][-1] == "7,119.92"

    def test_numbers_beside_a_long_path_are_whole(self, capsys, tmp_path):
        target = tmp_path / ("a network with a rather long name, " * 3) / "net.yaml"
        target.parent.mkdir()
        target.write_text(dump_spec(get("resnet18")))
        assert run(["score", str(target)]) == 0
        printed = capsys.readouterr().out
        assert "…" not in printed
        assert "11.69M" in printed and str(target) in printed

    def test_recount_without_memory_is_told_beside_the_scores(self, capsys, monkeypatch):
        """A network may be far larger than the machine: its costs in closed form are there all the same."""

        def build(spec):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 61504000000 bytes.")

        monkeypatch.setattr("madnas.measure.verify.build", build)
        [result] = document(capsys, "score", "resnet20", "--verify", "--backbone")["results"]
        assert result["failed"] == {"recount": "out of memory"}
        assert "verified" not in result
        assert result["scores"]["params"]["value"] == count(get("resnet20")).params

    def test_other_errors_of_a_recount_are_bugs(self, monkeypatch):
        def build(spec):
            raise RuntimeError("shapes do not match")

        monkeypatch.setattr("madnas.measure.verify.build", build)
        with pytest.raises(RuntimeError, match="shapes"):
            run(["score", "resnet20", "--verify"])


class TestTargets:
    def test_files_of_every_kind(self, capsys, tmp_path):
        spec = get("deepmad-29m")
        (tmp_path / "net.yaml").write_text(dump_spec(spec))
        expected = document(capsys, "score", "deepmad-29m")["results"][0]
        (result,) = document(capsys, "score", str(tmp_path / "net.yaml"))["results"]
        assert result | {"target": ""} == expected | {"target": ""}

    def test_output_of_design(self, capsys, tmp_path):
        designed = document(capsys, "design", "--space", "mlp", "--params", "50K")
        (tmp_path / "design.json").write_text(json.dumps(designed))
        (result,) = document(capsys, "score", str(tmp_path / "design.json"))["results"]
        assert {name: result["scores"][name]["value"] for name in designed["counts"]} == designed["counts"]
        assert result["scores"]["rho"]["value"] == pytest.approx(designed["rho"])

    def test_one_bad_target_among_good_ones_prints_nothing_else(self, capsys):
        assert "unknown network 'resnet19'" in refused(capsys, "score", "resnet18", "resnet19")

    @pytest.mark.parametrize("side", ["0", "-1", "16385"])
    def test_impossible_resolution(self, side, capsys):
        assert "--resolution: from 1 to 16384" in refused(capsys, "score", "resnet18", "--resolution", side)

    def test_resolution_of_an_mlp_is_not_ignored_in_silence(self, capsys, tmp_path):
        """An ignored setting warns (examples.md): an MLP has a number of features, not a resolution."""
        run(["design", "--space", "mlp", "--params", "50K", "-o", str(tmp_path / "net.yaml")])
        capsys.readouterr()
        code = run(["score", str(tmp_path / "net.yaml"), "--resolution", "32"])
        assert code == 2 or "--resolution" in capsys.readouterr().err


class TestMetrics:
    def test_ldi_of_an_mlp_with_spread(self, capsys, tmp_path):
        from madnas.network.specfile import dump_spec
        from madnas.network.zoo.skip import skip_mlp

        (tmp_path / "mlp.yaml").write_text(dump_spec(skip_mlp("mlp", 20, 8, 8, 4, 10)))
        arguments = ["score", str(tmp_path / "mlp.yaml"), "--metrics", "ldi", "--repeats", "3"]
        (result,) = document(capsys, *arguments)["results"]
        assert result["scores"]["ldi"]["n"] == 3
        assert 0 < result["scores"]["ldi"]["std"] < result["scores"]["ldi"]["value"] < 2
        assert document(capsys, *arguments)["results"] == [result]  # the same on every run
        assert document(capsys, *arguments, "--seed", "5")["results"] != [result]

    def test_closed_forms_may_be_asked_for_as_well(self, capsys):
        (result,) = document(capsys, "score", "resnet20", "--metrics", "nn-mass,density")["results"]
        assert {"nn-mass", "density"} <= set(result["scores"])

    def test_what_is_not_defined_is_said(self, capsys):
        (result,) = document(capsys, "score", "resnet20", "--metrics", "ldi")["results"]
        assert "ldi" not in result["scores"]
        assert "defined for MLPs" in result["failed"]["ldi"]
        assert run(["score", "resnet20", "--metrics", "ldi"]) == 0
        assert "no ldi: is defined for MLPs" in capsys.readouterr().out

    @pytest.mark.parametrize("arguments", [["--metrics", "lid"], ["--metrics", "ldi", "--repeats", "0"],
                                           ["--metrics", "ldi", "--seed", "-1"],
                                           ["--metrics", "ldi", "--device", "tpu"]])  # fmt: skip
    def test_wrong_metrics(self, capsys, arguments):
        refused(capsys, "score", "resnet20", *arguments)


class TestTraced:
    def test_mass_of_a_timm_model_without_a_spec(self, capsys):
        (result,) = document(capsys, "score", "timm/mnasnet_100", "--resolution", "64")["results"]
        assert set(result["scores"]) == SCORES - {"objective", "units"}
        linked = ((24, 3, 2), (40, 3, 2), (80, 6, 2), (96, 6, 1), (192, 6, 3))  # Tan et al. 2019, Fig. 7: MnasNet-B1
        mass = sum(blocks * bottleneck_mass(chs, ratio * chs) for chs, ratio, blocks in linked)
        assert result["scores"]["nn-mass"]["value"] == pytest.approx(mass)
        assert set(result["failed"]) == {"objective", "units"}
        assert result["blocks"] == {"inverted-residual": 10}

    def test_says_what_is_left_out(self, capsys):
        assert run(["score", "timm/res2net50_14w_8s", "timm/resnet18", "--resolution", "64", *HERE]) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert "no nn-mass, density: does not cover all of the network; left out" in out
        assert "3,392.0" in out

    def test_unknown_model(self, capsys):
        assert "unknown timm model 'resnext51'" in refused(capsys, "score", "timm/resnext51")
        assert "unknown torchvision model 'resnet19'" in refused(capsys, "score", "torchvision/resnet19")

    def test_a_mixture_of_everything(self, capsys):
        words = ["resnet20", "timm/mnasnet_100", "torchvision/vgg11_bn", "vit_tiny_patch16_224"]
        arguments = ["score", *words, "--metrics", "naswot,ldi", "--repeats", "1", "--batch-size", "2", *HERE]
        results = document(capsys, *arguments)["results"]
        assert [result["target"] for result in results] == words
        assert ["naswot" in result["scores"] for result in results] == [True, True, True, False]
        assert all("ldi" in result["failed"] for result in results)


class TestFiles:
    METRICS = ("--metrics", "zen-closed,synflow", "--repeats", "2", "--batch-size", "2", "--resolution", "64")

    def test_the_same_command_goes_on(self, capsys, tmp_path, monkeypatch):
        path = tmp_path / "scores.jsonl"
        command = ["score", "resnet20", "resnet18", *self.METRICS, *HERE, "-o", str(path)]
        first = document(capsys, *command)["results"]
        lines = path.read_text().splitlines()
        assert len(lines) == 2
        path.write_text(lines[1] + "\n" + lines[0][:50])  # a crash in the midst of a line
        assert document(capsys, *command)["results"] == first
        assert len(path.read_text().splitlines()) == 2
        monkeypatch.setattr("madnas.scores.batch.evaluate", lambda *_: 1 / 0)  # all there: nothing is computed
        assert document(capsys, *command)["results"] == first

    def test_other_settings_are_computed_beside(self, capsys, tmp_path):
        path = tmp_path / "scores.jsonl"
        command = ["score", "resnet20", *self.METRICS, "-o", str(path)]
        document(capsys, *command)
        document(capsys, *command, "--seed", "3")
        assert len(path.read_text().splitlines()) == 2
        document(capsys, *command, "--restart")
        assert len(path.read_text().splitlines()) == 1

    def test_processes_change_nothing(self, capsys):
        command = ["score", "resnet20", "mobilenetv2", *self.METRICS]
        one, two = (document(capsys, *command, "--workers", number)["results"] for number in "12")
        for result, other in zip(one, two, strict=True):
            assert result["scores"]["synflow"] == pytest.approx(other["scores"]["synflow"])
            assert result["scores"]["zen-closed"] == other["scores"]["zen-closed"]

    def test_processes_end_in_peace(self, tmp_path):
        done = madnas(
            "score", "resnet20", "resnet18", "--metrics", "zen-closed", "--workers", "2", "--json", cwd=tmp_path
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert len(json.loads(done.stdout)["results"]) == 2

    def test_table_and_picture(self, capsys, tmp_path):
        csv, plot = tmp_path / "s.csv", tmp_path / "s.svg"
        command = ["score", "resnet20", "resnet18", *self.METRICS, *HERE, "--csv", str(csv), "--plot", str(plot)]
        assert run(command) == 0
        capsys.readouterr()
        assert csv.read_text().startswith("target,name,params,macs")
        assert "resnet20" in plot.read_text()
        assert "exists already" in refused(capsys, *command)
        assert run([*command, "--force"]) == 0

    def test_one_target_that_cannot_run_stops_nobody_else(self, capsys, tmp_path):
        path = tmp_path / "s.jsonl"
        targets = ["resnet20", "torchvision/alexnet", "resnet18"]
        command = ["score", *targets, "--resolution", "16", *HERE, "-o", str(path)]
        for _ in range(2):
            assert run([*command, "--json"]) == 2
            out, err = capsys.readouterr()
            assert "1 of 3 targets could not be scored: torchvision/alexnet" in err
            results = json.loads(out)["results"]
            assert [bool(one["scores"]) for one in results] == [True, False, True]
            assert "cannot be run on an input of 3 x 16 x 16" in results[1]["failed"]["target"]
        assert len(path.read_text().splitlines()) == 2

    def test_results_in_one_file(self, capsys, tmp_path):
        path = str(tmp_path / "s.csv")
        assert "would go to one file" in refused(capsys, "score", "resnet20", "-o", path, "--csv", path)

    def test_against_accuracies(self, capsys, tmp_path):
        table = tmp_path / "acc.csv"
        table.write_text("network,accuracy\nresnet18,70.9\nresnet34,74.4\nresnet50,77.4\nresnet101,78.3\n")
        command = ["score", "--against", str(table), "--metrics", "zen-closed", *HERE]
        found = document(capsys, *command)["against"]
        assert list(found["scores"])[:2] == ["params", "macs"]
        assert found["scores"]["zen-closed"]["kendall"]["value"] == pytest.approx(1)
        assert run([*command, "--plot", str(tmp_path / "r.png")]) == 0
        assert "Kendall tau" in capsys.readouterr().out
        assert "give no TARGET beside it" in refused(capsys, *command, "resnet18")
        table.write_text("network,accuracy\nresnet18,70.9\n")
        assert "a ranking needs 3" in refused(capsys, *command, code=5)


class TestOptions:
    def test_list_names_every_score(self, capsys):
        assert run(["score", "--list"]) == 0
        out = capsys.readouterr().out
        listed = document(capsys, "score", "--list")["scores"]
        assert {"zen", "synflow", "params", "nn-mass"} <= {score["name"] for score in listed}
        assert all(score["name"] in out for score in listed)

    @pytest.mark.parametrize(
        "option", [["--repeats", "3"], ["--batch-size", "4"], ["--device", "cuda"], ["--seed", "1"]]
    )
    def test_settings_without_a_metric_are_refused(self, capsys, option):
        assert f"{option[0]}: for scores at initialisation only" in refused(capsys, "score", "resnet18", *option)

    @pytest.mark.parametrize("option", [["--batch-size", "1"], ["--workers", "0"], ["--dtype", "int8"]])
    def test_impossible_settings(self, capsys, option):
        assert option[0] in refused(capsys, "score", "resnet20", "--metrics", "zen", *option)

    def test_without_targets(self, capsys):
        assert "which network?" in refused(capsys, "score", "--verify")

    def test_a_penalty_beyond_every_number(self, capsys, tmp_path):
        spec = get("resnet152")
        groups = (
            spec.groups[0],
            *(replace(group, depth=200 * place) for place, group in enumerate(spec.groups[1:], 1)),
        )
        (tmp_path / "deep.yaml").write_text(dump_spec(replace(spec, groups=groups)))
        (result,) = document(capsys, "score", str(tmp_path / "deep.yaml"))["results"]
        assert "objective" not in result["scores"]
        assert "penalty" in result["failed"]["objective"]
