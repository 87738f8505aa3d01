"""Runs: the same results in one process or two, interrupted or not; folders that belong to somebody else."""

import json
import os
import subprocess
import time

import pytest

from madnas.errors import UsageError
from madnas.experiments import run, training
from madnas.experiments.folder import open_folder
from madnas.experiments.library import load_recipe
from madnas.experiments.run import Plan, run_experiment
from madnas.experiments.training import Group, train_group
from tests.experiments.shell import COMMAND, write_recipe


def plan(folder, name="run", **changes):
    options = {key: changes.pop(key) for key in ("seed", "workers", "restart", "device") if key in changes}
    recipe = load_recipe(str(write_recipe(folder, **changes)))
    return Plan("tiny", recipe, options.pop("seed", 0), folder / name, **options)


def result(folder, name="run", **changes):
    """The summary of a run, without what differs from run to run."""
    summary = run_experiment(plan(folder, name, workers=changes.pop("workers", 1), **changes), lambda *_: None)
    return {key: value for key, value in summary.items() if key != "run"}, summary["run"]


class TestResults:
    def test_learns_and_measures_the_whole_grid(self, tmp_path):
        summary, run = result(tmp_path, dataset="seg2", epochs=40)
        assert run == {"seconds": run["seconds"], "workers": 1, "groups": 3, "groups_found": 0}
        assert summary["networks"] == 3 * 4 * 2
        assert [(one["depth"], one["links"]) for one in summary["points"]] == [
            (depth, links) for depth in (4, 5, 6) for links in (0, 2, 4, 9)
        ]
        assert max(one["accuracy"]["mean"] for one in summary["points"]) > 0.95
        assert {"run.json", "results.jsonl", "summary.json", "figure.png"} <= {
            path.name for path in (tmp_path / "run").iterdir()
        }
        assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary
        lines = (tmp_path / "run" / "results.jsonl").read_text().splitlines()
        assert len(lines) == 24
        assert {json.loads(line)["group"] for line in lines} == {f"depth-{depth}-repeat-0" for depth in (4, 5, 6)}

    def test_seed_matters(self, tmp_path):
        assert result(tmp_path, "one")[0]["points"] != result(tmp_path, "two", seed=1)[0]["points"]

    def test_networks_do_not_depend_on_the_rest_of_the_grid(self, tmp_path):
        """Up to the last digits: a batched product may sum in another order where the batch has another size."""
        whole = result(tmp_path, "whole")[0]["points"]
        part = result(tmp_path, "part", depths=[5], links=[4])[0]["points"]
        (same,) = [one for one in whole if (one["depth"], one["links"]) == (5, 4)]
        assert part[0]["isometry"]["mean"] == pytest.approx(same["isometry"]["mean"], rel=1e-6)
        assert part[0]["accuracy"]["mean"] == pytest.approx(same["accuracy"]["mean"], abs=0.03)

    def test_networks_that_diverge_are_reported(self, tmp_path):
        summary, _ = result(tmp_path, learning_rate=10.0, activation="elu", epochs=60, depths=[4, 30])
        lost = summary["left_out"]["diverged_networks"]
        rows = [json.loads(line) for line in (tmp_path / "run" / "results.jsonl").read_text().splitlines()]
        assert lost == sum(row["diverged"] for row in rows)
        assert all((row["accuracy"] is None) == row["diverged"] for row in rows)


class TestState:
    def group(self, folder, **changes):
        recipe = load_recipe(str(write_recipe(folder, **changes)))
        return Group(recipe, 5, (0, 1), 0, "cpu", None, folder)

    def test_goes_on_in_the_middle_of_a_group(self, tmp_path, monkeypatch):
        group = self.group(tmp_path, epochs=9)
        expected = train_group(group, lambda share: None)
        monkeypatch.setattr(training, "STATE_INTERVAL", -1)
        monkeypatch.setattr(training, "REPORT_INTERVAL", -1)

        def killed(share):
            if share > 0.5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train_group(group, killed)
        assert group.state.exists()
        shares = []
        assert train_group(group, shares.append) == expected
        assert len(shares) == 5  # of nine epochs, four were done

    def test_all_epochs_are_done_but_the_rest_is_not(self, tmp_path, monkeypatch):
        group = self.group(tmp_path, epochs=2)
        expected = train_group(group, lambda share: None)
        monkeypatch.setattr(training, "STATE_INTERVAL", -1)
        train_group(group, lambda share: None)
        assert train_group(group, lambda share: None) == expected

    @pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"", lambda data: b"junk" * 99])
    def test_damaged(self, tmp_path, monkeypatch, damage):
        group = self.group(tmp_path)
        monkeypatch.setattr(training, "STATE_INTERVAL", -1)
        train_group(group, lambda share: None)
        group.state.write_bytes(damage(group.state.read_bytes()))
        with pytest.raises(UsageError, match=r"safetensors: not a state of this run") as error:
            train_group(group, lambda share: None)
        assert "delete it" in error.value.hint

    def test_of_another_shape(self, tmp_path, monkeypatch):
        monkeypatch.setattr(training, "STATE_INTERVAL", -1)
        train_group(self.group(tmp_path, width=3), lambda share: None)
        with pytest.raises(UsageError, match="not a state of this run"):
            train_group(self.group(tmp_path), lambda share: None)


