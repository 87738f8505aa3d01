"""Nothing heavy begins before it is known that the results can be written."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from madnas.cli.main import run
from tests.cli.shell import refused

EVOLUTION = ["design", "--method", "evolution", "--score", "zen-closed", "--params", "60K"]

WORK = {
    "benchmark --csv": ("benchmark resnet20 --csv", "x.csv", "madnas.measure.benchmark.run.benchmark"),
    "benchmark --plot": ("benchmark resnet20 --plot", "x.png", "madnas.measure.benchmark.run.benchmark"),
    "latency-table": ("benchmark latency-table --space basic-cifar --macs 40M -o", "x.json",
                      "madnas.measure.latency_table.measure.measure_table"),
    "paper": ("benchmark paper nn-mass -o", "x.md", "madnas.cli.benchmark_paper.recompute"),
    "vela": ("benchmark resnet20 --engine vela --csv", "x.csv", "madnas.cli.benchmark_vela._estimate"),
    "design": ("design --params 100K --space mlp -o", "x.yaml", "madnas.program.design.design"),
    "design --csv": ("design --params 100K --space mlp --csv", "x.csv", "madnas.program.design.design"),
    "sweep": ("design --params 60K,100K --space mlp -o", "x", "madnas.program.design.sweep"),
    "evolution": (" ".join([*EVOLUTION, "-o"]), "x.yaml", "madnas.search.run.run"),
    "front": (" ".join([*EVOLUTION, "--pareto", "macs", "-o"]), "x", "madnas.search.run.run"),
    "score -o": ("score resnet20 --metrics zen -o", "x.jsonl", "madnas.scores.batch.evaluate"),
    "score --csv": ("score resnet20 --metrics zen --csv", "x.csv", "madnas.scores.batch.evaluate"),
    "scale": ("scale convnext-t --macs 3.3G -o", "x.yaml", "madnas.cli.scale_report.scale"),
    "collapse": ("restructure collapse resnet20 -o", "x", "madnas.cli.restructure_report.open_network"),
    "split": ("restructure split convnext-t -o", "x", "madnas.cli.restructure_report.open_network"),
    "restructure search": ("restructure search mobilenetv2 -o", "x", "madnas.train.classification.open_data"),
    "export": ("export resnet20 -o", "x.pt2", "madnas.export.opened.open_for_export"),
    "train": ("train resnet20 -o", "x", "madnas.train.classification.open_data"),
    "experiment": ("experiment nn-mass/seg20 --quick -o", "x", "madnas.experiments.run._train_all"),
}  # fmt: skip
"""Command, what its result is called (a folder, where that has no suffix), and what does the work."""

CASES = [(name, where) for name, (_, file, _) in WORK.items() for where in ("nowhere", "closed", "itself")
         if where != "itself" or "." not in file]  # fmt: skip
"""The result in a folder that takes no files, the system's or ours; or, of several files, that folder itself."""


class Begun(Exception):
    """The work has begun."""


def begins(*_, **__):
    raise Begun


@pytest.fixture
def closed(tmp_path, monkeypatch):
    """A folder that takes no files: permissions do not keep root out, but a file system that is read-only does."""
    folder = tmp_path / "closed"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o500)
        return folder
    real = tempfile.TemporaryFile

    def create(*args, dir=None, **options):
        if Path(dir).resolve() == folder.resolve():
            raise OSError(errno.EROFS, "Read-only file system")
        return real(*args, dir=dir, **options)

    monkeypatch.setattr("madnas.files.tempfile.TemporaryFile", create)
    return folder


@pytest.mark.parametrize(("name", "where"), CASES)
def test_the_place_is_looked_at_first(name, where, closed, tmp_path, capsys, monkeypatch):
    words, file, work = WORK[name]
    if name == "vela":
        pytest.importorskip("ethosu", reason="Vela, an extra")
    if where == "nowhere" and not os.path.isdir("/proc/self"):
        pytest.skip("needs /proc, where nobody creates files")
    place = {"nowhere": Path("/proc") / file, "closed": closed / file, "itself": closed}[where]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(work, begins)
    assert "cannot be written" in refused(capsys, *words.split(), str(place))
    with pytest.raises(Begun):
        run([*words.split(), str(tmp_path / file)])
