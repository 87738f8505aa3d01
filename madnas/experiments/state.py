"""A group's state on disk while it is trained: weights, Adam's moments and the epoch, so that a run can go on."""

from pathlib import Path

import torch
from torch import Tensor

from madnas.errors import UsageError
from madnas.experiments.batch import SkipMLPBatch
from madnas.files import write_bytes_atomic

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def save_state(path: Path, batch: SkipMLPBatch, optimiser: torch.optim.Optimizer, epoch: int, losses: Tensor) -> None:
    """Write the state after an epoch; whoever reads sees the old state or the new one.

    Raises:
        UsageError: the file cannot be written.
    """
    from safetensors.torch import save

    tensors = {"epoch": torch.tensor(epoch), "losses": losses}
    for index, weight in enumerate(batch.parameters):
        tensors[f"{index}.weight"] = weight
        tensors |= {f"{index}.{name}": optimiser.state[weight][name] for name in MOMENTS}
    write_bytes_atomic(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}), True)


def load_state(path: Path, batch: SkipMLPBatch, optimiser: torch.optim.Optimizer) -> tuple[int, Tensor]:
    """Set weights and moments from a state file.

    Returns:
        epochs that are done and the losses of the last; 0 and infinities where there is no file.

    Raises:
        UsageError: the file is not such a state.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    if not path.exists():
        return 0, torch.full((batch.size,), torch.inf, dtype=torch.float64)
    try:
        tensors = load(path.read_bytes())
        state = {}
        for index, weight in enumerate(batch.parameters):
            weight.copy_(tensors[f"{index}.weight"])
            state[index] = {name: tensors[f"{index}.{name}"] for name in MOMENTS}
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
        return int(tensors["epoch"]), tensors["losses"]
    except (OSError, SafetensorError, KeyError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"{path}: not a state of this run: {error}", "delete it; its group then starts anew"
        ) from error
