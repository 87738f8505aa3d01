"""From the flags of ``madnas design`` to design problems: the flags become a recipe's values, lists become a sweep."""

import re
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from madnas.errors import UsageError
from madnas.program.problem import Problem
from madnas.program.recipe import GUIDELINES, DesignRecipe, load_recipe
from madnas.program.space import Space, load_space
from madnas.units import parse_quantity, short_quantity

from .console import stderr

if TYPE_CHECKING:
    from madnas.measure.latency_table import LatencyTable

DEFAULT_SPACE = "mobilenet-se"
MAX_POINTS = 1000


@dataclass(frozen=True, slots=True)
class Request:
    """The flags as they were typed; ``None`` or empty where absent."""

    macs: str | None = None
    params: str | None = None
    activations: str | None = None
    max_layers: int | None = None
    latency: str | None = None
    rho: str | None = None
    like: str | None = None
    space: str | None = None
    resolution: int | None = None
    input_shape: str | None = None
    classes: int | None = None
    kernel: str | None = None
    channel_multiple: int | None = None
    head: int | None = None
    stage_weights: tuple[str, ...] = ()
    depth_penalty: float | None = None
    without_guideline: tuple[int, ...] = ()
    recipe: str | None = None


def problems(request: Request) -> list[tuple[dict[str, Any], Problem]]:
    """Every problem of a request with the values that are swept; one problem unless a flag holds a list.

    Raises:
        UsageError: a flag that cannot be read, too large a sweep, no budget.
    """
    recipe = _merged(request)
    axes = _axes(request)
    if prod(map(len, axes.values())) > MAX_POINTS:
        raise UsageError(f"the lists make more than {MAX_POINTS} designs", "sweep fewer values")
    points = []
    for values in product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        problem = replace(recipe, **chosen).problem()
        swept = {key: None if chosen[key] == "none" else chosen[key] for key in axes if len(axes[key]) > 1}
        points.append((swept, problem))
    return points


def _merged(request: Request) -> DesignRecipe:
    """The recipe with the flags' values, those of lists aside, in the place of its own."""
    recipe = load_recipe(request.recipe) if request.recipe is not None else DesignRecipe("flags", DEFAULT_SPACE)
    if request.recipe is not None and request.space is not None:
        _check_fit(recipe, request, load_space(request.space))
    check_numbers(request)
    flags: dict[str, Any] = {
        "space": request.space,
        "max_layers": request.max_layers,
        "latency": request.latency,
        "resolution": request.resolution,
        "kernels": None if request.kernel is None else kernels(request.kernel),
        "multiple": request.channel_multiple,
        "head_conv": request.head,
        "classes": request.classes,
        "depth_penalty": request.depth_penalty,
        "without_guidelines": request.without_guideline or None,
    }
    changes = {key: value for key, value in flags.items() if value is not None}
    if request.input_shape is not None:  # a recipe's resolution is part of its input, which this replaces
        changes |= {"input": shape(request.input_shape), "resolution": request.resolution}
    if request.like is not None:
        changes |= budgets_of(request.like)
    return replace(recipe, **changes)


def _quantities(text: str, flag: str) -> list[int]:
    """The budgets of a list; a decimal comma, which would make two of one, is refused."""
    if re.fullmatch(r"\d{1,3},\d+[A-Za-z]+", text.strip()):
        raise UsageError(f"{flag}: {text!r} has a decimal comma", "write 4.5G; a comma separates a list: 4G,5G")
    parts = _parts(text, flag)
    return [parse_quantity(part, flag) for part in parts]


def _axes(request: Request) -> dict[str, list[Any]]:
    """Values of the flags that may hold lists, by the recipe's key."""
    axes: dict[str, list[Any]] = {}
    for flag in ("macs", "params", "activations"):
        text = getattr(request, flag)
        if text is not None:
            axes[flag] = _quantities(text, f"--{flag}")
    if request.rho is not None:
        axes["rho"] = [rho(part) for part in _parts(request.rho, "--rho")]
    if request.stage_weights:
        axes["stage_weights"] = [_weights(text) for text in request.stage_weights]
    return axes


def budgets_of(target: str) -> dict[str, int]:
    """MACs and params of a network."""
    from madnas.network.count import count
    from madnas.network.target import resolve

    counts = count(resolve(target))
    return {"macs": int(counts.macs), "params": int(counts.params)}


def _check_fit(recipe: DesignRecipe, request: Request, space: Space) -> None:
    """Refuse another space than the recipe's where the recipe says something of every group or stage of its own."""
    groups = len(space.strides)
    if recipe.strides is not None and len(recipe.strides) != groups:
        raise UsageError(
            f"--space: recipe {request.recipe} has strides for {len(recipe.strides)} groups, {space.name} has {groups}",
            "copy the recipe and change its space and strides",
        )
    stages = replace(space, strides=recipe.strides or space.strides).stages
    weights = recipe.stage_weights
    if weights is not None and not request.stage_weights and len(weights) != stages:
        raise UsageError(
            f"--space: recipe {request.recipe} has {len(weights)} stage weights, {space.name} has {stages} stages",
            "give --stage-weights",
        )


def check_numbers(request: Request) -> None:
    """Refuse whole numbers that cannot be."""
    if request.max_layers is not None and request.max_layers < 1:
        raise UsageError(f"--max-layers: must be above 0, got {request.max_layers}")
    wrong = set(request.without_guideline) - GUIDELINES
    if wrong:
        raise UsageError(f"--without-guideline: {min(wrong)} is not one of 1, 2, 3")


def _parts(text: str, flag: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UsageError(f"{flag}: an empty value in {text!r}")
    return parts


def rho(text: str) -> float | str:
    """A limit of the effectiveness, or ``none``."""
    if text.lower() == "none":
        return "none"
    value = _float(text, "--rho")
    if not 0 < value < float("inf"):
        raise UsageError(f"--rho: must be above 0, got {text}", "DeepMAD uses 0.1 to 2; 'none' switches the limit off")
    return value


def _weights(text: str) -> tuple[float, ...]:
    return tuple(_float(part, "--stage-weights") for part in _parts(text, "--stage-weights"))


def kernels(text: str) -> tuple[int, ...]:
    """The kernels of a list."""
    return tuple(_int(part, "--kernel") for part in _parts(text, "--kernel"))


def shape(text: str) -> tuple[int, int, int]:
    """Channels, height and width of an input; a single number is that of an MLP."""
    sizes = [_int(part, "--input") for part in text.lower().replace(",", "x").split("x")]
    if len(sizes) == 1:
        sizes += [1, 1]
    if len(sizes) != 3:
        raise UsageError(f"--input: cannot read {text!r}", "write channels x height x width: 3x224x224")
    return (sizes[0], sizes[1], sizes[2])


def _float(text: str, flag: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{flag}: {text!r} is not a number") from None


def _int(text: str, flag: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{flag}: {text!r} is not a whole number") from None


def warn_beyond(table: "LatencyTable | None", macs: float | None) -> None:
    """Say that a budget admits larger networks than those that a latency table was measured with."""
    if table is not None and macs is not None and macs > table.macs:
        stderr().print(
            f"--macs {short_quantity(macs)}: the latency table was measured with networks of up to "
            f"{short_quantity(table.macs)} MACs; how far predictions of larger ones are off is not known",
            markup=False,
        )
