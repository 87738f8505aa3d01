"""``madnas design``: its options, and which method takes them."""

from pathlib import Path
from typing import Annotated

import typer

BUDGETS, SPACE, SWEEP, OUTPUT, SOLVER = "Budgets", "Space", "Objective", "Output", "Mathematical program"

SEARCH = "Evolution"

SPEED = "Measured throughput"


def design(
    context: typer.Context,
    macs: Annotated[
        str | None,
        typer.Option(
            "--macs",
            "--flops",
            help="Multiply-adds for one image, whole model: 4.5G. A list sweeps.",
            rich_help_panel=BUDGETS,
        ),
    ] = None,
    params: Annotated[
        str | None, typer.Option(help="Trainable parameters, whole model: 29M. A list sweeps.", rich_help_panel=BUDGETS)
    ] = None,
    activations: Annotated[
        str | None,
        typer.Option(
            help="Elements of all layers' outputs for one image (times 4 bytes: float32 memory).",
            rich_help_panel=BUDGETS,
        ),
    ] = None,
    max_layers: Annotated[int | None, typer.Option(help="Layers on the main path.", rich_help_panel=BUDGETS)] = None,
    rho: Annotated[
        str | None,
        typer.Option(
            help="Limit of depth / average width, or 'none'; default: the space's. A list sweeps: 0.1,0.3,0.5.",
            rich_help_panel=BUDGETS,
        ),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            metavar="TIME@TABLE",
            help="Predicted time of a batch: 0.3ms@table.json (madnas benchmark latency-table). "
            "@table.json alone is for --pareto latency.",
            rich_help_panel=BUDGETS,
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Take the budgets of a network (name or file); other options replace them.",
            rich_help_panel=BUDGETS,
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            help="Space of networks: a name (see --list) or a YAML file. Default: mobilenet-se.", rich_help_panel=SPACE
        ),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Side of the square input in pixels.", rich_help_panel=SPACE)
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="CxHxW", help="Shape of the input: 3x224x224; 784 for an MLP.", rich_help_panel=SPACE
        ),
    ] = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes.", rich_help_panel=SPACE)] = None,
    kernel: Annotated[str | None, typer.Option(help="Allowed kernels: 3,5.", rich_help_panel=SPACE)] = None,
    channel_multiple: Annotated[
        int | None, typer.Option(help="Channels are multiples of this.", rich_help_panel=SPACE)
    ] = None,
    head: Annotated[
        int | None, typer.Option(help="Width of the 1x1 convolution before pooling.", rich_help_panel=SPACE)
    ] = None,
    stage_weights: Annotated[
        list[str] | None,
        typer.Option(help="alpha of every stage: 1,1,1,1,8. Give it several times to sweep.", rich_help_panel=SWEEP),
    ] = None,
    depth_penalty: Annotated[
        float | None,
        typer.Option(help="beta, weight of uneven depths. Default: the space's, else 10.", rich_help_panel=SWEEP),
    ] = None,
    without_guideline: Annotated[
        list[int] | None,
        typer.Option(
            help="Switch off Guideline 1 (entropy of all stages), 2 (even depths) or 3 (channels grow). Repeatable.",
            rich_help_panel=SWEEP,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A row of the paper's tables, or a recipe file; other options replace its values.",
            rich_help_panel=SPACE,
        ),
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List spaces and recipes.", rich_help_panel=SPACE)] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Write the network's YAML here; for a sweep, a new folder.", rich_help_panel=OUTPUT
        ),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a table of the results.", rich_help_panel=OUTPUT)] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the result (.png, .svg or .pdf).", rich_help_panel=OUTPUT)
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace files that exist.", rich_help_panel=OUTPUT)] = False,
    json: Annotated[
        bool, typer.Option(help="Print one JSON document and nothing else.", rich_help_panel=OUTPUT)
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the network.", rich_help_panel=OUTPUT)] = "design",
    gap: Annotated[
        float, typer.Option(help="Stop when answer and bound are this close, in percent.", rich_help_panel=SOLVER)
    ] = 0.05,
    max_nodes: Annotated[
        int,
        typer.Option(
            help="Stop after so many nodes of the branch and bound (twice as many while the gap is above 0.45 %, "
            "five times while there is no answer).",
            rich_help_panel=SOLVER,
        ),
    ] = 500,
    solver: Annotated[
        str,
        typer.Option(help="casadi (IPOPT inside its wheel) or ipopt (an executable on PATH).", rich_help_panel=SOLVER),
    ] = "casadi",
    method: Annotated[
        str,
        typer.Option(help="program (DeepMAD), evolution (Zen-NAS) or random (its baseline).", rich_help_panel=SEARCH),
    ] = "program",
    score: Annotated[
        str | None,
        typer.Option(
            help="What evolution maximises: zen, synflow, 'zen - 0.1*macs/1G', zen:0.7,naswot:0.3 "
            "(madnas score --list). "
            "Default: objective; in spaces of free length zen.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    pareto: Annotated[
        str | None,
        typer.Option(
            metavar="COSTS",
            help="Keep the front of the score against costs: macs, or params,latency. -o is then a new folder.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    max_depth: Annotated[
        int | None,
        typer.Option(
            help="Of spaces of free length: layers as Zen-NAS counts them, where a layer may be two blocks.",
            rich_help_panel=BUDGETS,
        ),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            help="Stop after so many; of a measured score only those that were scored count. "
            "Default: 200,000 in closed form, else 96,000.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(help="Stop after the round in which so many have passed.", rich_help_panel=SEARCH),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all draws.", rich_help_panel=SEARCH)] = 0,
    population: Annotated[
        int | None,
        typer.Option(help="Parents. Default: 256, of a measured score 64.", rich_help_panel=SEARCH),
    ] = None,
    proposals: Annotated[int, typer.Option(help="Candidates that a round proposes.", rich_help_panel=SEARCH)] = 2048,
    survivors: Annotated[
        int, typer.Option(help="Of them, how many a measured score is spent on.", rich_help_panel=SEARCH)
    ] = 32,
    prescreen: Annotated[
        bool,
        typer.Option(help="Let a closed form pick them, where there is one (of zen).", rich_help_panel=SEARCH),
    ] = True,
    mutation: Annotated[
        str,
        typer.Option(help="mixed, or zen-nas: its two parts at a time and nothing else.", rich_help_panel=SEARCH),
    ] = "mixed",
    repeats: Annotated[
        int, typer.Option(help="Draws of a measured score that a leader needs.", rich_help_panel=SEARCH)
    ] = 8,
    batch_size: Annotated[
        str | None,
        typer.Option(
            help="Images of a draw. Default: 16. With --match-throughput of a batch, or auto (the default): of every "
            "network the largest that fits.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda (all that there are) or cuda:1.", rich_help_panel=SEARCH)
    ] = "cpu",
    dtype: Annotated[
        str, typer.Option(help="float32, float64, bfloat16 or float16.", rich_help_panel=SEARCH)
    ] = "float32",
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that measure scores; the result does not depend on it. Default: one for every core or GPU.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            help="Every candidate as soon as it is scored; the same command goes on from it. Default: beside -o.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Empty the journal, and search anew.", rich_help_panel=SEARCH)
    ] = False,
    match_throughput: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET",
            help="Scale the budgets (default: TARGET's) to the network of highest entropy that is measured to be as "
            "fast as TARGET on --device (DeepMAD, Appendix D).",
            rich_help_panel=SPEED,
        ),
    ] = None,
    params_per_mac: Annotated[
        str | None,
        typer.Option(
            metavar="FACTORS",
            help="Other proportions of the budgets that are tried too: 1,0.7,1.4.",
            rich_help_panel=SPEED,
        ),
    ] = None,
    measurements: Annotated[int, typer.Option(help="At most.", rich_help_panel=SPEED)] = 16,
    seconds: Annotated[
        float, typer.Option(help="Of a measurement, for each of the two networks, at most.", rich_help_panel=SPEED)
    ] = 20.0,
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16.", rich_help_panel=SPEED)] = "fp32",
    layout: Annotated[
        str, typer.Option(help="Of images and maps in memory: channels-first or channels-last.", rich_help_panel=SPEED)
    ] = "channels-first",
    compile: Annotated[bool, typer.Option("--compile", help="By torch.compile.", rich_help_panel=SPEED)] = False,
    threads: Annotated[int | None, typer.Option(help="Threads of the CPU.", rich_help_panel=SPEED)] = None,
    clock: Annotated[
        str | None, typer.Option(help="wall or thread. Default: thread with --threads 1.", rich_help_panel=SPEED)
    ] = None,
) -> None:
    """Design a network for your budgets, in seconds and without a GPU.

    Solves DeepMAD's mathematical program (Eq. 5): the deepest, widest network in the sense of entropy whose cost stays
    within the budgets and whose effectiveness within rho. Prints how far from optimal the answer can be at most.

    With --method evolution it searches for any score instead, in DeepMAD's spaces or those of Zen-NAS.

    Examples:
    - madnas design --flops 4.5G --params 29M --rho 0.5 -o net.yaml
    - madnas design --like resnet50 --space bottleneck --rho 0.1,0.3,0.5,0.7 --plot rho.png
    - madnas design --recipe r18-rho0.3
    - madnas design --method evolution --score zen --params 1M --input 3x32x32 --max-seconds 60 -o net.yaml
    - madnas design --method evolution --score zen-closed --params 9M --pareto macs -o front
    - madnas design --match-throughput resnet50 --device cuda -o fast.yaml
    """
    from .design_methods import refuse_idle
    from .design_report import print_list

    if show_list:
        print_list(json)
        return
    refuse_idle(context, method, match_throughput is not None)
    from .design_program import design_by_program, effort_of
    from .design_request import Request

    request = Request(
        macs=macs, params=params, activations=activations, max_layers=max_layers,
        latency=latency if method == "program" else None, rho=rho, like=like, space=space,
        resolution=resolution, input_shape=input_shape, classes=classes, kernel=kernel,
        channel_multiple=channel_multiple, head=head, stage_weights=tuple(stage_weights or ()),
        depth_penalty=depth_penalty, without_guideline=tuple(without_guideline or ()), recipe=recipe,
    )  # fmt: skip
    if method != "program":
        from .design_search import Flags, search

        search(
            Flags(
                request=request, method=method, score=score, pareto=pareto, latency=latency,
                max_depth=max_depth, candidates=candidates,
                max_seconds=max_seconds, seed=seed, population=population, proposals=proposals, survivors=survivors,
                prescreen=prescreen, mutation=mutation, repeats=repeats, batch_size=_images(batch_size), device=device,
                dtype=dtype, workers=workers, journal=journal, restart=restart, output=output, csv=csv, plot=plot,
                force=force, json=json, name=name,
            )
        )  # fmt: skip
        return
    if match_throughput is not None:
        from .design_match import Flags as MatchFlags
        from .design_match import match

        match(
            MatchFlags(
                reference=match_throughput, request=request, effort=effort_of(gap, max_nodes, solver),
                tilts=params_per_mac, measurements=measurements, seconds=seconds, device=device, precision=precision,
                batch_size=batch_size or "auto", layout=layout, compile=compile, threads=threads, clock=clock,
                journal=journal, restart=restart, output=output, csv=csv, plot=plot, force=force, json=json, name=name,
            )
        )  # fmt: skip
        return
    design_by_program(request, gap, max_nodes, solver, output, csv, plot, force, json, name)


def _images(text: str | None) -> int:
    from madnas.errors import UsageError

    if text is not None and not text.isdecimal():
        raise UsageError(f"--batch-size: a whole number, got {text[:60]!r}")
    return 16 if text is None else int(text)
