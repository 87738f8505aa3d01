"""ONNX: from a module to one file, and to a session of onnxruntime. The extra ``export``."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from madnas.errors import UsageError

INPUT, OUTPUT, BATCH = "images", "logits", "batch"
"""Names in the file."""

EXTRA = "pip install 'madnas[export]'"
EXAMPLES = 2
"""Images of the batch with which a network of any batch size is traced; a 1 would be taken for a constant."""


def needed(package: str) -> Any:
    """A package of the extra.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise UsageError(f"{package} is not installed", EXTRA) from error


def onnx_bytes(module: nn.Module, shape: tuple[int, ...], batch: int | None) -> bytes:
    """A module as one ONNX file, weights included.

    Args:
        module: in eval mode, on the CPU.
        shape: of one input, without the batch.
        batch: images of a batch; None for any number.

    Raises:
        UsageError: a package is missing, or the module holds what cannot be exported.
    """
    needed("onnx")
    needed("onnxscript")
    reference = next(module.parameters(), torch.empty(0))
    x = torch.zeros(batch or EXAMPLES, *shape, dtype=reference.dtype)
    dynamic = None if batch else ({0: torch.export.Dim(BATCH, min=1)},)
    with quiet():
        try:
            program = torch.onnx.export(
                module, (x,), dynamo=True, dynamic_shapes=dynamic, input_names=[INPUT], output_names=[OUTPUT],
                external_data=False, verbose=False,
            )  # fmt: skip
        except Exception as error:  # torch raises many kinds
            raise UsageError(f"cannot be exported to ONNX: {reason(error)}") from error
    assert program is not None
    data: bytes = program.model_proto.SerializeToString()
    return data


def session(data: bytes, threads: int | None, device: str = "cpu") -> Any:
    """An onnxruntime session.

    Args:
        data: of an ONNX file.
        threads: of the CPU; None for onnxruntime's own number.
        device: ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        UsageError: onnxruntime is missing, has no such device, or refuses the file.
    """
    runtime = needed("onnxruntime")
    provider: Any = "CPUExecutionProvider"
    if device.startswith("cuda"):
        provider = ("CUDAExecutionProvider", {"device_id": torch.device(device).index or 0})
        if provider[0] not in runtime.get_available_providers():
            raise UsageError(
                f"the installed onnxruntime computes on {', '.join(runtime.get_available_providers())} alone",
                "pip install onnxruntime-gpu, or --device cpu",
            )
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return runtime.InferenceSession(data, options, providers=[provider])
    except Exception as error:  # onnxruntime's errors share no class
        raise UsageError(f"onnxruntime refuses the network: {reason(error)}") from error


def run_session(opened: Any, x: Tensor) -> Tensor:
    """What a session computes of a batch."""
    [result] = opened.run(None, {opened.get_inputs()[0].name: x.cpu().numpy()})
    return torch.from_numpy(result)


def quantised(data: bytes, shape: tuple[int, ...], batch: int, seed: int = 0) -> bytes:
    """A network in 8-bit integers: weights by channel, activations calibrated on a batch of normal noise.

    For speed alone: calibrated on noise, its predictions are not those of the network.

    Raises:
        UsageError: a package is missing.
    """
    import tempfile
    from pathlib import Path

    needed("onnx")
    quantization = needed("onnxruntime.quantization")
    random = torch.Generator().manual_seed(seed)
    noise = _Batches([{INPUT: torch.randn(batch, *shape, generator=random).numpy()}])
    with tempfile.TemporaryDirectory() as folder, quiet():
        before, after = Path(folder, "before.onnx"), Path(folder, "after.onnx")
        before.write_bytes(data)
        quantization.quantize_static(
            before, after, noise, quant_format=quantization.QuantFormat.QDQ, per_channel=True,
            activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
        )  # fmt: skip
        return after.read_bytes()


class _Batches:
    """What onnxruntime's calibration asks for batches.

    Args:
        batches: by the names of inputs.
    """

    def __init__(self, batches: list[dict[str, Any]]) -> None:
        self._left = batches

    def get_next(self) -> dict[str, Any] | None:
        """The next batch; None after the last."""
        return self._left.pop() if self._left else None


@contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters tell themselves while they work."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def reason(error: Exception) -> str:
    """The first line of an error of somebody else's code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
