"""Training a group of networks of one depth, from their seeds to their rows of the results."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from madnas.data.datasets import Dataset, load_dataset
from madnas.data.seeds import generator
from madnas.experiments.batch import SkipMLPBatch, with_ones
from madnas.experiments.folder import STATE_SUFFIX
from madnas.experiments.isometry import mean_singular_values
from madnas.experiments.recipe import Recipe
from madnas.experiments.skip_mlp import SkipMLP, SkipMLPSpec
from madnas.experiments.state import load_state, save_state

STATE_INTERVAL = 30.0
"""Seconds between two copies of a group's state on disk: what an interruption costs at most, and an epoch."""

REPORT_INTERVAL = 0.5
"""Seconds between two reports of progress."""

TEST_BATCH = 2000
"""Samples that are classified at a time."""


@dataclass(frozen=True, slots=True)
class Group:
    """Networks that are trained as one tensor program.

    Attributes:
        recipe: the experiment.
        depth: of all networks of the group.
        repeats: numbers of the repeats in it; each has all the recipe's links.
        seed: the user's.
        device: where.
        data: folder of MNIST.
        folder: where the group's state goes while it is trained.
    """

    recipe: Recipe
    depth: int
    repeats: tuple[int, ...]
    seed: int
    device: str
    data: Path | None
    folder: Path

    @property
    def name(self) -> str:
        """What the group is called in a results folder."""
        return f"depth-{self.depth}-repeat-{self.repeats[0]}"

    @property
    def state(self) -> Path:
        """File with the group's state."""
        return self.folder / f"{self.name}{STATE_SUFFIX}"

    @property
    def cost(self) -> int:
        """How much work it is, relative to other groups."""
        return self.depth * len(self.repeats)

    def members(self) -> list[tuple[int, int]]:
        """Links t and repeat of every network."""
        return [(links, repeat) for repeat in self.repeats for links in self.recipe.links]


Report = Callable[[float], None]
"""Takes the share that is done."""


def train_group(group: Group, report: Report) -> list[dict[str, Any]]:
    """Train the networks of a group, or go on where its state file ends, and measure them.

    Neither the time nor the number of processes has any influence on the result; arithmetic is on one thread.

    Returns:
        a row for every network: ``depth``, ``links``, ``repeat``, ``params``, ``mass``, ``isometry`` (mean singular
        value at initialisation), ``loss`` (mean of the last epoch), ``train_accuracy``, ``accuracy`` (on the test set);
        the last three are None if the network ``diverged``.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _train_group(group, report)
    finally:
        torch.set_num_threads(threads)


def _train_group(group: Group, report: Report) -> list[dict[str, Any]]:
    recipe = group.recipe
    data = load_dataset(recipe.dataset, recipe.samples, recipe.test_samples, group.seed, group.data)
    networks = [draw_network(recipe, data, group.depth, links, group.seed, repeat) for links, repeat in group.members()]
    batch = SkipMLPBatch(networks, device=group.device)
    isometry = mean_singular_values(batch, data.inputs[: recipe.isometry_samples].to(group.device)).tolist()
    losses = _train(batch, data, group, report).tolist()
    train = accuracies(batch, data.inputs, data.labels).tolist()
    test = accuracies(batch, data.test_inputs, data.test_labels).tolist()
    rows = []
    for index, ((links, repeat), network) in enumerate(zip(group.members(), networks, strict=True)):
        grid = {"depth": group.depth, "links": links, "repeat": repeat}
        size = {"params": network.spec.params, "mass": network.spec.mass, "isometry": isometry[index]}
        learned = {"loss": losses[index], "train_accuracy": train[index], "accuracy": test[index]}
        diverged = not math.isfinite(losses[index])
        rows.append(grid | size | (dict.fromkeys(learned) if diverged else learned) | {"diverged": diverged})
    return rows


def draw_network(recipe: Recipe, data: Dataset, depth: int, links: int, seed: int, repeat: int) -> SkipMLP:
    """A network of the grid at initialisation; the same whatever group it is trained in."""
    spec = SkipMLPSpec(data.features, data.classes, depth, links, recipe.width, recipe.activation)
    return SkipMLP(spec, generator(seed, "network", depth, links, repeat))


def _train(batch: SkipMLPBatch, data: Dataset, group: Group, report: Report) -> Tensor:
    """Train all epochs that are left; gives every network's mean loss over the last epoch."""
    recipe = group.recipe
    inputs, labels = with_ones(data.inputs).to(group.device), data.labels.to(group.device)
    optimiser = torch.optim.Adam(batch.parameters, lr=recipe.learning_rate, fused=True)
    done, losses = load_state(group.state, batch, optimiser)
    saved = reported = time.monotonic()
    for epoch in range(done, recipe.epochs):
        order = torch.randperm(len(labels), generator=generator(group.seed, "order", epoch))
        losses = train_epoch(batch, optimiser, inputs, labels, order.to(group.device).split(recipe.batch_size))
        now = time.monotonic()
        if now - reported > REPORT_INTERVAL:
            report((epoch + 1) / recipe.epochs)  # first, so that a process without parent ends before it writes
            reported = now
        if now - saved > STATE_INTERVAL:
            save_state(group.state, batch, optimiser, epoch + 1, losses)
            saved = time.monotonic()
    return losses


def train_epoch(
    batch: SkipMLPBatch,
    optimiser: torch.optim.Optimizer,
    inputs: Tensor,
    labels: Tensor,
    minibatches: tuple[Tensor, ...],
) -> Tensor:
    """One pass over the training samples; all networks see the same minibatches.

    Args:
        batch: networks.
        optimiser: of their weights.
        inputs: (samples, features + 1), the last feature 1.
        labels: (samples,)
        minibatches: indices of samples.

    Returns:
        mean loss of every network over the samples, before their steps.
    """
    total = torch.zeros(batch.size, dtype=torch.float64, device=inputs.device)
    for chosen in minibatches:
        losses = batch.accumulate_gradients(inputs[chosen], labels[chosen])
        optimiser.step()
        total += losses * len(chosen)
    return total / len(labels)


def accuracies(batch: SkipMLPBatch, inputs: Tensor, labels: Tensor) -> Tensor:
    """Share of samples that every network classifies rightly, (networks,), as float64."""
    right = torch.zeros(batch.size, dtype=torch.int64)
    for some, wanted in zip(inputs.split(TEST_BATCH), labels.split(TEST_BATCH), strict=True):
        found = batch.logits(with_ones(some).to(batch.hidden)).argmax(1).cpu()
        right += (found == wanted).sum(1)
    return right.double() / len(labels)
