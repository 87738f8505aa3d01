"""What is needed to see a number again that was not finite: everything that the update began with."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from madnas.data.source import Batch
from madnas.files import write_bytes_atomic, write_text_atomic
from madnas.models.weights import weights

NONFINITE = "nonfinite"
"""The folder in a run's folder."""


def save_batch(folder: Path, batch: Batch, rank: int) -> None:
    """Write ``batch-0.safetensors``: images and labels as they came from the data, indices, and the random state.

    Args:
        folder: where to; made if there is none.
        batch: of this process.
        rank: of this process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {**_named("images", batch.images), **_named("labels", batch.labels), "indices": batch.indices,
               "torch_rng": torch.get_rng_state()}  # fmt: skip
    write_bytes_atomic(folder / f"batch-{rank}.safetensors", save(tensors), overwrite=True)


def _named(name: str, values: Any) -> dict[str, Tensor]:
    """The tensors in lists and dictionaries, on the CPU, by names such as ``labels.0.boxes``."""
    if isinstance(values, Tensor):
        return {name: values.cpu().contiguous()}
    if isinstance(values, list | tuple):
        values = dict(enumerate(values))
    if not isinstance(values, dict):
        return {}
    return {key: one for part, value in values.items() for key, one in _named(f"{name}.{part}", value).items()}


def save_about(folder: Path, indices: Tensor, model: nn.Module, about: dict[str, Any]) -> None:
    """Write ``model.safetensors`` and ``info.json``.

    Args:
        folder: where to.
        indices: of the samples of all processes (batch,).
        model: its weights are those before the update. The running statistics of its batch norms are those after the
            forward pass, which does not read them in training.
        about: what was found where, with the seed that decides the update's random numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(folder / "model.safetensors", weights(model), overwrite=True)
    text = json.dumps(about | {"indices": indices.tolist()}, indent=2)
    write_text_atomic(folder / "info.json", text + "\n", overwrite=True)