class TestFolder:
    def test_finished_groups_are_not_trained_again(self, tmp_path, monkeypatch):
        expected, _ = result(tmp_path)
        results = tmp_path / "run" / "results.jsonl"
        lines = results.read_text().splitlines(keepends=True)
        results.write_text("".join(line for line in lines if '"depth": 5' not in line))
        again, run = result(tmp_path)
        assert again == expected
        assert (run["groups"], run["groups_found"]) == (1, 2)
        assert result(tmp_path)[1]["groups"] == 0

    def test_results_of_another_run(self, tmp_path):
        result(tmp_path)
        with pytest.raises(UsageError) as error:
            result(tmp_path, epochs=4, depths=[4])
        assert "holds results of another run" in str(error.value)
        assert "depths [4, 5, 6] there, [4] here" in str(error.value) and "epochs 3 there, 4 here" in str(error.value)
        assert "--restart" in error.value.hint
        assert result(tmp_path, epochs=4, restart=True)[1]["groups"] == 3

    def test_folder_of_somebody_else(self, tmp_path):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "thesis.txt").write_text("mine")
        for restart in (False, True):
            with pytest.raises(UsageError, match="not empty, and not a run of this kind"):
                result(tmp_path, restart=restart)
        assert (tmp_path / "run" / "thesis.txt").read_text() == "mine"

    def test_leftovers_of_a_killed_write_go_away(self, tmp_path):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / ".madnas-0123.tmp").write_text("half")
        result(tmp_path)
        assert not list((tmp_path / "run").glob("*.tmp"))

    @pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}\n', "\x00"])
    def test_broken_description(self, tmp_path, text):
        result(tmp_path)
        (tmp_path / "run" / "run.json").write_text(text)
        with pytest.raises(UsageError, match=r"not a description of a run|another run|cannot be read"):
            result(tmp_path)

    def test_broken_results(self, tmp_path):
        result(tmp_path)
        with (tmp_path / "run" / "results.jsonl").open("a") as file:
            file.write('{"group": "depth-4-rep')
        with pytest.raises(UsageError, match=r"results.jsonl: line 25 is not a result"):
            result(tmp_path)

    def test_another_process_at_work(self, tmp_path):
        with (
            open_folder(tmp_path / "run", {"experiment": "x"}),
            pytest.raises(UsageError, match="another process is working in it"),
        ):
            result(tmp_path)

    def test_not_a_folder(self, tmp_path):
        (tmp_path / "run").write_text("a file")
        with pytest.raises(UsageError, match="not a folder"):
            result(tmp_path)

    def test_no_such_parent(self, tmp_path):
        with pytest.raises(UsageError, match="no folder"):
            result(tmp_path, "none/run")

    def test_read_only_folder(self, tmp_path):
        if os.geteuid() == 0:  # root may write everywhere but where nobody can
            folder = "/proc/madnas"
        else:
            (tmp_path / "closed").mkdir(mode=0o500)
            folder = tmp_path / "closed" / "run"
        with pytest.raises(UsageError, match=r"cannot be (written|created)"):
            result(tmp_path, folder)

    def test_existing_read_only_folder(self, tmp_path, monkeypatch):
        (tmp_path / "run").mkdir()
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # as for a user who is not root
        with pytest.raises(UsageError, match="no permission to write"):
            result(tmp_path)


SLOW = {"epochs": 30, "samples": 400, "depths": [3, 4, 5, 6, 7, 8], "batch_size": 20}
"""A quarter of a second of work in each of six groups."""


def test_interrupted(tmp_path, monkeypatch):
    done = []

    def train(group, report):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(group.name)
        return train_group(group, report)

    with monkeypatch.context() as patch:
        patch.setattr(run, "train_group", train)
        with pytest.raises(KeyboardInterrupt):
            result(tmp_path)
    assert finished(tmp_path) == set(done)
    assert result(tmp_path)[1]["groups_found"] == 2


def start(folder):
    command = [*COMMAND, str(folder / "tiny.yaml"), "-o", str(folder / "run"), "--workers", "2", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(folder):
    return {json.loads(line)["group"] for line in (folder / "run" / "results.jsonl").read_text().splitlines()}


def whole(folder):
    """What the run in this folder should end with: the summary of one without break, in one process."""
    name = str(folder / "tiny.yaml")
    summary = run_experiment(Plan(name, load_recipe(name), 0, folder / "whole", workers=1), lambda *_: None)
    del summary["run"]
    return summary


def test_killed_and_run_again(tmp_path):
    """Begun in two processes, ended in one: the same as in one without break."""
    write_recipe(tmp_path, **SLOW)
    process = start(tmp_path)
    for _ in range(3000):  # a minute, for a machine that is busy with something else
        if (tmp_path / "run" / "results.jsonl").exists():
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    assert process.communicate(timeout=30) == ("", "")
    kept = finished(tmp_path)
    assert 1 <= len(kept) < 6

    name = str(tmp_path / "tiny.yaml")
    summary = run_experiment(Plan(name, load_recipe(name), 0, tmp_path / "run", workers=1), lambda *_: None)
    again = summary.pop("run")
    assert (again["groups_found"], again["groups"]) == (len(kept), 6 - len(kept))
    assert summary == whole(tmp_path)


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path):
    """And nothing of theirs reaches stdout or stderr."""
    write_recipe(tmp_path, **SLOW)
    process = start(tmp_path)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    document = json.loads(out)
    assert document.pop("run")["workers"] == 2
    assert document == whole(tmp_path)
