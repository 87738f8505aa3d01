"""What a user gives to be restructured: a network with weights, from a run's folder, a file, or none."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from madnas.data.order import Order
from madnas.data.source import Process
from madnas.errors import UsageError
from madnas.files import read_text
from madnas.models.norms import set_norms, unsettle
from madnas.models.weights import load_weights
from madnas.network.restructured import SCHEMA, Description
from madnas.network.specfile import check_spec, spec_to_tree
from madnas.runfolder import RUN
from madnas.targets import RESTRUCTURED, Target, as_library, find, input_of, module_of
from madnas.train.data import open_data
from madnas.train.evaluate import past, run_of, weights_of
from madnas.train.normalise import normaliser
from madnas.train.recipe import load_recipe
from madnas.train.results import RECIPE

IMAGES = 1024
"""That the effect of units is measured on."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A network with weights.

    Attributes:
        target: what it is.
        model: in evaluation mode.
        input: (C, H, W).
        classes: outputs.
        weights: the file they come from; None for fresh ones.
        bn_eps: of its batch norms, where the run's recipe says so.
    """

    target: Target
    model: nn.Module
    input: tuple[int, int, int]
    classes: int
    weights: Path | None
    bn_eps: float | None = None

    @property
    def source(self) -> str | None:
        """Where the weights come from."""
        return None if self.weights is None else str(self.weights)

    def description(self, what: str) -> Description:
        """A description of what is made of it, that does not yet say what was done."""
        spec = self.target.spec
        name = self.target.model if spec is None else spec.name
        return Description(
            SCHEMA, f"{name}-{what}", self.input, self.classes, base=self.target.word if spec is None else None,
            spec=None if spec is None else spec_to_tree(spec), bn_eps=self.bn_eps,
        )  # fmt: skip


def open_network(word: str, checkpoint: Path | None, seed: int = 0) -> Opened:
    """A network as a user names it.

    Args:
        word: a TARGET, or the folder of a run of ``madnas train``, whose best weights are taken.
        checkpoint: other weights.
        seed: of fresh weights; running statistics are drawn far from the initial ones, so that a proof says something.

    Raises:
        UsageError: no such network, or weights of another one.
        SpecError: a file that is no network.
    """
    folder = run_of(Path(word)) if os.path.exists(os.path.join(word, RUN)) else None
    eps = None
    if folder is None:
        target, file = find(word) if checkpoint is None else as_library(word), checkpoint
        images, classes = input_of(target), None
    else:
        target, file = past(folder).target, checkpoint or weights_of(Path(word))
        eps = load_recipe(str(folder / RECIPE)).bn_eps
        about = json.loads(read_text(folder / RUN))
        channels, height, width = about["shape"]
        images, classes = (channels, height, width), int(about["classes"])
    if target.spec is not None:
        spec = check_spec(replace(target.spec, input=images))
        target, classes = replace(target, spec=spec), spec.head.classes
    if target.library == RESTRUCTURED:
        raise UsageError(f"{word}: is restructured already", "begin with the network that it was")
    torch.manual_seed(seed)
    model = module_of(target, classes, images).eval()
    set_norms(model, None, eps)
    if file is None:
        unsettle(model, seed)
    else:
        load_weights(model, file, word)
    with torch.inference_mode():
        outputs = model(torch.zeros(1, *images)).shape[-1]
    return Opened(target, model, images, int(outputs), file, eps)


def images_for(opened: Opened, recipe: str | None, data: Path, seed: int) -> list[Tensor]:
    """Images of a training set as a network is shown them: of a recipe, or of the run that it comes from.

    Raises:
        UsageError: nothing says which, or they are of another shape.
    """
    own = None if opened.weights is None else opened.weights.parent / RECIPE
    if recipe is None and (own is None or not own.exists()):
        raise UsageError("--units effect looks at images", "--recipe names the data, such as digits/quick")
    settings = load_recipe(recipe or str(own))
    process = Process()
    source = open_data(settings, data, seed, opened.target, 0, process.device)
    if source.facts.shape != opened.input:
        raise UsageError(f"the network takes {opened.input}, and the data are {source.facts.shape}")
    order = Order(source.facts.train, settings.batch_size, seed)
    normalise = normaliser(source.facts, process.device)
    batches = source.train(order, 0, max(1, IMAGES // settings.batch_size), process)
    return [normalise(batch.images) for batch in batches]
