"""From a job to an engine: the model with fresh or given weights, its teacher, and everything that trains it."""

from collections.abc import Callable
from typing import Any

from madnas.data.names import is_resident
from madnas.data.order import Order
from madnas.data.source import Process, Source
from madnas.errors import UsageError
from madnas.models.weights import load_initial
from madnas.train.engine import Engine
from madnas.train.job import Job
from madnas.train.kinds import KINDS
from madnas.train.model import Network
from madnas.train.objective import Teacher, has_features
from madnas.train.task import task_of

Talk = Callable[[str], None]
"""Takes warnings and news."""


def new_engine(
    job: Job, source: Source, network: Network, order: Order, process: Process, talk: Talk, teaches: bool = True
) -> Engine:
    """A fresh model with everything that trains it; without a teacher if nothing is to be learned."""
    if job.torchcompile and not KINDS[job.recipe.task].compiles:
        raise UsageError(
            f"--torchcompile: batches of {job.recipe.task} differ in size, and each would be compiled anew",
            "leave it out",
        )
    task = task_of(job.recipe)
    model = task.build_model(network, source.facts, job.recipe, job.seed)
    if teaches:
        task.check_start(job.recipe, job.initial_checkpoint is not None)
    if job.initial_checkpoint is not None:
        told = task.load_initial(model, job.initial_checkpoint)
        if told:
            talk(told)
    teacher = _teacher(job, source, process) if teaches else None
    if teacher is not None and job.recipe.kd_feature and not has_features(model):
        raise UsageError(
            f"kd_feature: {job.target.word} does not give out features in timm's way", "--set kd_feature=0 does without"
        )
    return Engine(
        model.to(process.device),
        job.recipe,
        source.facts,
        process,
        job.seed,
        order.steps_per_epoch,
        teacher,
        job.torchcompile,
        job.sync_bn,
    )


def _teacher(job: Job, source: Source, process: Process) -> Teacher | None:
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
    mean, std = source.facts.mean, source.facts.std
    if mean is None or std is None:
        raise UsageError(f"kd_model_name: {name} takes images, and {job.recipe.dataset} has none")
    theirs = mean, std
    if not is_resident(job.recipe.dataset):  # teachers of small sets were trained on these, others as timm says
        config: Any = teacher.pretrained_cfg
        theirs = tuple(config["mean"]), tuple(config["std"])
    return Teacher(teacher, theirs, (mean, std)).to(process.device)
