"""Training recipes: one flat YAML file with every setting that decides a result, named as timm names them.

The command line is a recipe too: ``--set lr=0.1`` replaces a value, and is read and checked as a file is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from madnas.data.names import GREY, RESIDENT, is_dataset, is_resident
from madnas.errors import SpecError, UsageError
from madnas.network.yamlfile import parse_yaml, validate
from madnas.program.library import load, shipped
from madnas.train.kinds import CLASSIFICATION, KINDS

SCHEMA = "madnas/train-recipe/1"
FOLDERS = ("imagenet", "cifar", "mnist", "digits", "synthetic", "coco", "ade20k", "ucf101", "kinetics400", "shapes")

HUB = "hfds/"
"""Before the name of a data set of Hugging Face, as timm has it."""

SHARDS = "wds/"
"""Before the folder of a webdataset's shards, below that of ``--data``; alone where they are in that."""

MASK_CLASSES = 255
"""Classes that masks may have: labels fit into 8 bits beside the one that is ignored."""

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


@dataclass(frozen=True, slots=True)
class TrainRecipe:
    """Everything that decides what comes out of training, except the network, the seed and the number of processes.

    Attributes:
        row: what of a paper it reproduces.
        dataset: ``digits``, ``mnist``, ``cifar10``, ``cifar100``, ``seg<N>``, ``circle<N>``, ``folder`` (ImageNet and
            everything else that is laid out as ``train/CLASS/IMAGE``), timm's ``hfds/NAME`` (data
            sets of Hugging Face), or ``wds/FOLDER`` (webdataset's shards); of detection ``coco``, whatever is laid out
            as ``SPLIT/IMAGE`` with ``annotations/instances_SPLIT.json``; of segmentation ``ade20k``, with a mask in
            ``annotations/`` for every file in ``images/``; of video ``videos``, lists of folders of frames or of files.
        epochs: passes over the training data while the schedule goes down; a cool-down comes after them.
        batch_size: images of an update, over all processes and accumulation steps.
        lr: peak learning rate at this batch size.
        task: what is learned; one of :data:`~madnas.train.kinds.KINDS`.
        image_size: side of the training images in pixels; of detection the longest that an image may have. Default: the
            network's own.
        samples: training samples of a synthetic dataset.
        train_split, val_split: parts of a dataset, in timm's words; of video the files of the lists.
        crop: ``resized`` (a random part, resized), ``pad`` (padded by ``pad`` pixels, cropped at random),
            ``multiscale`` (of videos: TSN's, at corners, edges or the centre, in one of four sizes) or ``none``.
        scale, ratio: share of the area, and aspect ratio, of resized crops.
        crop_pct: side of the centre crop over that of the resized image, when evaluating.
        interpolation: of resizing files: ``bilinear``, ``bicubic``, or ``random`` (either, in training with resized
            crops). Sets that are kept on the device are always resized bilinearly.
        hflip: probability of a horizontal flip.
        color_jitter: brightness, contrast and saturation change by up to this share.
        aa: timm's string of an AutoAugment or RandAugment policy (``rand-m9-mstd0.5``, ``original``).
        lighting: standard deviation of the PCA lighting noise [Krizhevsky et al. 2012].
        cutout: side in pixels of a square that is blanked in every image [DeVries and Taylor 2017].
        reprob, remode: random erasing: probability; ``const`` (black) or ``pixel`` (noise).
        mixup, cutmix: parameter alpha of the beta distribution; 0 is off.
        mixup_prob, mixup_switch_prob: of doing either at all, and of cutmix where both are on.
        mixup_off_epoch: the first epoch without them; 0: never.
        smoothing: label smoothing.
        opt: timm's name of the optimiser: ``sgd`` (Nesterov), ``momentum``, ``adamw``, ``rmsproptf`` ...
        momentum, opt_eps, opt_betas, opt_alpha: its settings; absent means its own defaults.
        weight_decay: of weights.
        decay_norm_bias: whether norms and biases decay too.
        layer_decay: factor of the learning rate from layer to layer, downwards.
        sched: timm's name of the schedule: ``cosine``, ``multistep``, ``poly``, or ``constant``.
        warmup_epochs, warmup_lr: linear warm-up from this rate.
        warmup_prefix: whether the schedule begins after the warm-up, instead of under it.
        min_lr, cooldown_epochs: the lowest rate, and epochs at it in the end.
        decay_milestones, decay_rate: of ``multistep``; of ``poly``, ``decay_rate`` is the power.
        sched_on_updates: whether the rate changes with every update, or only from epoch to epoch.
        clip_grad: largest norm of the gradient.
        grad_accum_steps: parts in which a process computes its share of a batch.
        model_ema_decay, model_ema_warmup: exponential moving average of the weights; evaluated and kept as the result.
        drop, drop_path: dropout before the classifier, stochastic depth of the last block.
        bn_momentum, bn_eps: of batch norms, in torch's sense; absent means the network's own.
        zero_init_last: whether residual branches of madnas' own networks start at 0; others start as their library has
            them.
        amp_dtype: ``bfloat16`` or ``float16`` for mixed precision; absent: float32.
        channels_last: memory layout of maps; the faster one nearly everywhere.
        kd_model_name: timm's name of a teacher; ``kd_hard``, ``kd_soft`` and ``kd_feature`` weigh the cross-entropy
            with the labels, with the teacher's outputs at ``kd_temperature``, and the smooth L1 distance of features.
        alpha_weight: lambda of RAN's Eq. (3): how much slopes of restructurable blocks are drawn to 1; 0 is off.
        alpha_macs_aware: weigh that by the multiply-adds that each block's collapse saves.
        detector: detection: ``fcos`` (on a pyramid) or ``two-stage`` (RAN's, on the last map).
        short_side: range in which the shorter side of a training image is drawn, in pixels. Detection: the upper end is
            that of testing, and ``image_size`` limits the longer side. Segmentation: before the crop; images are tested
            with a shorter side of ``image_size``, and the longer one has at most four times as much. Video: before the
            crop; the upper end is that of testing.
        head_chs: detection: channels of FCOS's pyramid and head. Default: 256.
        head_width, proposals: detection: the linear layers of the second stage (default: 1024), and boxes that the
            first one hands on (default: 512).
        freeze_norm: detection: whether the backbone's batch norms stay as the initial weights have them.
        num_classes: segmentation, video: classes, which masks and lists do not tell.
        class_share: segmentation: share of a crop's labelled pixels from which on a class makes another crop be tried.
            Default: 1, any crop is taken.
        distort: segmentation: whether brightness, contrast, saturation and hue change. Default: no.
        decoder_chs: segmentation: channels of UPerNet's decoder. Default: 512.
        aux_weight: segmentation: weight of the loss of an auxiliary head over the map before the last. Default: none.
        test_scales, test_flip: segmentation: sizes at which images are tested, over ``image_size``, and whether their
            mirror images are too; the mean probability counts. Default: one size, not mirrored.
        segments, test_segments: video: frames of a video in training and in testing, one of each of its segments.
        test_crops: video: 1 (the centre), 3 or 10 crops of each frame in testing. Default: 1.
        nonfinite_retries: times that a run may go back to its last checkpoint and leave the batch out that made loss
            or gradient non-finite, before it stops.
        bad_data_rate: share of unreadable samples from which on a run stops.
    """

    row: str
    dataset: str
    epochs: int
    batch_size: int
    lr: float
    task: Literal["classification", "detection", "segmentation", "video"] = "classification"
    image_size: int | None = None
    samples: int | None = None
    train_split: str = "train"
    val_split: str = "validation"
    crop: Literal["resized", "pad", "multiscale", "none"] = "none"
    pad: int = 4
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (0.75, 4 / 3)
    crop_pct: float = 1.0
    interpolation: Literal["bilinear", "bicubic", "random"] = "bilinear"
    hflip: float = 0.0
    color_jitter: float = 0.0
    aa: str | None = None
    lighting: float = 0.0
    cutout: int = 0
    reprob: float = 0.0
    remode: Literal["const", "pixel"] = "const"
    mixup: float = 0.0
    cutmix: float = 0.0
    mixup_prob: float = 1.0
    mixup_switch_prob: float = 0.5
    mixup_off_epoch: int = 0
    smoothing: float = 0.0
    opt: str = "sgd"
    momentum: float | None = None
    opt_eps: float | None = None
    opt_betas: tuple[float, float] | None = None
    opt_alpha: float | None = None
    weight_decay: float = 0.0
    decay_norm_bias: bool = False
    layer_decay: float | None = None
    sched: Literal["cosine", "multistep", "poly", "constant"] = "cosine"
    warmup_epochs: int = 0
    warmup_lr: float = 0.0
    warmup_prefix: bool = False
    min_lr: float = 0.0
    cooldown_epochs: int = 0
    decay_milestones: tuple[int, ...] = ()
    decay_rate: float = 0.1
    sched_on_updates: bool = True
    clip_grad: float | None = None
    grad_accum_steps: int = 1
    model_ema_decay: float | None = None
    model_ema_warmup: bool = False
    drop: float = 0.0
    drop_path: float = 0.0
    bn_momentum: float | None = None
    bn_eps: float | None = None
    zero_init_last: bool = True
    amp_dtype: Literal["bfloat16", "float16"] | None = None
    channels_last: bool = True
    kd_model_name: str | None = None
    kd_temperature: float = 1.0
    kd_hard: float = 1.0
    kd_soft: float = 0.0
    kd_feature: float = 0.0
    alpha_weight: float = 0.0
    alpha_macs_aware: bool = False
    detector: Literal["fcos", "two-stage"] | None = None
    short_side: tuple[int, int] | None = None
    head_chs: int | None = None
    head_width: int | None = None
    proposals: int | None = None
    freeze_norm: bool | None = None
    num_classes: int | None = None
    class_share: float | None = None
    distort: bool | None = None
    decoder_chs: int | None = None
    aux_weight: float | None = None
    test_scales: tuple[float, ...] | None = None
    test_flip: bool | None = None
    segments: int | None = None
    test_segments: int | None = None
    test_crops: Literal[1, 3, 10] | None = None
    nonfinite_retries: int = 0
    bad_data_rate: float = 0.01

    def settings(self) -> dict[str, Any]:
        """Every setting as plain data, in the order above."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def recipe_files() -> dict[str, Path]:
    """The training recipes that come with madnas, by name: ``cifar/deepmad``."""
    return {f"{part}/{name}": path for part in FOLDERS for name, path in shipped(f"train/{part}").items()}


def load_recipe(name_or_path: str, changes: Iterable[str] = ()) -> TrainRecipe:
    """A recipe by name or from a user's own file, with changes such as ``lr=0.1``.

    Raises:
        UsageError: neither a known name nor a readable file; a change that is none.
        SpecError: wrong keys, types or values; every problem with its key.
    """
    recipe, source = load(name_or_path, "training recipe", recipe_files(), {SCHEMA: TrainRecipe})
    changed = dict(_change(text) for text in changes)
    recipe = validate(recipe.settings() | changed, TrainRecipe, "--set" if changed else source)
    # What a change made idle may stay as it is; what is given to no effect is a mistake.
    idle = {name: why for name, why in idle_settings(recipe).items() if not changed or name in changed}
    wrong = problems(recipe) + [f"{name}: {why}" for name, why in idle.items()]
    if wrong:
        raise SpecError(f"{source} with --set" if changes else source, wrong)
    return recipe


def _change(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise UsageError(f"--set: expected KEY=VALUE, got {text[:60]!r}", "for example --set lr=0.1")
    try:
        found = parse_yaml(f"value: {value}", "--set")
    except SpecError as error:
        raise UsageError(f"--set {text[:60]}: the value is not YAML") from error
    if list(found) != ["value"]:
        raise UsageError(f"--set {text[:60]!r}: more than one setting", "give --set once for each")
    return key.strip(), found["value"]


def dump_recipe(recipe: TrainRecipe) -> str:
    """A recipe file with every setting that is not absent; it reads back exactly."""
    import yaml

    settings = {name: value for name, value in recipe.settings().items() if value is not None}
    return yaml.safe_dump({"schema": SCHEMA, **settings}, sort_keys=False, allow_unicode=True, width=float("inf"))


def problems(recipe: TrainRecipe) -> list[str]:
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


HEAD_GROUPS = 32
"""Of the group norms in torchvision's FCOS."""


def _task_problems(recipe: TrainRecipe) -> list[str]:
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


def _own_problems(recipe: TrainRecipe) -> list[str]:
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


FOR_IMAGES = ("crop", "pad", "hflip", "aa", "lighting", "cutout", "reprob", "color_jitter", "image_size", "crop_pct",
              "interpolation")  # fmt: skip
"""Settings without effect on features."""


def idle_settings(recipe: TrainRecipe) -> dict[str, str]:
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
    changed = {one.name for one in fields(TrainRecipe) if getattr(recipe, one.name) != one.default}
    return {name: why for applies, names, why in rules if applies for name in names if name in changed}


def _ranges(recipe: TrainRecipe) -> list[tuple[str, Range]]:
    sides = [] if recipe.short_side is None else [("short_side", recipe.short_side)]
    return [("scale", recipe.scale), ("ratio", recipe.ratio), *sides]
