"""Slopes of a module's activations: those of restructurable blocks, and of PReLUs."""

from torch import nn

from madnas.models.restructurable import alphas_of


def linear_in(model: nn.Module) -> tuple[str, ...]:
    """Names of blocks and PReLUs that are linear, because their slopes are 1: as fresh ones they would not be."""
    return tuple(name for name, slopes in slopes_of(model).items() if bool((slopes == 1).all()))


def slopes_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Slopes of restructurable blocks and of PReLUs, by the names of those."""
    units = {name: part.weight for name, part in model.named_modules() if isinstance(part, nn.PReLU)}
    return alphas_of(model) | units
