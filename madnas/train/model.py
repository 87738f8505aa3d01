"""From a TARGET to a module that fits the data and the recipe."""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import nn

from madnas.data.source import Facts
from madnas.errors import UsageError
from madnas.models.norms import set_norms
from madnas.network.spec import NetworkSpec
from madnas.network.specfile import check_spec
from madnas.targets import Target, module_of
from madnas.train.recipe import TrainRecipe


@dataclass(frozen=True, slots=True)
class Network:
    """A target that is going to be trained.

    Attributes:
        target: what the user named.
        spec: its description with the data's classes and input, if it has one.
    """

    target: Target
    spec: NetworkSpec | None


def fitted(target: Target, facts: Facts) -> Network:
    """The target with the data's number of classes, channels and size.

    Raises:
        UsageError: features for a network of images.
        SpecError: a network that cannot take such an input.
    """
    if target.spec is None:
        return Network(target, None)
    spec = target.spec
    if facts.shape[1:] == (1, 1) and not spec.is_mlp:
        raise UsageError(f"{target.word} takes images, and the data are {facts.shape[0]} features")
    shape = (prod(facts.shape), 1, 1) if spec.is_mlp else facts.shape  # an MLP takes the pixels as features
    return Network(target, check_spec(replace(spec, input=shape, head=replace(spec.head, classes=facts.classes))))


def own_size(target: Target) -> int | None:
    """Side of the images that the target is made for; None where nothing says it, as of an MLP, which has no side."""
    if target.spec is not None:
        return None if target.spec.is_mlp else target.spec.input[1]
    if target.library == "timm":
        import timm

        cfg = timm.get_pretrained_cfg(target.model)
        return None if cfg is None else int(cfg.input_size[1])
    return None


def build_model(network: Network, facts: Facts, recipe: TrainRecipe, seed: int) -> nn.Module:
    """The module with fresh weights, which the seed decides.

    Raises:
        UsageError: a recipe's setting that the module has no place for.
    """
    torch.manual_seed(seed)
    model = _create(network, facts, recipe)
    _check_runs(network.target, model, facts)
    set_norms(model, recipe.bn_momentum, recipe.bn_eps)
    return model.to(memory_format=torch.channels_last) if recipe.channels_last else model


def _check_runs(target: Target, model: nn.Module, facts: Facts) -> None:
    """Refuse a module that cannot take such images, before anything is begun."""
    model.eval()
    try:
        with torch.no_grad():
            outputs = model(torch.zeros(1, *facts.shape))
        shape = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
    except Exception as error:  # whatever somebody else's code raises
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        shape = " x ".join(map(str, facts.shape))
        hint = f"--set image_size={own_size(target) or '...'}"
        raise UsageError(f"{target.word} does not run on images of {shape}: {reason}", hint) from error
    if shape != (1, facts.classes):
        raise UsageError(f"{target.word} gives out {shape}, not one number for each of {facts.classes} classes")


def _create(network: Network, facts: Facts, recipe: TrainRecipe) -> nn.Module:
    target = network.target
    if network.spec is not None:
        from madnas.models import build

        return build(
            network.spec,
            drop_rate=recipe.drop,
            drop_path_rate=recipe.drop_path,
            zero_init_last=recipe.zero_init_last,
        )
    if target.library != "timm":
        if recipe.drop or recipe.drop_path:
            raise UsageError(
                f"{target.word}: {target.library} models take no drop and no drop_path",
                "--set drop=0 --set drop_path=0",
            )
        return module_of(target, facts.classes)
    import timm

    given: dict[str, Any] = {"drop_rate": recipe.drop, "drop_path_rate": recipe.drop_path}
    options = {name: value for name, value in given.items() if value}
    try:
        return timm.create_model(target.model, num_classes=facts.classes, in_chans=facts.shape[0], **options)
    except TypeError as error:
        raise UsageError(f"{target.word} has no {' or '.join(options)}: {error}") from error
