"""What is needed to see a number again that was not finite: everything that the update began with."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from madnas.data.source import Batch
from madnas.files import write_bytes_atomic, write_text_atomic
from madnas.train.checkpoint import weights


def save_evidence(folder: Path, batch: Batch, indices: Tensor, model: nn.Module, about: dict[str, Any]) -> None:
    """Write ``batch.safetensors`` (images, labels, random state), ``model.safetensors`` and ``info.json``.

    Args:
        folder: where to; made if there is none.
        batch: of the first process.
        indices: of the samples of all processes (processes, share).
        model: its weights are those before the update.
        about: what was found where, with the seed that decides the update's random numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"images": batch.images.cpu(), "labels": batch.labels.cpu(), "indices": indices,
               "torch_rng": torch.get_rng_state()}  # fmt: skip
    write_bytes_atomic(folder / "batch.safetensors", save(tensors), overwrite=True)
    write_bytes_atomic(folder / "model.safetensors", weights(model), overwrite=True)
    text = json.dumps(about | {"indices": indices.tolist()}, indent=2)
    write_text_atomic(folder / "info.json", text + "\n", overwrite=True)
