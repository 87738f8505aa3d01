"""Testing weights: a run's, a checkpoint's, or any file that fits the network."""

from pathlib import Path
from typing import Any

from madnas.data.order import Order
from madnas.errors import UsageError
from madnas.train.best import BEST
from madnas.train.build import new_engine, test_batch
from madnas.train.checkpoint import load_initial
from madnas.train.data import open_data
from madnas.train.distributed import processes
from madnas.train.job import Job
from madnas.train.model import fitted, own_size


def evaluate(job: Job, path: Path) -> dict[str, Any]:
    """Test weights on the recipe's test set.

    Args:
        job: network, recipe, data and device.
        path: a file of weights, or the folder of a run, whose best are taken.

    Raises:
        UsageError: no weights there, or not those of this network.
        DataError: data that is missing or broken.
    """
    file = path / BEST if path.is_dir() else path
    with processes(job.device) as process:
        source = open_data(job.recipe, job.data, job.seed, own_size(job.target), job.workers, process.device)
        network = fitted(job.target, source.facts)
        order = Order(source.facts.train, min(job.recipe.batch_size, source.facts.train), job.seed)
        engine = new_engine(job, source, network, order, process, lambda text: None, teaches=False)
        missing = load_initial(engine.result, file)
        if missing:
            raise UsageError(
                f"{file}: not the weights of {job.target.word} for {source.facts.classes} classes: "
                f"{len(missing)} tensors are missing or of another shape, such as {missing[0]}"
            )
        found = engine.test(source, test_batch(job))
        return {"schema": "madnas/train-eval/1", "network": job.target.word, "weights": str(file), **found}
