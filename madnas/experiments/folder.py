"""The folder of a run: what it is a run of, the results so far, the state of what is being trained, the summary.

- ``run.json``: the experiment and all settings that decide its results;
- ``results.jsonl``: a line for every network whose group is finished;
- ``<group>.safetensors``: state of a group while it is trained;
- ``networks/*.yaml`` and ``networks.csv``: networks that an experiment draws, for whoever wants to train them;
- ``runs/``: their runs, where it trains them;
- ``summary.json`` and ``figure.png``: when all is finished; of some experiments also ``report.md`` and ``alphas.png``.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from madnas.errors import UsageError
from madnas.files import read_text, write_bytes_atomic, write_text_atomic
from madnas.runfolder import claimed_folder, remove

RESULTS, SUMMARY, FIGURE = "results.jsonl", "summary.json", "figure.png"
REPORT, SLOPES = "report.md", "alphas.png"
SCHEMA = "madnas/experiment-run/1"
STATE_SUFFIX = ".safetensors"
STATES = f"depth-*{STATE_SUFFIX}"
NETWORKS, TABLE = "networks", "networks.csv"

MAX_RESULTS = 100_000_000
"""Largest file of results in bytes; a line has some 250."""


class ResultsFolder:
    """A folder that belongs to one run. Make it with :func:`open_folder`.

    Attributes:
        path: where it is.
        rows: results of the networks whose groups are finished, as ``train_group`` gives them, each with its ``group``.
    """

    def __init__(self, path: Path, rows: list[dict[str, Any]]) -> None:
        self.path = path
        self.rows = rows

    @property
    def finished(self) -> set[str]:
        """Names of the groups that are finished."""
        return {row["group"] for row in self.rows}

    def add(self, group: str, rows: list[dict[str, Any]]) -> None:
        """Take in a finished group; its rows are on disk, all of them, when this returns."""
        self.rows += [{"group": group, **row} for row in rows]
        write_text_atomic(self.path / RESULTS, "".join(json.dumps(row) + "\n" for row in self.rows), overwrite=True)
        (self.path / f"{group}{STATE_SUFFIX}").unlink(missing_ok=True)

    def write(self, name: str, text: str) -> None:
        """Write a file that goes with the run, or the same one again."""
        (self.path / name).parent.mkdir(exist_ok=True)
        write_text_atomic(self.path / name, text, overwrite=True)

    def finish(self, summary: dict[str, Any], figure: bytes) -> None:
        """Write what a reader looks at first, and leave nothing that is of no use any more."""
        write_text_atomic(self.path / SUMMARY, json.dumps(summary, indent=2) + "\n", overwrite=True)
        write_bytes_atomic(self.path / FIGURE, figure, overwrite=True)
        remove(self.path, STATES)


@contextmanager
def open_folder(path: Path, identity: dict[str, Any], restart: bool = False) -> Iterator[ResultsFolder]:
    """Open a run's folder, new or begun; see :func:`madnas.runfolder.claimed_folder`."""
    belongings = (RESULTS, SUMMARY, FIGURE, REPORT, SLOPES, STATES, NETWORKS, TABLE, "runs")
    with claimed_folder(path, {"schema": SCHEMA, **identity}, belongings, restart):
        yield ResultsFolder(path, _read_rows(path / RESULTS))


def _read_rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(read_text(path, MAX_RESULTS).splitlines(), 1):
        try:
            row = json.loads(line)
            assert isinstance(row["group"], str)
        except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
            raise UsageError(f"{path}: line {number} is not a result", "use --restart to start anew") from None
        rows.append(row)
    return rows
