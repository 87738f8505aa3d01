"""What a user gives to be restructured: a network with weights, from a run's folder, a file, or none."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from madnas.data.seeds import generator
from madnas.errors import UsageError
from madnas.files import read_text
from madnas.network.specfile import check_spec
from madnas.runfolder import RUN
from madnas.scores.targets import Target, find, input_of, module_of
from madnas.train.checkpoint import load_initial
from madnas.train.evaluate import past, run_of, weights_of


@dataclass(frozen=True, slots=True)
class Opened:
    """A network with weights.

    Attributes:
        target: what it is.
        model: in evaluation mode.
        input: (C, H, W).
        classes: outputs.
        weights: the file they come from; None for fresh ones.
    """

    target: Target
    model: nn.Module
    input: tuple[int, int, int]
    classes: int
    weights: Path | None


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
    folder = run_of(Path(word)) if (Path(word) / RUN).exists() else None
    if folder is None:
        target, file = find(word), checkpoint
        images, classes = input_of(target), None
    else:
        target, file = past(folder).target, checkpoint or weights_of(Path(word))
        about = json.loads(read_text(folder / RUN))
        channels, height, width = about["shape"]
        images, classes = (channels, height, width), int(about["classes"])
    if target.spec is not None:
        spec = check_spec(replace(target.spec, input=images))
        target, classes = replace(target, spec=spec), spec.head.classes
    torch.manual_seed(seed)
    model = module_of(target, classes, images).eval()
    if file is None:
        _unsettle(model, seed)
    else:
        _load(model, file, word)
    with torch.inference_mode():
        outputs = model(torch.zeros(1, *images)).shape[-1]
    return Opened(target, model, images, int(outputs), file)


def _load(model: nn.Module, file: Path, word: str) -> None:
    missing = load_initial(model, file)
    if missing:
        raise UsageError(
            f"{file}: not the weights of {word}: {len(missing)} tensors are missing or of another shape, such as "
            f"{missing[0]}",
            "the folder of a run, in place of the network, knows its classes and its input",
        )


def _unsettle(model: nn.Module, seed: int) -> None:
    """Statistics and scales as training may leave them."""
    chance = generator(seed, "statistics")
    for part in model.modules():
        if not isinstance(part, nn.BatchNorm2d) or part.running_mean is None or part.running_var is None:
            continue
        with torch.no_grad():
            part.running_mean.normal_(0, 1, generator=chance)
            part.running_var.uniform_(0.2, 3, generator=chance)
            if part.affine:
                part.weight.uniform_(0.5, 1.5, generator=chance)
                part.bias.normal_(0, 0.5, generator=chance)
