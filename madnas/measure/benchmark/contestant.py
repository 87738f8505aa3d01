"""One row of a benchmark as something that can be called: a network in a mode, on an engine, with its batch."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from madnas.device import ran_out
from madnas.errors import UsageError
from madnas.export.onnx import INPUT, onnx_bytes, quantised, session
from madnas.measure.benchmark.memory import (
    SHARE,
    OutOfMemory,
    bytes_of,
    free_bytes,
    largest_batch,
    peak_bytes,
)
from madnas.measure.benchmark.request import Request
from madnas.measure.clock import synchronise
from madnas.measure.module_count import count_module, count_params
from madnas.measure.prepare import images, prepared
from madnas.measure.refusal import explained_refusal
from madnas.measure.setting import MAX_BATCH, Setting
from madnas.network.count import count
from madnas.scores.targets import subject
from madnas.targets import Target, find, module_of

LEARNING_RATE, MOMENTUM = 1e-3, 0.9
PROBE = 2
"""Images of the batch on which a training step's operations are counted; a batch norm may need two."""

MOST_COMPILED = 10_000
"""Networks that a process may compile."""

LONGEST_CALL = 0.5
"""Seconds that a call of an automatic batch takes on the CPU, about, at most: a larger batch is no faster there, and
the memory would hold batches that take minutes."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a network costs, whatever computes it.

    Attributes:
        params: trainable parameters.
        macs: multiply-adds of convolutions and linear layers, one image.
        activations: output elements of convolutions and linear layers, one image.
    """

    params: int
    macs: int
    activations: int


@dataclass(slots=True)
class Contestant:
    """Something to be timed.

    Attributes:
        target: as the user named it.
        mode: ``infer`` or ``train``.
        batch: images of a call.
        input: shape of an image.
        costs: of the network.
        flops: floating-point operations of a call, 2 for a multiply-add.
        traffic: bytes that a call moves at least: weights once, every layer's output written and read.
        memory: bytes at most, weights included; None where the engine does not tell.
        call: does it once.
    """

    target: str
    mode: str
    batch: int
    input: tuple[int, ...]
    costs: Costs
    flops: float
    traffic: float
    memory: int | None
    call: Callable[[], Any]


def contestant(word: str, mode: str, request: Request, seed: int = 0) -> Contestant:
    """Build a network and make it ready to run; it has been called once.

    Raises:
        UsageError: no such network, or one that cannot be run so.
        OutOfMemory: not even its smallest batch fits.
    """
    return contestant_of(find(word), mode, request, seed)


def contestant_of(target: Target, mode: str, request: Request, seed: int = 0) -> Contestant:
    """:func:`contestant` of what a word names, or of a description that no word names."""
    word = target.word
    found = subject(target, request.resolution)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = found.make() if found.spec is None else module_of(replace(target, spec=found.spec))
    setting = request.setting
    with explained_refusal(word, found.input):
        costs = _costs(module.eval(), found.spec, found.input)
    doing, hint = ("run", None) if mode == "infer" else ("trained", "a larger --batch-size or --resolution may help")
    with explained_refusal(word, found.input, doing, hint), explained_memory(word):
        if request.engine == "onnxruntime":
            return _onnxruntime(word, module, found.input, costs, request)
        runner = Runner(module, found.input, mode, setting, request.compiled)
        if request.auto_batch:
            runner.batch = _largest(runner, word)
        call = runner.ready(runner.batch)
        flops = 2.0 * costs.macs if mode == "infer" else runner.training_flops()
        memory = runner.memory()
    return Contestant(
        word, mode, runner.batch, found.input, costs, flops * runner.batch, _traffic(costs, runner), memory, call
    )  # fmt: skip


