"""The search for blocks that may be linear: training with a penalty on every block's slope (RAN, Eq. 3)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from madnas.errors import UsageError
from madnas.files import check_folder, write_text_atomic
from madnas.network.count import count
from madnas.network.mass import nn_mass
from madnas.network.spec import NetworkSpec
from madnas.network.specfile import dump_spec, load_spec
from madnas.restructure.search_space import numbers_of, restructurable, subnetwork
from madnas.targets import Target
from madnas.theory.restructuring import is_linear
from madnas.train.build import Talk
from madnas.train.job import Job
from madnas.train.log import METRICS
from madnas.train.memory import Progress
from madnas.train.results import NETWORK
from madnas.train.run import train

SUBNETWORK = "subnetwork.yaml"
"""The network that was found, in the folder of its run, ..."""
EXPANDED = "expanded.yaml"
"""... and how it is trained with more weights, to be collapsed after."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search with one strength found.

    Attributes:
        strength: lambda.
        folder: of its run.
        epochs: of the points of the trajectories.
        trajectories: slope of every block at the end of every epoch, by its number.
        linear: numbers of the blocks that may be linear.
        supernet: the network before, for the data.
        spec: the network that was found.
        expanded: the same with collapsed blocks as they are trained with more weights.
        top1: accuracy of the search, with slopes as they are.
    """

    strength: float
    folder: Path
    epochs: tuple[int, ...]
    trajectories: dict[int, tuple[float, ...]]
    linear: tuple[int, ...]
    supernet: NetworkSpec
    spec: NetworkSpec
    expanded: NetworkSpec
    top1: float

    @property
    def costs(self) -> dict[str, tuple[int, int]]:
        """Params, multiply-adds and non-linear units, before and after."""
        before, after = count(self.supernet), count(self.spec)
        units = nn_mass(self.supernet).units, nn_mass(self.spec).units
        return {
            "params": (int(before.params), int(after.params)),
            "macs": (int(before.macs), int(after.macs)),
            "units": (int(units[0]), int(units[1])),
        }


def search(
    job: Job,
    strengths: Sequence[float],
    macs_aware: bool = False,
    show: Callable[[float, Progress], None] = lambda strength, progress: None,
    talk: Talk = lambda text: None,
) -> list[Found]:
    """Search with one or more strengths; each is a run of its own, which goes on where it was stopped.

    Args:
        job: network, recipe, data; its folder gets a folder for each strength.
        strengths: lambda of Eq. (3).
        macs_aware: weigh every block's penalty by the multiply-adds that its collapse saves.
        show: takes the progress of each.
        talk: takes warnings and news.

    Raises:
        UsageError: a network without blocks to search, and what a run of training raises.
    """
    target = searchable(job.target)
    base = job.target.spec
    assert base is not None
    check_folder(job.folder)
    job.folder.mkdir(exist_ok=True)
    found = []
    for strength in strengths:
        recipe = replace(job.recipe, alpha_weight=strength, alpha_macs_aware=macs_aware)
        one = replace(job, target=target, recipe=recipe, folder=job.folder / f"lambda-{strength:g}")
        result = train(one, lambda progress, own=strength: show(own, progress), talk)  # type: ignore[misc]
        found.append(_found(base, one, strength, result))
    return found


def searchable(target: Target) -> Target:
    """The network with restructurable blocks.

    Raises:
        UsageError: it has no description, or no such blocks.
    """
    if target.spec is None:
        raise UsageError(f"{target.word}: only networks with a description can be searched")
    return replace(target, spec=restructurable(target.spec))


def _found(base: NetworkSpec, job: Job, strength: float, result: dict[str, Any]) -> Found:
    """Read a finished run, and write the network that it found."""
    searched = load_spec(job.folder / NETWORK)
    numbers = numbers_of(searched)
    lines = [json.loads(line) for line in (job.folder / METRICS).read_text(encoding="utf-8").splitlines()]
    points = [line for line in lines if line["event"] == "alphas"]
    last = points[-1]["alphas"]
    name = f"{base.name}-lambda-{strength:g}"
    spec, expanded = (replace(subnetwork(base, searched, last, one), name=name) for one in (False, True))
    for file, one in ((SUBNETWORK, spec), (EXPANDED, replace(expanded, name=f"{name}-expanded"))):
        write_text_atomic(job.folder / file, dump_spec(one), overwrite=True)
    return Found(
        strength,
        job.folder,
        tuple(point["epoch"] for point in points),
        {numbers[name]: tuple(point["alphas"][name] for point in points) for name in last},
        tuple(numbers[name] for name, alpha in last.items() if is_linear(alpha)),
        replace(base, input=searched.input, head=replace(base.head, classes=searched.head.classes)),
        spec,
        expanded,
        float(result["last"]["top1"]),
    )
