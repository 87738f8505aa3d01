"""Training recipes: one flat YAML file with every setting that decides a result, named as timm names them.

The command line is a recipe too: ``--set lr=0.1`` replaces a value, and is read and checked as a file is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from madnas.errors import SpecError, UsageError
from madnas.network.library import load, shipped
from madnas.network.yamlfile import parse_yaml, validate
from madnas.train.recipe_checks import idle_settings, problems

SCHEMA = "madnas/train-recipe/1"

FOLDERS = ("imagenet", "cifar", "mnist", "digits", "synthetic", "coco", "ade20k", "ucf101", "kinetics400", "shapes")


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
