"""The mathematics of a run: what an update does to weights, moving average and optimiser, and what a test says."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from inspect import signature
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from timm.layers import convert_sync_batchnorm
from timm.utils import distribute_bn
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from madnas.data.seeds import generator
from madnas.data.source import Batch, Facts, Process, Source
from madnas.errors import UsageError
from madnas.models.restructurable import alphas_of
from madnas.restructure.search_space import savings
from madnas.theory.restructuring import alpha_penalty
from madnas.train.distributed import rows
from madnas.train.objective import Teacher
from madnas.train.optimise import build_average, build_optimizer, build_schedule, set_rate
from madnas.train.recipe import TrainRecipe
from madnas.train.task import task_of

LEAST_SCALE = 1.0
"""Of losses in float16: gradients that overflow below it are not finite for another reason."""

AMP = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Update:
    """What an update would be.

    Attributes:
        loss: mean over this process' samples; on the device.
        wrong: ``loss`` or ``gradient`` where that is not finite; else empty.
        rate: learning rate.
    """

    loss: Tensor
    wrong: str
    rate: float


class Engine:
    """A model in training.

    Args:
        model: on the device, in its memory layout.
        recipe: everything else.
        facts: of the data.
        process: this one.
        seed: of the random numbers of an update (drop path, mixing, erasing), each a function of seed, step and rank.
        steps_per_epoch: updates.
        teacher: for distillation, on the device.
        compiled: whether the model is compiled by ``torch.compile``.
        sync_bn: whether batch norms see the whole batch of all processes.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: TrainRecipe,
        facts: Facts,
        process: Process,
        seed: int,
        steps_per_epoch: int,
        teacher: Teacher | None = None,
        compiled: bool = False,
        sync_bn: bool = False,
    ) -> None:
        self.recipe, self.facts, self.process, self.seed = recipe, facts, process, seed
        self.steps_per_epoch = steps_per_epoch
        if sync_bn and process.world > 1:
            model = convert_sync_batchnorm(model)
        self.model = model
        self.learner = task_of(recipe).learner(model, recipe, facts, process, seed, teacher)
        self.student = self.learner.student
        self.optimizer = build_optimizer(model, recipe, self.learner.beside)
        self.schedule = build_schedule(self.optimizer, recipe, steps_per_epoch)
        self.average = build_average(model, recipe)
        self.scaler = torch.amp.GradScaler(process.device.type, enabled=recipe.amp_dtype == "float16")
        self._alphas, self._savings = _searched(model, recipe)
        self._parameters = [one for one in self.student.parameters() if one.requires_grad]
        runner: nn.Module = self.student
        if process.world > 1:
            parameters = signature(DistributedDataParallel).parameters
            name = "forward_sync_buffers" if "forward_sync_buffers" in parameters else "broadcast_buffers"
            runner = DistributedDataParallel(runner, gradient_as_bucket_view=True, **{name: False})  # type: ignore[arg-type]
        self._runner: Any = torch.compile(runner) if compiled else runner

    def settle(self) -> None:
        """With several processes, one pass that changes nothing: DDP sorts the gradients for its sums after the first.

        Sums over three and more processes depend on that order in their last bits: without this pass, a run that goes
        on would add up its first update in another order than one that was not interrupted.
        """
        if self.process.world == 1:
            return
        buffers = {name: one.clone() for name, one in self.student.named_buffers()}
        share = self.recipe.batch_size // self.process.world
        self.student.train()
        self._backward(*self.learner.blank(share))
        self.optimizer.zero_grad()
        for name, one in self.student.named_buffers():
            one.copy_(buffers[name])

    @property
    def result(self) -> nn.Module:
        """The weights that a run is about: the moving average, or the model."""
        found: nn.Module = self.model if self.average is None else self.average.module
        return found

    def update(self, batch: Batch, step: int) -> Update:
        """Change the weights by one batch, unless loss or gradient are not finite."""
        found = self.propose(batch, step)
        if found.wrong:
            self.refuse()
        else:
            self.accept(step)
        return found

    def propose(self, batch: Batch, step: int) -> Update:
        """Loss and gradient of a batch; :meth:`accept` or :meth:`refuse` has to follow, in all processes the same."""
        seed = self.seed_all(step)
        rate = self.rate_at(step)
        images, targets = self._prepare(batch, step // self.steps_per_epoch, step, seed)
        if not self.model.training:  # after a test
            self.student.train()
        loss = self._backward(images, targets)
        return Update(loss, self._wrong(loss), rate)

    def accept(self, step: int) -> bool:
        """Change the weights as proposed; whether float16's scaler left the update out, to lower its scale."""
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(self.model, step + 1)
        return self.scaler.is_enabled() and self.scaler.get_scale() < scale

    def refuse(self) -> None:
        """Leave the weights as they are."""
        self.scaler.update(self.scaler.get_scale())  # which also forgets what it has seen
        self.optimizer.zero_grad()

    def rate_at(self, step: int) -> float:
        """The learning rate of an update."""
        set_rate(self.schedule, step, self.steps_per_epoch)
        return float(max(group["lr"] for group in self.optimizer.param_groups))

    def seed_all(self, step: int) -> int:
        """Seed everything that draws random numbers, for this step and process."""
        seed = generator(self.seed, "update", step, self.process.rank).initial_seed()
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        return seed

    def _prepare(self, batch: Batch, epoch: int, step: int, seed: int) -> tuple[Any, Any]:
        """Images as the model takes them, and their targets."""
        return self.learner.prepare(batch, epoch, step, seed)

    def _backward(self, images: Any, targets: Any) -> Tensor:
        """Gradients of the mean loss, in as many parts as the recipe says; the loss."""
        parts = self.recipe.grad_accum_steps
        whole = torch.zeros((), device=self.process.device)
        splits = list(zip(_parts(images, parts), _parts(targets, parts), strict=True))
        for number, (some, theirs) in enumerate(splits, 1):
            last = number == len(splits)
            waiting = nullcontext() if last or self.process.world == 1 else self._runner.no_sync()
            with waiting:
                with self._autocast():
                    loss = self.learner.loss(self._runner, some, theirs) * (len(some) / len(images))
                if last and self._alphas:
                    loss = loss + self._penalty()
                self.scaler.scale(loss).backward()
            whole = whole + loss.detach()
        return whole

    @property
    def alphas(self) -> dict[str, float]:
        """Slopes of the blocks that are searched, by their names."""
        return {name: float(alpha.detach()) for name, alpha in self._alphas.items()}

    def _penalty(self) -> Tensor:
        alphas = [alpha.sum() for alpha in self._alphas.values()]
        found: Tensor = alpha_penalty(alphas, self.recipe.alpha_weight, list(self._savings.values()))
        return found

    def _autocast(self) -> Any:
        dtype = self.recipe.amp_dtype
        return nullcontext() if dtype is None else torch.autocast(self.process.device.type, AMP[dtype])

    def _wrong(self, loss: Tensor) -> str:
        """What is not finite here; gradients are clipped on the way."""
        self.scaler.unscale_(self.optimizer)
        gradients = [one.grad for one in self._parameters if one.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.recipe.clip_grad is not None:
            torch.nn.utils.clip_grads_with_norm_(self._parameters, self.recipe.clip_grad, norm)
        if self.scaler.is_enabled() and self.scaler.get_scale() >= LEAST_SCALE:
            norm = torch.zeros_like(norm)  # the scaler leaves such updates out itself while it looks for its scale
        finite = torch.stack([loss.isfinite(), norm.isfinite()]).to("cpu")
        if bool(finite.all()):
            return ""
        return "gradient" if finite[0] else "loss"

    def end_epoch(self) -> None:
        """Give all processes the same statistics of batch norms: their mean, as timm does."""
        if self.process.world > 1:
            distribute_bn(self.model, self.process.world, reduce=True)
            if self.average is not None:
                distribute_bn(self.average.module, self.process.world, reduce=True)

    @torch.inference_mode()
    def test(
        self, source: Source, batch_size: int, before_batch: Callable[[], None] = lambda: None
    ) -> dict[str, float | int | None]:
        """The task's metrics of :attr:`result` on the test set, ``loss`` where there is one, and its size ``n``.

        Args:
            source: of the images.
            batch_size: images at once.
            before_batch: called before every batch, as often in all processes; ends the test by an exception.
        """
        model = self.result
        model.eval()
        scores = self.learner.scores(source)
        batches = iter(source.test(batch_size, self.process))
        for _ in range(math.ceil(source.facts.test / (batch_size * self.process.world))):
            before_batch()
            images, targets = next(batches, (None, None))
            if images is None:  # the last share of this process is empty
                continue
            with self._autocast():
                outputs = model(self.learner.normalised(images))
            scores.add(outputs, targets)
        return scores.result(self.process)

    def is_sound(self, everything: bool = True) -> bool:
        """Whether all weights are finite; and running statistics, moving average and what the optimiser remembers."""
        modules: list[nn.Module] = [self.student] if self.average is None else [self.student, self.average.module]
        tensors = [one.detach() for module in modules for one in module.parameters()]
        if everything:
            tensors += [one for module in modules for one in module.buffers()]
            remembered = (one for state in self.optimizer.state.values() for one in state.values())
            tensors += [one for one in remembered if isinstance(one, Tensor)]
        sums = [one.sum(dtype=torch.float64) for one in tensors if one.is_floating_point()]
        return bool(torch.stack([one.to(self.process.device) for one in sums]).isfinite().all())

    def own_values(self) -> Tensor:
        """What differs between processes: running statistics, as one vector of float64."""
        return torch.cat([torch.zeros(0, dtype=torch.float64), *(one.cpu().double().flatten() for one in self._own())])

    def set_own_values(self, values: Tensor) -> None:
        """Take back :meth:`own_values`."""
        for one, part in zip(self._own(), values.split([one.numel() for one in self._own()]), strict=True):
            one.copy_(part.view_as(one))

    def _own(self) -> list[Tensor]:
        modules: Iterator[nn.Module] = iter(
            [self.student] if self.average is None else [self.student, self.average.module]
        )
        return [buffer for module in modules for buffer in module.buffers() if buffer.is_floating_point()]

    def state(self) -> dict[str, Any]:
        """Optimiser, scale, projection of features, and all processes' statistics; a collective call."""
        beside = self.learner.beside
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "project": None if beside is None else beside.state_dict(),
            "own": rows(self.own_values(), self.process),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back :meth:`state`; with another number of processes, each takes the mean of their statistics."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.learner.beside is not None:
            self.learner.beside.load_state_dict(state["project"])
        own = state["own"]
        self.set_own_values(own[self.process.rank] if len(own) == self.process.world else own.mean(0))


def _searched(model: nn.Module, recipe: TrainRecipe) -> tuple[dict[str, nn.Parameter], dict[str, float]]:
    """Slopes that are drawn to 1, and the weights of their penalties.

    Raises:
        UsageError: the network has none.
    """
    if not recipe.alpha_weight:
        return {}, {}
    alphas = alphas_of(model)
    if not alphas:
        raise UsageError(
            "alpha_weight: the network has no restructurable blocks", "madnas restructure search makes them"
        )
    if not recipe.alpha_macs_aware:
        return alphas, dict.fromkeys(alphas, 1.0)
    spec: Any = model.spec
    weights = savings(spec)
    return alphas, {name: weights[name] for name in alphas}


def _parts(items: Any, parts: int) -> Sequence[Any]:
    """A batch's images or targets, a tensor or a list, in so many parts of (almost) equal size."""
    if isinstance(items, Tensor):
        return items.tensor_split(parts)
    ends = [round(len(items) * part / parts) for part in range(parts + 1)]
    return [items[begin:end] for begin, end in pairwise(ends)]
