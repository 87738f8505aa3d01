"""``madnas benchmark``: speed and memory of networks, and latency tables of spaces."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from madnas.errors import UsageError

DEFAULT = "networks"
"""The command that a first word which is no command belongs to."""


class WithDefault(TyperGroup):
    """A group one of whose commands may be left out: ``benchmark resnet18`` is ``benchmark networks resnet18``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command in front where none is named."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


benchmark = typer.Typer(
    name="benchmark",
    cls=WithDefault,
    help="Measure speed and memory, of networks side by side or of a space's blocks. "
    "'madnas benchmark TARGET...' is short for 'madnas benchmark networks TARGET...'.",
    epilog="Example: madnas benchmark net.yaml resnet50 --precision bf16 --batch-size 32",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
)

WHAT = "What is measured"
HOW = "How long"
OUTPUT = "Output"
DEVICE = typer.Option(help="cpu, cuda or cuda:1.", rich_help_panel=WHAT)
THREADS = typer.Option(help="Threads of the CPU. Default: one for every core.", rich_help_panel=WHAT)
LAYOUT = typer.Option(help="Of images and maps in memory: channels-first or channels-last.", rich_help_panel=WHAT)
CLOCK = typer.Option(
    help="wall; or thread, the seconds during which the one thread ran, which a busy machine stretches less. Default: "
    "thread where there is one (--threads 1, --device cpu).",
    rich_help_panel=HOW,
)
JSON = typer.Option("--json", help="Print one JSON document and nothing else.", rich_help_panel=OUTPUT)
FORCE = typer.Option("--force", help="Replace files.", rich_help_panel=OUTPUT)


@benchmark.command(no_args_is_help=True)
def networks(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...",
            show_default=False,
            help="Named networks, spec files (.yaml), models of timm or torchvision. Ratios are to the first.",
        ),
    ],
    device: Annotated[str, DEVICE] = "cpu",
    precision: Annotated[
        str, typer.Option(help="fp32, bf16, fp16, or int8 (onnxruntime).", rich_help_panel=WHAT)
    ] = "fp32",
    batch_size: Annotated[
        str,
        typer.Option(help="Images of a batch; auto: for every network the largest that fits (DeepMAD Table 9).",
                     rich_help_panel=WHAT),
    ] = "1",
    resolution: Annotated[
        str | None,
        typer.Option(metavar="SIDE or HxW", rich_help_panel=WHAT,
                     help="Size of the images, 288 or 800x1333 (height x width); default: of every network its own."),
    ] = None,
    mode: Annotated[str, typer.Option(help="infer, train or both.", rich_help_panel=WHAT)] = "infer",
    engine: Annotated[
        str,
        typer.Option(help="torch; onnxruntime (extra export); or vela, an estimate for an NPU (extra npu).",
                     rich_help_panel=WHAT),
    ] = "torch",
    npu: Annotated[
        str | None,
        typer.Option(help="Of --engine vela: ethos-u55-256 (the default), ethos-u65-512, ethos-u85-1024 ...",
                     rich_help_panel=WHAT),
    ] = None,
    npu_activations: Annotated[
        str | None,
        typer.Option(help="Of --engine vela: as-is (the default), or relu6 for all of them, as in RAN's tables.",
                     rich_help_panel=WHAT),
    ] = None,
    npu_sram: Annotated[
        str | None,
        typer.Option(help="Of --engine vela: bytes of SRAM that there are, such as 512K; what needs more is refused.",
                     rich_help_panel=WHAT),
    ] = None,
    layout: Annotated[str, LAYOUT] = "channels-first",
    compile: Annotated[bool, typer.Option("--compile", help="By torch.compile.", rich_help_panel=WHAT)] = False,
    threads: Annotated[int | None, THREADS] = None,
    clock: Annotated[str | None, CLOCK] = None,
    rounds: Annotated[
        int | None,
        typer.Option(help="Default: until the ratios are known to 1 %, or the time is over.", rich_help_panel=HOW),
    ] = None,
    seconds: Annotated[float, typer.Option(help="At most, for each network.", rich_help_panel=HOW)] = 20.0,
    selftest: Annotated[
        bool,
        typer.Option("--selftest", help="Measure the first network beside itself: 1.00 has to come out.",
                     rich_help_panel=HOW),
    ] = False,
    csv: Annotated[Path | None, typer.Option(help="Write a table.", rich_help_panel=OUTPUT)] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw latencies and ratios (.png, .svg or .pdf).", rich_help_panel=OUTPUT)
    ] = None,
    force: Annotated[bool, FORCE] = False,
    json: Annotated[bool, JSON] = False,
) -> None:  # fmt: skip
    """Measure networks side by side: latency, throughput, memory, operations per second and share of the device's peak.

    All networks run in turns, in a random order every round, and ratios are taken within a round, so that drift of the
    machine hits all alike; rounds that are disturbed do not count. A matrix product and a copy run with them.

    Examples:
    - madnas benchmark resnet18 deepmad-r18 --threads 1 --rounds 8
    - madnas benchmark net.yaml resnet50 --precision bf16 --batch-size 32 --csv speed.csv --plot speed.png
    - madnas benchmark resnet50 deepmad-r50 --device cuda --batch-size auto
    - madnas benchmark resnet20 --selftest --threads 1
    - madnas benchmark ran-e-a ran-e-b --engine vela --npu ethos-u55-256 --npu-activations relu6
    """
    from madnas.units import parse_quantity, parse_size

    from . import benchmark_report as report

    size = None if resolution is None else parse_size(resolution, "--resolution")
    if engine == "vela":
        kept = "fp32" if precision == "int8" else precision  # an estimate is of an int8 network in any case
        timed = (device, kept, batch_size, mode, layout, compile, threads, clock, rounds, seconds, selftest, plot)
        report.refuse_with_vela(timed)
        from .benchmark_vela import vela

        sram = None if npu_sram is None else parse_quantity(npu_sram, "--npu-sram")
        vela(targets, npu or "ethos-u55-256", npu_activations or "as-is", size, sram, csv, force, json)
        return
    if any(one is not None for one in (npu, npu_activations, npu_sram)):
        raise UsageError("--npu, --npu-activations and --npu-sram: for --engine vela", "leave them out")
    request = report.request(
        targets, device, precision, batch_size, layout, threads, clock, mode, engine, compile, size, rounds,
        seconds, selftest,
    )  # fmt: skip
    report.networks(request, csv, plot, force, json)


