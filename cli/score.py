"""``madnas score``: structural scores of any network."""

from typing import Annotated

import typer


def score(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...",
            help="Named networks, spec files (.yaml), results of 'madnas design --json', TinyNAS structure files, or "
            "timm/NAME for a timm model, whose NN-Mass comes from its trace.",
        ),
    ],
    resolution: Annotated[
        int | None, typer.Option(help="Side of the square input in pixels; default: the network's own.")
    ] = None,
    verify: Annotated[bool, typer.Option(help="Build the module and recount it with fvcore (imports torch).")] = False,
    metrics: Annotated[
        str | None,
        typer.Option(help="Scores at initialisation besides those in closed form: ldi (of MLPs). Imports torch."),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Draws of weights and inputs for each of --metrics.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of the first draw.")] = 0,
    device: Annotated[str, typer.Option(help="Where --metrics are computed: cpu or cuda.")] = "cpu",
    json: Annotated[bool, typer.Option(help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Score networks: params, MACs, layers, average width, rho, entropy per stage and NN-Mass, in closed form.

    Examples:
    - madnas score net.yaml resnet50 deepmad-r18
    - madnas score deepmad-29m --verify
    - madnas score mlp.yaml --metrics ldi --repeats 8
    """
    from madnas.errors import UsageError
    from madnas.report.scores import score_document

    from . import score_report as show
    from .console import print_json

    if resolution is not None and not 1 <= resolution <= 16384:
        raise UsageError(f"--resolution: from 1 to 16384, got {resolution}")
    names = show.metric_names(metrics, repeats, seed)
    scored = [show.score_target(target, resolution, verify, names, repeats, seed, device) for target in targets]
    if json:
        print_json(score_document(scored))
    else:
        show.print_scores(scored)
    show.fail_on_mismatch(scored)
