"""From the flags of ``madnas design`` to design problems: quantities, lists, recipes, budgets of another network."""

from dataclasses import dataclass
from itertools import product
from typing import Any

from madnas.errors import UsageError
from madnas.program.problem import Problem
from madnas.program.recipe import DesignRecipe, load_recipe
from madnas.program.space import Space, customise, load_space
from madnas.units import parse_quantity

DEFAULT_SPACE = "mobilenet-se"
MAX_POINTS = 1000


@dataclass(frozen=True, slots=True)
class Request:
    """The flags as they were typed; ``None`` or empty where absent."""

    macs: str | None = None
    params: str | None = None
    activations: str | None = None
    max_layers: int | None = None
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
    recipe = load_recipe(request.recipe) if request.recipe else None
    base = recipe.problem() if recipe else None
    space = _space(request, recipe)
    axes: dict[str, list[Any]] = {}
    budgets = _budgets(request, base)
    for flag in ("macs", "params", "activations"):
        text = getattr(request, flag)
        if text is not None:
            axes[flag] = [parse_quantity(part, f"--{flag}") for part in _parts(text, f"--{flag}")]
    if request.rho is not None:
        axes["rho"] = [_rho(part) for part in _parts(request.rho, "--rho")]
    if request.stage_weights:
        axes["stage_weights"] = [_weights(text) for text in request.stage_weights]
    _check_numbers(request)
    guidelines = frozenset({1, 2, 3}) - set(request.without_guideline or (recipe.without_guidelines if recipe else ()))
    points = []
    for values in product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        weights = chosen.get("stage_weights", base.stage_weights if base else None)
        problem = Problem(
            space=space,
            budgets=budgets | {key: chosen[key] for key in chosen if key not in ("rho", "stage_weights")},
            rho=chosen.get("rho", base.rho if base else space.rho),
            stage_weights=weights,
            depth_penalty=request.depth_penalty,
            guidelines=guidelines,
        )
        points.append(({key: value for key, value in chosen.items() if len(axes[key]) > 1}, problem))
        if len(points) > MAX_POINTS:
            raise UsageError(f"the lists make more than {MAX_POINTS} designs", "sweep fewer values")
    return points


def _space(request: Request, recipe: DesignRecipe | None) -> Space:
    if recipe is not None and request.space is None:
        space = recipe.problem().space
    else:
        space = load_space(request.space or DEFAULT_SPACE)
    shape = None if request.input_shape is None else _shape(request.input_shape)
    return customise(
        space,
        input=shape,
        resolution=request.resolution,
        classes=request.classes,
        kernels=None if request.kernel is None else _kernels(request.kernel),
        multiple=request.channel_multiple,
        head_conv=request.head,
    )


def _budgets(request: Request, base: Problem | None) -> dict[str, int]:
    budgets = dict(base.budgets) if base else {}
    if request.like is not None:
        from madnas.network.count import count
        from madnas.network.target import resolve

        counts = count(resolve(request.like))
        budgets |= {"macs": int(counts.macs), "params": int(counts.params)}
    if request.max_layers is not None:
        budgets["layers"] = request.max_layers
    return budgets


def _check_numbers(request: Request) -> None:
    if request.max_layers is not None and request.max_layers < 1:
        raise UsageError(f"--max-layers: must be above 0, got {request.max_layers}")
    wrong = set(request.without_guideline) - {1, 2, 3}
    if wrong:
        raise UsageError(f"--without-guideline: {sorted(wrong)[0]} is not one of 1, 2, 3")


def _parts(text: str, flag: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UsageError(f"{flag}: an empty value in {text!r}")
    return parts


def _rho(text: str) -> float | None:
    if text.lower() == "none":
        return None
    value = _float(text, "--rho")
    if not 0 < value < float("inf"):
        raise UsageError(f"--rho: must be above 0, got {text}", "DeepMAD uses 0.1 to 2; 'none' switches the limit off")
    return value


def _weights(text: str) -> tuple[float, ...]:
    return tuple(_float(part, "--stage-weights") for part in _parts(text, "--stage-weights"))


def _kernels(text: str) -> tuple[int, ...]:
    return tuple(_int(part, "--kernel") for part in _parts(text, "--kernel"))


def _shape(text: str) -> tuple[int, int, int]:
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
