"""``madnas restructure``: fewer non-linearities, and one layer where several became linear."""

from pathlib import Path
from typing import Annotated

import typer

restructure = typer.Typer(
    name="restructure",
    help="Remove non-linearities, merge what became linear, and prove that nothing changed.",
    epilog="Example: madnas restructure collapse repvgg-a0 -o collapsed",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
)

OUTPUT = "Output"


@restructure.command(no_args_is_help=True)
def collapse(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NET",
            show_default=False,
            help="A named network, a spec file (.yaml), a model of timm or torchvision; or the folder of a run of "
            "madnas train, whose best weights are taken.",
        ),
    ],
    checkpoint: Annotated[Path | None, typer.Option(help="Its weights (.safetensors or of torch).")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE", help="Merge only this module, such as groups.3.0, which has to be linear; "
                     "may be repeated."),
    ] = None,
    costly: Annotated[
        bool, typer.Option("--costly", help="The fewest layers, also where that has more multiply-adds.")
    ] = False,
    round_alphas: Annotated[
        bool,
        typer.Option("--round-alphas", help="Take slopes from 0.8 to 1.3 as 1, which changes the network."),
    ] = False,
    timed: Annotated[bool, typer.Option("--timed/--untimed", help="Measure latencies.")] = True,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for network.yaml, weights.safetensors, certificate.json and "
                     "report.md.", rich_help_panel=OUTPUT),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files.", rich_help_panel=OUTPUT)] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:  # fmt: skip
    """Merge all layers that are linear together into one, exactly, borders included; with a certificate.

    Batch norms are folded, 1x1 - depthwise - 1x1 becomes one convolution, branches are summed. What would have more
    multiply-adds is left as it is, and told.

    Examples:
    - madnas restructure collapse runs/resnet20-digits-quick-0 -o collapsed
    - madnas restructure collapse timm/repvgg_a0 --checkpoint weights.safetensors -o collapsed
    - madnas restructure collapse ran-e-supernet --json
    """
    from . import restructure_report as report

    report.collapse(target, checkpoint, only or [], costly, round_alphas, timed, output, force, json)


@restructure.command(no_args_is_help=True)
def edit(
    target: Annotated[
        str,
        typer.Argument(metavar="NET", show_default=False, help="A named network or a spec file (.yaml)."),
    ],
    collapse_blocks: Annotated[
        str | None,
        typer.Option(metavar="N,N...", help="Blocks that become activation, one convolution, batch norm."),
    ] = None,
    kernels: Annotated[str | None, typer.Option(metavar="N:K,N:K...", help="Blocks that get other kernels.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new network. Default: NET-edited.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Spec file to write.", rich_help_panel=OUTPUT)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.", rich_help_panel=OUTPUT)] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Collapse blocks of a description by hand, and change kernels, as RAN's networks were made (its Section 2.5).

    Blocks have the numbers of the paper's Table 5: the stem is 1, and the blocks follow. No weights are looked at: the
    result is a network to be trained.

    Examples:
    - madnas restructure edit ran-e-supernet --collapse-blocks 5,7,9,12,15 -o a.yaml
    - madnas restructure edit a.yaml --collapse-blocks 2,3 -o b.yaml
    - madnas restructure edit b.yaml --kernels 6:5,8:5,13:7,16:5,17:5 -o c.yaml
    """
    from . import restructure_edit

    restructure_edit.edit(target, collapse_blocks, kernels, name, output, force, json)
