"""The log of a run: JSON lines that are the same whether a run was interrupted or not.

``metrics.jsonl`` and ``ledger.jsonl`` have nothing that depends on the machine or the hour; ``timing.jsonl`` has that.
A checkpoint knows how long these two were, and what a killed process wrote after it is cut off.
"""

import json
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from madnas.csvtext import csv_text
from madnas.errors import UsageError
from madnas.files import write_text_atomic
from madnas.train.kinds import KINDS, metric_names

METRICS, LEDGER, TIMING, SUMMARY = "metrics.jsonl", "ledger.jsonl", "timing.jsonl", "summary.csv"
EVENTS = "events"


class Lines:
    """A file of JSON objects, a line each.

    Args:
        path: the file; created when the first line comes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def cut(self, length: int, warn: Callable[[str], None]) -> None:
        """Keep so many bytes; of a file that was made shorter, whole lines: training is worth more than its log."""
        data = self._path.read_bytes() if self._path.exists() else b""
        if len(data) < length:
            warn(f"{self._path}: lines are missing that were there at the checkpoint; it goes on without them")
            length = data.rfind(b"\n") + 1
        if data:
            os.truncate(self._path, length)

    def add(self, line: dict[str, Any]) -> None:
        """Append a line; numbers that are not finite become null.

        Raises:
            UsageError: the disk is full.
        """
        text = json.dumps({name: _plain(value) for name, value in line.items()}) + "\n"
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise UsageError(f"{self._path}: cannot be written: {error.strerror}", "free some space") from error

    def sync(self) -> int:
        """See all lines to the disk, before a checkpoint counts on them; bytes so far."""
        if not self._path.exists():
            return 0
        try:
            with open(self._path, "rb") as file:
                os.fsync(file.fileno())
                return os.fstat(file.fileno()).st_size
        except OSError as error:
            raise UsageError(f"{self._path}: cannot be written: {error.strerror}", "free some space") from error

    def read(self) -> list[dict[str, Any]]:
        """All lines."""
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]


class Records:
    """What a run writes down as it goes, in its first process; in others, nothing.

    Args:
        folder: of the run.
        writes: whether this is the first process.
    """

    def __init__(self, folder: Path, writes: bool) -> None:
        self._folder, self._writes = folder, writes
        self._metrics, self._ledger, self._timing = (Lines(folder / name) for name in (METRICS, LEDGER, TIMING))
        self._board: Any = None

    def go_back(self, metrics_bytes: int, ledger_bytes: int, warn: Callable[[str], None]) -> None:
        """Cut off what was written after a checkpoint."""
        if self._writes:
            for lines, length in ((self._metrics, metrics_bytes), (self._ledger, ledger_bytes)):
                lines.cut(length, warn)

    def open_board(self, step: int) -> None:
        """TensorBoard's events, where it is installed; what an interrupted run wrote after this step is hidden."""
        if self._writes:
            with suppress(ImportError):
                from torch.utils.tensorboard import SummaryWriter

                self._board = SummaryWriter(str(self._folder / EVENTS), purge_step=step + 1)

    def add(self, line: dict[str, Any]) -> None:
        """A line of the log."""
        if self._writes:
            self._metrics.add(line)
            if self._board is not None:
                for name in ("loss", "lr", *sorted(metric_names())):
                    if isinstance(line.get(name), float):
                        self._board.add_scalar(f"{line['event']}/{name}", line[name], line["step"])

    def add_broken(self, line: dict[str, Any]) -> None:
        """A sample that could not be read."""
        if self._writes:
            self._ledger.add(line)

    def add_time(self, epoch: int, seconds: float) -> None:
        """How long an epoch took to train."""
        if self._writes:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._timing.add({"time": now, "epoch": epoch, "train_seconds": round(seconds, 3)})

    def sync(self) -> tuple[int, int]:
        """See all to the disk; bytes of log and ledger."""
        return self._metrics.sync(), self._ledger.sync()

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of the log."""
        return self._metrics.read()

    def close(self) -> None:
        """Nothing more comes."""
        if self._board is not None:
            self._board.close()


def write_summary(folder: Path, metrics: list[dict[str, Any]], task: str) -> None:
    """``summary.csv``, a row for each epoch, with timm's names of the columns; shares in percent."""
    shown = {metric.name: 100 if metric.is_share else 1 for metric in KINDS[task].metrics}
    tests = [one for one in metrics if one["event"] == "eval"]
    losses = ["loss"] if any("loss" in one for one in tests) or not tests else []
    columns = ["epoch", "train_loss", *(f"eval_{name}" for name in (*losses, *shown)), "lr"]
    rows = []
    for one in tests:
        values = {f"eval_{name}": None if one[name] is None else by * one[name] for name, by in shown.items()}
        values |= {f"eval_{name}": one[name] for name in losses}
        rows.append({"epoch": one["epoch"], "train_loss": one["train_loss"], **values, "lr": one["lr"]})
    write_text_atomic(folder / SUMMARY, csv_text(rows, columns), overwrite=True)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
