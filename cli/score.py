"""``madnas score``: structural and zero-cost scores of any network."""

from pathlib import Path
from typing import Annotated

import typer

RANDOM = "Scores at initialisation"
OUTPUT = "Output"


def score(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET...",
            show_default=False,
            help="Named networks, spec files (.yaml), results of 'madnas design --json', TinyNAS or PlainNet structure "
            "files, any model of timm (timm/NAME) or torchvision (torchvision/NAME).",
        ),
    ] = None,
    resolution: Annotated[
        str | None,
        typer.Option(
            metavar="SIDE or HxW",
            help="Size of the input in pixels, 288 or 800x1333 (height x width); default: the network's own.",
        ),
    ] = None,
    backbone: Annotated[
        bool,
        typer.Option(
            "--backbone", help="Also params and MACs of what gives the maps, without head: timm's features_only."
        ),
    ] = False,
    verify: Annotated[bool, typer.Option(help="Build the module and recount it with fvcore (imports torch).")] = False,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Score the networks of a table 'network,accuracy', and say how well every score ranks them "
            "(Kendall, Spearman, bootstrap intervals), beside params and MACs.",
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the scores, a line each.")] = False,
    metrics: Annotated[
        str | None,
        typer.Option(help="Further scores, such as zen,synflow (see --list).", rich_help_panel=RANDOM),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Draws of weights and inputs for each.", rich_help_panel=RANDOM)] = 8,
    batch_size: Annotated[int, typer.Option(help="Images of a batch.", rich_help_panel=RANDOM)] = 16,
    seed: Annotated[int, typer.Option(help="Seed of all draws.", rich_help_panel=RANDOM)] = 0,
    device: Annotated[
        str, typer.Option(help="cpu, cuda (all that there are) or cuda:1.", rich_help_panel=RANDOM)
    ] = "cpu",
    dtype: Annotated[
        str, typer.Option(help="float32, float64, bfloat16 or float16.", rich_help_panel=RANDOM)
    ] = "float32",
    workers: Annotated[
        int | None,
        typer.Option(help="Processes, a target each. Default: one for every core or GPU.", rich_help_panel=RANDOM),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="JSON lines, one as soon as a target is done; the same command goes on "
                     "where it stopped.", rich_help_panel=OUTPUT),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a table.", rich_help_panel=OUTPUT)] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the scores (.png, .svg or .pdf).", rich_help_panel=OUTPUT)
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace a table or picture.", rich_help_panel=OUTPUT)] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Empty the file of -o, and score anew.", rich_help_panel=OUTPUT)
    ] = False,
    json: Annotated[
        bool, typer.Option(help="Print one JSON document and nothing else.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:  # fmt: skip
    """Score networks: params, MACs, layers, average width, rho, entropy per stage and NN-Mass, in closed form.

    With --metrics also zero-cost scores at initialisation: mean, standard deviation and number of draws.

    Examples:
    - madnas score net.yaml resnet50 timm/mnasnet_100
    - madnas score resnet18 resnet50 --metrics zen,synflow --repeats 8
    - madnas score nets/*.yaml --metrics zen -o scores.jsonl --csv scores.csv
    - madnas score --against accuracies.csv --metrics zen,naswot --plot ranks.png
    - madnas score deepmad-29m --verify
    - madnas score deepmad-r50 resnet50 --backbone --resolution 800x1280
    """
    from madnas.errors import UsageError
    from madnas.report.scores import score_document, score_table
    from madnas.scores.evaluate import Request
    from madnas.units import parse_size

    from . import score_report as show
    from .console import print_json
    from .outputs import Outputs

    if list_:
        show.print_list(json)
        return
    if not targets and against is None:
        raise UsageError("which network?", "madnas score resnet18, say; madnas score --help")
    if targets and against is not None:
        raise UsageError("--against names the networks: give no TARGET beside it")
    if restart and output is None:
        raise UsageError("--restart is for the file of -o", "leave it out")
    size = None if resolution is None else parse_size(resolution, "--resolution")
    names = show.metric_names(metrics)
    if not names:
        show.refuse_unused(repeats, batch_size, seed, device, dtype)
    show.check_numbers(repeats, seed, batch_size, workers, dtype)
    files = Outputs(None, csv, plot, force)
    files.check()
    if output is not None and output.resolve() in {path.resolve() for path in (csv, plot) if path is not None}:
        raise UsageError("two results would go to one file", "give -o, --csv and --plot a file each")
    accuracies: list[float] = []
    words = list(targets or [])
    if against is not None:
        from madnas.scores.ranks import read_accuracies

        table = read_accuracies(against)
        words, accuracies = [word for word, _ in table], [accuracy for _, accuracy in table]
    requests = [
        Request(word, tuple(names), repeats, seed, batch_size, size, device, dtype, verify, backbone) for word in words
    ]
    from madnas.scores.batch import score_all

    from .progress import status

    with status(quiet=json) as say:
        results = score_all(requests, workers, output, restart, say)
    ranks = None
    if accuracies:
        from madnas.scores.ranks import rank

        ranks = rank(results, accuracies, seed)
    figure = None
    if plot is not None:
        from madnas.report.score_plot import draw_against, draw_scores

        figure = draw_scores(results, names) if ranks is None else draw_against(results, accuracies, ranks)
    files.write(None, score_table(results, names), figure)
    if json:
        print_json(score_document(results, ranks))
    elif ranks is not None:
        show.print_ranks(results, ranks)
    else:
        show.print_scores(results, names)
    show.fail_on_mismatch(results)
    show.fail_on_unscored(results)
