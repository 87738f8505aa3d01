"""What of a training recipe is out of range, does not go together, or has no effect; each with its key."""

from dataclasses import fields
from typing import TYPE_CHECKING

from madnas.data.names import GREY, HUB, RESIDENT, SHARDS, is_dataset, is_resident
from madnas.train.kinds import CLASSIFICATION, KINDS

if TYPE_CHECKING:
    from madnas.train.recipe import TrainRecipe


Range = tuple[float, float]

LIMITS: dict[str, Range] = {
    "epochs": (1, 1_000_000),
    "batch_size": (1, 1_000_000),
    "lr": (1e-12, 1000),
    "image_size": (1, 16384),
    "pad": (0, 1024),
    "scale": (0, 1),
    "ratio": (0.01, 100),
    "hflip": (0, 1),
    "crop_pct": (0.1, 1),
    "color_jitter": (0, 1),
    "lighting": (0, 10),
    "cutout": (0, 1024),
    "alpha_weight": (0, 1000),
    "reprob": (0, 1),
    "mixup": (0, 100),
    "cutmix": (0, 100),
    "mixup_prob": (0, 1),
    "mixup_switch_prob": (0, 1),
    "mixup_off_epoch": (0, 1_000_000),
    "smoothing": (0, 0.999),
    "momentum": (0, 1),
    "weight_decay": (0, 10),
    "opt_eps": (0, 1),
    "opt_alpha": (0, 1),
    "opt_betas": (0, 1),
    "layer_decay": (0, 1),
    "warmup_epochs": (0, 1_000_000),
    "cooldown_epochs": (0, 1_000_000),
    "warmup_lr": (0, 1000),
    "min_lr": (0, 1000),
    "clip_grad": (1e-9, 1e9),
    "grad_accum_steps": (1, 100_000),
    "model_ema_decay": (0, 0.9999999),
    "drop": (0, 0.999),
    "drop_path": (0, 0.999),
    "bn_momentum": (1e-6, 1),
    "bn_eps": (1e-12, 1),
    "kd_temperature": (0.01, 1000),
    "kd_hard": (0, 1000),
    "kd_soft": (0, 1000),
    "kd_feature": (0, 1000),
    "nonfinite_retries": (0, 1000),
    "bad_data_rate": (0, 1),
    "samples": (1, 1_000_000_000),
    "short_side": (16, 16384),
    "head_chs": (64, 4096),
    "head_width": (1, 65536),
    "proposals": (1, 100_000),
    "num_classes": (2, 100_000),
    "class_share": (0.01, 1),
    "decoder_chs": (8, 4096),
    "aux_weight": (0, 100),
    "test_scales": (0.1, 10),
    "segments": (1, 1000),
    "test_segments": (1, 1000),
}
"""Smallest and largest value of every number."""

MASK_CLASSES = 255
"""Classes that masks may have: labels fit into 8 bits beside the one that is ignored."""

HEAD_GROUPS = 32
"""Of the group norms in torchvision's FCOS."""

FOR_IMAGES = ("crop", "pad", "hflip", "aa", "lighting", "cutout", "reprob", "color_jitter", "image_size", "crop_pct",
              "interpolation")  # fmt: skip
"""Settings without effect on features."""


def problems(recipe: "TrainRecipe") -> list[str]:
    """What is out of range or does not go together, each with its key."""
    found = []
    for name, (least, most) in LIMITS.items():
        value = getattr(recipe, name)
        numbers = value if isinstance(value, tuple) else () if value is None else (value,)
        found += [f"{name}: expected {least:g} to {most:g}, found {n}" for n in numbers if not least <= n <= most]
    found += _task_problems(recipe)
    if recipe.warmup_epochs >= recipe.epochs and not recipe.warmup_prefix:
        found.append(
            f"warmup_epochs: {recipe.warmup_epochs} leave nothing of {recipe.epochs} epochs (--set warmup_epochs=0)"
        )
    if recipe.interpolation == "random" and recipe.crop != "resized" and not is_resident(recipe.dataset):
        found.append("interpolation: random is for crop resized")
    found += [f"{name}: expected a range, found {list(pair)}" for name, pair in _ranges(recipe) if pair[0] > pair[1]]
    if recipe.sched == "multistep" and not recipe.decay_milestones:
        found.append("decay_milestones: missing; sched multistep goes down at them")
    if recipe.batch_size % recipe.grad_accum_steps:
        found.append(f"grad_accum_steps: {recipe.batch_size} images do not fall into {recipe.grad_accum_steps} parts")
    if recipe.kd_model_name is None and (recipe.kd_soft or recipe.kd_feature):
        found.append("kd_model_name: missing; kd_soft and kd_feature need a teacher")
    if recipe.cutout and recipe.reprob:
        found.append("cutout: with reprob, images would be blanked twice; give one of them")
    return found


