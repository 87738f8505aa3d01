"""torch.export: a module as a program that torch loads without the code of its classes."""

import io

import torch
from torch import Tensor, nn

from madnas.errors import UsageError
from madnas.export.onnx import BATCH, EXAMPLES, quiet, reason


def program_bytes(module: nn.Module, shape: tuple[int, ...], batch: int | None) -> bytes:
    """A module as one file of ``torch.export.save``, weights included.

    Args:
        module: in eval mode, on the CPU.
        shape: of one input, without the batch.
        batch: images of a batch; None for any number.

    Raises:
        UsageError: the module holds what cannot be exported.
    """
    x = torch.zeros(batch or EXAMPLES, *shape)
    dynamic = None if batch else ({0: torch.export.Dim(BATCH, min=1)},)
    data = io.BytesIO()
    with quiet():
        try:
            torch.export.save(torch.export.export(module, (x,), dynamic_shapes=dynamic), data)
        except Exception as error:  # torch raises many kinds
            raise UsageError(f"cannot be exported by torch.export: {reason(error)}") from error
    return data.getvalue()


class Program:
    """A file of ``torch.export.save``, ready to run.

    Args:
        data: its bytes.
    """

    def __init__(self, data: bytes) -> None:
        with quiet():
            self._module = torch.export.load(io.BytesIO(data)).module()

    def __call__(self, x: Tensor) -> Tensor:
        """Compute a batch."""
        with torch.no_grad():
            return self._module(x)
