"""From a job to an engine: the model with fresh or given weights, its teacher, and everything that trains it."""

from collections.abc import Callable

from torch import nn

from madnas.data.order import Order
from madnas.data.source import Process, Source
from madnas.errors import UsageError
from madnas.train.checkpoint import load_initial
from madnas.train.engine import Engine
from madnas.train.job import Job
from madnas.train.model import Network, build_model

Talk = Callable[[str], None]
"""Takes warnings and news."""


def new_engine(
    job: Job, source: Source, network: Network, order: Order, process: Process, talk: Talk, teaches: bool = True
) -> Engine:
    """A fresh model with everything that trains it; without a teacher if nothing is to be learned."""
    model = build_model(network, source.facts, job.recipe, job.seed)
    if job.initial_checkpoint is not None:
        missing = load_initial(model, job.initial_checkpoint)
        if missing:
            talk(f"{job.initial_checkpoint}: {len(missing)} of the network's tensors begin anew, such as {missing[0]}")
    return Engine(
        model.to(process.device),
        job.recipe,
        source.facts,
        process,
        job.seed,
        order.steps_per_epoch,
        _teacher(job, source, process) if teaches else None,
        job.torchcompile,
        job.sync_bn,
    )


def _teacher(job: Job, source: Source, process: Process) -> nn.Module | None:
    name = job.recipe.kd_model_name
    if name is None:
        return None
    import timm

    if not timm.is_model(name):
        raise UsageError(f"kd_model_name: timm has no model {name[:60]!r}")
    classes = source.facts.classes
    if job.kd_checkpoint is not None:
        teacher = timm.create_model(name, num_classes=classes, in_chans=source.facts.shape[0])
        if load_initial(teacher, job.kd_checkpoint):
            raise UsageError(f"{job.kd_checkpoint}: not the weights of {name} for {classes} classes")
    else:
        try:
            teacher = timm.create_model(name, pretrained=True)
        except Exception as error:  # no network, no such weights: the hub's libraries raise many kinds
            raise UsageError(
                f"no weights for the teacher {name}: {str(error).splitlines()[0][:200]}",
                "give them with --kd-checkpoint FILE, or train without one: --set kd_model_name=null kd_soft=0 ...",
            ) from error
        if teacher.num_classes != classes:
            raise UsageError(
                f"the teacher {name} knows {teacher.num_classes} classes, and the data have {classes}",
                "give weights of a teacher for them with --kd-checkpoint FILE",
            )
    return teacher.to(process.device).eval().requires_grad_(False)


def test_batch(job: Job) -> int:
    """Images of a batch when testing; at least 256 in whatever training does."""
    return max(256, job.recipe.batch_size)