def idle_settings(recipe: "TrainRecipe") -> dict[str, str]:
    """Settings that differ from their default and that the rest of the recipe has no use for, with the reason."""
    kind = KINDS[recipe.task]
    features = is_dataset(recipe.dataset) and recipe.dataset not in RESIDENT
    mixes = bool(recipe.mixup or recipe.cutmix)
    adapts = recipe.sched != "constant"
    rules: list[tuple[bool, tuple[str, ...], str]] = [
        (features, FOR_IMAGES, f"has no effect on the features of {recipe.dataset}"),
        (not features, ("samples",), f"is for synthetic data, not for {recipe.dataset}"),
        (is_resident(recipe.dataset), ("train_split", "val_split"), f"has no effect on {recipe.dataset}"),
        (is_resident(recipe.dataset), ("interpolation",),
         f"{recipe.dataset} is kept on the device, and resized bilinearly"),
        (recipe.dataset in GREY, ("lighting",), f"has no effect on {recipe.dataset}, which has no colours"),
        (recipe.aa is not None, ("color_jitter",), "has no effect beside aa, whose matter colours are"),
        (recipe.crop != "resized", ("scale", "ratio"), "is for crop resized"),
        (recipe.crop != "pad", ("pad",), "is for crop pad"),
        (not recipe.reprob, ("remode",), "has no effect without reprob"),
        (not mixes, ("mixup_prob", "mixup_off_epoch"), "has no effect without mixup or cutmix"),
        (not (recipe.mixup and recipe.cutmix), ("mixup_switch_prob",), "is for mixup and cutmix together"),
        (recipe.sched != "multistep", ("decay_milestones",), "is for sched multistep"),
        (recipe.sched not in ("multistep", "poly"), ("decay_rate",), "is for sched multistep and poly"),
        (recipe.sched not in ("cosine", "poly"), ("min_lr",), "is for sched cosine and poly"),
        (not adapts, ("warmup_epochs", "cooldown_epochs", "layer_decay", "sched_on_updates"),
         "has no effect with sched constant"),
        (not recipe.warmup_epochs, ("warmup_lr", "warmup_prefix"), "has no effect without warmup_epochs"),
        (recipe.model_ema_decay is None, ("model_ema_warmup",), "has no effect without model_ema_decay"),
        (recipe.kd_model_name is None, ("kd_hard", "kd_temperature"), "has no effect without a teacher"),
        (not (recipe.kd_soft or recipe.kd_feature), ("kd_model_name",), "has no effect without kd_soft or kd_feature"),
        (not recipe.kd_soft, ("kd_temperature",), "has no effect without kd_soft"),
        (not recipe.alpha_weight, ("alpha_macs_aware",), "has no effect without alpha_weight"),
        (recipe.detector != "fcos", ("head_chs",), "is for detector fcos"),
        (recipe.detector != "two-stage", ("head_width", "proposals"), "is for detector two-stage"),
        (bool(recipe.freeze_norm), ("bn_momentum",), "has no effect with freeze_norm"),
        (True, kind.idle, f"has no effect in {recipe.task}"),
        *((True, tuple(one for one in other.own if one not in kind.own), f"is for {name}")
          for name, other in KINDS.items()),
    ]  # fmt: skip
    changed = {one.name for one in fields(recipe) if getattr(recipe, one.name) != one.default}
    return {name: why for applies, names, why in rules if applies for name in names if name in changed}


def _task_problems(recipe: "TrainRecipe") -> list[str]:
    """What does not go together with the task."""
    kind = KINDS[recipe.task]
    if recipe.task != CLASSIFICATION:
        wrong = [] if recipe.dataset in kind.datasets else [
            f"dataset: expected {' or '.join(kind.datasets)} for {recipe.task}, found {recipe.dataset[:60]!r}"
        ]  # fmt: skip
        wanted = (*kind.needs, *(name for name in kind.own if name not in kind.optional))
        missing = [name for name in wanted if getattr(recipe, name) is None]
        return wrong + [f"{name}: missing; {recipe.task} needs it" for name in missing] + _own_problems(recipe)
    if recipe.crop == "multiscale":
        return ["crop: multiscale is for video"]
    known = is_resident(recipe.dataset) or recipe.dataset == "folder" or recipe.dataset.startswith((HUB, SHARDS))
    if known:
        return []
    expected = f"{', '.join(RESIDENT)}, seg<N>, circle<N>, folder, {HUB}NAME or {SHARDS}FOLDER"
    return [f"dataset: expected {expected}, found {recipe.dataset[:60]!r}"]


def _own_problems(recipe: "TrainRecipe") -> list[str]:
    """What of a task's own settings does not go together."""
    found = []
    if recipe.head_chs is not None and recipe.head_chs % HEAD_GROUPS:
        found.append(f"head_chs: {recipe.head_chs} is no multiple of the {HEAD_GROUPS} groups of FCOS's norms")
    if recipe.task == "segmentation" and (recipe.num_classes or 0) > MASK_CLASSES:
        found.append(f"num_classes: masks have at most {MASK_CLASSES}, found {recipe.num_classes}")
    if recipe.task == "video":
        if recipe.crop == "pad":
            found.append("crop: expected resized, multiscale or none for video, found pad")
        if recipe.image_size and recipe.short_side and recipe.image_size > recipe.short_side[1]:
            found.append(
                f"image_size: a crop of {recipe.image_size} is larger than the frames, whose short side has "
                f"{recipe.short_side[1]}"
            )
    return found


def _ranges(recipe: "TrainRecipe") -> list[tuple[str, Range]]:
    sides = [] if recipe.short_side is None else [("short_side", recipe.short_side)]
    return [("scale", recipe.scale), ("ratio", recipe.ratio), *sides]
