"""Checkpoints: folders that are complete or not there, with hashes by which a reader knows.

``checkpoints/step-000000120/`` holds ``model.safetensors``, ``ema.safetensors`` where there is a moving average,
``training.pt`` (loads with ``weights_only=True``: tensors and numbers, no code) and ``state.json``; ``manifest.json``
has the SHA-256 of each. ``checkpoints/last`` names the newest one.
"""

import hashlib
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from madnas.errors import UsageError
from madnas.files import write_bytes_atomic, write_text_atomic
from madnas.models.weights import weights

FOLDER, LAST = "checkpoints", "last"
MODEL, AVERAGE, TRAINING, STATE, MANIFEST = (
    "model.safetensors",
    "ema.safetensors",
    "training.pt",
    "state.json",
    "manifest.json",
)
KEPT = 2
"""Newest checkpoints that stay: the one before the last is there if the last turns out to be broken."""

BEGUN, REPLACED = ".unfinished-", ".replaced-"
"""Before the names of checkpoints that are being written, and of those that make place for another of their step."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint.

    Attributes:
        path: its folder.
        state: what ``state.json`` says; ``step`` is the number of updates done.
    """

    path: Path
    state: dict[str, Any]

    def load_weights(self, model: nn.Module, average: nn.Module | None) -> None:
        """Put its weights and statistics into a model and its moving average."""
        try:
            model.load_state_dict(load_file(self.path / MODEL))
            if average is not None:
                average.load_state_dict(load_file(self.path / AVERAGE))
        except Exception as error:  # safetensors and torch raise many kinds
            raise unloadable(self.path, error) from error

    def training(self) -> dict[str, Any]:
        """State of the optimiser and what else training needs; tensors are on the CPU."""
        try:
            found: dict[str, Any] = torch.load(self.path / TRAINING, map_location="cpu", weights_only=True)
        except Exception as error:  # what a stranger's pickle asks for is refused by torch, in many ways
            raise unloadable(self.path, error) from error
        return found


def unloadable(path: Path, error: Exception) -> UsageError:
    """What to tell of a checkpoint that is whole, and does not fit."""
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    if isinstance(error, pickle.UnpicklingError):  # torch's own words say how to run it all the same
        reason = "it holds more than tensors and numbers, and what it holds could run code"
    return UsageError(f"{path}: cannot be loaded: {reason}", "use --restart to train anew")


def save_checkpoint(
    folder: Path, state: dict[str, Any], model: nn.Module, average: nn.Module | None, training: dict[str, Any]
) -> Path:
    """Write a checkpoint, make it the last, and delete those that are too old.

    Raises:
        UsageError: the disk is full or cannot be written; the checkpoints before are untouched.
    """
    files = {MODEL: weights(model), TRAINING: _torch_bytes(training), STATE: _json_bytes(state)}
    if average is not None:
        files[AVERAGE] = weights(average)
    files[MANIFEST] = _json_bytes({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
    place = folder / FOLDER / f"step-{state['step']:09d}"
    unfinished, replaced = (place.with_name(f"{word}{place.name}") for word in (BEGUN, REPLACED))
    try:
        place.parent.mkdir(exist_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        for name, data in files.items():
            write_bytes_atomic(unfinished / name, data)
        if place.exists():  # of the same step: it stays at hand until the new one has its name
            shutil.rmtree(replaced, ignore_errors=True)
            os.replace(place, replaced)
        os.replace(unfinished, place)
        shutil.rmtree(replaced, ignore_errors=True)
        write_text_atomic(place.parent / LAST, place.name + "\n", overwrite=True)
    except OSError as error:
        raise UsageError(f"{place}: cannot be written: {error.strerror}", "free some space") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    for old in _all(folder)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def newest(folder: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint of a run that is whole; what is wrong with newer ones is told.

    Raises:
        UsageError: there are checkpoints, and all are broken.
    """
    _put_back(folder)
    found = _all(folder)
    broken: list[Path] = []
    for path in found:
        try:
            whole = open_checkpoint(path)
            for other in broken:  # out of the way of the next ones, and still there for whoever wants to look
                aside = other.with_name(f"broken-{other.name}")
                shutil.rmtree(aside, ignore_errors=True)
                os.replace(other, aside)
            return whole
        except UsageError as error:
            warn(f"{error}; trying the checkpoint before")
            broken.append(path)
    if found:
        raise UsageError(f"{folder / FOLDER}: no checkpoint is whole", "use --restart to train anew")
    return None


def open_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint, after its hashes were compared.

    Raises:
        UsageError: it is not complete, or its content changed.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        missing = {MODEL, TRAINING, STATE} - manifest.keys()
        if missing:
            raise ValueError(f"{MANIFEST} does not name {', '.join(sorted(missing))}")
        for name, expected in manifest.items():
            with open(path / name, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    raise UsageError(f"{path / name}: broken: its hash is not the one in {MANIFEST}")
        state = json.loads((path / STATE).read_text())
        if not isinstance(state.get("step"), int):
            raise ValueError("no step")
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: not a complete checkpoint: {error}") from error
    return Checkpoint(path, state)


def _put_back(folder: Path) -> None:
    """Give a checkpoint its name again that was to be replaced when the process died."""
    for path in (folder / FOLDER).glob(f"{REPLACED}*"):
        place = path.with_name(path.name.removeprefix(REPLACED))
        if place.exists():
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.replace(path, place)


def _all(folder: Path) -> list[Path]:
    """Folders of checkpoints, the newest first."""
    return sorted((folder / FOLDER).glob("step-*"), key=lambda path: path.name, reverse=True)


def _torch_bytes(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _json_bytes(state: dict[str, Any]) -> bytes:
    return (json.dumps(state, indent=2) + "\n").encode()
