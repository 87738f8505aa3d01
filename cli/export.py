"""``madnas export``: a network and its weights as one file that other programs run."""

from pathlib import Path
from typing import Annotated

import typer

OUTPUT = "Output"


def export(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            show_default=False,
            help="A named network, a spec file (.yaml), a model of timm or torchvision, network.yaml of madnas "
            "restructure, or the folder of a run of madnas train, whose best weights are taken.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file.", show_default=False, rich_help_panel=OUTPUT)
    ],
    weights: Annotated[Path | None, typer.Option(help="Its weights (.safetensors or of torch).")] = None,
    format: Annotated[
        str | None, typer.Option(help="onnx or torch-export. Default: by the file's suffix, .onnx or .pt2.")
    ] = None,
    batch_size: Annotated[str, typer.Option(help="Images of a batch; any: of every size.")] = "any",
    force: Annotated[bool, typer.Option("--force", help="Replace the file.", rich_help_panel=OUTPUT)] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Write a network as ONNX (extra export) or as a program of torch.export, after the file was run and compared.

    The file is computed beside PyTorch on several batches; one that differs by more than rounding is not written.

    Examples:
    - madnas export resnet20 -o resnet20.pt2
    - madnas export runs/resnet20-digits-quick-0 -o digits.onnx
    - madnas export collapsed/network.yaml --weights collapsed/weights.safetensors --batch-size 1 -o net.onnx
    """
    from .export_report import run_export

    run_export(target, weights, format, batch_size, output, force, json)
