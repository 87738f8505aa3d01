"""What to train, how, and where: everything that a run is asked for."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madnas.data.source import Facts
from madnas.errors import UsageError
from madnas.network.specfile import spec_to_tree
from madnas.targets import Target
from madnas.train.recipe import TrainRecipe

SCHEMA = "madnas/train-run/1"
TOLERANCES = ("row", "nonfinite_retries", "bad_data_rate")
"""Settings that do not decide the results of a run that ends well."""


@dataclass(frozen=True, slots=True)
class Job:
    """A run.

    Attributes:
        target: the network.
        recipe_name: as the user wrote it.
        recipe: its settings.
        seed: of weights, order, augmentation and everything else that is random.
        folder: where the run goes.
        data: where data sets are.
        device: ``cpu`` or ``cuda``.
        workers: processes that read files.
        log_interval: updates between two lines of the log.
        eval_interval: epochs between two tests.
        recovery_interval: updates between two checkpoints; absent: by time alone.
        checkpoint_seconds: least time between the checkpoints at ends of epochs.
        checkpoint_hist: best weights that are kept.
        torchcompile: compile the model.
        sync_bn: batch norms over the whole batch of all processes.
        initial_checkpoint: weights to start from.
        kd_checkpoint: weights of the teacher.
        restart: throw away what is in the folder.
    """

    target: Target
    recipe_name: str
    recipe: TrainRecipe
    seed: int
    folder: Path
    data: Path = Path("data")
    device: str = "cpu"
    workers: int = 2
    log_interval: int = 50
    eval_interval: int = 1
    recovery_interval: int | None = None
    checkpoint_seconds: float = 60.0
    checkpoint_hist: int = 1
    torchcompile: bool = False
    sync_bn: bool = False
    initial_checkpoint: Path | None = None
    kd_checkpoint: Path | None = None
    restart: bool = False

    def check_shares(self, processes: int) -> None:
        """Refuse a batch that processes and accumulation steps cannot share.

        Raises:
            UsageError: it does not fall into equal parts.
        """
        recipe = self.recipe
        share = recipe.batch_size // processes
        if (recipe.mixup or recipe.cutmix) and share % 2:
            raise UsageError(
                f"mixup and cutmix take images in pairs, and the share of a process is {share}",
                "--set batch_size=... to an even number for each",
            )
        parts = processes * recipe.grad_accum_steps
        if recipe.batch_size % parts:
            raise UsageError(
                f"a batch of {recipe.batch_size} does not fall into {parts} equal parts "
                f"({processes} processes x {recipe.grad_accum_steps} accumulation steps)",
                "--set batch_size=... to a multiple",
            )

    def identity(self, facts: Facts) -> dict[str, Any]:
        """What decides the results; a folder holds one such run.

        What a run only tolerates, and what things are called, may change while it goes on.
        """
        spec = self.target.spec
        known = {"categories": [list(one) for one in facts.categories]} if facts.categories else {}
        settings = self.recipe.settings()
        return {
            "schema": SCHEMA,
            "network": self.target.word if spec is None else spec.name,
            "spec": None if spec is None else spec_to_tree(spec),
            "recipe": {name: value for name, value in settings.items() if name not in TOLERANCES},
            "seed": self.seed,
            "data": facts.digest,
            "samples": facts.train,
            "test_samples": facts.test,
            "classes": facts.classes,
            **known,
            "shape": list(facts.shape),
            "log_interval": self.log_interval,
            "eval_interval": self.eval_interval,
            "sync_bn": self.sync_bn,
            "initial_checkpoint": _hash(self.initial_checkpoint),
            "kd_checkpoint": _hash(self.kd_checkpoint),
        }


def _hash(path: Path | None) -> str | None:
    """SHA-256 of a file: weights count, not where they lie."""
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
