"""``madnas scale``: a base network wider, narrower, deeper or shallower, to a budget and without training."""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from madnas.scaling.problem import Scaling

BUDGETS, FAMILY, PAPER, OUTPUT = "Budgets", "Family", "Other ways", "Output"


def scale(
    base: Annotated[
        str,
        typer.Argument(
            metavar="BASE",
            help="A named network, a spec file, or timm's name of a network with stages of uniform blocks.",
        ),
    ],
    macs: Annotated[
        str | None,
        typer.Option(
            "--macs", "--flops", help="Multiply-adds for one image, whole model: 3.3G.", rich_help_panel=BUDGETS
        ),
    ] = None,
    params: Annotated[
        str | None, typer.Option(help="Trainable parameters, whole model: 21M.", rich_help_panel=BUDGETS)
    ] = None,
    activations: Annotated[
        str | None, typer.Option(help="Elements of all layers' outputs for one image.", rich_help_panel=BUDGETS)
    ] = None,
    max_depth: Annotated[
        int | None, typer.Option(help="Most blocks in all groups together.", rich_help_panel=BUDGETS)
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Percent by which budgets may be exceeded (0 by default); with --sample also undercut (5 by default).",
            rich_help_panel=BUDGETS,
        ),
    ] = None,
    like_mass: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Find the network of fewest params whose NN-Mass is at least that of this network.",
            rich_help_panel=BUDGETS,
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="What to maximise: nn-mass, units (non-linear) or entropy. [default: nn-mass]", rich_help_panel=FAMILY
        ),
    ] = None,
    width_range: Annotated[
        str | None,
        typer.Option(help="Smallest and largest width multiplier. [default: 0.25,1.6]", rich_help_panel=FAMILY),
    ] = None,
    depth_range: Annotated[
        str | None,
        typer.Option(help="Smallest and largest depth multiplier. [default: 0.6,2.56]", rich_help_panel=FAMILY),
    ] = None,
    multiple: Annotated[int, typer.Option(help="Widths are multiples of this.", rich_help_panel=FAMILY)] = 1,
    resolution: Annotated[
        int | None, typer.Option(help="Side of the square input; default: the base's.", rich_help_panel=FAMILY)
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            help="Draw so many pairs of multipliers, as the paper does (800), and print all near the budgets.",
            rich_help_panel=PAPER,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of --sample.", rich_help_panel=PAPER)] = 0,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Put the base, width, depth and compound scaling beside it.", rich_help_panel=PAPER
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the network's YAML here.", rich_help_panel=OUTPUT)
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write the front (or the sample) as a table.", rich_help_panel=OUTPUT)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw NN-Mass against depth (or the sample): .png, .svg or .pdf.", rich_help_panel=OUTPUT),
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace files that exist.", rich_help_panel=OUTPUT)] = False,
    json: Annotated[
        bool, typer.Option(help="Print one JSON document and nothing else.", rich_help_panel=OUTPUT)
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the network. Default: BASE with its multipliers.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Scale a network to a budget by NN-Mass, without training: the exact optimum over width and depth.

    Multiplies all widths and all depths of BASE (RAN, Section 3.3) and scores every network of the family in closed
    form. Prints which limit decides, and the best network of every depth, because at a fixed budget NN-Mass grows with
    depth and the depth cap is the real decision.

    Examples:
    - madnas scale convnext-t --macs 3.3G --params 21M --max-depth 30 --compare
    - madnas scale convnext-t --macs 4.5G --params 28M --sample 800
    - madnas scale densenet-cifar --params 5M --like-mass nnmass-cifar-5.0m
    """
    from madnas.errors import UsageError
    from madnas.scaling.compare import rivals

    from . import scale_report as show
    from .outputs import Outputs

    problem = _problem(
        base, {"macs": macs, "params": params, "activations": activations}, max_depth, tolerance, like_mass, objective,
        width_range, depth_range, multiple, resolution, sample is not None,
    )  # fmt: skip
    files = Outputs(output, csv, plot, force)
    files.check()
    _check_options(problem, compare, like_mass, width_range, multiple, name)
    if sample is not None:
        _check_sample(sample, seed, problem, {"--compare": compare, "--like-mass": like_mass, "--objective": objective,
                                              "--name": name})  # fmt: skip
        show.report_sample(problem, sample, seed, files, json)
        return
    if seed != 0:
        raise UsageError("--seed: for --sample only; the optimum needs no random number")
    result = show.solve(problem, name, quiet=json)
    show.report(result, rivals(problem) if compare else None, files, json)


def _problem(
    base: str,
    budgets: dict[str, str | None],
    max_depth: int | None,
    tolerance: float | None,
    like_mass: str | None,
    objective: str | None,
    width_range: str | None,
    depth_range: str | None,
    multiple: int,
    resolution: int | None,
    sampled: bool,
) -> "Scaling":
    from madnas.errors import UsageError
    from madnas.network.expand import at_resolution
    from madnas.network.mass import nn_mass
    from madnas.network.specfile import check_spec
    from madnas.network.target import resolve
    from madnas.scaling.problem import DEPTH_RANGE, WIDTH_RANGE, Scaling
    from madnas.units import parse_quantity

    spec = resolve(base)
    if resolution is not None:
        if not 1 <= resolution <= 16384:
            raise UsageError(f"--resolution: from 1 to 16384, got {resolution}")
        if spec.is_mlp:
            raise UsageError(f"--resolution: {base} is an MLP, whose input has no resolution")
        spec = check_spec(at_resolution(spec, resolution), f"{base} at {resolution} px")
    if like_mass is not None and objective is not None:
        raise UsageError("--like-mass looks for the fewest params and has no other --objective")
    percent = (5.0 if sampled else 0.0) if tolerance is None else tolerance
    if not 0 <= percent < 100:
        raise UsageError(f"--tolerance: a percentage from 0 to below 100, got {percent:g}")
    return Scaling(
        base=spec,
        budgets={name: parse_quantity(text, f"--{name}") for name, text in budgets.items() if text is not None},
        objective="params" if like_mass is not None else objective or "nn-mass",
        width_range=WIDTH_RANGE if width_range is None else _range(width_range, "--width-range"),
        depth_range=DEPTH_RANGE if depth_range is None else _range(depth_range, "--depth-range"),
        max_depth=max_depth,
        multiple=multiple,
        tolerance=percent / 100,
        least_mass=None if like_mass is None else float(nn_mass(resolve(like_mass)).mass),
    )


def _check_options(
    problem: "Scaling", compare: bool, like_mass: str | None, width_range: str | None, multiple: int, name: str | None
) -> None:
    """Refuse options that would do nothing here, and names that no file has, before the work."""
    from madnas.errors import UsageError
    from madnas.network.specfile import MAX_NAME
    from madnas.scaling.cells import has_links

    if compare and like_mass is not None:
        raise UsageError("--compare scales to a budget and --like-mass to a mass: give one of them")
    if has_links(problem.base) and (width_range is not None or multiple != 1 or compare):
        raise UsageError(
            f"{problem.base.name}: random-skip cells keep their widths (Prop. 2 compares networks of the same width)",
            "leave out --width-range, --multiple and --compare",
        )
    if name is not None and not (0 < len(name) <= MAX_NAME and name.isprintable()):
        raise UsageError(f"--name: 1 to {MAX_NAME} printable characters")


def _check_sample(sample: int, seed: int, problem: "Scaling", others: dict[str, object]) -> None:
    from madnas.errors import UsageError
    from madnas.scaling.cells import has_links

    if not 1 <= sample <= MOST_SAMPLES:
        raise UsageError(f"--sample: from 1 to {MOST_SAMPLES} networks, got {sample}")
    if not 0 <= seed < 2**62:
        raise UsageError(f"--seed: a whole number from 0 to below 2^62, got {seed}")
    given = [flag for flag, value in others.items() if value]
    if given:
        raise UsageError(
            f"--sample prints the paper's networks by their NN-Mass; it does not go with {', '.join(given)}"
        )
    if has_links(problem.base):
        raise UsageError(f"{problem.base.name}: random-skip cells are scaled by links and depth, not by multipliers")


MOST_SAMPLES = 20_000
"""Most networks that are drawn; the paper's 800 give a dozen near a budget."""


def _range(text: str, flag: str) -> tuple[Fraction, Fraction]:
    """Two multipliers, exactly as they were typed."""
    from madnas.errors import UsageError

    parts = text.split(",")
    if any(len(part) > 20 or "e" in part.lower() for part in parts):
        raise UsageError(f"{flag}: cannot read {text[:60]!r}", "write two multipliers: 0.25,1.6")
    try:
        low, high = (Fraction(part.strip()) for part in (parts * 2 if len(parts) == 1 else parts))
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{flag}: cannot read {text!r}", "write two multipliers: 0.25,1.6") from None
    return low, high