class Runner:
    """A module with what a call of it needs.

    Args:
        module: with fresh weights.
        shape: of one image.
        mode: ``infer``, in the setting's precision; or ``train``: forward, cross-entropy, backward and a step of SGD
            with momentum, weights in fp32 and the setting's precision by autocast.
        setting: device, precision, layout.
        compiled: by torch.compile.
    """

    def __init__(self, module: nn.Module, shape: tuple[int, ...], mode: str, setting: Setting, compiled: bool) -> None:
        self.mode, self.shape, self.setting = mode, shape, setting
        self.device = torch.device(setting.device)
        self.batch = setting.batch_size
        kept = setting if mode == "infer" else replace(setting, precision="fp32")
        self.module = prepared(module, kept)
        self.compiled: Any = compiled_module(self.module) if compiled else self.module
        self.optimiser: torch.optim.Optimizer | None = None
        if mode == "train":
            self.module.train()
            self.optimiser = torch.optim.SGD(self.module.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    def images(self, batch: int) -> Tensor:
        """A batch of noise."""
        precision = self.setting.precision if self.mode == "infer" else "fp32"
        return images(self.shape, replace(self.setting, batch_size=batch, precision=precision))

    def ready(self, batch: int) -> Callable[[], Any]:
        """A call on a batch, after a first one.

        Raises:
            UsageError: torch.compile does not work here.
        """
        call = self._call(batch, self.compiled)
        if self.compiled is not self.module:
            try:
                call()
            except Exception as error:  # of many compilers
                if ran_out(error):
                    raise
                reason = str(error).strip().splitlines() or [type(error).__name__]
                raise UsageError(
                    f"--compile: torch.compile fails: {reason[0][:200]}", "it needs a C++ compiler; or leave it out"
                ) from error
        else:
            call()
        synchronise(self.device)
        return call

    def _call(self, batch: int, module: Any) -> Callable[[], Any]:
        x = self.images(batch)
        if self.mode == "infer":
            guard = torch.no_grad() if self.compiled is not self.module else torch.inference_mode()

            def infer() -> Tensor:
                with guard:
                    return module(x)

            return infer
        labels = torch.zeros(batch, dtype=torch.long, device=self.device)
        optimiser = self.optimiser
        assert optimiser is not None
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.setting.precision)

        def step() -> None:
            with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
                loss = F.cross_entropy(module(x), labels)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

        return step

    def memory(self) -> int:
        """Bytes at most: weights, state of the optimiser, batch, and what a call needs besides."""
        call = self._call(self.batch, self.module)
        call()
        return self.fixed_bytes() + self.images(self.batch).nbytes + peak_bytes(call, self.device)

    def seconds(self) -> float:
        """Of a call on the batch, the shorter of two, after another one."""
        call = self._call(self.batch, self.module)
        call()
        marks = [time.perf_counter()]
        for _ in range(2):
            call()
            marks.append(time.perf_counter())
        return min(after - before for before, after in pairwise(marks))

    def fixed_bytes(self) -> int:
        """Bytes of weights, buffers and state of the optimiser."""
        state = (
            [] if self.optimiser is None else [one for held in self.optimiser.state.values() for one in held.values()]
        )
        return bytes_of(self.module) + sum(one.nbytes for one in state if isinstance(one, Tensor))

    def training_flops(self) -> float:
        """Operations of a training step for one image, as torch counts them."""
        call = self._call(PROBE, self.module)
        with FlopCounterMode(display=False) as counter:
            call()
        return counter.get_total_flops() / PROBE

    def fits(self, batch: int) -> bool:
        """Whether a GPU can compute a batch: it is tried."""
        try:
            self._call(batch, self.compiled)()
            synchronise(self.device)
        except Exception as error:
            if not ran_out(error):
                raise
            return False
        finally:
            torch.cuda.empty_cache()
        return True


def compiled_module(module: nn.Module) -> Any:
    """A module compiled by torch.

    All our networks are one Python function to the compiler, which by default compiles a function eight times and then
    leaves further networks as they are, with no more than a line in its log.
    """
    import torch._dynamo

    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, MOST_COMPILED)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, MOST_COMPILED)
    return torch.compile(module)


def _largest(runner: Runner, word: str) -> int:
    """The largest batch that a network's memory allows.

    On the CPU what a small one needs decides, because there the system ends a process before torch could say no, and
    how long it takes (:data:`LONGEST_CALL`).

    Raises:
        OutOfMemory: none.
    """
    if runner.device.type == "cpu":
        runner.batch = PROBE
        each = (runner.memory() - runner.fixed_bytes()) / PROBE
        room = SHARE * free_bytes() - runner.fixed_bytes()
        most = max(1, int(LONGEST_CALL / (runner.seconds() / PROBE)))
        batch = largest_batch(lambda size: size * each <= room, min(most, MAX_BATCH))
    else:
        batch = largest_batch(runner.fits)
    if batch == 0:
        raise OutOfMemory(f"{word}: not even one image fits the memory")
    return batch


def _traffic(costs: Costs, runner: Runner) -> float:
    """Bytes that a call moves at least; of a training step, three times the maps and weights."""
    size = {"fp32": 4, "int8": 1}.get(runner.setting.precision, 2)
    passes = 1 if runner.mode == "infer" else 3
    return float(passes * (bytes_of(runner.module) + 2 * costs.activations * size * runner.batch))


def _costs(module: nn.Module, spec: Any, shape: tuple[int, ...]) -> Costs:
    """Closed form where there is a description, counted on the module elsewhere."""
    if spec is not None:
        known = count(spec)
        return Costs(int(known.params), int(known.macs), int(known.activations))
    found = count_module(module, shape)
    return Costs(count_params(module), found.macs, found.activations)


def _onnxruntime(word: str, module: nn.Module, shape: tuple[int, ...], costs: Costs, request: Request) -> Contestant:
    """The network exported to ONNX and opened by onnxruntime."""
    setting = request.setting
    batch = setting.batch_size
    half = setting.precision == "fp16"
    data = onnx_bytes(module.half() if half else module, shape, batch)
    if setting.precision == "int8":
        data = quantised(data, shape, batch)
    opened = session(data, torch.get_num_threads(), setting.device)
    x = images(shape, replace(setting, device="cpu", precision="fp16" if half else "fp32")).numpy()

    def call() -> Any:
        return opened.run(None, {INPUT: x})

    call()
    size = {"fp32": 4, "fp16": 2, "int8": 1}[setting.precision]
    traffic = float(size * (costs.params + 2 * costs.activations * batch))
    return Contestant(word, "infer", batch, shape, costs, 2.0 * costs.macs * batch, traffic, None, call)


@contextmanager
def explained_memory(word: str) -> Iterator[None]:
    """Turn what libraries raise where memory ends into one error that names the network.

    Raises:
        OutOfMemory: memory does not suffice.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        raise OutOfMemory(f"{word}: the memory does not suffice") from error
