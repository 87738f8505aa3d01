"""What a run will do, before it does it: the batch, the rates, and from a short probe time, memory and disk."""

import resource
import sys
import time
from itertools import islice
from typing import Any

import torch

from madnas.data.order import Order
from madnas.device import explained
from madnas.models.weights import weights
from madnas.train.build import new_engine
from madnas.train.checkpoint import KEPT
from madnas.train.distributed import processes
from madnas.train.job import Job
from madnas.train.optimise import set_rate, total_epochs
from madnas.train.task import task_of

WARM, PROBED = 2, 4
"""Updates of the probe: those that are not timed, and those that are."""


def plan_of(job: Job) -> dict[str, Any]:
    """Plan a run and try a few updates; nothing is written.

    Raises:
        MadnasError: whatever the run itself would raise at its start.
    """
    with explained(), processes(job.device) as process:
        task = task_of(job.recipe)
        source = task.open_data(job.recipe, job.data, job.seed, job.target, job.workers, process.device)
        facts = source.facts
        network = task.fitted(job.target, facts)
        order = Order(facts.train, job.recipe.batch_size, job.seed)
        job.check_shares(process.world)
        engine = new_engine(job, source, network, order, process, lambda text: None)
        epochs = total_epochs(job.recipe)
        per_epoch = order.steps_per_epoch
        rates = _rates(engine, per_epoch, epochs)
        begin, seconds = time.monotonic(), []
        for step, batch in enumerate(islice(source.train(order, 0, WARM + PROBED, process), WARM + PROBED)):
            engine.update(batch, step)
            _wait(process.device)
            now = time.monotonic()
            seconds.append(now - begin)
            begin = now
        step_seconds = sum(seconds[WARM:]) / max(1, len(seconds) - WARM)
        tested = _test_seconds(engine, source, task.test_batch)
        size = len(weights(engine.model))
        copies = 2 + (engine.average is not None) + len(next(iter(engine.optimizer.state.values()), {}))
        return {
            "schema": "madnas/train-plan/1",
            "network": job.target.word,
            "recipe": job.recipe_name,
            "task": job.recipe.task,
            "params": sum(one.numel() for one in engine.model.parameters()),
            "data": {"train": facts.train, "test": facts.test, "classes": facts.classes, "shape": list(facts.shape)},
            "batch": {
                "size": job.recipe.batch_size,
                "processes": process.world,
                "accumulation": job.recipe.grad_accum_steps,
                "at_once": job.recipe.batch_size // process.world // job.recipe.grad_accum_steps,
                "lr_per_256": job.recipe.lr * 256 / job.recipe.batch_size,
            },
            "epochs": epochs,
            "updates_per_epoch": per_epoch,
            "updates": epochs * per_epoch,
            "rates": rates,
            "estimate": {
                "images_per_second": job.recipe.batch_size / step_seconds,
                "seconds": epochs * per_epoch * step_seconds + tested * -(-epochs // job.eval_interval),
                "memory_bytes": _memory(process.device),
                "disk_bytes": (KEPT * copies + job.checkpoint_hist + 2) * size,
            },
        }


def _rates(engine: Any, per_epoch: int, epochs: int) -> list[dict[str, float | int]]:
    """The learning rate at the beginning of some epochs."""
    recipe = engine.recipe
    wanted = sorted({0, recipe.warmup_epochs, epochs // 4, epochs // 2, 3 * epochs // 4, epochs - 1})
    found = []
    for epoch in wanted:
        set_rate(engine.schedule, epoch * per_epoch, per_epoch)
        found.append({"epoch": epoch, "lr": max(float(group["lr"]) for group in engine.optimizer.param_groups)})
    return found


def _test_seconds(engine: Any, source: Any, batch_size: int) -> float:
    """Seconds of a test, reading included, from its first batches; the very first one also starts what reads."""
    seconds, images = [], []
    begin = time.monotonic()
    with torch.inference_mode():
        for batch, _ in islice(source.test(batch_size, engine.process), 3):
            engine.result.eval()(engine.learner.normalised(batch))
            _wait(engine.process.device)
            now = time.monotonic()
            seconds.append(now - begin)
            images.append(len(batch))
            begin = now
    if not images:  # more processes than samples
        return 0.0
    warm = 1 if len(seconds) > 1 else 0
    return sum(seconds[warm:]) / sum(images[warm:]) * source.facts.test / engine.process.world


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _memory(device: torch.device) -> int:
    """The most that was in use: of the GPU, or of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