@benchmark.command("latency-table", no_args_is_help=True)
def latency_table(
    space: Annotated[str, typer.Option(help="Name or file of a search space (madnas design --list).")],
    macs: Annotated[str, typer.Option(help="Largest networks that will be predicted, such as 600M.")],
    resolution: Annotated[int | None, typer.Option(help="Side of the images; default: the space's.")] = None,
    classes: Annotated[int | None, typer.Option(help="Of the classifier; default: the space's.")] = None,
    device: Annotated[str, DEVICE] = "cpu",
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16.", rich_help_panel=WHAT)] = "fp32",
    batch_size: Annotated[int, typer.Option(help="Images of a batch.", rich_help_panel=WHAT)] = 1,
    layout: Annotated[str, LAYOUT] = "channels-first",
    threads: Annotated[int | None, typer.Option(help="Threads of the CPU.", rich_help_panel=WHAT)] = 1,
    clock: Annotated[str | None, CLOCK] = None,
    probes: Annotated[int, typer.Option(help="Networks whose blocks are timed.", rich_help_panel=HOW)] = 96,
    held_out: Annotated[
        int, typer.Option(help="Networks that say how good predictions are.", rich_help_panel=HOW)
    ] = 24,
    minutes: Annotated[
        float, typer.Option(help="After which no further pass over the networks begins.", rich_help_panel=HOW)
    ] = 5.0,
    seed: Annotated[int, typer.Option(help="Of the networks that are drawn.", rich_help_panel=HOW)] = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The table (.json).", rich_help_panel=OUTPUT)
    ] = None,
    force: Annotated[bool, FORCE] = False,
    json: Annotated[bool, JSON] = False,
) -> None:
    """Measure what a space's blocks take on this device, so that networks' latencies can be predicted in microseconds.

    Random networks of the space are timed block by block, inside the network; other ones say how good predictions are.
    The table is a latency budget for searches.

    Examples:
    - madnas benchmark latency-table --space basic-cifar --macs 40M --minutes 0 --probes 16 --held-out 8 -o table.json
    - madnas benchmark latency-table --space mobilenet-se --macs 600M --device cuda --batch-size 64 -o v100.json
    - madnas benchmark latency-table --space zen-residual --resolution 32 --classes 10 --macs 20M --minutes 0
      --probes 16 --held-out 8 -o cifar.json
    """
    from . import benchmark_report as report

    report.latency_table(
        space, macs, resolution, classes, device, precision, batch_size, layout, threads, clock, probes, held_out,
        minutes, seed, output, force, json,
    )  # fmt: skip


@benchmark.command("paper", no_args_is_help=True)
def paper(
    which: Annotated[
        str, typer.Argument(metavar="PAPER", show_default=False, help="deepmad, zen-nas, nn-mass, ran or all.")
    ],
    designs: Annotated[
        bool, typer.Option("--designs/--no-designs", help="Solve the design recipes of DeepMAD's tables too.")
    ] = True,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The table in Markdown (.md).", rich_help_panel=OUTPUT)
    ] = None,
    force: Annotated[bool, FORCE] = False,
    json: Annotated[bool, JSON] = False,
) -> None:
    """Recompute every number of the papers' tables that needs no training and no foreign hardware.

    Each beside what is printed, with the difference and its reason; the others with what would produce them. All papers
    take some ten minutes on two cores; the NPU's columns need the extra npu.

    Examples:
    - madnas benchmark paper nn-mass
    - madnas benchmark paper all -o papers.md
    """
    from .benchmark_paper import paper as show

    show(which, designs, output, force, json)
