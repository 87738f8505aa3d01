"""Weights of a module in files: safetensors, and torch's own, of which no code is run."""

import argparse
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import nn

from madnas.errors import UsageError


def weights(model: nn.Module) -> bytes:
    """A model's weights and statistics in safetensors, with the names of its ``state_dict``; timm can load it."""
    return save({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()})


def load_initial(model: nn.Module, path: Path) -> list[str]:
    """Start from weights in safetensors or a torch file (read without running code); other classifiers are left out.

    Returns:
        names of the model's weights that the file has not, or of another shape.

    Raises:
        UsageError: it cannot be read, has values that are not finite, or is not of this network: less than half fits.
    """
    found = sound_weights(path)
    own = model.state_dict()
    fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    if 2 * len(fitting) < len(own):
        raise UsageError(
            f"{path}: weights of another network: {len(fitting)} of its {len(found)} tensors fit, and this one has "
            f"{len(own)}"
        )
    model.load_state_dict(own | fitting)
    return [name for name in own if name not in fitting]


def sound_weights(path: Path) -> dict[str, torch.Tensor]:
    """As :func:`read_weights`, and all are finite.

    Raises:
        UsageError: it cannot be read, or has values that are not finite.
    """
    found = read_weights(path)
    wrong = [name for name, value in found.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if wrong:
        raise UsageError(f"{path}: weights are not finite, such as {wrong[0]}")
    return found


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a file of safetensors or of torch, by their names; code in it is not run.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is refused anyway
            return load_file(path) if path.suffix == ".safetensors" else _torch_weights(path)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no weights can be read: no such file") from error
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"{path}: no weights can be read: it holds more than tensors, and what it holds could run code"
        ) from error
    except Exception as error:  # torch, zip files and safetensors raise many kinds
        raise UsageError(
            f"{path}: no weights can be read: neither safetensors nor a file of torch ({type(error).__name__})"
        ) from error


def load_weights(model: nn.Module, file: Path, word: str) -> None:
    """Load a file of weights into a network that was built for it.

    Raises:
        UsageError: the file cannot be read, or holds the weights of another network.
    """
    missing = [name for name in load_initial(model, file) if not _counts_batches(name)]
    if missing:
        raise UsageError(
            f"{file}: not the weights of {word}: {len(missing)} tensors are missing or of another shape, such as "
            f"{missing[0]}",
            "the folder of a run, in place of the network, knows its classes and its input",
        )
    others = sorted(name for name in set(read_weights(file)) - set(model.state_dict()) if not _counts_batches(name))
    if others:
        raise UsageError(
            f"{file}: weights of another network: {len(others)} of its tensors are none of {word}, such as {others[0]}"
        )


def _torch_weights(path: Path) -> dict[str, Any]:
    from timm.models import clean_state_dict

    with torch.serialization.safe_globals([argparse.Namespace]):  # the options in timm's: names and values
        found = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict_ema", "state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    return {name: value for name, value in clean_state_dict(found).items() if isinstance(value, torch.Tensor)}


def _counts_batches(name: str) -> bool:
    """Whether a tensor counts batches: old checkpoints have none, and nothing is computed with it in a test."""
    return name.rpartition(".")[2] == "num_batches_tracked"
