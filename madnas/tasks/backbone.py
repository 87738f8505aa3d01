"""Backbones for training: a target's maps with the recipe's settings, and a classifier's weights put into them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from madnas.errors import UsageError
from madnas.network.timm_names import PREFIX
from madnas.scores.targets import RESTRUCTURED, as_library
from madnas.train.checkpoint import load_initial, read_weights
from madnas.train.model import Network
from madnas.train.recipe import TrainRecipe

Indices = Callable[[int], tuple[int, ...]]
"""``out_indices`` for a number of maps."""

WRAPPED = ("model.", "graph.")
"""What timm's and our wrappers put before the names of a network's weights."""

FLATTENED = re.compile(r"^([a-z_]+)_(\d+)(?=\.)")
"""timm's name of a stage that it took out of its sequence: ``stages_3`` was ``stages.3``."""


def build_backbone(network: Network, recipe: TrainRecipe, indices: Indices) -> nn.Module:
    """A backbone in timm's form with fresh weights.

    Args:
        network: the target.
        recipe: its ``drop_path`` and ``zero_init_last``.
        indices: which of its maps.

    Raises:
        UsageError: a network without maps, or one that the recipe's settings do not fit.
    """
    network = as_written(network)
    target = network.target
    if network.spec is not None:
        from madnas.models import build
        from madnas.models.features import feature_info

        return build(
            network.spec,
            features_only=True,
            out_indices=indices(len(feature_info(network.spec))),
            drop_path_rate=recipe.drop_path,
            zero_init_last=recipe.zero_init_last,
        )
    if target.library not in ("timm", RESTRUCTURED):
        raise UsageError(f"{target.word}: {target.library} does not say what of its models is a backbone", "timm does")
    import timm

    name, given = target.model, {"drop_path_rate": recipe.drop_path} if recipe.drop_path else {}
    if target.library == RESTRUCTURED:
        name, given = "madnas", {"spec": target.model, **given}
    try:
        with torch.device("meta"):
            count = len(timm.create_model(name, features_only=True, **given).feature_info)
        model: nn.Module = timm.create_model(name, features_only=True, out_indices=indices(count), **given)
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as error:  # timm's ways to say no
        raise UsageError(f"{target.word}: timm gives no maps of it: {error}") from error
    return model


def as_written(network: Network) -> Network:
    """The network as its library builds it where the user wrote ``timm/NAME``: with the names of its checkpoints."""
    word = network.target.word
    return Network(as_library(word), None) if word.startswith(PREFIX) else network


def load_weights(model: nn.Module, body: nn.Module, path: Path) -> str | None:
    """Start from a file's weights: of the same whole model, or of a network that has its backbone.

    Args:
        model: the whole, whose tensors get the file's values.
        body: its backbone, in timm's form.
        path: safetensors or a file of torch.

    Returns:
        what a user should hear.

    Raises:
        UsageError: it cannot be read, has values that are not finite, or is of another network: less than half of the
            backbone fits.
    """
    found = read_weights(path)
    if set(found) & set(model.state_dict()) - set(body.state_dict()):
        missing = load_initial(model, path)
        return f"{path}: {len(missing)} tensors begin anew, such as {missing[0]}" if missing else None
    wrong = [name for name, value in found.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if wrong:
        raise UsageError(f"{path}: weights are not finite, such as {wrong[0]}")
    own = body.state_dict()
    fitting = {name: value for name in own if (value := _of(name, found)) is not None and value.shape == own[name].shape}
    if 2 * len(fitting) < len(own):
        raise UsageError(
            f"{path}: weights of another network: {len(fitting)} of its {len(found)} tensors fit the backbone, which has "
            f"{len(own)}"
        )
    body.load_state_dict(own | fitting)
    return f"{path}: {len(fitting)} of the backbone's {len(own)} tensors come from it; the rest begins anew"


def _of(name: str, found: dict[str, Tensor]) -> Any:
    """The tensor of a whole network that a backbone calls so."""
    for prefix in WRAPPED:
        name = name.removeprefix(prefix)
    value = found.get(name)
    return found.get(FLATTENED.sub(r"\1.\2", name)) if value is None else value
