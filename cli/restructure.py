"""``madnas restructure``: fewer non-linearities, and one layer where several became linear."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from madnas.errors import UsageError

LARGEST_STRENGTH = 1000.0

restructure = typer.Typer(
    name="restructure",
    help="Remove non-linearities, merge what became linear, and prove that nothing changed.",
    epilog="Example: madnas restructure collapse repvgg-a0 -o collapsed",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
)

OUTPUT = "Output"
TARGET = typer.Argument(
    metavar="NET",
    show_default=False,
    help="A named network, a spec file (.yaml), a model of timm or torchvision; or the folder of a run of madnas "
    "train, whose best weights are taken.",
)
CHECKPOINT = typer.Option(help="Its weights (.safetensors or of torch).")
TIMED = typer.Option("--timed/--untimed", help="Measure latencies.")
DEVICE = typer.Option(help="Where latencies are measured: cpu or cuda.")
DATA = typer.Option("--data", "--data-dir", help="Folder of the data sets.")
FOLDER = typer.Option(
    "-o",
    "--output",
    help="Folder for network.yaml, weights.safetensors, certificate.json and report.md.",
    rich_help_panel=OUTPUT,
)
FORCE = typer.Option("--force", help="Replace files.", rich_help_panel=OUTPUT)
JSON = typer.Option("--json", help="Print one JSON document and nothing else.", rich_help_panel=OUTPUT)


@restructure.command(no_args_is_help=True)
def collapse(
    target: Annotated[str, TARGET],
    checkpoint: Annotated[Path | None, CHECKPOINT] = None,
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
    timed: Annotated[bool, TIMED] = True,
    device: Annotated[str, DEVICE] = "cpu",
    npu: Annotated[
        str | None,
        typer.Option(metavar="NPU", show_default=False, help="Estimate speeds on an NPU too, such as ethos-u55-256."),
    ] = None,
    output: Annotated[Path | None, FOLDER] = None,
    force: Annotated[bool, FORCE] = False,
    json: Annotated[bool, JSON] = False,
) -> None:  # fmt: skip
    """Merge all layers that are linear together into one, exactly, borders included; with a certificate.

    Batch norms are folded, 1x1 - depthwise - 1x1 becomes one convolution, branches are summed. What would have more
    multiply-adds is left as it is, and told.

    Examples:
    - madnas restructure collapse repvgg-a0 -o collapsed
    - madnas restructure collapse runs/resnet20-digits-quick-0 -o collapsed
    - madnas restructure collapse timm/mobileone_s0 --only stages.0 --untimed
    """
    from . import restructure_report as report

    report.collapse(target, checkpoint, only or [], costly, round_alphas, timed, device, npu, output, force, json)


@restructure.command(no_args_is_help=True)
def split(
    target: Annotated[str, TARGET],
    fraction: Annotated[float, typer.Option(help="Of the units between two layers, that lose their activation.")] = 0.4,
    activation: Annotated[
        Literal["none", "gelu", "exp", "expm1", "exp-clamped"],
        typer.Option(help="Of the branch that takes what became linear; computed in single precision."),
    ] = "none",
    units: Annotated[
        Literal["first", "random", "effect"],
        typer.Option(help="Which units: the first, random ones, or those whose activation does least on images."),
    ] = "first",
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of random units, and of the images' order.")] = 0,
    checkpoint: Annotated[Path | None, CHECKPOINT] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Whose images --units effect looks at. Default: those of the run.")
    ] = None,
    data: Annotated[Path, DATA] = Path("data"),
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE", help="Split only in this module, such as groups.3; may be repeated."),
    ] = None,
    costly: Annotated[
        bool, typer.Option("--costly", help="Also where a branch has more multiply-adds than it saves.")
    ] = False,
    timed: Annotated[bool, TIMED] = True,
    device: Annotated[str, DEVICE] = "cpu",
    output: Annotated[Path | None, FOLDER] = None,
    force: Annotated[bool, FORCE] = False,
    json: Annotated[bool, JSON] = False,
) -> None:  # fmt: skip
    """Take activations away between two layers, and what became linear out as one layer (RAN, Section 4).

    Works for the blocks of ConvNeXts, mixers and MLPs. The split itself is exact, and certified against the network
    without those activations; an activation of the branch is put on afterwards. The result wants training.

    Examples:
    - madnas restructure split convnext-t --fraction 0.4 -o split
    - madnas restructure split convnext-t --activation exp-clamped --units random --seed 1
    - madnas restructure split convnext-t --only groups.3 --json
    """
    from . import restructure_report as report

    if not 0 < fraction < 1:
        raise UsageError(f"--fraction: more than 0 and less than 1, got {fraction:g}")
    report.split(target, checkpoint, fraction, activation, units, seed, recipe, data, only or [], costly, timed,
                 device, output, force, json)  # fmt: skip


@restructure.command(no_args_is_help=True)
def search(
    target: Annotated[
        str,
        typer.Argument(metavar="NET", show_default=False, help="A network of inverted bottlenecks: a name or a file."),
    ],
    recipe: Annotated[str, typer.Option(help="A recipe of madnas train (see madnas train --list).")] = "digits/quick",
    strength: Annotated[
        str, typer.Option("--lambda", metavar="L,L...", help="Weight of the penalty; several make a front.")
    ] = "1e-3",
    macs_aware: Annotated[
        bool, typer.Option("--macs-aware", help="Weigh every block by the multiply-adds that its collapse saves.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting of the recipe; may be repeated."),
    ] = None,
    npu: Annotated[
        str | None,
        typer.Option(metavar="NPU", show_default=False, help="NPU to estimate speeds for, such as ethos-u65-512; none "
                     "leaves that out. Default: ethos-u55-256, where madnas[npu] is installed."),
    ] = None,
    data: Annotated[Path, DATA] = Path("data"),
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of weights, order and augmentation.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    workers: Annotated[
        int, typer.Option("--workers", "-j", min=0, max=1024, help="Processes that read image files.")
    ] = 2,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Folder for report.md, alphas.png, front.csv and .png, "
                     "and a run for each lambda.",
                     rich_help_panel=OUTPUT),
    ] = Path("search"),
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away runs that are there.", rich_help_panel=OUTPUT)
    ] = False,
    json: Annotated[bool, JSON] = False,
) -> None:  # fmt: skip
    """Search which blocks may be linear: train with a slope for every block that is drawn to 1 (RAN, Eq. 3).

    Blocks whose slope ends from 0.8 to 1.3 are collapsed in the description that is written, to be trained anew. The
    same command goes on where it was stopped.

    Examples:
    - madnas restructure search ran-e-supernet --recipe imagenet/ran-e-100 --data /data --device cuda --lambda 1e-3
    - madnas restructure search mobilenetv2 --lambda 1e-2,3e-2,1e-1 --set epochs=5 --macs-aware -o front
    """
    from madnas.files import check_folder
    from madnas.targets import find
    from madnas.train.recipe import load_recipe

    strengths, settings, network = _strengths(strength), load_recipe(recipe, set_ or []), find(target)
    check_folder(output)
    from madnas.train.job import Job  # what takes seconds to load waits until the request has been read

    from .restructure_search import search as run

    job = Job(network, recipe, settings, seed, output, data, device, workers, restart=restart)
    run(job, strengths, macs_aware, npu, json)


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
    expanded: Annotated[
        bool,
        typer.Option("--expanded", help="Collapsed blocks as 1x1, depthwise, 1x1: trained so, and collapsed after."),
    ] = False,
    kernels: Annotated[str | None, typer.Option(metavar="N:K,N:K...", help="Blocks that get other kernels.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new network. Default: NET-edited.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Spec file to write.", rich_help_panel=OUTPUT)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.", rich_help_panel=OUTPUT)] = False,
    json: Annotated[bool, JSON] = False,
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

    restructure_edit.edit(target, collapse_blocks, expanded, kernels, name, output, force, json)


def _strengths(text: str) -> list[float]:
    """Numbers of ``--lambda``.

    Raises:
        UsageError: no number, or one out of range.
    """
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--lambda {text[:60]!r}: expected numbers", "such as 1e-3, or 6e-4,1e-3,2e-3") from error
    if any(not 0 < one <= LARGEST_STRENGTH for one in found) or len({f"{one:g}" for one in found}) < len(found):
        raise UsageError(f"--lambda {text[:60]!r}: more than 0, at most {LARGEST_STRENGTH:g}, each once")
    return found
