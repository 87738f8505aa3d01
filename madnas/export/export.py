"""From a network with weights to one file in a format that others run, checked before it is written."""

from dataclasses import dataclass
from functools import partial

from torch import nn

from madnas.export.check import BATCHES, Agreement, agreements
from madnas.export.onnx import onnx_bytes, run_session, session
from madnas.export.program import Program, program_bytes

FORMATS = {"onnx": ".onnx", "torch-export": ".pt2"}
"""What can be written, and how such files are called."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A file's content, and the proof that it computes the same.

    Attributes:
        data: of the file.
        agreements: for every batch that was compared.
    """

    data: bytes
    agreements: tuple[Agreement, ...]


def export(module: nn.Module, shape: tuple[int, ...], kind: str, batch: int | None) -> Exported:
    """Export a network and compare the file with it.

    Args:
        module: in eval mode, on the CPU, in fp32.
        shape: (C, H, W) of an image.
        kind: of :data:`FORMATS`.
        batch: images of a batch; None for any number.

    Raises:
        UsageError: what is needed is not installed, or the network cannot be exported.
        DisagreementError: the file computes something else.
    """
    batches = BATCHES if batch is None else (batch,)
    if kind == "onnx":
        data = onnx_bytes(module, shape, batch)
        compute = partial(run_session, session(data, None))
    else:
        data = program_bytes(module, shape, batch)
        compute = Program(data)  # type: ignore[assignment]
    return Exported(data, agreements(module, compute, shape, batches))
