"""A module as a setting wants it: in eval mode, on its device, in its precision and layout of memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from madnas.device import check_device, keep_freed_memory
from madnas.measure.setting import Setting, check_setting

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FORMATS = {"channels-first": torch.contiguous_format, "channels-last": torch.channels_last}


def prepared(module: nn.Module, setting: Setting) -> nn.Module:
    """The module itself, moved, converted and in eval mode."""
    module = module.eval().to(setting.device, DTYPES[setting.precision])
    return module.to(memory_format=FORMATS[setting.layout])


def images(shape: tuple[int, ...], setting: Setting) -> Tensor:
    """A batch of normal noise for a network whose input has this shape; the same every time."""
    random = torch.Generator().manual_seed(0)
    batch = torch.randn(setting.batch_size, *shape, generator=random)
    batch = batch.to(setting.device, DTYPES[setting.precision])
    return batch.contiguous(memory_format=FORMATS[setting.layout]) if batch.dim() == 4 else batch


@contextmanager
def measuring(setting: Setting) -> Iterator[None]:
    """Everything that holds while something is measured: threads, kept memory; on a GPU fp32 that is no TF32.

    Raises:
        UsageError: the setting is not possible here.
    """
    check_setting(setting)
    check_device(setting.device)
    keep_freed_memory()
    before = torch.get_num_threads()
    if setting.threads is not None:
        torch.set_num_threads(setting.threads)
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    flags = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = False, False, True
    try:
        yield
    finally:
        torch.set_num_threads(before)
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = flags
