"""A target as the backbone of another task's model, and weights for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

import madnas.models  # noqa: F401 # registers our networks with timm
from madnas.errors import UsageError
from madnas.models import build
from madnas.models.weights import sound_weights
from madnas.network.timm_names import PREFIX
from madnas.targets import RESTRUCTURED, Target, as_library
from madnas.train.recipe import TrainRecipe


def build_body(target: Target, recipe: TrainRecipe, reductions: Sequence[int] | None = None) -> nn.Module:
    """The network without its head, as what gives a list of maps.

    Args:
        target: the network.
        recipe: has its stochastic depth, and whether residual branches begin at 0.
        reductions: input side / side of the maps that are wanted; absent: the last one alone.

    Raises:
        UsageError: a network that gives no maps, or not these.
    """
    options = _options(recipe)
    indices: tuple[int, ...] = (-1,)
    if reductions is not None:
        there = reductions_of(target, recipe)
        if any(one not in there for one in reductions):
            raise UsageError(
                f"{target.word}: its maps are reduced by {', '.join(map(str, there))}, and "
                f"{', '.join(map(str, reductions))} are needed"
            )
        indices = tuple(there.index(one) for one in reductions)
    return _create(target, recipe, options | {"out_indices": indices})


def reductions_of(target: Target, recipe: TrainRecipe) -> list[int]:
    """Input side / side of all the maps that a network gives.

    Raises:
        UsageError: it gives none.
    """
    with torch.device("meta"):
        probe: Any = _create(target, recipe, _options(recipe))
    found: list[int] = probe.feature_info.reduction()
    return found


def as_written(target: Target) -> Target:
    """The network as its library builds it where the user wrote ``timm/NAME``: with the names of its checkpoints."""
    return as_library(target.word) if target.word.startswith(PREFIX) else target


def _options(recipe: TrainRecipe) -> dict[str, Any]:
    return {"drop_path_rate": recipe.drop_path} if recipe.drop_path else {}


def _create(target: Target, recipe: TrainRecipe, options: dict[str, Any]) -> nn.Module:
    target = as_written(target)
    if target.spec is not None:
        return build(target.spec, features_only=True, zero_init_last=recipe.zero_init_last, **options)
    if target.library == RESTRUCTURED:
        return timm.create_model("madnas", spec=target.model, features_only=True, **options)
    if target.library != "timm":
        raise UsageError(f"{target.word}: {target.library} networks give no maps", "timm/NAME has most of them")
    try:
        return timm.create_model(target.model, features_only=True, **options)
    except (TypeError, RuntimeError, AttributeError, AssertionError) as error:  # whatever somebody else's code raises
        raise UsageError(f"{target.word}: gives no maps: {str(error).splitlines()[0][:200]}") from error


def load_backbone(model: nn.Module, body: nn.Module, path: Path) -> str:
    """Start from weights of the same model, or of a classifier, whose head is left out.

    timm's wrappers rename what they take apart: ``stages.0`` becomes ``stages_0``, or goes below ``model``.

    Args:
        model: the whole one.
        body: its backbone.
        path: a file of safetensors or torch.

    Returns:
        what to tell: how many tensors fit.

    Raises:
        UsageError: it cannot be read, has values that are not finite, or less than half of the backbone is in it.
    """
    found = sound_weights(path)
    by_name = {_plain(name): value for name, value in found.items()}
    own = model.state_dict()
    place = next(name for name, module in model.named_modules() if module is body)
    fitting: dict[str, torch.Tensor] = {}
    for name, value in own.items():
        names = [name]
        if name.startswith(f"{place}."):
            bare = name.removeprefix(f"{place}.")
            names += [bare, bare.removeprefix("model.")]
        for one in names:
            given = by_name.get(_plain(one))
            if given is not None and given.shape == value.shape:
                fitting[name] = given
                break
    backbone = [name for name in own if name.startswith(f"{place}.")]
    fits = [name for name in backbone if name in fitting]
    if 2 * len(fits) < len(backbone):
        raise UsageError(
            f"{path}: weights of another network: {len(fits)} of the backbone's {len(backbone)} tensors are in it"
        )
    model.load_state_dict(own | fitting)
    return (
        f"{path}: gives {len(fits)} of the backbone's {len(backbone)} tensors, and {len(fitting) - len(fits)} of the "
        f"{len(own) - len(backbone)} others"
    )


def _plain(name: str) -> str:
    return name.replace(".", "_")


def check_runs(target: Target, model: nn.Module, images: Any) -> None:
    """Refuse a module over a backbone that cannot take images of any size, before anything is begun.

    Args:
        target: the backbone.
        model: the whole module; it is left in evaluation mode.
        images: what it is tried with.

    Raises:
        UsageError: it cannot.
    """
    model.eval()
    try:
        with torch.no_grad():
            model(images)
    except Exception as error:  # whatever somebody else's code raises
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UsageError(f"{target.word} does not run as a backbone on images of any size: {reason}") from error
