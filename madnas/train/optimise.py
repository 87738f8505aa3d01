"""Optimiser, schedule and moving average: timm's, from a recipe."""

from typing import Any

from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim import Optimizer

from madnas.errors import UsageError
from madnas.train.recipe import TrainRecipe


def build_optimizer(model: nn.Module, recipe: TrainRecipe, more: nn.Module | None = None) -> Optimizer:
    """The recipe's optimiser over the model's parameters; norms and biases do not decay, unless it says so.

    Args:
        model: the model itself, whose own rules timm asks for (what never decays, which layers lie how deep).
        recipe: the settings.
        more: a module that is trained beside it.

    Raises:
        UsageError: a name that timm does not know, or settings that the optimiser does not take.
    """
    given = {"eps": recipe.opt_eps, "betas": recipe.opt_betas, "alpha": recipe.opt_alpha}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if recipe.momentum is not None:
        options["momentum"] = recipe.momentum
    try:
        optimizer = create_optimizer_v2(
            model,
            opt=recipe.opt,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            filter_bias_and_bn=not recipe.decay_norm_bias,
            layer_decay=recipe.layer_decay,
            **options,
        )
    except (ValueError, TypeError, AssertionError, KeyError) as error:
        raise UsageError(
            f"opt: {recipe.opt[:60]} cannot be made: {error}", "timm.optim.list_optimizers() names all"
        ) from error
    idle = [name for name in options if name not in optimizer.defaults]
    if idle:
        raise UsageError(
            f"opt: {recipe.opt[:60]} has no {' and no '.join(idle)}",
            " ".join(f"--set {name if name == 'momentum' else f'opt_{name}'}=null" for name in idle),
        )
    if more is not None:
        optimizer.add_param_group({"params": list(more.parameters()), "weight_decay": recipe.weight_decay})
    return optimizer


def total_epochs(recipe: TrainRecipe) -> int:
    """Epochs of a run: those of the schedule, a warm-up before it, and the cool-down."""
    return recipe.epochs + recipe.cooldown_epochs + (recipe.warmup_epochs if recipe.warmup_prefix else 0)


def build_schedule(optimizer: Optimizer, recipe: TrainRecipe, steps_per_epoch: int) -> Scheduler | None:
    """The learning rate as a function of the update, or of the epoch; None where it is constant."""
    if recipe.sched == "constant":
        return None
    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched=recipe.sched,
        num_epochs=recipe.epochs,
        decay_milestones=list(recipe.decay_milestones),
        decay_rate=recipe.decay_rate,
        min_lr=recipe.min_lr,
        warmup_lr=recipe.warmup_lr,
        warmup_epochs=recipe.warmup_epochs,
        warmup_prefix=recipe.warmup_prefix,
        cooldown_epochs=recipe.cooldown_epochs,
        step_on_epochs=not recipe.sched_on_updates,
        updates_per_epoch=steps_per_epoch,
    )
    return scheduler


def set_rate(scheduler: Scheduler | None, step: int, steps_per_epoch: int) -> None:
    """Give the optimiser the learning rate of an update (from 0): a function of the step alone, nothing to save."""
    if scheduler is not None:
        scheduler.step(step // steps_per_epoch)
        scheduler.step_update(step)


def build_average(model: nn.Module, recipe: TrainRecipe) -> ModelEmaV3 | None:
    """The moving average of the weights, if the recipe has one."""
    if recipe.model_ema_decay is None:
        return None
    return ModelEmaV3(model, decay=recipe.model_ema_decay, use_warmup=recipe.model_ema_warmup)
