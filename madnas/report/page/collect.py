"""What users name, as documents: files of other commands, and the folders of their runs."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madnas.errors import SpecError, UsageError
from madnas.files import read_text
from madnas.network.target import SUFFIXES, load
from madnas.runfolder import RUN

METRICS = "metrics.jsonl"
"""The log of a training run; named here because reading it needs no torch."""

MOST_BYTES = 200_000_000
"""Of a file."""

PICTURES = {".png": "image/png", ".svg": "image/svg+xml"}
PNG, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
"""How a PNG begins and ends."""

TEXTS = (".md", ".log")
OURS = "madnas/"
"""How a schema of ours begins."""

OF_A_RUN = ("result.json", "summary.json", "search.json", "certificate.json")
"""Documents of a run's folder, ..."""

BESIDES = ("*.json", "*.csv", "*.png")
"""... and what is taken of a folder that is none."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something to be shown.

    Attributes:
        source: path of the file or folder, as the user wrote it.
        kind: a schema, or ``csv``, ``picture``, ``text``, ``network``, ``training``.
        content: document, rows, bytes, text or description.
    """

    source: str
    kind: str
    content: Any


def collect(words: Sequence[str]) -> list[Found]:
    """Read everything.

    Raises:
        UsageError: a file that is missing, or that no command of madnas wrote; an empty folder.
        SpecError: a broken file.
    """
    return [found for word in words for found in _of(Path(word))]


def _of(path: Path) -> Iterator[Found]:
    if not path.is_dir():
        yield from _file(path)
        return
    if (path / METRICS).exists():
        yield Found(str(path), "training", _training(path))
        return
    names = [path / name for name in OF_A_RUN if (path / name).exists()]
    if not names:
        names = sorted({one for pattern in BESIDES for one in path.glob(pattern) if one.name != RUN})
    if not names:
        raise UsageError(
            f"{path}: nothing in this folder that can be shown", f"files of {', '.join(BESIDES)}, or a run"
        )
    for one in names:
        yield from _file(one)


def _file(path: Path) -> Iterator[Found]:
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        yield Found(str(path), "picture", (_picture(path), PICTURES[suffix]))
    elif suffix == ".csv":
        yield Found(str(path), "csv", _table(path))
    elif suffix in TEXTS:
        yield Found(str(path), "text", read_text(path, MOST_BYTES))
    elif suffix == ".jsonl":
        yield from _lines(path)
    elif suffix == ".json":
        yield _document(path)
    elif suffix in SUFFIXES or not path.exists():
        yield Found(str(path), "network", load(path))
    else:
        raise UsageError(
            f"{path}: no kind of file that report shows",
            f"files of {', '.join(('.json', '.csv', '.jsonl', *PICTURES, *TEXTS, '.yaml'))}, or a run's folder",
        )


def _document(path: Path) -> Found:
    try:
        tree = json.loads(read_text(path, MOST_BYTES))
    except (ValueError, RecursionError):
        raise SpecError(str(path), ["not a JSON document"]) from None
    schema = tree.get("schema") if isinstance(tree, dict) else None
    if not isinstance(schema, str) or not schema.startswith(OURS):
        raise SpecError(str(path), ["no document of madnas: it has no schema 'madnas/...'"], "give what --json printed")
    return Found(str(path), schema, tree)


def _lines(path: Path) -> Iterator[Found]:
    """A file of JSON lines: results of ``madnas score -o``; a torn last line is left out."""
    lines = []
    for text in read_text(path, MOST_BYTES).splitlines():
        try:
            lines.append(json.loads(text))
        except (ValueError, RecursionError):
            break
    lines = [line for line in lines if isinstance(line, dict)]
    results = [line["result"] for line in lines if "result" in line]
    if not results or not str(lines[0].get("schema", "")).startswith(OURS):
        raise SpecError(str(path), ["no results of 'madnas score -o'"])
    yield Found(str(path), "madnas/score/1", {"results": results})


def _table(path: Path) -> list[list[str]]:
    try:
        rows = list(csv.reader(read_text(path, MOST_BYTES).splitlines()))
    except csv.Error as error:
        raise SpecError(str(path), [f"no table: {error}"]) from None
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise SpecError(str(path), ["no table: rows of different lengths, or none"])
    return rows


def _training(folder: Path) -> dict[str, Any]:
    """The log of a run, and what it left, as far as it got."""
    metrics = []
    for text in read_text(folder / METRICS, MOST_BYTES).splitlines():
        try:
            metrics.append(json.loads(text))
        except (ValueError, RecursionError):  # the line that is being written
            break
    found: dict[str, Any] = {"metrics": metrics}
    for name in ("result", "environment", "run"):
        path = folder / f"{name}.json"
        found[name] = _document_or_none(path)
    return found


def _document_or_none(path: Path) -> Any:
    if not path.exists():
        return None
    try:
        return json.loads(read_text(path, MOST_BYTES))
    except (ValueError, RecursionError):
        raise SpecError(str(path), ["not a JSON document"]) from None


def _picture(path: Path) -> bytes:
    """A picture's bytes, after a look at them: a browser says nothing of one that is cut off, and shows nothing."""
    data = _bytes(path)
    if path.suffix.lower() == ".png":
        whole = data.startswith(PNG) and PNG_END in data
    else:
        whole = b"<svg" in data and data.rstrip().endswith(b">")
    if not whole:
        raise SpecError(str(path), ["not a whole picture"])
    return data


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise UsageError(f"{path}: more than {MOST_BYTES} bytes")
    return data
