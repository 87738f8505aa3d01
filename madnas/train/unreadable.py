"""Samples that cannot be read: told, written down, and too many of them end the run."""

import torch

from madnas.data.order import Order
from madnas.data.source import Batch, Process
from madnas.errors import DataError
from madnas.train.build import Talk
from madnas.train.distributed import gathered, highest
from madnas.train.job import Job
from madnas.train.log import LEDGER, Records
from madnas.train.memory import Memory


def note_unreadable(
    batch: Batch, step: int, job: Job, order: Order, process: Process, memory: Memory, records: Records, talk: Talk
) -> None:
    """Write a batch's unreadable samples into the ledger, and count them.

    Args:
        batch: of this process.
        step: of its update.
        job: whose recipe says how many are too many.
        order: of the samples.
        process: this one of several; all of them call this for every update.
        memory: counts.
        records: have the ledger.
        talk: is told.

    Raises:
        DataError: too many of an epoch.
    """
    counts = torch.zeros(process.world, dtype=torch.long)
    counts[process.rank] = len(batch.broken)
    if not sum(highest(counts.tolist(), process)):
        return
    found = gathered(batch.broken, process)
    epoch = step // order.steps_per_epoch
    for one in found:
        talk(f"{one['file']}: cannot be read ({one['error']}); sample {one['replaced_by']} instead")
        records.add_broken({"epoch": epoch, "step": step, **one})
    memory.broken += len(found)
    memory.broken_total += len(found)
    most = job.recipe.bad_data_rate * order.samples
    if memory.broken > most:
        raise DataError(
            f"{memory.broken} samples of epoch {epoch} could not be read, more than {most:g} "
            f"({job.recipe.bad_data_rate:g} of {order.samples}); {job.folder / LEDGER} names them",
            "mend the data, or --set bad_data_rate=...",
        )
