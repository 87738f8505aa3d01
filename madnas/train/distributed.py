"""One process or many: torchrun's or SLURM's environment, and what the processes tell each other."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from madnas.data.source import Process
from madnas.device import check_device
from madnas.errors import PeerError, UsageError

TIMEOUT = timedelta(minutes=30)
"""Longest wait for another process; reading a test set on one of them has to fit."""

LOST = ("gloo", "closed by peer", "reset by peer", "Broken pipe", "remote process exited")
"""In what gloo and NCCL say when another process is gone, or does not answer: no class says it."""


@contextmanager
def processes(device: str) -> Iterator[Process]:
    """Join the other processes of the run, if there are any.

    torchrun sets RANK, LOCAL_RANK and WORLD_SIZE; ``srun`` SLURM_PROCID, SLURM_LOCALID and SLURM_NTASKS.

    Args:
        device: ``cpu`` or ``cuda``; of several GPUs each process takes that of its place on the machine.

    Raises:
        UsageError: a device that is not there, or an environment that is incomplete.
    """
    check_device(device)
    rank, local, world = _place()
    if world == 1:
        yield Process(0, 1, torch.device(device))
        return
    if device.startswith("cuda"):
        device = f"cuda:{_gpu(local)}"
        check_device(device)
        torch.cuda.set_device(torch.device(device))
    _meet("cuda:nccl,cpu:gloo" if device != "cpu" else "gloo", rank, world)
    try:
        yield Process(rank, world, torch.device(device))
    except RuntimeError as error:
        if not any(text in str(error) for text in LOST):
            raise
        raise PeerError(
            f"process {rank} of {world} ends because another one did", "the first message of another says why"
        ) from error
    finally:
        dist.destroy_process_group()


def _gpu(local: int) -> int:
    """The GPU of a place on the machine; of SLURM's tasks each may see its own alone (``--gpus-per-task``)."""
    return 0 if "RANK" not in os.environ and torch.cuda.device_count() == 1 else local


def _meet(backend: str, rank: int, world: int) -> None:
    """Wait for the others.

    Raises:
        UsageError: no such address, a port that is taken, or a rank that is none.
    """
    try:
        dist.init_process_group(backend, rank=rank, world_size=world, timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        address = ":".join(os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT"))
        raise UsageError(
            f"process {rank} of {world} does not find the others at {address}: {str(error).splitlines()[0][:200]}",
            "MASTER_ADDR and MASTER_PORT name the machine of the first process and a free port there",
        ) from error


def _place() -> tuple[int, int, int]:
    """Rank, place on this machine, number of processes."""
    environment = os.environ
    if "RANK" in environment:
        names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    elif environment.get("SLURM_NTASKS", "1") != "1" and "SLURM_PROCID" in environment:
        names = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS")
    else:
        return 0, 0, 1
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        if name not in environment and environment.get(names[2]) != "1":
            raise UsageError(
                f"several processes are started, and {name} is not set",
                "torchrun sets it; madnas train --slurm prints a script that does",
            )
    try:
        rank, local, world = (int(environment[name]) for name in names)
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"the environment of several processes is incomplete: {error}", f"set {', '.join(names)}"
        ) from error
    return rank, local, world


def highest(values: Sequence[int], process: Process) -> list[int]:
    """The largest of each value over all processes."""
    if process.world == 1:
        return list(values)
    shared = torch.tensor(values)
    dist.all_reduce(shared, dist.ReduceOp.MAX)
    return [int(value) for value in shared]


def total(values: Tensor, process: Process) -> Tensor:
    """The sum of each value over all processes, in float64 on the CPU."""
    shared = values.detach().to("cpu", torch.float64)
    if process.world > 1:
        dist.all_reduce(shared)
    return shared


def rows(values: Tensor, process: Process) -> Tensor:
    """The values of all processes, a row each, on the CPU."""
    mine = values.detach().cpu().contiguous()
    if process.world == 1:
        return mine[None]
    found = [torch.empty_like(mine) for _ in range(process.world)]
    dist.all_gather(found, mine)
    return torch.stack(found)


def gathered(items: list[dict[str, Any]], process: Process) -> list[dict[str, Any]]:
    """The items of all processes, those of the first one first."""
    if process.world == 1:
        return items
    found: list[Any] = [None] * process.world
    dist.all_gather_object(found, items)
    return [one for part in found for one in part]


def told(value: str, process: Process) -> str:
    """What the first process says."""
    if process.world == 1:
        return value
    shared = [value]
    dist.broadcast_object_list(shared, src=0)
    return shared[0]
